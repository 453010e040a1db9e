//! Every rule is broken by what it is about, and by nothing that looks like it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::world::{INSPECT, broken};

#[derive(Deserialize)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    rule: String,
    #[serde(rename = "in")]
    place: String,
    bad: Vec<String>,
    good: Vec<String>,
}

fn cases() -> Vec<Case> {
    toml::from_str::<Table>(include_str!("cases.toml"))
        .expect("the cases")
        .case
}

fn indented(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}

/// A whole file around a part of one, and its name.
fn whole(place: &str, part: &str) -> (&'static str, String) {
    let has = |key: &str| part.lines().any(|line| line.starts_with(key));
    match place {
        "service" => {
            let image = if has("image:") || has("build:") {
                ""
            } else {
                "    image: x:1\n"
            };
            (
                "compose.yml",
                format!("services:\n  web:\n{image}{}", indented(part, 4)),
            )
        }
        "pod" => {
            let containers = if has("containers:") {
                ""
            } else {
                "  containers: [{name: c, image: x}]\n"
            };
            (
                "pod.yml",
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{containers}{}",
                    indented(part, 2)
                ),
            )
        }
        "container" => {
            let text = format!("containers:\n  - image: x\n{}", indented(part, 4));
            whole("pod", &text)
        }
        "inspect" => {
            let mut base: serde_json::Value = serde_json::from_str(INSPECT).expect("JSON");
            lay_over(&mut base[0], &serde_json::from_str(part).expect("JSON"));
            ("inspect.json", base.to_string())
        }
        "policy" => ("stockade.toml", format!("version = 1\n{part}\n")),
        "file" => ("file.yml", part.to_owned()),
        other => panic!("{other}"),
    }
}

fn lay_over(base: &mut serde_json::Value, over: &serde_json::Value) {
    match over.as_object() {
        Some(entries) => entries
            .iter()
            .for_each(|(key, value)| lay_over(&mut base[key], value)),
        None => *base = over.clone(),
    }
}

#[test]
fn every_rule_is_broken_by_the_bad_twin_and_not_by_the_good_one() {
    for case in cases() {
        for bad in &case.bad {
            let (name, text) = whole(&case.place, bad);
            let found = broken(name, &text);
            assert!(
                found.contains(&case.rule),
                "{} is not seen in\n{text}{found:?}",
                case.rule
            );
        }
        for good in &case.good {
            let (name, text) = whole(&case.place, good);
            assert!(
                !broken(name, &text).contains(&case.rule),
                "{} is seen in\n{text}",
                case.rule
            );
        }
    }
}

#[test]
fn every_rule_has_its_twins() {
    let with: BTreeSet<String> = cases().into_iter().map(|case| case.rule).collect();
    let all: BTreeSet<String> = stockade_lint::rules::all()
        .unwrap()
        .into_iter()
        .map(|rule| rule.id)
        .collect();
    assert_eq!(
        all.difference(&with).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "without twins"
    );
    assert_eq!(
        with.difference(&all).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "without a rule"
    );
}

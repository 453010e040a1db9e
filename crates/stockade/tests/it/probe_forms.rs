//! A probe's report for other programs and for browsers: SARIF held against its published schema, and the page
//! opened in a real browser.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use scraper::{Html, Selector};
use serde_json::Value;
use sha2::{Digest, Sha256};
use stockade_domain::{ControlKind, Support};
use stockade_probes::Severity;
use stockade_probes::report::{ControlRow, Outcome, Report, Row};

use crate::probed::{now, plant_report, report, said, skip};
use crate::world::World;

const HOSTILE: &str =
    "\u{1b}[2J<script>document.title='owned'</script><img src=x onerror=alert(1)>\n]]>&amp;\"'";

fn row(id: &str, severity: Severity, needs: &[ControlKind], outcome: Outcome) -> Row {
    let mut row = report().drivers.remove(0).probes.remove(0);
    row.id = id.to_owned();
    row.severity = severity;
    row.needs = needs.to_vec();
    row.outcome = outcome;
    row.detail = (outcome != Outcome::Held).then(|| HOSTILE.to_owned());
    row
}

/// One of each outcome.
fn full() -> Report {
    use ControlKind::{FilesUnreadable, HomeHidden, NetworkNone, ProcessesHidden};
    let mut full = report();
    full.at_ms = 1_700_000_000_000;
    let driver = &mut full.drivers[0];
    driver.probes = vec![
        row("FS03", Severity::Critical, &[FilesUnreadable], Outcome::Held),
        row("FS17", Severity::High, &[HomeHidden], Outcome::Inconclusive),
        row("NW01", Severity::High, &[NetworkNone], Outcome::NotHeld),
        row("NW11", Severity::Low, &[NetworkNone], Outcome::NotHeld),
        row("PR01", Severity::Medium, &[ProcessesHidden], Outcome::NotExpected),
        row("PR02", Severity::Medium, &[ProcessesHidden], Outcome::Bonus),
        row("PR03", Severity::Critical, &[], Outcome::Held),
    ];
    let control = |control, claim| ControlRow {
        control,
        claim,
        probes: std::collections::BTreeMap::new(),
    };
    let enforced = || Support::host_kernel("a namespace");
    driver.controls = vec![
        control(FilesUnreadable, enforced()),
        control(HomeHidden, enforced()),
        control(ProcessesHidden, Support::absent("it has none", "none")),
        control(NetworkNone, enforced()),
    ];
    full
}

fn planted() -> World {
    let world = World::new();
    let now = now(&world);
    plant_report(&world, &[&[ControlKind::NetworkNone]], now, &full());
    world
}

fn sarif(world: &World) -> Value {
    let said = said(&mut world.stockade(&["probe", "--driver", "native", "--sarif"]));
    assert_eq!(said.code, Some(1), "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON alone")
}

#[test]
fn sarif_is_what_its_published_schema_asks_for() {
    let schema: Value = serde_json::from_str(include_str!("schemas/sarif-2.1.0.json")).expect("the schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let log = sarif(&planted());
    let problems: Vec<String> = validator
        .iter_errors(&log)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    // The control: the schema refuses what the form does not know.
    let mut wrong = log;
    wrong["runs"][0]["results"][0]["kind"] = "held".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn each_probe_is_a_rule_and_a_result_of_its_kind() {
    let log = sarif(&planted());
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!((rules.len(), results.len()), (7, 7));
    for (id, kind, level) in [
        ("FS03", "pass", "none"),
        ("FS17", "open", "none"),
        ("NW01", "fail", "error"),
        ("NW11", "fail", "note"),
        ("PR01", "review", "none"),
        ("PR02", "informational", "none"),
        ("PR03", "pass", "none"),
    ] {
        let found = results.iter().find(|one| one["ruleId"] == id).expect(id);
        assert_eq!(
            (found["kind"].as_str(), found["level"].as_str()),
            (Some(kind), Some(level)),
            "{id}"
        );
        let index = usize::try_from(found["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], id);
        assert_eq!(found["locations"][0]["logicalLocations"][0]["name"], "native");
    }
    assert_eq!(rules[0]["properties"]["security-severity"], "9.5");
    assert_eq!(
        run["invocations"][0]["startTimeUtc"]
            .as_str()
            .map(|text| text.ends_with('Z')),
        Some(true)
    );
    assert!(
        !log.to_string().contains("\\u001b"),
        "nothing that acts on a terminal"
    );
}

#[test]
fn sarif_goes_to_a_file_as_well_and_the_text_stays() {
    let world = planted();
    let said = said(&mut world.stockade(&["probe", "--driver", "native", "--sarif", "log.sarif"]));
    assert!(said.out.contains("NOT HELD"), "{}", said.out);
    let log = fs::read(world.project().join("log.sarif")).expect("a file");
    assert_eq!(
        serde_json::from_slice::<Value>(&log).expect("JSON")["version"],
        "2.1.0"
    );
}

fn page(world: &World) -> String {
    let said = said(&mut world.stockade(&["probe", "--driver", "native", "--html", "page.html"]));
    assert_eq!(said.code, Some(1), "{}", said.err);
    fs::read_to_string(world.project().join("page.html")).expect("the page")
}

fn all(page: &Html, what: &str) -> Vec<String> {
    let selector = Selector::parse(what).expect("a selector");
    page.select(&selector)
        .map(|found| found.text().collect())
        .collect()
}

#[test]
fn the_page_says_all_in_words_and_runs_nothing() {
    let source = page(&planted());
    let page = Html::parse_document(&source);
    for element in [
        "script",
        "img",
        "iframe",
        "link",
        "object",
        "form",
        "[onerror]",
        "[src]",
        "[href]",
    ] {
        assert!(all(&page, element).is_empty(), "{element}");
    }
    for (class, said) in [
        ("td.held", "✓ held: 1"),
        ("td.bad", "✗ NOT HELD: 2 of 2"),
        ("td.unsure", "? inconclusive: 1"),
        ("td.none", "– not claimed: 1 open, 1 closed"),
    ] {
        assert!(
            all(&page, class).concat().contains(said),
            "{class}: {:?}",
            all(&page, class)
        );
    }
    let evidence = all(&page, "td.bad .evidence pre").concat();
    assert!(
        evidence.contains("<script>document.title") && evidence.contains("\\u{1b}[2J"),
        "{evidence}"
    );
}

#[test]
fn the_style_of_the_page_is_the_one_that_its_policy_allows() {
    use base64::Engine;
    let source = page(&planted());
    let style = source
        .split("<style>")
        .nth(1)
        .and_then(|rest| rest.split("</style>").next())
        .expect("a style");
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(
        source.contains(&format!("default-src 'none'; style-src 'sha256-{digest}'")),
        "{digest}"
    );
}

/// Puts the page into a frame as wide as a telephone and asks the browser what it made of it. The script is the
/// test's: the page's own policy allows none, which is tried as well.
const HARNESS: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body><pre id="out">nothing</pre><script>
const frame = document.createElement('iframe');
frame.style = 'width:390px;height:800px;border:0';
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  const violations = [];
  page.addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective));
  const look = name => frame.contentWindow.getComputedStyle(page.querySelector('td.' + name)).backgroundColor;
  const summary = page.querySelector('td.bad summary'), proof = page.querySelector('td.bad .evidence');
  const hidden = proof.checkVisibility();
  summary.click();
  const shown = proof.checkVisibility();
  const own = page.createElement('script');
  own.textContent = 'document.title = "ran"';
  page.body.append(own);
  setTimeout(() => {
    document.getElementById('out').textContent = JSON.stringify({
      title: page.title, overflow: root.scrollWidth - root.clientWidth, hidden, shown,
      colours: ['held', 'bad', 'unsure', 'none'].map(look), violations,
      labels: getComputedStyle(summary, '::before').content,
    });
  }, 50);
};
frame.srcdoc = SOURCE;
document.body.append(frame);
</script>"#;

/// What the browser says, or none where there is no browser.
fn browse(world: &World, source: &str) -> Option<Value> {
    // As a string of the script, which must not end early.
    let literal = serde_json::to_string(source)
        .expect("a string")
        .replace("</", "<\\/")
        .replace("<!--", "<\\!--");
    let harness = world.path("harness.html");
    fs::write(&harness, HARNESS.replace("SOURCE", &literal)).expect("a file");
    let program = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .map(|name| Path::new("/usr/bin").join(name))
        .find(|path| path.exists())?;
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", world.path("browser").display()))
        .arg(format!("file://{}", harness.display()))
        .env_clear()
        .env("HOME", world.path("home"))
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let document = Html::parse_document(&dom);
    let told = all(&document, "#out").concat();
    Some(
        serde_json::from_str(&told)
            .unwrap_or_else(|_| panic!("{told}\n{dom}\n{}", String::from_utf8_lossy(&output.stderr))),
    )
}

#[test]
fn a_browser_shows_the_page_on_a_telephone_opens_cells_and_runs_no_script() {
    let world = planted();
    let Some(seen) = browse(&world, &page(&world)) else {
        return skip(
            "probe_forms::a_browser_shows_the_page_on_a_telephone_opens_cells_and_runs_no_script",
            "chromium is not installed",
        );
    };
    assert_eq!(seen["title"], "What holds here", "{seen}");
    assert_eq!(seen["overflow"], 0, "{seen}");
    assert_eq!(seen["hidden"], false, "{seen}");
    assert_eq!(seen["shown"], true, "{seen}");
    let colours: std::collections::BTreeSet<&str> = seen["colours"]
        .as_array()
        .expect("colours")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(colours.len(), 4, "{seen}");
    assert!(
        seen["labels"]
            .as_str()
            .is_some_and(|text| text.contains("native")),
        "{seen}"
    );
    assert!(seen["violations"].to_string().contains("script-src"), "{seen}");
}

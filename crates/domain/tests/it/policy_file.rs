//! `stockade.toml`: what is read, and what an error looks like.

use stockade_domain::demand::{Need, Origin};
use stockade_domain::environment::Variable;
use stockade_domain::policy::{FileAccess, MAX_BYTES, PolicyError, parse, parse_bytes};
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::units::{ByteCount, CpuMillis, DurationMs, Limit};
use stockade_domain::{Control, ControlKind};

const FULL: &str = r#"version = 1
driver = "native"
image = "/srv/images/debian"

[workspace]
mode = "ro"
path = "~/project"

[files]
ro = ["/opt/x"]
rw = ["~/data", "$WORKDIR/target"]
hide = ["$WORKDIR/.env"]

[network]
mode = "none"
allow = []

[environment]
pass = ["LANG", "CARGO_*"]
set = { A = "b", EMPTY = "" }

[limits]
memory = "2G"
pids = 512
cpus = 1.5
cpu-weight = 20
disk = "1GB"
timeout = "1h30m"
output = "none"

[need]
memory = "prefer"
own-kernel = "require"

[sandbox]
nested-namespaces = true
hostname = "box"
"#;

fn error(text: &str) -> String {
    parse(text, "stockade.toml").expect_err(text).to_string()
}

/// Every key of the form is read, each with its place.
#[test]
fn every_clause_is_read() {
    let file = parse(FULL, "stockade.toml").expect("the whole form");
    assert_eq!(
        file.driver.as_ref().map(|clause| clause.value.as_str()),
        Some("native")
    );
    assert_eq!(
        file.image.map(|clause| clause.value).as_deref(),
        Some("/srv/images/debian")
    );
    assert_eq!(
        file.workspace_mode.map(|clause| clause.value),
        Some(WorkspaceMode::Ro)
    );
    assert_eq!(
        file.workspace_path.map(|clause| clause.value).as_deref(),
        Some("~/project")
    );
    let rules: Vec<_> = file
        .files
        .iter()
        .map(|rule| (rule.value.path.as_str(), rule.value.access))
        .collect();
    assert_eq!(
        rules,
        [
            ("/opt/x", FileAccess::ReadOnly),
            ("~/data", FileAccess::ReadWrite),
            ("$WORKDIR/target", FileAccess::ReadWrite),
            ("$WORKDIR/.env", FileAccess::Hide),
        ]
    );
    assert_eq!(file.network.map(|clause| clause.value), Some(Network::None));
    assert_eq!(file.network_allow.map(|clause| clause.value), Some(Vec::new()));
    assert_eq!(file.variables.len(), 4);
    assert_eq!(file.variables[0].value, Variable::Pass("LANG".to_owned()));
    assert_eq!(
        file.variables[2].value,
        Variable::Set {
            name: "A".to_owned(),
            value: "b".to_owned()
        }
    );
}

/// So is every limit, need and setting.
#[test]
fn every_limit_is_read() {
    let file = parse(FULL, "stockade.toml").expect("the whole form");
    assert_eq!(file.pids.map(|clause| clause.value), Some(Limit::AtMost(512)));
    assert_eq!(
        file.cpus.map(|clause| clause.value),
        Some(Limit::AtMost(CpuMillis(1500)))
    );
    assert_eq!(file.cpu_weight.map(|clause| clause.value), Some(20));
    assert_eq!(
        file.disk.map(|clause| clause.value),
        Some(Limit::AtMost(ByteCount(1_000_000_000)))
    );
    assert_eq!(
        file.timeout.map(|clause| clause.value),
        Some(Limit::AtMost(DurationMs(5_400_000)))
    );
    assert_eq!(file.output.map(|clause| clause.value), Some(Limit::Off));
    let needs: Vec<_> = file.needs.iter().map(|need| need.value).collect();
    assert_eq!(
        needs,
        [
            (ControlKind::Memory, Need::Prefer),
            (ControlKind::OwnKernel, Need::Require)
        ]
    );
    assert_eq!(file.nested_namespaces.map(|clause| clause.value), Some(true));
    assert_eq!(file.hostname.map(|clause| clause.value).as_deref(), Some("box"));
    let memory = file.memory.expect("written");
    assert_eq!(
        memory.origin,
        Origin::File {
            path: "stockade.toml".to_owned(),
            line: 23,
            column: 10
        }
    );
    assert_eq!(
        Control::Memory(memory.value.value().expect("a limit")).to_string(),
        "memory 2 GiB"
    );
}

/// A file that says nothing is a policy too.
#[test]
fn an_empty_policy_changes_nothing() {
    assert_eq!(
        parse("version = 1", "p").expect("minimal"),
        stockade_domain::policy::Layer::default()
    );
}

/// Every error names place, cause and remedy.
#[test]
fn errors_point_at_the_mistake() {
    let cases = [
        "",
        "version = 2\nnew-thing = 1",
        "version = \"1\"",
        "version = 1\ndrivr = \"native\"",
        "version = 1\n[limits]\nmemmory = \"2G\"",
        "version = 1\n[limts]\nmemory = \"2G\"",
        "version = 1\n[limits]\nfoo = 1",
        "version = 1\n[limits]\nmemory = \"2G\"\nmemory = \"3G\"",
        "version = 1\n[limits]\nmemory = \"lots\"",
        "version = 1\n[limits]\nmemory = true",
        "version = 1\n[limits]\nmemory = 0",
        "version = 1\n[limits]\npids = -1",
        "version = 1\n[limits]\ntimeout = 30",
        "version = 1\n[limits]\ncpus = \"two\"",
        "version = 1\n[limits]\ncpu-weight = 0",
        "version = 1\n[limits]\ncpu-weight = 70000",
        "version = 1\n[workspace]\nmode = \"cov\"",
        "version = 1\n[network]\nmode = \"bridge\"",
        "version = 1\n[network]\nallow = [\"\"]",
        "version = 1\n[files]\nro = \"/opt\"",
        "version = 1\n[files]\nro = [\"opt\", 7]",
        "version = 1\n[files]\nro = [\"opt\"]",
        "version = 1\n[files]\nrw = [\"/a\", \"/b/../c\"]",
        "version = 1\n[environment]\npass = [\"*\"]",
        "version = 1\n[environment]\nset = { \"A B\" = \"1\" }",
        "version = 1\n[need]\nmemori = \"require\"",
        "version = 1\n[need]\nmemory = \"must\"",
        "version = 1\n[sandbox]\nhostname = \"-x\"",
        "version = 1\n[sandbox]\nnested-namespaces = \"yes\"",
        "version = 1\n[limits\nmemory = 1",
        "version = 1\ndriver = \"a\u{1b}[31mb\"",
    ];
    let all: Vec<String> = cases.iter().map(|text| error(text)).collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

/// The mark stands under the characters, not the bytes, and long lines are cut.
#[test]
fn marks_are_placed_by_character() {
    let text = error("version = 1\n[environment]\nset = { \"GRÜẞE\" = 1 }");
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.starts_with("stockade.toml:3:19: "), "{text}");
    assert_eq!(
        lines[2]
            .chars()
            .nth(lines[3].chars().position(|c| c == '^').expect("a mark")),
        Some('1'),
        "{text}"
    );
    let long = error(&format!(
        "version = 1\n[files]\nro = [{}7]",
        "\"/opt/x\", ".repeat(100)
    ));
    assert!(long.lines().all(|line| line.chars().count() < 160), "{long}");
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(
        lines[2]
            .chars()
            .nth(lines[3].chars().position(|c| c == '^').expect("a mark")),
        Some('7'),
        "{long}"
    );
}

/// A terminal is not driven by what a policy contains.
#[test]
fn errors_hold_no_control_characters() {
    let text = parse("version = 1\n\"\\u001b[2J\" = 1", "evil\u{1b}]0;x\u{7}.toml")
        .expect_err("unknown")
        .to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// Size, encoding and nesting are bounded before anything is built from them.
#[test]
fn hostile_sizes_are_refused() {
    assert!(matches!(
        parse(&"#".repeat(MAX_BYTES + 1), "p"),
        Err(PolicyError::TooLarge { .. })
    ));
    assert!(
        parse(&format!("version = 1\n{}", "#".repeat(MAX_BYTES - 12)), "p").is_ok(),
        "the largest is read"
    );
    let text = parse_bytes(b"version = 1\n\xff", "p")
        .expect_err("not text")
        .to_string();
    assert!(text.starts_with("p:2:1: this is not UTF-8"), "{text}");
    for (open, close) in [("[", "]"), ("{a=", "}"), ("{a.a.a.a.a.a.a.a=", "}")] {
        let text = format!(
            "version = 1\na = {}1{}",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        assert!(error(&text).contains("nested too deeply"), "{open}");
    }
    assert!(error(&format!("version = 1\n{}a = 1", "a.".repeat(400_000))).contains("nested too deeply"));
    let deepest = format!(
        "version = 1\na = {}1{}",
        format!("{{{}=", "a.".repeat(78) + "a").repeat(78),
        "}".repeat(78)
    );
    assert!(
        !error(&deepest).is_empty(),
        "nesting up to the parser's bound does not overflow the stack"
    );
    let many = vec!["\"/a\""; 257].join(",");
    assert!(error(&format!("version = 1\n[files]\nro = [{many}]")).contains("more than 256"));
}

/// The reference for users is a policy that can be read, and names every control.
#[test]
fn the_documented_policy_is_valid() {
    let document = include_str!("../../../../docs/policy.md");
    let example = document
        .split("```toml")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    parse(example.trim_start(), "docs/policy.md").expect("the example is valid");
    let missing: Vec<_> = ControlKind::ALL
        .iter()
        .filter(|kind| !document.contains(kind.name()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

//! `stockade lint`, from the command line.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::world::World;

/// What many have copied from somewhere.
const BAD: &str = "\
services:
  agent:
    image: example/agent
    privileged: true
    ports: [\"8080:80\"]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
      - ~/.ssh:/root/.ssh:ro
    environment:
      API_KEY: hunter2
";

/// One finding, of severity medium.
const MEDIUM: &str = "\
services:
  agent:
    image: example/agent:1.0@sha256:bc2f6a7c8ddbccf55bdb19659ce3b0a92ca6559e86d42677a5a02ef6bda2fcef
    user: \"1000\"
    read_only: true
    cap_drop: [ALL]
    security_opt: [no-new-privileges]
    cpus: 1
    mem_limit: 1g
";

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let output: Output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn world(files: &[(&str, &str)]) -> World {
    let world = World::new();
    files.iter().for_each(|(name, text)| world.file(name, text));
    world
}

fn lint(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let (code, out, err) = output(&mut world.stockade(&[&["lint"], arguments].concat()));
    assert_eq!(err, "", "{out}");
    (code, out)
}

#[test]
fn a_person_reads_what_is_wrong_what_it_costs_and_the_fix() {
    let world = world(&[("compose.yml", BAD)]);
    let (code, text) = lint(&world, &["compose.yml"]);
    assert_eq!(code, Some(1));
    assert!(!text.contains("hunter2"), "secrets are not repeated: {text}");
    insta::assert_snapshot!(text);
}

#[test]
fn what_was_not_understood_is_never_clean() {
    let text = MEDIUM.replace("cpus: 1", "pids_limit: 9\n    cpus: 1\n    privilegd: true");
    let world = world(&[("compose.yml", &text)]);
    let (code, out) = lint(&world, &["compose.yml"]);
    assert_eq!(code, Some(125), "{out}");
    assert!(out.contains("not checked  compose.yml:10:5"), "{out}");
    let (code, out) = lint(&world, &["compose.yml", "--allow-unknown"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("1 not checked"), "it is told all the same: {out}");
}

#[test]
fn the_level_of_failure_can_be_chosen() {
    let world = world(&[("compose.yml", MEDIUM)]);
    let code = |level: &str| lint(&world, &["compose.yml", "--fail-on", level]).0;
    assert_eq!(
        [code("critical"), code("high"), code("medium"), code("low")],
        [Some(0), Some(0), Some(1), Some(1)]
    );
    assert_eq!(lint(&world, &["compose.yml"]).0, Some(0), "high is the default");
}

#[test]
fn rules_are_left_out_by_name_and_told() {
    let world = world(&[("compose.yml", MEDIUM)]);
    let (code, out) = lint(
        &world,
        &["compose.yml", "--fail-on", "low", "--ignore", "no-pids-limit"],
    );
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("ignored: no-pids-limit (1 findings)"), "{out}");
    let (code, out, err) = output(&mut world.stockade(&["lint", "compose.yml", "--ignore", "no-pid-limit"]));
    assert_eq!((code, out.as_str()), (Some(125), ""));
    assert!(
        err.contains("there is no rule called no-pid-limit; did you mean no-pids-limit?"),
        "{err}"
    );
}

#[test]
fn files_that_cannot_be_read_are_told_beside_the_others() {
    let world = world(&[
        ("good.yml", MEDIUM),
        ("broken.yml", "a: ["),
        ("stockade.toml", "version = 1\nnetwrk = 1\n"),
    ]);
    let targets = ["good.yml", "broken.yml", "stockade.toml", "gone.yml"];
    let (code, out) = lint(&world, &targets);
    assert_eq!(code, Some(125), "{out}");
    insta::assert_snapshot!(out);
}

#[test]
fn standard_input_is_read_by_a_dash() {
    use std::io::Write;
    let world = World::new();
    let mut child = world
        .stockade(&["lint", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"spec\": {\"hostPID\": true, \"containers\": [{\"name\": \"c\", \"image\": \"x\"}]}}").expect("it reads");
    drop(input);
    let done = child.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(report["verdict"], "found");
    let first = &report["sources"][0]["findings"][0];
    assert_eq!(
        (
            first["rule"].as_str(),
            first["path"].as_str(),
            first["file"].as_str()
        ),
        (Some("host-pid"), Some("spec.hostPID"), Some("stdin"))
    );
}

#[test]
fn variables_come_from_a_file_that_is_named() {
    let text = MEDIUM.replace("cpus: 1", "pids_limit: 9\n    cpus: 1\n    pid: ${MODE}");
    let world = world(&[("compose.yml", &text), ("vars", "MODE=host\n")]);
    assert_eq!(lint(&world, &["compose.yml"]).0, Some(125), "not known");
    let (code, out) = lint(&world, &["compose.yml", "--env-file", "vars"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("host-pid"), "{out}");
}

#[test]
fn other_files_are_read_beside_the_file_and_only_regular_ones() {
    let text =
        "services:\n  a: {extends: {file: base.yml, service: b}}\n  c: {extends: {file: pipe, service: b}}\n";
    let world = world(&[("base.yml", "services: {b: {image: x, pid: host}}")]);
    std::fs::create_dir(world.project().join("sub")).expect("a directory");
    world.file("sub/compose.yml", text);
    world.file("sub/base.yml", "services: {b: {image: x, ipc: host}}");
    let made = Command::new("mkfifo")
        .arg(world.project().join("sub/pipe"))
        .status()
        .expect("mkfifo");
    assert!(made.success());
    let (code, out) = lint(&world, &["sub/compose.yml"]);
    assert_eq!(code, Some(125), "{out}");
    assert!(
        out.contains("host-ipc") && !out.contains("host-pid"),
        "the one beside it: {out}"
    );
    assert!(out.contains("sub/pipe: this is no regular file"), "{out}");
}

#[test]
fn names_cannot_drive_the_terminal() {
    let world = world(&[(
        "compose.yml",
        "services: {\"a\\e[2Jb\": {image: \"x\\e[31m\", \"k\\e]0;t\\a\": 1}}",
    )]);
    let (_, out) = lint(&world, &["compose.yml"]);
    assert!(out.contains("\\u{1b}[2J") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn sarif_is_what_its_published_schema_asks_for() {
    let unknown = BAD.replace("privileged", "magic: 1\n    privileged");
    let world = world(&[("a b.yml", &unknown), ("broken.yml", "a: [")]);
    let (code, out) = lint(
        &world,
        &["a b.yml", "broken.yml", "--sarif", "--ignore", "privileged"],
    );
    assert_eq!(code, Some(125));
    let mut log: Value = serde_json::from_str(&out).expect("JSON alone");
    let schema: Value = serde_json::from_str(include_str!("schemas/sarif-2.1.0.json")).expect("the schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let problems: Vec<String> = validator
        .iter_errors(&log)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    let run = &log["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(
        run["invocations"][0]["toolExecutionNotifications"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let socket = run["results"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["ruleId"] == "engine-socket"));
    let place = &socket.expect("it is found")["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b.yml");
    assert_eq!(place["region"]["startLine"], 8);
    let privileged = run["results"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["ruleId"] == "privileged"));
    assert_eq!(
        privileged.expect("it is there")["suppressions"][0]["kind"],
        "external"
    );
    // The control: the schema refuses what the form does not know.
    log["runs"][0]["results"][0]["level"] = "dreadful".into();
    assert!(!validator.is_valid(&log));
}

#[test]
fn the_rules_can_be_read() {
    let world = World::new();
    let (code, out) = lint(&world, &["--rules"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("engine-socket") && out.contains("CIS 5.32"), "{out}");
    let (_, out) = lint(&world, &["--rules", "--json"]);
    let rules: Value = serde_json::from_str(&out).expect("JSON");
    assert!(
        rules
            .as_array()
            .is_some_and(|all| all.len() > 60 && all[0]["gain"].is_string())
    );
}

#[test]
fn mistakes_in_the_flags_are_refused() {
    let world = World::new();
    for wrong in [
        &["lint"][..],
        &["lint", "x", "--fail-on", "bad"],
        &["lint", "x", "--json", "--sarif"],
    ] {
        assert_eq!(output(&mut world.stockade(wrong)).0, Some(125), "{wrong:?}");
    }
}

#[test]
fn a_container_of_a_name_that_no_engine_knows_is_an_error_and_not_clean() {
    let world = World::new();
    let (code, out) = lint(&world, &["stockade-test-no-such-container"]);
    assert_eq!(code, Some(125), "{out}");
    assert!(out.contains("stockade-test-no-such-container: not read"), "{out}");
}

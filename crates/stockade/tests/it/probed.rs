//! What the last probe of a driver showed decides whether it may be used. Results are planted through the
//! code that keeps them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stockade_domain::ControlKind;
use stockade_host::drivers::native::Native;
use stockade_host::probed::{Build, Circumstances, Contradiction, Probed};
use stockade_host::state::StateDirs;
use stockade_probes::FINGERPRINT;
use stockade_probes::report::{DriverReport, Host, Outcome, Report, Row};

use crate::world::World;

/// What the program under test looks at.
pub fn now(world: &World) -> Circumstances {
    let programs = [PathBuf::from(world.program())];
    let build = Build {
        version: env!("CARGO_PKG_VERSION"),
        battery: FINGERPRINT,
        programs: &programs,
    };
    Circumstances::now(&Native::new(), build).expect("circumstances")
}

pub fn report() -> Report {
    let row = Row {
        id: "NW01".to_owned(),
        group: "outside".to_owned(),
        title: "a server of the host".to_owned(),
        severity: stockade_probes::Severity::High,
        needs: vec![ControlKind::NetworkNone],
        outcome: Outcome::NotHeld,
        detail: Some("it answered".to_owned()),
        took_ms: 1,
    };
    let driver = DriverReport {
        driver: "native".to_owned(),
        unusable: None,
        controls: Vec::new(),
        probes: vec![row],
        took_ms: 1,
        kept_for_ms: None,
    };
    Report {
        version: Report::VERSION,
        stockade: env!("CARGO_PKG_VERSION").to_owned(),
        battery: FINGERPRINT.to_owned(),
        at_ms: 0,
        host: Host {
            kernel: String::new(),
            security_modules: String::new(),
            root: false,
        },
        drivers: vec![driver],
    }
}

/// Keeps a result of `native` that these controls are contradicted by.
fn plant(world: &World, controls: &[&[ControlKind]], circumstances: Circumstances) {
    plant_report(world, controls, circumstances, &report());
}

/// The same with another report.
pub fn plant_report(
    world: &World,
    controls: &[&[ControlKind]],
    circumstances: Circumstances,
    report: &Report,
) {
    let mut probed = Probed::now("native", circumstances);
    probed.held = 7;
    let contradiction = |controls: &&[ControlKind]| Contradiction {
        probe: "NW01".to_owned(),
        title: "a server of the host".to_owned(),
        controls: controls.to_vec(),
    };
    probed.contradictions = controls.iter().map(contradiction).collect();
    let state = StateDirs::open(&world.path("state/stockade")).expect("the state");
    let bytes = serde_json::to_vec(report).expect("JSON");
    probed.keep(&state, &bytes).expect("kept");
}

const NETWORK: &[ControlKind] = &[ControlKind::NetworkNone];

fn refusing() -> World {
    let world = World::new();
    let now = now(&world);
    plant(&world, &[NETWORK], now);
    world
}

pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

const NATIVE: &[&str] = &["--driver", "native"];

#[test]
fn a_driver_that_does_not_hold_what_is_required_is_refused_with_all_that_can_be_done() {
    let world = refusing();
    let said = said(&mut world.run_with(NATIVE, &["echo", "ran"]));
    assert!(
        said.code == Some(125) && !said.out.contains("ran"),
        "{}",
        said.err
    );
    for told in [
        "the last probe of driver native",
        "ago",
        "network-none (default policy)",
        "NW01 (a server of the host)",
        "stockade probe --driver native --reprobe",
        "another driver",
        "--prefer network-none",
    ] {
        assert!(said.err.contains(told), "{told}: {}", said.err);
    }
}

#[test]
fn one_that_held_is_not() {
    let world = World::new();
    let now = now(&world);
    plant(&world, &[], now);
    let said = said(&mut world.run_with(NATIVE, &["echo", "ran"]));
    assert!(said.code == Some(0) && said.out.contains("ran"), "{}", said.err);
    assert!(!said.err.contains("probe"), "{}", said.err);
}

#[test]
fn what_is_given_up_by_name_is_told_and_the_run_goes_on() {
    let world = refusing();
    let said = said(&mut world.run_with(
        &["--driver", "native", "--prefer", "network-none"],
        &["echo", "ran"],
    ));
    assert!(said.code == Some(0) && said.out.contains("ran"), "{}", said.err);
    assert!(
        said.err
            .contains("contradicts what it claims; the policy does not require that: NW01"),
        "{}",
        said.err
    );
}

#[test]
fn what_every_driver_has_to_hold_cannot_be_given_up() {
    let world = World::new();
    let now = now(&world);
    plant(&world, &[&[]], now);
    let said = said(&mut world.run_with(&["--driver", "native", "--prefer", "network-none"], &["true"]));
    assert!(
        said.code == Some(125) && said.err.contains("of every driver: NW01"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("by name"), "{}", said.err);
}

#[test]
fn no_way_to_begin_a_sandbox_leads_around_it() {
    let world = refusing();
    let refused = |said: &Said| said.err.contains("the last probe of driver native");
    for words in [
        &["create", "--driver", "native"][..],
        &["run", "--detach", "--driver", "native", "--", "sleep", "1"],
        &["run", "--dry-run", "--driver", "native", "--", "true"],
    ] {
        let said = said(&mut world.stockade(words));
        assert!(
            said.code == Some(125) && refused(&said),
            "{words:?}: {}",
            said.err
        );
    }
    let request = world.path("request");
    fs::write(
        &request,
        "{\"id\":1,\"method\":\"create\",\"params\":{\"flags\":[\"--driver\",\"native\"]}}\n",
    )
    .expect("a file");
    let mut rpc = world.stockade(&["rpc"]);
    let output = rpc
        .stdin(fs::File::open(&request).expect("a file"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("\"error\"") && text.contains("the last probe of driver native"),
        "{text}"
    );
}

#[test]
fn the_choice_of_a_driver_goes_on_to_the_next_and_says_why() {
    let world = refusing();
    let said = said(&mut world.stockade(&["run", "--dry-run", "--json", "--", "true"]));
    if said.code == Some(0) {
        let shown: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        let over = &shown["choice"]["passed_over"][0];
        assert!(
            shown["choice"]["driver"] != "native" && over["driver"] == "native",
            "{}",
            said.out
        );
        assert!(
            over["why"].as_str().is_some_and(|why| why.contains("NW01")),
            "{over}"
        );
    } else {
        // No other meets the policy for this user: then that is told, and native is not taken after all.
        assert!(
            said.err.contains("nor can driver native: its last probe"),
            "{}",
            said.err
        );
    }
}

#[test]
fn the_refusal_is_in_the_record() {
    let world = refusing();
    let _ = said(&mut world.run_with(NATIVE, &["true"]));
    let said = said(&mut world.stockade(&["audit", "show", "--json"]));
    assert!(
        said.out.contains("refused") && said.out.contains("network-none"),
        "{}",
        said.out
    );
}

#[test]
fn a_result_that_was_edited_is_no_pass_and_is_told() {
    let world = refusing();
    let path = world.path("state/stockade/probes/native.json");
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(&path, text.replace("network-none", "names-hidden")).expect("a file");
    let said = said(&mut world.run_with(NATIVE, &["echo", "ran"]));
    assert!(said.code == Some(0) && said.out.contains("ran"), "{}", said.err);
    assert!(
        said.err.contains("counts as never probed") && said.err.contains("cut off or changed"),
        "{}",
        said.err
    );
}

#[test]
fn a_result_of_another_build_counts_no_more_and_that_is_told() {
    let world = World::new();
    let mut former = now(&world);
    former.build.push('x');
    plant(&world, &[NETWORK], former);
    let said = said(&mut world.run_with(NATIVE, &["echo", "ran"]));
    assert!(said.code == Some(0) && said.out.contains("ran"), "{}", said.err);
    assert!(
        said.err
            .contains("does not count any more, because Stockade is another build"),
        "{}",
        said.err
    );
}

#[test]
fn explain_doctor_and_choose_tell_it() {
    let world = refusing();
    for (words, told) in [
        (&["policy", "explain"][..], "refused: CONTRADICTED"),
        (&["doctor"], "native: CONTRADICTED"),
        (&["choose", "--code", "own"], "CONTRADICTED"),
    ] {
        let said = said(&mut world.stockade(words));
        assert!(
            said.out.contains(told) && said.out.contains("NW01"),
            "{words:?}: {}{}",
            said.out,
            said.err
        );
    }
    let fresh = World::new();
    for words in [&["policy", "explain"][..], &["doctor"]] {
        let said = said(&mut fresh.stockade(words));
        assert!(said.out.contains("never probed here"), "{words:?}: {}", said.out);
    }
}

#[test]
fn what_is_kept_is_told_again_with_its_age() {
    let world = refusing();
    let said_json = said(&mut world.stockade(&["probe", "--driver", "native", "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&said_json.out).expect("JSON");
    assert_eq!(said_json.code, Some(1));
    assert!(shown["drivers"][0]["kept_for_ms"].is_u64(), "{shown}");
    assert_eq!(shown["drivers"][0]["probes"][0]["id"], "NW01");
    let text = said(&mut world.stockade(&["probe", "--driver", "native"])).out;
    assert!(text.contains("ago; --reprobe to try anew"), "{text}");
}

#[test]
fn a_start_reads_one_small_file_for_it() {
    let world = World::new();
    let now = now(&world);
    plant(&world, &[], now);
    let log = world.path("calls");
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-qq", "-e", "trace=open,openat,openat2", "-o"])
        .arg(&log);
    traced
        .arg(world.program())
        .args(["run", "--driver", "native", "--dry-run", "--", "true"]);
    let plain = world.stockade(&[]);
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    traced.env_clear().envs(variables).current_dir(world.project());
    if traced.stdin(Stdio::null()).output().is_err() {
        return skip(
            "probed::a_start_reads_one_small_file_for_it",
            "strace is not installed",
        );
    }
    let calls = fs::read_to_string(&log).expect("calls");
    let count = |what: &str| calls.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count("stockade/probes/"), 1, "{calls}");
    assert_eq!(
        count("boot_id") + count("/proc/sys/kernel/yama") + count("security/lsm"),
        0,
        "{calls}"
    );
}

pub fn skip(name: &str, reason: &str) {
    if let Some(path) = std::env::var_os("STOCKADE_SKIP_LOG") {
        use std::io::Write;
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(Path::new(&path));
        writeln!(file.expect("the log"), "SKIP {name}: {reason}").expect("written");
    }
}

#[test]
fn the_battery_itself_can_look_anew() {
    let world = refusing();
    let said = said(&mut world.run_with(&["--probing", "--driver", "native"], &["echo", "ran"]));
    assert!(said.code == Some(0) && said.out.contains("ran"), "{}", said.err);
}

//! A state directory with ten thousand sandboxes that have ended.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;
use stockade_domain::Exit;
use stockade_host::driver::Record;
use stockade_host::state::{Finish, NewSandbox, StateDirs};

use tempfile::TempDir;

use crate::world::World;

const COUNT: usize = 10_000;
/// Descriptors that a command may have open at once: it must not open the records side by side.
const DESCRIPTORS: &str = "128";
/// What a list of all may take, in KiB of address space: most of it is the program itself.
const SPACE_KIB: &str = "1000000";

/// A state directory, in memory where that is possible: busy disks take a minute for so many.
fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().expect("a directory"))
}

/// Written as their supervisors write them.
fn fill(world: &World, state: &Path) {
    let dirs = Arc::new(StateDirs::open(&state.join("stockade")).expect("a state directory"));
    for number in 0..COUNT {
        let new = NewSandbox {
            driver: "native".to_owned(),
            name: Some(format!("finished-{number}")),
            command: ["sh", "-c", "make test"].map(str::to_owned).to_vec(),
            workspace: Some(world.project()),
            keep: true,
            ..NewSandbox::default()
        };
        let mut folder = dirs.create(new).expect("a sandbox");
        let record = Record {
            version: 1,
            driver: "native".to_owned(),
            id: folder.id().to_owned(),
            body: serde_json::json!({ "pid": 1 }),
        };
        folder.running(record).expect("it runs");
        let finish = Finish {
            exit: Some(Exit::Code(0)),
            ..Finish::default()
        };
        folder.finish(finish).expect("it ends");
    }
}

/// Stockade with a shell's limits around it.
fn limited((world, state): (&World, &Path), limits: &str, arguments: &[&str]) -> Output {
    let program = world.stockade(arguments);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(world.project())
        .env_clear();
    command.envs(
        program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.env("XDG_STATE_HOME", state);
    command.output().expect("sh runs")
}

fn text(world: &World, output: &Output) -> String {
    let complaint = world.tidy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn everything_works_beside_ten_thousand_that_have_ended() {
    let (world, state) = (World::new(), place());
    fill(&world, state.path());
    let here = (&world, state.path());
    let narrow = format!("ulimit -n {DESCRIPTORS}; ulimit -v {SPACE_KIB}");
    let call = |arguments: &[&str]| text(&world, &limited(here, &narrow, arguments));

    let listed = call(&["ls"]);
    assert_eq!(listed.lines().count(), COUNT + 1, "a head and a line for each");
    let listed: Value = serde_json::from_str(&call(&["ls", "--json"])).expect("JSON");
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), COUNT);
    assert!(
        listed
            .iter()
            .all(|one| one["state"] == "ended" && one["exit"]["value"] == 0)
    );

    // What has ended and is kept is nobody's to collect.
    let collected: Value = serde_json::from_str(&call(&["gc", "--json"])).expect("JSON");
    assert_eq!(
        (
            &collected["dead"],
            &collected["problems"],
            &collected["unfinished"]
        ),
        (&serde_json::json!([]), &serde_json::json!([]), &false.into())
    );
    assert_eq!(call(&["ls", "-q"]).lines().count(), COUNT);

    // A run needs room in memory for what is inside, too.
    let run = [
        "run",
        "-q",
        "--workspace-mode",
        "ro",
        "--name",
        "now",
        "--keep",
        "--",
        "echo",
        "ran",
    ];
    assert_eq!(text(&world, &limited(here, "ulimit -n 256", &run)), "ran\n");
    let found: Value = serde_json::from_str(&call(&["inspect", "--json", "now"])).expect("JSON");
    assert_eq!(found["state"], "ended");
    let found: Value = serde_json::from_str(&call(&["inspect", "--json", "finished-7777"])).expect("JSON");
    assert_eq!(found["name"], "finished-7777");
    // Names are taken and become free.
    let taken = [
        "run",
        "-q",
        "--workspace-mode",
        "ro",
        "--name",
        "finished-7777",
        "--",
        "true",
    ];
    assert_eq!(limited(here, "true", &taken).status.code(), Some(125));
    call(&["rm", "finished-7777"]);
    text(&world, &limited(here, "true", &taken));
    assert_eq!(call(&["ls", "-q"]).lines().count(), COUNT);
}

//! File systems that are full, and change sets that grow.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use stockade_domain::Exit;
use stockade_host::shim::{HostLimits, Options};
use stockade_host::state::{NewSandbox, StateDirs};

use crate::rig::{Rig, block_on, pipes, sh};

crate::tests![
    a_full_disk_is_told_with_a_remedy,
    a_change_set_beyond_its_limit_ends_the_run
];

/// Argument that makes this program use a state directory on a file system that is full.
pub const FULL: &str = "use-a-full-disk";

pub fn be_on_a_full_disk() -> ! {
    let place = PathBuf::from(std::env::args().nth(2).unwrap());
    let dirs = Arc::new(StateDirs::open(&place).unwrap());
    // The positive control: as long as there is room, it works.
    let first = dirs.create(Rig::new_sandbox()).unwrap();
    let mut size = 64 << 10;
    while size > 0 {
        if std::fs::write(place.join(format!("filler{size}")), vec![1; size]).is_err() {
            size /= 2;
        } else {
            size -= 1;
        }
    }
    let error = dirs.create(Rig::new_sandbox()).unwrap_err();
    println!("{error}");
    first.abandon().unwrap();
    // What an ended one left can be used again even now.
    dirs.create(Rig::new_sandbox()).unwrap().abandon().unwrap();
    std::process::exit(0)
}

fn a_full_disk_is_told_with_a_remedy() {
    let place = tempfile::tempdir().unwrap();
    // The mount is seen in this namespace only and goes with it.
    let script = "mount -t tmpfs -o size=64k,mode=700 none \"$2\" && exec \"$0\" \"$1\" \"$2\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(FULL)
        .arg(place.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains(place.path().to_str().unwrap()) && text.contains("No space left"),
        "{output:?}"
    );
    assert!(text.contains("fix: free space there"), "{text}");
}

fn a_change_set_beyond_its_limit_ends_the_run() {
    block_on(async {
        let rig = Rig::new();
        let new = NewSandbox {
            workspace: Some(rig.place.path().to_owned()),
            copy_on_write: true,
            discard_changes: true,
            ..Rig::new_sandbox()
        };
        let limits = HostLimits {
            disk: Some(1 << 20),
            ..HostLimits::default()
        };
        let shim = rig
            .start_new(
                new,
                Options {
                    limits,
                    ..Options::default()
                },
            )
            .await;
        let mut changes = std::fs::read_dir(rig.dirs.path().join("changes")).unwrap();
        let upper = changes.next().unwrap().unwrap().path().join("upper");
        std::fs::create_dir(&upper).unwrap();
        let script = format!(
            "head -c 3000000 /dev/zero > {}/large; sync; sleep 1000",
            upper.display()
        );
        let (io, _listener) = pipes(None);
        let outcome = shim.run_foreground(sh(&script), io, |_| {}).await.unwrap();
        assert_eq!(
            (outcome.exit, outcome.why.as_deref()),
            (Exit::Killed, Some("disk limit of 1 MiB"))
        );
    });
}

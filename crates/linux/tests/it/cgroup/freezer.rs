//! Freezing on a tree of version 2, which may be mounted beside those of version 1.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use stockade_linux::cgroup::{Group, GroupRecord, Kind, SeatRecord};

use super::support::*;

/// Where a tree of version 2 is usually mounted, alone or beside others.
const TREES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A group of ours with a process that counts.
struct Counting {
    group: Made,
    directory: PathBuf,
    child: Child,
    count: tempfile::NamedTempFile,
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = self.group.0.thaw();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn counting(tree: &Path) -> Option<Counting> {
    let id = id("frozen");
    let directory = tree.join("stockade").join(&id);
    std::fs::create_dir_all(&directory).ok()?;
    let seat = SeatRecord {
        kind: Kind::V2,
        controllers: Vec::new(),
        base: tree.to_owned(),
        base_cgroup: "/".to_owned(),
    };
    let record = GroupRecord {
        version: 1,
        id,
        seats: vec![seat],
    };
    let group = Made(Group::adopt(record).unwrap());
    let count = tempfile::NamedTempFile::new().unwrap();
    let child = Command::new("sh")
        .args(["-c", "while :; do printf x >> \"$0\"; sleep 0.005; done"])
        .arg(count.path())
        .spawn()
        .unwrap();
    std::fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
    Some(Counting {
        group,
        directory,
        child,
        count,
    })
}

impl Counting {
    fn counted(&self) -> u64 {
        self.count.as_file().metadata().unwrap().len()
    }

    fn until_more(&self) {
        let (before, deadline) = (self.counted(), Instant::now() + Duration::from_secs(60));
        while self.counted() == before {
            assert!(Instant::now() < deadline, "it does not count");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_frozen_group_does_nothing_until_it_is_thawed() {
    let _alone = alone();
    let Some(tree) = TREES
        .into_iter()
        .map(Path::new)
        .find(|tree| tree.join("cgroup.controllers").exists())
    else {
        println!("SKIPPED: no tree of version 2 is mounted here");
        return;
    };
    let Some(counting) = counting(tree) else {
        println!("SKIPPED: no group can be made in {}", tree.display());
        return;
    };
    counting.until_more();
    counting.group.0.freeze().unwrap();
    let frozen = counting.counted();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(counting.counted(), frozen);
    counting.group.0.thaw().unwrap();
    counting.until_more();
    counting.group.0.freeze().unwrap();
    // What is frozen can be killed.
    counting.group.0.kill().unwrap();
    assert!(
        std::fs::read_to_string(counting.directory.join("cgroup.procs"))
            .unwrap()
            .is_empty()
    );
}

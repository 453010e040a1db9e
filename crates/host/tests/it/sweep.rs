//! Control groups of sandboxes whose folders were deleted, with the drivers that make such groups.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use stockade_host::driver::Driver;
use stockade_host::drivers::chroot::Chroot;
use stockade_host::drivers::landlock::Landlock;
use stockade_host::drivers::native::Native;
use stockade_host::gc::{Options, Report, collect};
use stockade_linux::cgroup::{CgroupSurvey, Group, GroupLimits, JoinMethod, survey};

use crate::rig::{Rig, block_on, tell_skip};

crate::tests![forgotten_groups_go_and_those_that_are_used_or_anothers_stay,];

/// A group that is removed when the test ends, however it ends.
struct Made {
    group: Group,
    id: String,
}

impl Made {
    /// None where no group can be made.
    fn new(survey: &CgroupSurvey, id: &str, mark: &str) -> Option<Self> {
        let limits = GroupLimits {
            pids: Some(16),
            ..GroupLimits::default()
        };
        let group = Group::create(survey, &format!("{id}-{mark}"), &limits).ok()?;
        Some(Self {
            group,
            id: id.to_owned(),
        })
    }

    fn exists(&self) -> bool {
        self.group.paths().iter().any(|path: &PathBuf| path.exists())
    }

    /// A process that waits in it.
    fn occupy(&self) -> Child {
        let tasks: Vec<OwnedFd> = match self.group.join().unwrap() {
            JoinMethod::WriteTasks(tasks) => tasks,
            JoinMethod::CloneInto(directory) => {
                let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, "cgroup.procs", flags, rustix::fs::Mode::empty());
                vec![file.unwrap()]
            }
        };
        let mut command = Command::new("sleep");
        let child = command.arg("1000").stdin(Stdio::null()).spawn().unwrap();
        for file in tasks {
            rustix::io::write(&file, child.id().to_string().as_bytes()).unwrap();
        }
        assert!(self.group.populated().unwrap());
        child
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.exists() {
            let _ = self.group.kill();
            let _ = self.group.remove();
        }
    }
}

async fn gc(rig: &Rig, driver: &Arc<dyn Driver>, dry_run: bool) -> Report {
    let options = Options {
        dry_run,
        ..Options::default()
    };
    collect(&rig.dirs, std::slice::from_ref(driver), options)
        .await
        .unwrap()
}

fn has(report: &Report, made: &Made) -> bool {
    report.reaped.iter().any(|leftover| leftover.id == made.id)
}

fn forgotten_groups_go_and_those_that_are_used_or_anothers_stay() {
    let drivers: [Arc<dyn Driver>; 3] = [
        Arc::new(Landlock::new()),
        Arc::new(Chroot::new()),
        Arc::new(Native::new()),
    ];
    block_on(async {
        for driver in drivers {
            let rig = Rig::new();
            let survey = survey();
            let (mark, name) = (rig.dirs.owner_mark(), driver.name());
            let make = |what: &str, mark: &str| {
                Made::new(&survey, &format!("{what}{name}{}", std::process::id()), mark)
            };
            let (Some(forgotten), Some(used), Some(others)) = (
                make("forgotten", &mark),
                make("used", &mark),
                make("others", "00000000"),
            ) else {
                return tell_skip("sweep", "no cgroup can be made here");
            };
            let mut inside = used.occupy();
            assert!(
                has(&gc(&rig, &driver, true).await, &forgotten),
                "{name}: a dry run tells"
            );
            assert!(forgotten.exists(), "{name}: a dry run removes nothing");
            let report = gc(&rig, &driver, false).await;
            let found = [&forgotten, &used, &others].map(|made| (has(&report, made), made.exists()));
            assert_eq!(found, [(true, false), (false, true), (false, true)], "{name}");
            assert!(inside.try_wait().unwrap().is_none(), "{name}: its process lives");
            // The control: it was left because something ran in it.
            inside.kill().unwrap();
            inside.wait().unwrap();
            assert!(has(&gc(&rig, &driver, false).await, &used), "{name}");
            assert!(!used.exists() && others.exists(), "{name}");
        }
    });
}

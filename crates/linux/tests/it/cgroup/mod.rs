//! Control groups on the real kernel of this machine, whatever kind it has.
#![allow(clippy::unwrap_used, clippy::panic)]

mod costs;
mod freezer;
mod support;

use std::os::fd::AsFd;
use std::path::PathBuf;

use stockade_domain::target::Fact;
use stockade_domain::units::CpuLimit;
use stockade_linux::cgroup::{
    Controller, Error, Group, GroupLimits, GroupRecord, JoinMethod, leftovers, survey,
};

use support::*;

#[test]
fn a_memory_hog_dies_at_its_limit_and_is_counted() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    // Control: the same hog lives without a limit.
    let free = make(&survey, "free", &NO_LIMITS);
    assert_eq!(run_in(&free.0, HOG), "80000000");
    assert_eq!(free.0.oom_kills().unwrap(), 0);
    assert!(
        free.0
            .usage()
            .memory_peak_bytes
            .is_none_or(|peak| peak > 80_000_000)
    );

    let limits = GroupLimits {
        memory_bytes: Some(32 * MIB),
        ..NO_LIMITS
    };
    let tight = make(&survey, "tight", &limits);
    assert_ne!(run_in(&tight.0, HOG), "80000000");
    assert!(tight.0.oom_kills().unwrap() >= 1);
    let usage = tight.0.usage();
    assert_eq!(usage.oom_kills, Some(tight.0.oom_kills().unwrap()));
    assert!(usage.memory_peak_bytes.is_none_or(|peak| peak <= 32 * MIB));
}

#[test]
fn forks_stop_at_the_limit_on_processes() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Pids]) else {
        return;
    };
    // Control: all twenty start without a limit.
    let free = make(&survey, "free", &NO_LIMITS);
    assert_eq!(run_in(&free.0, TWENTY), "all 20");
    assert_eq!(free.0.usage().pids, Some(20));

    let tight = make(
        &survey,
        "tight",
        &GroupLimits {
            pids: Some(8),
            ..NO_LIMITS
        },
    );
    assert_eq!(run_in(&tight.0, TWENTY), "");
    assert!(tight.0.usage().pids.is_some_and(|pids| (1..=8).contains(&pids)));
}

#[test]
fn a_quota_holds_a_loop_back() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Cpu]) else {
        return;
    };
    let with_quota = |quota_millis| {
        let group = make(
            &survey,
            "spin",
            &GroupLimits {
                cpu: Some(CpuLimit {
                    quota_millis,
                    weight: 100,
                }),
                ..NO_LIMITS
            },
        );
        let child = start_in(&group.0, "while :; do :; done");
        // Enough processor time for a tenth of a processor to run out several times.
        wait_until(|| group.0.usage().cpu_us > Some(100_000));
        let throttled = throttled(&group.0);
        group.0.kill().unwrap();
        reap(child);
        throttled
    };
    assert_eq!(
        with_quota(None),
        0,
        "the control: nothing holds it back without a quota"
    );
    assert!(with_quota(Some(100)) > 0);
}

#[test]
fn limits_are_read_back_as_they_are_kept() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory, Controller::Pids, Controller::Cpu]) else {
        return;
    };
    let cpu = |quota_millis, weight| Some(CpuLimit { quota_millis, weight });
    let cases = [
        GroupLimits {
            memory_bytes: Some(64 * MIB + 123),
            pids: Some(77),
            // Less than what any budget around all groups leaves: v1 refuses more.
            cpu: cpu(Some(250), 100),
        },
        GroupLimits {
            memory_bytes: Some(1 << 40),
            pids: Some(1),
            cpu: cpu(Some(1), 1),
        },
        GroupLimits {
            memory_bytes: None,
            pids: None,
            cpu: cpu(None, 10_000),
        },
        NO_LIMITS,
    ];
    for asked in cases {
        let group = make(&survey, "read", &asked);
        assert_eq!(group.0.read_limits().unwrap(), asked.as_kept());
    }
}

#[test]
fn membership_is_seen_from_outside() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    let (one, two) = (make(&survey, "one", &NO_LIMITS), make(&survey, "two", &NO_LIMITS));
    let child = start_in(&one.0, "sleep 1000");
    assert!(one.0.contains(pid(&child)).unwrap());
    assert!(!two.0.contains(pid(&child)).unwrap());
    assert!(
        !one.0
            .contains(i32::try_from(std::process::id()).unwrap())
            .unwrap()
    );
    assert!(one.0.populated().unwrap() && !two.0.populated().unwrap());
    one.0.kill().unwrap();
    reap(child);
}

#[test]
fn membership_in_some_hierarchies_only_is_not_membership() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory, Controller::Pids]) else {
        return;
    };
    let group = make(&survey, "half", &NO_LIMITS);
    let JoinMethod::WriteTasks(files) = group.0.join().unwrap() else {
        println!("SKIPPED: there is one hierarchy for all here");
        return;
    };
    let child = start("sleep 1000");
    rustix::io::write(files[0].as_fd(), child.id().to_string().as_bytes()).unwrap();
    assert!(!group.0.contains(pid(&child)).unwrap());
    // It would be killed all the same.
    group.0.kill().unwrap();
    reap(child);
}

#[test]
fn a_kill_leaves_nothing_alive() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Pids]) else {
        return;
    };
    let group = make(&survey, "kill", &NO_LIMITS);
    let script = "trap '' TERM INT HUP; sleep 1000 >&- & kill -STOP $!; setsid sleep 1000 >&- & echo ready; read never";
    let mut child = start_in(&group.0, script);
    read_line(&mut child);
    assert!(
        group.0.usage().pids.is_some_and(|pids| pids >= 3),
        "the control: they were alive"
    );
    group.0.kill().unwrap();
    assert!(!group.0.populated().unwrap());
    reap(child);
}

#[test]
fn a_fork_bomb_is_ended_by_one_kill() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Pids]) else {
        return;
    };
    let group = make(
        &survey,
        "bomb",
        &GroupLimits {
            pids: Some(200),
            ..NO_LIMITS
        },
    );
    let child = start_in(&group.0, "exec >&-; bomb() { bomb & bomb & wait; bomb; }; bomb");
    // It has to burn before it is put out.
    wait_until(|| group.0.usage().pids > Some(100));
    group.0.kill().unwrap();
    assert!(!group.0.populated().unwrap());
    reap(child);
}

#[test]
fn removal_leaves_no_directory() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    let group = Group::create(&survey, &id("gone"), &NO_LIMITS).unwrap();
    let paths = group.paths();
    assert!(
        paths.iter().all(|path| path.is_dir()),
        "the control: they were there"
    );
    let child = start_in(&group, "sleep 1000");
    assert!(group.remove().is_err(), "a group in use is not removed");
    group.kill().unwrap();
    reap(child);
    group.remove().unwrap();
    group.remove().unwrap(); // nothing there is fine
    for path in &paths {
        assert!(!path.exists());
        // `stockade` itself goes too, unless another supervisor uses it.
        let others = std::fs::read_dir(path.parent().unwrap())
            .map(|list| list.flatten().any(|entry| entry.path().is_dir()));
        assert!(others.unwrap_or(true), "an empty {:?} was left", path.parent());
    }
}

#[test]
fn groups_inside_a_group_are_removed_with_it() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    let group = make(&survey, "deep", &NO_LIMITS);
    let deep: Vec<PathBuf> = group.0.paths().iter().map(|path| path.join("a/b")).collect();
    deep.iter()
        .for_each(|path| std::fs::create_dir_all(path).unwrap());
    let child = start("sleep 1000");
    std::fs::write(deep[0].join("cgroup.procs"), child.id().to_string()).unwrap();
    assert!(group.0.populated().unwrap());
    group.0.kill().unwrap();
    reap(child);
    group.0.remove().unwrap();
    assert!(group.0.paths().iter().all(|path| !path.exists()));
}

#[test]
fn a_forgotten_group_is_found_and_adopted() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    let group = Group::create(&survey, &id("lost"), &NO_LIMITS).unwrap();
    let (record, child) = (group.record(), start_in(&group, "sleep 1000"));
    drop(group);
    // Entering a scope moves this process: look again.
    let survey = stockade_linux::cgroup::survey();
    let found = leftovers(&survey)
        .into_iter()
        .find(|found| found.id == record.id)
        .unwrap();
    let places = |record: &GroupRecord| {
        let mut bases: Vec<_> = record.seats.iter().map(|seat| seat.base.clone()).collect();
        bases.sort();
        bases
    };
    assert_eq!(places(&found), places(&record));

    let kept = postcard::to_stdvec(&record).unwrap();
    let adopted = Group::adopt(postcard::from_bytes(&kept).unwrap()).unwrap();
    assert!(adopted.contains(pid(&child)).unwrap());
    adopted.kill().unwrap();
    reap(child);
    adopted.remove().unwrap();
    assert!(leftovers(&survey).iter().all(|left| left.id != record.id));
    // A record whose directories are gone can still be adopted, killed and removed.
    let ghost = Group::adopt(record).unwrap();
    ghost.kill().unwrap();
    ghost.remove().unwrap();
    assert!(!ghost.contains(1).unwrap());
}

#[test]
fn a_group_that_exists_is_refused_and_left_alone() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    let first = make(&survey, "twice", &NO_LIMITS);
    let second = Group::create(&survey, &id("twice"), &NO_LIMITS);
    assert!(matches!(
        second,
        Err(Error::Io {
            cause: rustix::io::Errno::EXIST,
            ..
        })
    ));
    assert!(first.0.paths().iter().all(|path| path.is_dir()));
}

#[test]
fn a_failing_creation_leaves_nothing() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    // Taken in the last hierarchy only: the others are made first and must go again.
    let model = make(&survey, "part", &NO_LIMITS);
    let paths = model.0.paths();
    model.0.remove().unwrap();
    let (last, others) = paths.split_last().unwrap();
    std::fs::create_dir_all(last).unwrap();
    assert!(Group::create(&survey, &id("part"), &NO_LIMITS).is_err());
    assert!(others.iter().all(|path| !path.exists()));
    assert!(last.is_dir(), "what was there before is not ours to remove");
}

#[test]
fn supervisors_at_work_at_once_do_not_disturb_each_other() {
    let _alone = alone();
    let Some(survey) = usable(&[Controller::Memory]) else {
        return;
    };
    // Entering a scope, where it takes one, is done once for the process.
    drop(make(&survey, "first", &NO_LIMITS));
    // Each removes `stockade` as soon as it is empty, while the others make groups in it.
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let survey = &survey;
            threads.spawn(move || {
                for round in 0..50 {
                    let group =
                        Group::create(survey, &id(&format!("at-once-{thread}-{round}")), &NO_LIMITS).unwrap();
                    group.remove().unwrap();
                }
            });
        }
    });
}

#[test]
fn an_ordinary_user_without_delegation_is_told_why_not() {
    let _alone = alone();
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: needs root, to become another user");
        return;
    }
    // The ids of a single thread change, so that the other tests stay what they are.
    let told = std::thread::spawn(|| {
        let (user, group) = (
            rustix::process::Uid::from_raw(65534),
            rustix::process::Gid::from_raw(65534),
        );
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        let survey = survey();
        let refused = Group::create(
            &survey,
            "nobody",
            &GroupLimits {
                memory_bytes: Some(MIB),
                ..NO_LIMITS
            },
        );
        (survey.memory(), survey.pids(), survey.cpu(), refused)
    });
    let (memory, pids, cpu, refused) = told.join().unwrap();
    for fact in [memory, pids, cpu] {
        let Fact::No { why, fix } = fact else {
            panic!("a user without delegation was promised a limit")
        };
        println!("{why} / {fix:?}");
        assert!(!why.is_empty() && fix.is_some());
    }
    assert!(matches!(
        refused,
        Err(Error::Unusable {
            controller: Controller::Memory,
            ..
        })
    ));
}

//! What the steps cost, printed.

use std::time::{Duration, Instant};

use stockade_domain::units::CpuLimit;
use stockade_linux::cgroup::{CgroupSurvey, Controller, Group, GroupLimits, survey};

use super::support::{MIB, alone, id, make, put, reap, start, usable};

/// Not a check: prints what the steps cost. Run in release with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn costs() {
    let _alone = alone();
    let Some(found) = usable(&[Controller::Memory, Controller::Pids, Controller::Cpu]) else {
        return;
    };
    let limits = GroupLimits {
        memory_bytes: Some(512 * MIB),
        pids: Some(4096),
        cpu: Some(CpuLimit {
            quota_millis: Some(500),
            weight: 20,
        }),
    };
    let mut spent: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut time = |name: &'static str, step: &mut dyn FnMut()| {
        let begin = Instant::now();
        step();
        let us = begin.elapsed().as_secs_f64() * 1e6;
        match spent.iter_mut().find(|(one, _)| *one == name) {
            Some((_, list)) => list.push(us),
            None => spent.push((name, vec![us])),
        }
    };
    for round in 0..60 {
        let mut group = None;
        time("survey", &mut || drop(survey()));
        time("create", &mut || {
            group = Group::create(&found, &id(&format!("cost{round}")), &limits).ok()
        });
        let group = group.unwrap();
        time("join: open", &mut || drop(group.join()));
        time("read_limits", &mut || drop(group.read_limits()));
        time("usage", &mut || {
            std::hint::black_box(group.usage());
        });
        time("contains", &mut || drop(group.contains(1)));
        time("kill (empty)", &mut || group.kill().unwrap());
        time("remove", &mut || group.remove().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    for (name, mut list) in spent {
        list.sort_by(f64::total_cmp);
        println!(
            "{name:14} median {:6.1} µs, worst {:6.1} µs",
            list[list.len() / 2],
            list[list.len() - 1]
        );
    }
    join_costs(&found, &limits);
}

/// What a child pays that writes `0` to the `tasks` files: measured in a shell's place by this
/// process moving a waiting child by its number.
fn join_costs(found: &CgroupSurvey, limits: &GroupLimits) {
    let mut spent = Vec::new();
    for _ in 0..20 {
        let group = make(found, "join", limits);
        let child = start("exit 0");
        let begin = Instant::now();
        put(&group.0, child.id());
        spent.push(begin.elapsed().as_secs_f64() * 1e6);
        drop(group);
        reap(child);
        std::thread::sleep(Duration::from_millis(100));
    }
    spent.sort_by(f64::total_cmp);
    println!(
        "moving a process: median {:.0} µs, worst {:.0} µs",
        spent[10], spent[19]
    );
}

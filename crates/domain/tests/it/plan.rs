//! A plan exists only if every required demand is met.

use stockade_domain::demand::{Demand, Demands, Need, Origin};
use stockade_domain::units::{ByteCount, DurationMs};
use stockade_domain::{Bounds, Control, ControlKind, Enforcer, Level, Plan, Refusal, SessionKind, Support};

use crate::samples::{spec, wall};

fn make(demands: Vec<Demand>, support: impl Fn(&Demand) -> Support) -> Result<Plan, Refusal> {
    Plan::make(
        "native",
        Level::Container,
        SessionKind::Full,
        spec(),
        &Demands::new(demands),
        support,
    )
}

fn enforced(_: &Demand) -> Support {
    Support::host_kernel("a test")
}

fn watched(overshoot: &str) -> Support {
    Support::Watched {
        by: Enforcer::HostProxy,
        how: "a walk".to_owned(),
        overshoot: overshoot.to_owned(),
    }
}

/// All demands met: there is a plan, and it says who enforces each.
#[test]
fn met_demands_make_a_plan() {
    let plan =
        make(vec![wall(ControlKind::IpcPrivate, Need::Require)], enforced).expect("everything is enforced");
    assert!(plan.enforces(ControlKind::IpcPrivate));
    assert!(
        !plan.enforces(ControlKind::OwnKernel),
        "what was not asked for is not claimed"
    );
    assert_eq!(plan.shortfalls().count(), 0);
    assert_eq!(plan.planned()[0].support, enforced(&plan.planned()[0].demand));
}

/// A refusal lists everything that is missing, never only the first.
#[test]
fn a_refusal_lists_all_that_is_missing() {
    let file = |line| Origin::File {
        path: "stockade.toml".to_owned(),
        line,
        column: 1,
    };
    let demands = vec![
        wall(ControlKind::IpcPrivate, Need::Require),
        Demand {
            control: Control::Memory(ByteCount(2 << 30)),
            need: Need::Require,
            origin: file(7),
        },
        Demand {
            control: Control::Disk(ByteCount(1 << 30)),
            need: Need::Require,
            origin: Origin::Flag("--disk".to_owned()),
        },
        Demand {
            control: Control::Wall(ControlKind::OwnKernel),
            need: Need::Require,
            origin: file(9),
        },
        Demand {
            control: Control::WallTime(DurationMs(90_000)),
            need: Need::Prefer,
            origin: Origin::Default,
        },
    ];
    let refusal = make(demands, |demand| match demand.control.kind() {
        ControlKind::IpcPrivate => enforced(demand),
        ControlKind::Memory => Support::absent("no memory controller is delegated", "log in through systemd"),
        ControlKind::Disk => watched("up to what is written between two looks"),
        _ => Support::impossible("it shares the host's kernel"),
    })
    .expect_err("three requirements are not met");
    insta::assert_snapshot!(refusal, @r#"
    refused: driver native cannot enforce 3 required controls
      own-kernel (stockade.toml:9:1): it shares the host's kernel
      memory 2 GiB (stockade.toml:7:1): no memory controller is delegated
        fix: log in through systemd
      disk 1 GiB (--disk): can only be watched here, not enforced: up to what is written between two looks
        fix: have it watched: --prefer disk, or disk = "prefer" in [need] of a policy
    "#);
}

/// A preferred control that cannot be had is no refusal, but it is not claimed either.
#[test]
fn a_preference_falls_short_visibly() {
    let plan = make(vec![wall(ControlKind::SecondWall, Need::Prefer)], |_| {
        Support::impossible("Landlock is off")
    })
    .expect("a preference refuses nothing");
    assert_eq!(plan.enforced().count(), 0);
    let short: Vec<_> = plan
        .shortfalls()
        .map(|planned| planned.demand.control.kind())
        .collect();
    assert_eq!(short, [ControlKind::SecondWall]);
}

/// Watching is not enforcing, even where it is only preferred.
#[test]
fn watched_is_never_enforced() {
    let disk = |need| Demand {
        control: Control::Disk(ByteCount(1)),
        need,
        origin: Origin::Default,
    };
    assert!(make(vec![disk(Need::Require)], |_| watched("1 MiB")).is_err());
    let plan = make(vec![disk(Need::Prefer)], |_| watched("1 MiB")).expect("preferred");
    assert!(!plan.enforces(ControlKind::Disk));
}

/// An overshoot is part of how a control is enforced, not a reason to refuse it.
#[test]
fn bounds_are_kept_in_the_plan() {
    let support = Support::supervisor("a timer", Bounds::Overshoot("10 ms".to_owned()));
    let plan = make(vec![wall(ControlKind::DiesWithSupervisor, Need::Require)], |_| {
        support.clone()
    })
    .expect("enforced");
    assert_eq!(plan.planned()[0].support, support);
}

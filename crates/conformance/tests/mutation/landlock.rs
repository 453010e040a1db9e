//! The landlock driver.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use stockade_conformance::{driver, host, suite};
use stockade_domain::policy::{Clause, Layer};
use stockade_domain::{ControlKind, Need};
use stockade_host::driver::Driver;
use stockade_host::drivers::landlock::Landlock;
use stockade_linux::ops::{Op, Program};

use crate::sandbox::{Met, Mutation, ONE, STEP, leave_out_each, none, place, undamaged};

/// The default sandbox without what the driver gives up.
fn met(mutation: Mutation, place: &Path) -> Met {
    let gives_up = driver::Driver::named("landlock").unwrap().gives_up;
    let driver: Arc<dyn Driver> = Arc::new(Landlock::with_mutation(mutation));
    let prefer = |kind: &ControlKind| Clause::flag("--prefer", (*kind, Need::Prefer));
    let flags = Layer {
        needs: gives_up.iter().map(prefer).collect(),
        ..Layer::default()
    };
    crate::sandbox::build(&driver, flags, place)
}

/// Root gets no such sandbox, so nothing could be damaged.
fn is_for_this_user(test: &str) -> bool {
    if host::is_root() {
        suite::tell_skip(&format!("landlock::{test}"), "the driver gives root no sandbox");
    }
    !host::is_root()
}

/// Steps without which less can be done, never more.
fn only_takes_away(op: &Op, program: &Program) -> bool {
    match op {
        // Commands get no terminal.
        Op::OpenTerminals { .. } => true,
        // An ordinary user has none, which the receipt reads in each thread.
        Op::ReleaseCapabilities => true,
        // That home and /tmp can be written is no protection; the copy's test is in the receipt.
        Op::WriteTest { at } => !at.ends_with("copy"),
        // The test is made again after the filter, of all that is there then; only Landlock's
        // needs a socket, so it is made before as well.
        Op::SelfTest => program.ops.iter().filter(|op| **op == Op::SelfTest).count() > 2,
        _ => false,
    }
}

#[test]
fn every_step_that_is_left_out_is_noticed() {
    if is_for_this_user("every_step_that_is_left_out_is_noticed") {
        let place = place();
        leave_out_each(&|mutation| met(mutation, place.path()), &only_takes_away);
    }
}

/// Damages a program, if it has what is damaged.
type Damage = fn(&mut Program) -> bool;

/// Applies a change to every step.
fn each(program: &mut Program, change: impl Fn(&mut Op) -> bool) -> bool {
    let mut any = false;
    for op in &mut program.ops {
        any |= change(op);
    }
    any
}

/// One protection less each.
const DAMAGES: &[(&str, Damage)] = &[
    ("everything can be read", |program| {
        each(program, |op| match op {
            Op::Landlock { read, .. } => {
                read.push("/".into());
                true
            }
            _ => false,
        })
    }),
    ("everything can be written", |program| {
        each(program, |op| match op {
            Op::Landlock { write, .. } => {
                write.push("/".into());
                true
            }
            _ => false,
        })
    }),
    ("everything can be listed", |program| {
        each(program, |op| match op {
            Op::Landlock { list, .. } => {
                list.push("/".into());
                true
            }
            _ => false,
        })
    }),
    ("what is not in the view can be read", |program| {
        each(program, |op| match op {
            Op::Landlock { read, .. } => {
                read.push("/var".into());
                true
            }
            _ => false,
        })
    }),
    ("what is shown can be written", |program| {
        each(program, |op| match op {
            Op::Landlock { write, .. } => {
                write.push("/usr".into());
                true
            }
            _ => false,
        })
    }),
    ("namespaces are left to the commands", |program| {
        each(program, |op| match op {
            Op::Seccomp {
                nested_namespaces, ..
            } => {
                *nested_namespaces = true;
                true
            }
            _ => false,
        })
    }),
    ("sockets can be made", |program| {
        each(program, |op| match op {
            Op::Seccomp { substitutes, .. } => std::mem::replace(&mut substitutes.network, false),
            _ => false,
        })
    }),
    ("System V IPC can be used", |program| {
        each(program, |op| match op {
            Op::Seccomp { substitutes, .. } => std::mem::replace(&mut substitutes.ipc, false),
            _ => false,
        })
    }),
    ("modes can be changed", |program| {
        each(program, |op| match op {
            Op::Seccomp { substitutes, .. } => std::mem::replace(&mut substitutes.metadata, false),
            _ => false,
        })
    }),
    ("limits of other processes can be changed", |program| {
        each(program, |op| match op {
            Op::Seccomp { substitutes, .. } => std::mem::replace(&mut substitutes.processes, false),
            _ => false,
        })
    }),
    ("no canary is tried", |program| {
        each(program, |op| match op {
            Op::Canaries(all) => {
                all.clear();
                true
            }
            _ => false,
        })
    }),
    ("Landlock has no control", |program| {
        each(program, |op| match op {
            Op::Baseline { landlock } => landlock.take().is_some(),
            _ => false,
        })
    }),
    ("commands share the guest's domain", |program| {
        std::mem::replace(&mut program.guest.nested_landlock, false)
    }),
];

#[test]
fn every_protection_that_is_weakened_is_noticed() {
    fn damage(program: &mut Program) {
        let (name, damage) = DAMAGES[STEP.load(Ordering::Relaxed)];
        assert!(damage(program), "there is nothing to damage: {name}");
    }
    if !is_for_this_user("every_protection_that_is_weakened_is_noticed") {
        return;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    undamaged(&|mutation| met(mutation, place.path()));
    let mut holes = Vec::new();
    for (index, (name, _)) in DAMAGES.iter().enumerate() {
        STEP.store(index, Ordering::Relaxed);
        if met(damage, place.path()) == Met::Unnoticed {
            holes.push(*name);
        }
    }
    none(&holes, "weakened");
}

/// Each canary stands for itself.
#[test]
fn every_canary_that_is_left_out_is_noticed() {
    fn leave_out(program: &mut Program) {
        each(program, |op| match op {
            Op::Canaries(all) => {
                all.remove(STEP.load(Ordering::Relaxed));
                true
            }
            _ => false,
        });
    }
    if !is_for_this_user("every_canary_that_is_left_out_is_noticed") {
        return;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let canaries = undamaged(&|mutation| met(mutation, place.path()))
        .ops
        .iter()
        .find_map(|op| match op {
            Op::Canaries(all) => Some(all.clone()),
            _ => None,
        });
    for (index, canary) in canaries.unwrap().iter().enumerate() {
        STEP.store(index, Ordering::Relaxed);
        let met = met(leave_out, place.path());
        assert_ne!(met, Met::Unnoticed, "{canary:?}");
    }
}

//! The native driver.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use stockade_domain::policy::{Clause, Layer};
use stockade_domain::spec::WorkspaceMode;
use stockade_host::driver::Driver;
use stockade_host::drivers::native::Native;
use stockade_linux::ops::{Op, Program};

use crate::sandbox::{Met, Mutation, ONE, STEP, leave_out_each, none, place, undamaged};

/// The default sandbox.
fn met(mutation: Mutation, place: &Path) -> Met {
    met_in(WorkspaceMode::Cow, mutation, place)
}

/// The same with a workspace that is seen in this mode.
fn met_in(mode: WorkspaceMode, mutation: Mutation, place: &Path) -> Met {
    let driver: Arc<dyn Driver> = Arc::new(Native::with_mutation(mutation));
    let flags = Layer {
        workspace_mode: Some(Clause::default(mode)),
        ..Layer::default()
    };
    crate::sandbox::build(&driver, flags, place)
}

/// Steps that build what programs expect. Without one, less exists inside, never more: a
/// missing directory, link or file is no hole, and the behaviours `view-*` notice it.
fn only_takes_away(op: &Op) -> bool {
    match op {
        Op::Directory { .. } | Op::Symlink { .. } | Op::Device { .. } | Op::LoopbackUp => true,
        // The canary of Landlock's self-test is no such file: its absence has to be noticed.
        Op::File { at, .. } => at != Path::new("/.stockade"),
        Op::Bind { .. } => true,
        // What the host's kernel does not have need not be covered.
        Op::Mask { at } | Op::ReadOnly { at } if at.starts_with("/proc") => !at.exists(),
        // An ordinary user is nobody else from the start.
        Op::TakeIds { .. } => !stockade_conformance::host::is_root(),
        // Not a wall by itself (the namespace is, and it is in the receipt); the behaviour
        // `environment-hostname` notices.
        Op::Hostname(_) => true,
        Op::Private { at, .. } => ["/tmp", "/var/tmp", "/run", "/dev/shm", "/var", "/mnt"]
            .iter()
            .any(|own| at == Path::new(own)),
        _ => false,
    }
}

#[test]
fn every_step_that_is_left_out_is_noticed() {
    let place = place();
    leave_out_each(&|mutation| met(mutation, place.path()), &|op, _| {
        only_takes_away(op)
    });
}

/// Weakens one step and says so, or leaves it as it is.
fn weaken(op: &mut Op) -> Option<String> {
    let shown = op.to_string();
    match op {
        Op::Bind {
            read_only: read_only @ true,
            ..
        } => *read_only = false,
        Op::Landlock { read, .. } => *read = vec!["/".into()],
        _ => return None,
    }
    Some(shown)
}

#[test]
fn every_step_that_is_weakened_is_noticed() {
    fn weaken_one(program: &mut Program) {
        weaken(&mut program.ops[STEP.load(Ordering::Relaxed)]);
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let mut holes = Vec::new();
    let program = undamaged(&|mutation| met(mutation, place.path()));
    for (index, op) in program.ops.iter().enumerate() {
        let Some(shown) = weaken(&mut op.clone()) else {
            continue;
        };
        STEP.store(index, Ordering::Relaxed);
        if met(weaken_one, place.path()) == Met::Unnoticed {
            holes.push(shown);
        }
    }
    none(&holes, "weakened");
}

/// Adds a step that shows more of the host.
#[test]
fn a_step_that_was_not_planned_is_noticed() {
    fn bind_more(program: &mut Program) {
        let source = program.ops.iter().find_map(|op| match op {
            Op::Bind {
                source,
                directory: true,
                ..
            } => Some(*source),
            _ => None,
        });
        let at = program
            .ops
            .iter()
            .position(|op| matches!(op, Op::ReadOnly { at } if at == Path::new("/")));
        let op = Op::Bind {
            source: source.unwrap(),
            at: "/extra".into(),
            directory: true,
            read_only: true,
        };
        program.ops.insert(at.unwrap(), op);
    }
    fn private_more(program: &mut Program) {
        let at = program
            .ops
            .iter()
            .position(|op| matches!(op, Op::ReadOnly { at } if at == Path::new("/")));
        program.ops.insert(
            at.unwrap(),
            Op::Private {
                at: "/etc/extra".into(),
                mode: 0o755,
                size_bytes: None,
            },
        );
    }
    // Two walls keep new user namespaces away; the receipt shows the other one (the limit of
    // zero), and the behaviour PV09 attacks both.
    fn open_filter(program: &mut Program) {
        for op in &mut program.ops {
            if let Op::Seccomp {
                nested_namespaces, ..
            } = op
            {
                *nested_namespaces = true;
            }
        }
    }
    fn unnested(program: &mut Program) {
        program.guest.nested_landlock = false;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    for (name, mutation) in [("bind", bind_more as fn(&mut Program)), ("private", private_more)] {
        let met = met(mutation, place.path());
        assert_ne!(met, Met::Unnoticed, "{name}");
    }
    // Not in the receipt: the guest applies it to each command; PR09 attacks it.
    assert_eq!(met(unnested, place.path()), Met::Unnoticed);
    assert_eq!(met(open_filter, place.path()), Met::Unnoticed);
}

/// What holds a protected path, taken away or weakened one by one.
#[test]
fn what_holds_a_protected_path_is_in_the_receipt() {
    const HELD: [&str; 3] = [".git", ".git/hooks", ".vscode"];
    fn is_held(op: &Op) -> bool {
        matches!(op, Op::Bind { at, .. } if HELD.iter().any(|held| at.ends_with(held)))
    }
    fn nth(program: &Program) -> usize {
        let held = program.ops.iter().enumerate().filter(|(_, op)| is_held(op));
        held.map(|(index, _)| index)
            .nth(STEP.load(Ordering::Relaxed))
            .unwrap()
    }
    fn leave_out_held(program: &mut Program) {
        let at = nth(program);
        program.ops.remove(at);
    }
    fn open_held(program: &mut Program) {
        let at = nth(program);
        if let Op::Bind { read_only, .. } = &mut program.ops[at] {
            *read_only = false;
        }
    }
    fn keep(_: &mut Program) {}
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    for held in HELD {
        std::fs::create_dir_all(place.path().join("work").join(held)).unwrap();
    }
    let met = |mutation| met_in(WorkspaceMode::Live, mutation, place.path());
    assert_eq!(met(keep), Met::Unnoticed, "the undamaged sandbox does not stand");
    for (number, held) in HELD.iter().enumerate() {
        STEP.store(number, Ordering::Relaxed);
        assert_ne!(met(leave_out_held), Met::Unnoticed, "left out: {held}");
        if number > 0 {
            assert_ne!(met(open_held), Met::Unnoticed, "weakened: {held}");
        }
    }
}

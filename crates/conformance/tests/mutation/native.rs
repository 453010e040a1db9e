//! The native driver.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use stockade_domain::policy::{Clause, Layer};
use stockade_domain::spec::WorkspaceMode;
use stockade_host::driver::Driver;
use stockade_host::drivers::native::Native;
use stockade_linux::ops::{Op, Program};

use crate::sandbox::{Met, ONE, STEP, place};

/// The default sandbox.
fn build(driver: Native, place: &Path) -> Met {
    build_in(WorkspaceMode::Cow, driver, place)
}

/// The same with a workspace that is seen in this mode.
fn build_in(mode: WorkspaceMode, driver: Native, place: &Path) -> Met {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    let flags = Layer {
        workspace_mode: Some(Clause::default(mode)),
        ..Layer::default()
    };
    crate::sandbox::build(&driver, flags, place)
}

/// The undamaged program, as it was compiled: kept by a mutation that changes nothing.
fn steps(place: &Path) -> Vec<Op> {
    static KEPT: Mutex<Vec<Op>> = Mutex::new(Vec::new());
    fn keep(program: &mut Program) {
        KEPT.lock().unwrap().clone_from(&program.ops);
    }
    let met = build(Native::with_mutation(keep), place);
    assert_eq!(met, Met::Unnoticed, "the undamaged sandbox does not stand");
    KEPT.lock().unwrap().clone()
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
    fn leave_out(program: &mut Program) {
        program.ops.remove(STEP.load(Ordering::Relaxed));
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let (mut holes, mut told) = (Vec::new(), 0);
    for (index, op) in steps(place.path()).iter().enumerate() {
        STEP.store(index, Ordering::Relaxed);
        match build(Native::with_mutation(leave_out), place.path()) {
            Met::Refused(why) => {
                assert!(why.len() > 10, "{op}: {why}");
                told += 1;
            }
            Met::Unnoticed if only_takes_away(op) => {}
            Met::Unnoticed => holes.push(op.to_string()),
        }
    }
    assert!(told > 10, "only {told} steps were missed");
    assert!(
        holes.is_empty(),
        "left out, and nobody noticed:\n  {}",
        holes.join("\n  ")
    );
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
    for (index, op) in steps(place.path()).iter().enumerate() {
        let Some(shown) = weaken(&mut op.clone()) else {
            continue;
        };
        STEP.store(index, Ordering::Relaxed);
        if build(Native::with_mutation(weaken_one), place.path()) == Met::Unnoticed {
            holes.push(shown);
        }
    }
    assert!(
        holes.is_empty(),
        "weakened, and nobody noticed:\n  {}",
        holes.join("\n  ")
    );
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
        let met = build(Native::with_mutation(mutation), place.path());
        assert_ne!(met, Met::Unnoticed, "{name}");
    }
    // Not in the receipt: the guest applies it to each command; PR09 attacks it.
    assert_eq!(
        build(Native::with_mutation(unnested), place.path()),
        Met::Unnoticed
    );
    assert_eq!(
        build(Native::with_mutation(open_filter), place.path()),
        Met::Unnoticed
    );
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
    let met = |mutation| build_in(WorkspaceMode::Live, Native::with_mutation(mutation), place.path());
    assert_eq!(met(keep), Met::Unnoticed, "the undamaged sandbox does not stand");
    for (number, held) in HELD.iter().enumerate() {
        STEP.store(number, Ordering::Relaxed);
        assert_ne!(met(leave_out_held), Met::Unnoticed, "left out: {held}");
        if number > 0 {
            assert_ne!(met(open_held), Met::Unnoticed, "weakened: {held}");
        }
    }
}

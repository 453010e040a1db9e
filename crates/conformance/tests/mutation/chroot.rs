//! The chroot driver, which root alone can use.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use stockade_conformance::{host, suite};
use stockade_domain::policy::{Clause, Layer};
use stockade_domain::{ControlKind, Need};
use stockade_host::driver::Driver;
use stockade_host::drivers::chroot::Chroot;
use stockade_linux::ops::{Op, Program};

use crate::sandbox::{Met, Mutation, ONE, build, leave_out_each, place};

/// An image with next to nothing, so that a root is built at once; what the driver cannot enforce is
/// given up.
fn layer(place: &Path) -> Layer {
    let image = place.join("image");
    std::fs::create_dir_all(image.join("usr/bin")).unwrap();
    let preferred = [ControlKind::ProcessesHidden, ControlKind::HostnamePrivate];
    Layer {
        image: Some(Clause::default(image.display().to_string())),
        needs: preferred
            .map(|kind| Clause::default((kind, Need::Prefer)))
            .to_vec(),
        ..Layer::default()
    }
}

/// Ordinary users get no such sandbox, so nothing could be damaged.
fn is_for_this_user(test: &str) -> bool {
    if !host::is_root() {
        suite::tell_skip(
            &format!("chroot::{test}"),
            "the driver gives ordinary users no sandbox",
        );
    }
    host::is_root()
}

fn met(mutation: Mutation, place: &Path) -> Met {
    let driver: Arc<dyn Driver> = Arc::new(Chroot::with_mutation(mutation));
    build(&driver, layer(place), place)
}

/// Steps without which less is possible inside, never more.
fn only_takes_away(op: &Op) -> bool {
    match op {
        // Without them `-t` is refused.
        Op::OpenTerminals { .. } => true,
        // The supervisor lists what is open and the environment itself, where it may.
        Op::Inventory => true,
        // The workspace's is in the receipt; the others only tell early that nothing can be written.
        Op::WriteTest { at } => !at.ends_with("work"),
        // Taking ids has emptied the sets already, and the receipt reads all of them.
        Op::DropCapabilities => true,
        _ => false,
    }
}

#[test]
fn every_step_of_a_chroot_that_is_left_out_is_noticed() {
    if is_for_this_user("every_step_of_a_chroot_that_is_left_out_is_noticed") {
        let place = place();
        leave_out_each(&|mutation| met(mutation, place.path()), &|op, _| {
            only_takes_away(op)
        });
    }
}

/// Weaker than planned, and still applied.
#[test]
fn a_weaker_chroot_is_noticed() {
    fn another_root(program: &mut Program) {
        for op in &mut program.ops {
            if let Op::ChangeRoot { at } = op {
                *at = at.parent().unwrap().to_owned();
            }
        }
    }
    fn other_ids(program: &mut Program) {
        for op in &mut program.ops {
            if let Op::TakeIds { uid, .. } = op {
                *uid += 1;
            }
        }
    }
    fn groups(program: &mut Program) {
        for op in &mut program.ops {
            if let Op::TakeIds { drop_groups, .. } = op {
                *drop_groups = false;
            }
        }
    }
    if !is_for_this_user("a_weaker_chroot_is_noticed") {
        return;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let all = [
        ("root", another_root as fn(&mut Program)),
        ("ids", other_ids),
        ("groups", groups),
    ];
    for (name, mutation) in all {
        let is_noticed = met(mutation, place.path()) != Met::Unnoticed;
        // Root that has no groups keeps none.
        let had_none = supplementary_groups() == 0;
        assert!(is_noticed || (name == "groups" && had_none), "{name}");
    }
}

/// Supplementary groups of this process.
fn supplementary_groups() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let groups = status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))
        .unwrap();
    groups.split_whitespace().count()
}

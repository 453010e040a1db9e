//! What is refused, and how that is told.

use super::{FLAGS, text, with_image, world};
use crate::detached::skip;
use crate::world::World;

#[test]
fn an_ordinary_user_is_told_who_can() {
    if rustix::process::geteuid().is_root() {
        skip(
            "an_ordinary_user_is_told_who_can",
            "it is about other users than root",
        );
        return;
    }
    let world = World::new();
    let output = world.run_with(&FLAGS, &["true"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(told.contains("only root can change the root directory"), "{told}");
    assert!(told.contains("use driver native or landlock"), "{told}");
}

#[test]
fn the_default_policy_is_refused_with_what_to_give_up() {
    let Some(world) = world("the_default_policy_is_refused_with_what_to_give_up") else {
        return;
    };
    let output = world
        .run_with(&["--driver", "chroot"], &["true"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(told.contains("cannot enforce 2 required controls"), "{told}");
    assert!(
        told.contains("--prefer processes-hidden") && told.contains("--prefer hostname-private"),
        "{told}"
    );
}

#[test]
fn what_needs_a_mount_is_refused() {
    let Some(world) = world("what_needs_a_mount_is_refused") else {
        return;
    };
    for flags in [
        &["--workspace-mode", "rw"][..],
        &["--workspace-mode", "live", "--prefer", "workspace-protected"],
        &["--rw", "/srv"],
    ] {
        let output = with_image(&world, flags, &["/bin/true"]);
        assert_eq!(output.status.code(), Some(125), "{flags:?}");
        let told = text(&output.stderr);
        assert!(
            told.contains("without mounts") && told.contains("use driver native"),
            "{told}"
        );
    }
}

/// A container often has root without some capability.
#[test]
fn a_missing_capability_is_named() {
    let Some(world) = world("a_missing_capability_is_named") else {
        return;
    };
    let run = world.run_with(&FLAGS, &["true"]);
    let mut weaker = std::process::Command::new("setpriv");
    weaker.args(["--bounding-set=-mknod,-sys_chroot"]);
    weaker.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        weaker.env(name, value.expect("a value"));
    }
    let output = weaker
        .current_dir(world.project())
        .output()
        .expect("setpriv runs");
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(
        told.contains("root lacks the capabilities SYS_CHROOT, MKNOD"),
        "{told}"
    );
    assert!(told.contains("--cap-add=SYS_CHROOT --cap-add=MKNOD"), "{told}");
}

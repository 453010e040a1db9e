//! `stockade setup`: on another root, and for real in a mount namespace of the test.

use std::process::{Command, Output};

use crate::world::World;

const RESTRICTED: &str = "proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// A system where AppArmor restricts user namespaces.
fn system() -> World {
    let world = World::new();
    let root = world.path("root");
    for directory in ["proc/sys/kernel", "etc/apparmor.d", "usr/bin", "var/lib"] {
        std::fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    std::fs::write(root.join(RESTRICTED), "1\n").expect("a file");
    std::fs::write(root.join("usr/bin/stockade"), "").expect("a file");
    world
}

fn setup(world: &World, flags: &[&str]) -> Output {
    let root = world.path("root");
    let root = root.to_str().expect("UTF-8");
    let fixed = ["setup", "--root", root, "--program", "/usr/bin/stockade"];
    world
        .stockade(&[&fixed, flags].concat())
        .output()
        .expect("it runs")
}

#[test]
fn a_dry_run_shows_all_and_writes_nothing() {
    let world = system();
    let output = setup(&world, &["--dry-run"]);
    assert!(output.status.success(), "{}", world.tidy(&output.stderr));
    let text = world.tidy(&output.stdout);
    for shown in [
        "/etc/apparmor.d/stockade: AppArmor gives programs without a profile no rights",
        "    profile stockade \"/usr/bin/stockade\" flags=(unconfined) {",
        "    abi <abi/4.0>,",
        "      userns,",
        "  then: apparmor_parser --replace /etc/apparmor.d/stockade",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!world.path("root/etc/apparmor.d/stockade").exists());
    assert!(!world.path("root/var/lib/stockade").exists());
}

#[test]
fn it_applies_and_takes_back() {
    let world = system();
    let output = setup(&world, &["--yes"]);
    assert!(output.status.success(), "{}", world.tidy(&output.stderr));
    assert!(world.path("root/etc/apparmor.d/stockade").exists());
    let output = setup(&world, &["--yes", "--undo"]);
    assert!(output.status.success(), "{}", world.tidy(&output.stderr));
    assert!(!world.path("root/etc/apparmor.d/stockade").exists());
    assert!(!world.path("root/var/lib/stockade").exists());
}

#[test]
fn a_file_of_somebody_else_is_told_and_left() {
    let world = system();
    let profile = world.path("root/etc/apparmor.d/stockade");
    std::fs::write(&profile, "mine").expect("a file");
    let output = setup(&world, &["--yes"]);
    let said = world.tidy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("somebody else") && said.contains("fix:"), "{said}");
    assert_eq!(std::fs::read_to_string(profile).expect("it"), "mine");
}

#[test]
fn without_a_terminal_it_writes_nothing_unless_told_yes() {
    let world = system();
    let output = setup(&world, &[]);
    let said = world.tidy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("--yes"), "{said}");
    assert!(!world.path("root/etc/apparmor.d/stockade").exists());
}

/// The real root, in mounts that nobody else sees: /etc, /var/lib and the kernel's switch are
/// of the test, and so is the program that loads profiles, which keeps a list of its calls.
#[test]
fn on_the_real_root_profiles_are_loaded_and_unloaded() {
    let world = World::new();
    std::fs::copy(world.program(), world.path("program")).expect("a copy");
    let script = r#"set -e
        mount -t tmpfs none /mnt
        printf '#!/bin/sh\necho "$@" >> /mnt/calls\n' > /mnt/apparmor_parser
        chmod 755 /mnt/apparmor_parser
        cp "$1" /mnt/stockade
        mount -t tmpfs none /etc; mkdir /etc/apparmor.d
        mount -t tmpfs none /var/lib
        mount -t tmpfs none /usr/local/sbin; cp /mnt/apparmor_parser /usr/local/sbin/
        mount -t tmpfs none /usr/local/bin; cp /mnt/stockade /usr/local/bin/
        mount -t tmpfs none /proc/sys/kernel
        echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns
        export LC_ALL=C
        chmod 755 /etc /var/lib /usr/local/bin /usr/local/sbin /mnt
        /usr/local/bin/stockade setup --yes
        cat /etc/apparmor.d/stockade
        /usr/local/bin/stockade setup --yes --undo
        ls -A /etc/apparmor.d /var/lib
        cat /mnt/calls"#;
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["-U", "-r"]);
    }
    let output = command
        .args(["sh", "-c", script, "sh"])
        .arg(world.path("program"))
        .output()
        .expect("unshare");
    let (said, text) = (world.tidy(&output.stderr), world.tidy(&output.stdout));
    // A tree whose directories belong to ids that are not mapped is not root's there: then
    // the program refuses, and that is what is checked.
    if !rustix::process::geteuid().is_root() {
        assert!(
            output.status.success() || said.contains("can be written by others"),
            "{said}"
        );
        return;
    }
    assert!(output.status.success(), "{said}{text}");
    assert!(
        text.contains("profile stockade \"/usr/local/bin/stockade\""),
        "{text}"
    );
    assert!(
        text.ends_with("/etc/apparmor.d:\n\n/var/lib:\n--replace /etc/apparmor.d/stockade\n--remove /etc/apparmor.d/stockade\n"),
        "{text}"
    );
}

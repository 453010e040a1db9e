//! While it is built: killed, disturbed, twice at once, on a full disk, on another file system.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use super::{LOOK, SHOWN, WARNING, can_mount, in_own_mounts, inode, is_used_again, kept, look_with, places};
use crate::chroot::ends::is_clean;
use crate::chroot::{launch, succeeded, text};
use crate::detached::skip;
use crate::world::World;

/// Calls by which a root and its place come to be, and are handed on.
const STEPS: &str = "mkdirat,mkdir,linkat,symlinkat,fchown,fchmod,renameat2,rename,unlinkat,mknodat";
/// Moments of each of them at which it is killed.
const MOMENTS: usize = 4;

/// A run under strace that does something to system calls.
fn disturbed(world: &World, injection: &str, calls: &str) -> Command {
    let run = launch(world, &[], &["/bin/sh", "-c", LOOK]);
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(world.path("trace"));
    command.args(["-e", &format!("trace={calls}")]);
    if !injection.is_empty() {
        command.args(["-e", &format!("inject={calls}:{injection}")]);
    }
    command.arg(run.get_program()).args(run.get_args());
    command
        .current_dir(world.project())
        .env_clear()
        .stdin(Stdio::null());
    for (name, value) in run.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command
}

/// How often one thread made each call in the last run under strace: by that it counts.
fn traced_calls(world: &World) -> BTreeMap<String, usize> {
    let trace = std::fs::read_to_string(world.path("trace")).unwrap_or_default();
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    for (head, _) in trace.lines().filter_map(|line| line.split_once('(')) {
        if let Some((thread, call)) = head.split_once(char::is_whitespace) {
            *counts.entry((thread, call.trim())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counts {
        let entry = most.entry(call.to_owned()).or_default();
        *entry = count.max(*entry);
    }
    most
}

#[test]
fn killed_at_any_step_of_a_build_it_leaves_nothing_that_is_used() {
    let test = "killed_at_any_step_of_a_build_it_leaves_nothing_that_is_used";
    let Some(world) = super::world(test) else {
        return;
    };
    let control = disturbed(&world, "", STEPS).output();
    if !control.is_ok_and(|output| output.status.success()) {
        return skip(test, "no program can be traced here");
    }
    let calls = traced_calls(&world);
    assert!(
        calls.get("mkdirat").is_some_and(|count| *count > 40) && calls.len() > 5,
        "{calls:?}"
    );
    let mut killed = 0;
    for (call, count) in &calls {
        for at in (1..=*count).step_by(count.div_ceil(MOMENTS)) {
            succeeded(&world.stockade(&["gc"]).output().expect("it runs"));
            let injection = format!("signal=KILL:when={at}");
            let output = disturbed(&world, &injection, call).output().expect("strace runs");
            killed += usize::from(!output.status.success());
            // Not a tree is taken that is half there: it would be told.
            let next = look_with(&world, &[]);
            assert_eq!(succeeded(&next), SHOWN, "killed at {call} {at}");
            let said = text(&next.stderr);
            assert!(!said.contains(WARNING), "killed at {call} {at}: {said}");
            succeeded(&world.stockade(&["gc"]).output().expect("it runs"));
            assert!(is_clean(&world), "killed at {call} {at}");
        }
    }
    assert!(killed > 12, "killed {killed} times: {calls:?}");
}

#[test]
fn two_first_runs_at_once_do_not_disturb_each_other() {
    let Some(world) = super::world("two_first_runs_at_once_do_not_disturb_each_other") else {
        return;
    };
    super::image(&world);
    let start = |_| {
        let mut run = launch(&world, &["--fresh"], &["/bin/sh", "-c", LOOK]);
        run.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        run.spawn().expect("it runs")
    };
    let runs: Vec<_> = (0..6).map(start).collect();
    for run in runs {
        let output = run.wait_with_output().expect("it ends");
        assert_eq!(succeeded(&output), SHOWN);
        assert!(
            !text(&output.stderr).contains(WARNING),
            "{}",
            text(&output.stderr)
        );
    }
    // At most four of one directory are kept, and each can be used.
    let kept = places(&world).len();
    assert!((1..=4).contains(&kept), "{kept}");
    for _ in 0..2 {
        let output = look_with(&world, &[]);
        assert!(
            !text(&output.stderr).contains(WARNING),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(places(&world).len(), kept);
    }
}

/// What was brought is of use to the next run, if only what came after it failed.
#[test]
fn a_root_whose_sandbox_did_not_come_to_be_is_kept() {
    let test = "a_root_whose_sandbox_did_not_come_to_be_is_kept";
    let is_kept = |world: &World, output: &Output| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        let places = places(world);
        assert_eq!(places.len(), 1, "{said}");
        inode(&places[0].join("tree"))
    };
    // In the building of the root: a name that is ours is taken.
    let Some(world) = super::world(test) else {
        return;
    };
    let name = super::image(&world).join(".stockade");
    std::os::unix::fs::symlink("/usr", &name).expect("a link");
    let tree = is_kept(&world, &look_with(&world, &[]));
    std::fs::remove_file(name).expect("it is there");
    is_used_again(&world, tree);
    // In the guest, in which nothing has run yet.
    let Some(world) = super::world(test) else {
        return;
    };
    let output = match disturbed(&world, "error=EINVAL", "seccomp").output() {
        Ok(output) if !text(&output.stderr).starts_with("strace:") => output,
        _ => return skip(test, "no program can be traced here"),
    };
    let tree = is_kept(&world, &output);
    is_used_again(&world, tree);
}

/// The control: the same on a disk that is large enough, which is another file system than the image's.
#[test]
fn a_full_disk_is_told_with_the_way_out_and_leaves_nothing() {
    let test = "a_full_disk_is_told_with_the_way_out_and_leaves_nothing";
    let Some(world) = super::world(test) else { return };
    if !can_mount(test) {
        return;
    }
    let script = |options: &str| {
        format!(
            "mount -t tmpfs -o mode=700,{options} none \"$STATE\"; code=0; \"$@\" || code=$?; echo code $code; \
             ls \"$STATE/stockade/sandboxes\" \"$STATE/stockade/trees\"; {} gc; ls \"$STATE/stockade/trash\"; \
             \"$@\" || true",
            world.program()
        )
    };
    for options in ["size=1M", "nr_inodes=60", "nr_inodes=72"] {
        let output = in_own_mounts(&world, &script(options))
            .output()
            .expect("unshare runs");
        let (told, complaint) = (text(&output.stdout), text(&output.stderr));
        assert!(told.starts_with("code 125\n"), "{options}: {told}{complaint}");
        assert!(
            complaint.contains("No space left on device")
                && complaint.contains("free space where the state directory lies"),
            "{options}: {complaint}"
        );
        let state = world.path("state/stockade");
        let empty = format!("code 125\n{0}/sandboxes:\n\n{0}/trees:\n", state.display());
        assert!(told.starts_with(&empty), "{options}: {told}");
    }
    let output = in_own_mounts(&world, &script("size=256M"))
        .output()
        .expect("unshare runs");
    let (told, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(
        told.starts_with(&format!("{SHOWN}code 0\n")) && told.ends_with(SHOWN),
        "{told}{complaint}"
    );
    assert!(!complaint.contains(WARNING), "{complaint}");
}

#[test]
fn a_full_disk_is_told_where_all_of_the_system_is_brought() {
    let test = "a_full_disk_is_told_where_all_of_the_system_is_brought";
    let Some(world) = super::world(test) else { return };
    if !can_mount(test) {
        return;
    }
    let run = world.run_with(&crate::chroot::FLAGS, &["true"]);
    let words: Vec<_> = run
        .get_args()
        .map(|word| word.to_str().expect("UTF-8").to_owned())
        .collect();
    let script = format!(
        "mount -t tmpfs -o mode=700,size=8M none \"$STATE\"; exec {} {}",
        world.program(),
        words.join(" ")
    );
    let output = in_own_mounts(&world, &script).output().expect("unshare runs");
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{complaint}");
    assert!(
        complaint.contains("No space left on device") && complaint.contains("free space"),
        "{complaint}"
    );
}

/// Where the state lies on another file system than the host's files, all are copies, and each is looked at.
#[test]
fn on_another_file_system_copies_are_kept_and_looked_at() {
    let test = "on_another_file_system_copies_are_kept_and_looked_at";
    let Some(world) = super::world(test) else { return };
    if !can_mount(test) {
        return;
    }
    let script = "mount -t tmpfs -o mode=700 none \"$STATE\"; \"$@\"; \"$@\"; \
                  tree=$(echo \"$STATE\"/stockade/trees/*/tree); stat -c %h $tree/share/1/linked; \
                  echo EVIL > $tree/share/1/linked; \"$@\"";
    let output = in_own_mounts(&world, script).output().expect("unshare runs");
    let (told, complaint) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(told, format!("{SHOWN}{SHOWN}1\n{SHOWN}"), "{complaint}");
    assert_eq!(complaint.matches(WARNING).count(), 1, "{complaint}");
    // The control of all this: with links it is used as well.
    let place = kept(&world);
    is_used_again(&world, inode(&place.join("tree")));
}

//! Changed between two runs, by root outside or by a program inside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{
    SHOWN, WARNING, can_mount, in_own_mounts, inode, is_used_again, kept, look_with, places, set_mode, write,
};
use crate::chroot::{image, launch, succeeded, text};

/// What somebody does to a tree and its marks.
type Attack = fn(&Path);

const ATTACKS: &[(&str, Attack)] = &[
    ("a linked file is replaced", |place| {
        let file = place.join("tree/share/1/linked");
        fs::remove_file(&file).expect("it is there");
        write(&file, "EVIL\n", 0o644);
    }),
    ("a copied file is written", |place| {
        write(&place.join("tree/share/2/copied"), "EVIL\n", 0o644)
    }),
    ("a copied file gets its time back", |place| {
        let file = place.join("tree/share/2/copied");
        let time = fs::metadata(&file)
            .expect("it is there")
            .modified()
            .expect("a time");
        write(&file, "EVILLY\n", 0o644);
        let file = fs::File::options().write(true).open(file).expect("it opens");
        file.set_modified(time).expect("a time");
    }),
    ("a file becomes a link", |place| {
        let file = place.join("tree/share/1/linked");
        fs::remove_file(&file).expect("it is there");
        symlink("/etc/passwd", file).expect("a link");
    }),
    ("a directory becomes a link", |place| {
        fs::rename(place.join("tree/share/1"), place.join("tree/share/3/1")).expect("moved");
        symlink("3/1", place.join("tree/share/1")).expect("a link");
    }),
    ("a file is added", |place| {
        write(&place.join("tree/share/3/EVIL"), "", 0o644)
    }),
    ("a file is added at the top", |place| {
        write(&place.join("tree/EVIL"), "", 0o644)
    }),
    ("a directory is opened to all", |place| {
        set_mode(&place.join("tree/share/3"), 0o777)
    }),
    ("the top is opened to all", |place| {
        set_mode(&place.join("tree"), 0o777)
    }),
    ("all of it is given to somebody", |place| {
        let chown = Command::new("chown")
            .args(["-R", "65534"])
            .arg(place.join("tree/share/3"))
            .status();
        assert!(chown.expect("chown runs").success());
    }),
    ("it is a copy of itself", |place| {
        let copy = place.with_extension("copy");
        let cp = Command::new("cp").arg("-a").arg(place).arg(&copy).status();
        assert!(cp.expect("cp runs").success());
        fs::remove_dir_all(place).expect("removed");
        fs::rename(copy, place).expect("moved");
    }),
    ("the marks are gone", |place| {
        fs::remove_file(place.join("marks")).expect("they are there")
    }),
    ("the marks are cut", |place| {
        let marks = place.join("marks");
        let bytes = fs::read(&marks).expect("they are there");
        fs::write(marks, &bytes[..bytes.len() - 9]).expect("a file");
    }),
    ("others may write the marks", |place| {
        set_mode(&place.join("marks"), 0o666)
    }),
    ("the tree is a link", |place| {
        fs::rename(place.join("tree"), place.join("other")).expect("moved");
        symlink("other", place.join("tree")).expect("a link");
    }),
    ("the place is a link", |place| {
        let trees = place.parent().expect("a parent");
        let other = trees.with_file_name("elsewhere");
        fs::rename(place, &other).expect("moved");
        symlink(other, place).expect("a link");
    }),
    ("the marks are a pipe", |place| {
        fs::remove_file(place.join("marks")).expect("they are there");
        let made = Command::new("mkfifo").arg(place.join("marks")).status();
        assert!(made.expect("mkfifo runs").success());
    }),
];

/// The control: untouched, it is used again and nothing is said.
#[test]
fn a_tree_that_somebody_changed_is_told_and_made_anew() {
    let Some(world) = super::world("a_tree_that_somebody_changed_is_told_and_made_anew") else {
        return;
    };
    for (what, attack) in ATTACKS {
        let place = kept(&world);
        let tree = inode(&place.join("tree"));
        is_used_again(&world, tree);
        attack(&place);
        let output = look_with(&world, &[]);
        let said = text(&output.stderr);
        assert_eq!(succeeded(&output), SHOWN, "{what}: {said}");
        assert!(
            said.contains(WARNING) && said.contains("image/usr"),
            "{what}: {said}"
        );
        let now: Vec<u64> = places(&world)
            .iter()
            .map(|place| inode(&place.join("tree")))
            .collect();
        assert!(!now.contains(&tree), "{what}: it is kept all the same");
        let gc = world.stockade(&["gc"]).output().expect("it runs");
        assert_eq!(gc.status.code(), Some(0), "{what}: {}", text(&gc.stderr));
    }
}

/// Whoever reads JSON and whoever leaves without a terminal is told, too.
#[test]
fn a_changed_tree_is_told_to_programs_and_in_detached_runs() {
    let Some(world) = super::world("a_changed_tree_is_told_to_programs_and_in_detached_runs") else {
        return;
    };
    let damage = |what: &str| write(&kept(&world).join(format!("tree/share/3/{what}")), "", 0o644);
    damage("one");
    let output = look_with(&world, &["--json"]);
    assert!(text(&output.stderr).contains(WARNING), "{}", text(&output.stderr));
    world.stockade(&["gc"]).output().expect("it runs");
    damage("two");
    let output = look_with(&world, &["-d", "--name", "away"]);
    let told = world.stockade(&["logs", "away"]).output().expect("it runs");
    let inspected = world.stockade(&["inspect", "away"]).output().expect("it runs");
    let all = [output, told, inspected].map(|output| text(&output.stdout) + &text(&output.stderr));
    world.stockade(&["rm", "-f", "away"]).output().expect("it runs");
    assert!(all.concat().contains(WARNING), "{all:?}");
}

#[test]
fn a_file_that_the_host_opens_to_all_is_copied_where_no_landlock_keeps_it() {
    let test = "a_file_that_the_host_opens_to_all_is_copied_where_no_landlock_keeps_it";
    let Some(world) = super::world(test) else { return };
    let linked = image(&world).join("usr/share/1/linked");
    let place = kept(&world);
    let tree = inode(&place.join("tree"));
    set_mode(&linked, 0o666);
    let attack = "echo EVIL > /usr/share/1/linked; cat /usr/share/1/linked";
    // With Landlock the tree is used, and cannot be written.
    let output = launch(&world, &[], &["/bin/sh", "-c", attack])
        .output()
        .expect("it runs");
    assert_eq!(succeeded(&output), "linked\n", "{}", text(&output.stderr));
    is_used_again(&world, tree);
    // Without, it is made anew, with a copy: there the mode of the host's file does not count.
    let weaker = launch(
        &world,
        &["--prefer", "second-wall", "--prefer", "guest-protected"],
        &["/bin/sh", "-c", attack],
    );
    let output = without_landlock(&weaker).output().expect("strace runs");
    if !output.status.success() && text(&output.stderr).contains("strace:") {
        return crate::detached::skip(test, "no program can be traced here");
    }
    assert_eq!(succeeded(&output), "linked\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(WARNING), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&linked).expect("text"), "linked\n");
}

/// A kernel without it.
fn without_landlock(run: &Command) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset"]);
    command.args(["-e", "inject=landlock_create_ruleset:error=ENOSYS"]);
    command.arg(run.get_program()).args(run.get_args()).env_clear();
    if let Some(directory) = run.get_current_dir() {
        command.current_dir(directory);
    }
    for (name, value) in run.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command
}

/// The control: the same words change a directory that belongs to the sandbox.
#[test]
fn a_program_inside_changes_nothing_in_it() {
    let Some(world) = super::world("a_program_inside_changes_nothing_in_it") else {
        return;
    };
    for program in [
        "/bin/rm",
        "/bin/mv",
        "/bin/ln",
        "/bin/touch",
        "/bin/chmod",
        "/bin/mkdir",
    ] {
        crate::chroot::bring_program(Path::new(program), &image(&world));
    }
    let script = r#"
        attack() {
            echo x > $1/1/linked; echo x >> $1/2/copied; chmod 777 $1 $1/1 $1/2/copied; touch $1/1/linked $1/new
            mv $1/3 $1/EVIL; ln -s / $1/link; rm -f $1/1/linked; rm -rf $1/4; mkdir $1/new; mv $1 $1-moved; mv /usr /moved
        }
        attack /usr/share 2>/dev/null
        mkdir -p $HOME/share/1 $HOME/share/2 $HOME/share/3 $HOME/share/4
        attack $HOME/share 2>/dev/null
        ls $HOME/share-moved"#;
    let place = kept(&world);
    let tree = inode(&place.join("tree"));
    let output = launch(&world, &[], &["/bin/sh", "-c", script])
        .output()
        .expect("it runs");
    assert_eq!(
        succeeded(&output),
        "1\n2\nEVIL\nlink\nnew\n",
        "{}",
        text(&output.stderr)
    );
    is_used_again(&world, tree);
}

/// As an older version left them: there is nothing to tell.
#[test]
fn a_tree_of_another_version_is_made_anew_without_a_word() {
    let Some(world) = super::world("a_tree_of_another_version_is_made_anew_without_a_word") else {
        return;
    };
    let place = kept(&world);
    let tree = inode(&place.join("tree"));
    let marks = place.join("marks");
    let bytes = fs::read(&marks).expect("they are there");
    let body = bytes.splitn(2, |byte| *byte == b'\n').nth(1).expect("a header");
    fs::write(&marks, body).expect("a file");
    write(&place.join("tree/share/3/EVIL"), "", 0o644);
    let output = look_with(&world, &[]);
    assert_eq!(succeeded(&output), SHOWN);
    assert!(
        !text(&output.stderr).contains(WARNING),
        "{}",
        text(&output.stderr)
    );
    assert_ne!(inode(&kept(&world).join("tree")), tree);
}

#[test]
fn a_mount_in_a_tree_is_told_and_what_it_shows_is_neither_seen_nor_removed() {
    let test = "a_mount_in_a_tree_is_told_and_what_it_shows_is_neither_seen_nor_removed";
    let Some(world) = super::world(test) else { return };
    if !can_mount(test) {
        return;
    }
    let canary = world.path("canary");
    fs::create_dir(&canary).expect("a directory");
    fs::write(canary.join("alive"), "").expect("a file");
    for (from, onto) in [
        ("canary", "tree/share/3"),
        ("canary/alive", "tree/share/1/linked"),
    ] {
        let place = kept(&world);
        // Then also what is removed afterwards has the mount in it.
        let script = format!(
            "mount --bind {} {}; \"$@\"; shift $#; {} gc || true",
            world.path(from).display(),
            place.join(onto).display(),
            world.program(),
        );
        let output = in_own_mounts(&world, &script).output().expect("unshare runs");
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(text(&output.stdout).starts_with(SHOWN), "{said}");
        assert!(
            said.contains(WARNING) && said.contains("something is mounted"),
            "{said}"
        );
        assert!(said.contains("unmount it, then run `stockade gc`"), "{said}");
        assert!(canary.join("alive").exists(), "what was mounted was removed");
        let gc = world.stockade(&["gc"]).output().expect("it runs");
        assert_eq!(gc.status.code(), Some(0), "{}", text(&gc.stderr));
        assert!(canary.join("alive").exists());
    }
}

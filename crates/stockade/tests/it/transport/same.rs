//! What both ways bring out.

use std::os::unix::fs::MetadataExt;

use super::{Yard, both};

/// A project with something of everything.
pub const PROJECT: &str = r#"
    mkdir -p dir/deep closed gone many; echo a > a; echo b > dir/b; echo c > dir/deep/c; echo d > gone/d
    printf '#!/bin/sh\n' > run; chmod 755 run; ln -s a link; head -c 300000 /dev/zero > zeros
    for n in 1 2 3 4 5 6 7 8 9; do echo "$n" > "many/$n"; done
    echo x > "$(printf 'bad\377name')"; echo y > "$(printf 'new\nline')"
    echo kept > closed/kept; chmod 555 closed
"#;

/// Each kind of change.
pub const SAMPLE: &str = r#"
    echo other > a; echo new > dir/new; mkdir -p fresh/below/more; echo x > fresh/below/x; : > fresh/empty
    rm -r gone; rm link; ln -s /etc/passwd link; chmod 700 dir/deep; chmod 644 run; mv dir/b dir/moved
    rm many/1; mkdir many/1; echo in > many/1/in; rm -r dir/deep; echo file > dir/deep
    ln a hard; ln a fresh/hard; ln -s nowhere dangling; mkfifo pipe
    cp /bin/true program; chmod 4755 program; chmod 000 many/2; mkdir shut; echo in > shut/in; chmod 000 shut
    truncate -s 3000000 sparse; echo end >> sparse; head -c 200000 /dev/urandom > /dev/null; seq 1 90000 > long
    echo z > "$(printf 'more\377bad')"; rm "$(printf 'bad\377name')"; mv "$(printf 'new\nline')" 'n e w'
    n=$(printf '%0255d' 7); echo longest > "$n"; mkdir -p "d/$n"; echo in > "d/$n/in"
    touch -d @1500000000.123456789 a long; touch zeros; rm -rf many/9; mkdir many/9
"#;

#[test]
fn a_run_that_changes_something_of_everything() {
    both(|yard| {
        yard.host(PROJECT);
        yard.run(SAMPLE);
    });
}

#[test]
fn a_later_run_goes_on_with_the_changes_of_the_one_before() {
    both(|yard| {
        yard.host(PROJECT);
        // What is closed to its owner cannot be laid over a copy.
        yard.run(&format!("{SAMPLE}\nchmod 755 shut; chmod 644 many/2"));
        yard.run(
            "test -f dir/moved; test ! -e gone; cat dir/deep fresh/below/x; rm dir/moved; echo again > gone; \
             rm -r fresh; mkdir fresh; echo two > fresh/two; chmod 755 closed; echo open > closed/new",
        );
    });
}

#[test]
fn times_of_files_come_out_as_they_are_inside() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host(PROJECT);
    yard.run("echo x > a; touch -d @1500000000.123456789 a; ln -s x l; touch -h -d @1400000000.5 l");
    let of = |name: &str| {
        let meta = std::fs::symlink_metadata(yard.changes().join("upper").join(name)).unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!(of("a"), (1_500_000_000, 123_456_789));
    assert_eq!(of("l"), (1_400_000_000, 500_000_000));
}

#[test]
fn without_the_right_to_change_modes_files_are_sent_and_fetched_all_the_same() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host(PROJECT);
    let words = [
        &["run", "--require=metadata-protected"],
        &super::LANDLOCK[..5],
        &[
            super::OVER_LINK,
            "--",
            "sh",
            "-ec",
            "test -x run; ! chmod 600 a; echo x > a; rm -r gone",
        ],
    ];
    yard.ok(&words.concat());
    let told = yard.ok(&["diff", "--name-only"]);
    assert_eq!(told, "a\ngone/d\n");
}

#[test]
fn what_was_fetched_is_applied_and_undone() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host("mkdir d; echo a > d/a; echo b > b");
    yard.run("echo new > d/a; rm b; mkdir e; echo c > e/c");
    yard.ok(&["apply", "--all"]);
    let text = |name: &str| std::fs::read_to_string(yard.project().join(name)).ok();
    assert_eq!(text("d/a").as_deref(), Some("new\n"));
    assert_eq!((text("b"), text("e/c").as_deref()), (None, Some("c\n")));
    yard.ok(&["undo"]);
    assert_eq!(text("d/a").as_deref(), Some("a\n"));
    assert_eq!((text("b").as_deref(), text("e/c")), (Some("b\n"), None));
}

#[test]
fn while_a_sandbox_lives_diff_and_checkpoints_see_what_is_inside() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host(PROJECT);
    yard.create();
    assert_eq!(yard.ok(&["diff", "--name-only"]), "");
    yard.exec("echo one > a");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\n");
    yard.ok(&["checkpoint", "first"]);
    yard.exec("echo two > a; rm -r gone; echo new > dir/new");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\ndir/new\ngone/d\n");
    assert!(yard.ok(&["changes", "pending"]).contains("dir/new"));
    yard.exec("mkdir gone; echo d > gone/d; rm dir/new");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\n");
    yard.ok(&["stop", "box"]);
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\n");
    yard.ok(&["rewind", "first"]);
    assert!(yard.ok(&["diff"]).contains("+one"));
}

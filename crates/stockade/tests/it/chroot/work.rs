//! Real work inside.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::{succeeded, text, with_image, with_system, world};

#[test]
fn python_bash_make_and_git_work() {
    let Some(world) = world("python_bash_make_and_git_work") else {
        return;
    };
    world.file("sum.py", "import json, ssl, subprocess\nprint(json.dumps(subprocess.check_output(['expr', '1', '+', '2'], text=True)))\n");
    world.file("makefile", "all:\n\tpython3 sum.py > made\n");
    let script = "set -e; make -s; cat made; git init -q .; git add -A; \
                  git -c user.name=a -c user.email=b commit -qm first; git log --oneline | wc -l; \
                  whoami; echo text > $HOME/file; mktemp > /dev/null; pwd";
    let told = succeeded(&with_system(&world, &["bash", "-c", script]));
    let project = world.project();
    assert_eq!(told, format!("\"3\\n\"\n1\nuser\n{}\n", project.display()));
    // The project itself is as it was.
    assert!(!project.join("made").exists());
}

#[test]
fn a_system_that_changed_is_brought_anew() {
    let Some(world) = world("a_system_that_changed_is_brought_anew") else {
        return;
    };
    let look = |world: &crate::world::World| {
        // Many names, so that the tree is worth handing on.
        for number in 0..40 {
            std::fs::create_dir_all(world.path(&format!("image/usr/share/{number}"))).expect("a directory");
        }
        succeeded(&with_image(world, &[], &["/bin/ls", "/usr/share"]))
    };
    let first = look(&world);
    assert!(first.contains("39\n") && !first.contains("new"), "{first}");
    let kept = || {
        std::fs::read_dir(world.path("state/stockade/trees"))
            .expect("trees")
            .count()
    };
    assert!(kept() > 0);
    // The control: nothing changed, and the same is seen again.
    assert_eq!(look(&world), first);
    std::fs::write(world.path("image/usr/share/new"), "").expect("a file");
    assert!(look(&world).contains("new"));
    std::fs::remove_file(world.path("image/usr/share/new")).expect("it is there");
    assert_eq!(look(&world), first);
}

/// What is linked is the host's own file: its owner, mode and content stay as they are.
#[test]
fn files_of_the_host_are_shown_and_stay_what_they_are() {
    let Some(world) = world("files_of_the_host_are_shown_and_stay_what_they_are") else {
        return;
    };
    let image = super::image(&world);
    std::fs::create_dir_all(image.join("etc")).expect("a directory");
    let (shown, secret) = (image.join("etc/shown"), image.join("etc/secret"));
    std::fs::write(&shown, "shown\n").expect("a file");
    std::fs::write(&secret, "secret\n").expect("a file");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&secret, mode(0o600)).expect("a mode");
    let before = std::fs::metadata(&shown).expect("it is there");
    let script = "cat /etc/shown; cat /etc/secret; echo x > /etc/shown; echo x >> /etc/shown; echo x > /etc/new; \
                  echo x > /new; ls /proc; exit 0";
    let output = with_image(&world, &[], &["/bin/sh", "-c", script]);
    assert_eq!(succeeded(&output), "shown\n");
    let complaints = text(&output.stderr);
    assert_eq!(complaints.matches("ermission denied").count(), 4, "{complaints}");
    assert!(complaints.contains("/etc/secret: No such file"), "{complaints}");
    let after = std::fs::metadata(&shown).expect("it is there");
    assert_eq!(
        (before.uid(), before.mode(), before.mtime()),
        (after.uid(), after.mode(), after.mtime())
    );
    assert_eq!(std::fs::read_to_string(&shown).expect("text"), "shown\n");
    assert!(!image.join("new").exists() && !image.join("etc/new").exists());
}

#[test]
fn changes_are_reviewed_carried_on_and_applied() {
    let Some(world) = world("changes_are_reviewed_carried_on_and_applied") else {
        return;
    };
    world.file("kept", "1\n");
    world.file("gone", "1\n");
    std::thread::sleep(std::time::Duration::from_millis(25));
    let sh = |script: &str| succeeded(&with_image(&world, &[], &["/bin/sh", "-c", script]));
    sh("echo 2 > kept; rm gone 2>/dev/null || : > gone; echo new > made");
    assert_eq!(
        std::fs::read_to_string(world.project().join("kept")).expect("text"),
        "1\n"
    );
    // The next sandbox has other ids and may write what the first one made.
    assert_eq!(sh("cat kept made; echo more >> made"), "2\nnew\n");
    let ask = |words: &[&str]| succeeded(&world.stockade(words).output().expect("it runs"));
    let diff = ask(&["diff"]);
    assert!(
        diff.contains("+2") && diff.contains("+new") && diff.contains("+more"),
        "{diff}"
    );
    ask(&["apply", "--all"]);
    assert_eq!(
        std::fs::read_to_string(world.project().join("made")).expect("text"),
        "new\nmore\n"
    );
    let made = std::fs::metadata(world.project().join("made")).expect("it is there");
    assert_eq!(made.uid(), 0, "it belongs to the project's owner");
}

#[test]
fn a_read_only_workspace_can_be_read_alone() {
    let Some(world) = world("a_read_only_workspace_can_be_read_alone") else {
        return;
    };
    world.file("text", "text\n");
    let script = "cat text; echo x > text; echo x > new; exit 0";
    let output = with_image(&world, &["--workspace-mode", "ro"], &["/bin/sh", "-c", script]);
    assert_eq!(succeeded(&output), "text\n");
    assert_eq!(text(&output.stderr).matches("ermission denied").count(), 2);
}

/// What the image brings differs from host to host.
#[test]
fn a_dry_run_shows_what_is_built_and_in_which_order() {
    let Some(world) = world("a_dry_run_shows_what_is_built_and_in_which_order") else {
        return;
    };
    let output = with_image(&world, &["--dry-run", "--json"], &["/bin/true"]);
    let plan: serde_json::Value = serde_json::from_str(&succeeded(&output)).expect("JSON");
    let steps = plan["steps"].as_array().expect("steps").iter();
    let steps: Vec<&str> = steps
        .filter_map(serde_json::Value::as_str)
        .filter(|step| !step.starts_with("bring ") && !step.starts_with("landlock: "))
        .collect();
    insta::assert_snapshot!(world.tidy(steps.join("\n").as_bytes()));
    // Nothing was made.
    assert!(!world.path("state/stockade").exists());
}

/// The receipt is read from the kernel: a second look at what runs shows the same.
#[test]
fn the_kernel_says_what_the_receipt_says() {
    let Some(world) = world("the_kernel_says_what_the_receipt_says") else {
        return;
    };
    let script = "echo begun; exec sleep 1000";
    let mut child = super::launch(&world, &[], &["/bin/sh", "-c", script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let pid = child.id();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&world, &mut child)));
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    assert!(found.is_ok(), "of process {pid}");
}

/// Looks at the command from outside.
fn look(world: &crate::world::World, child: &mut std::process::Child) {
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut line).expect("it has begun");
    // It has said that it has begun, and becomes `sleep` a moment later.
    let is_it =
        |pid: &_| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    let pid = (0..200).find_map(|_| {
        let found = descendants(child.id()).into_iter().find(is_it);
        if found.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        found
    });
    let pid = pid.expect("the command");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:\t"))
        .expect("ids");
    let uid: u32 = uid
        .split_whitespace()
        .next()
        .expect("an id")
        .parse()
        .expect("a number");
    assert!(uid >= 0x7000_0000, "{uid}");
    let root = std::fs::read_link(format!("/proc/{pid}/root")).expect("its root");
    assert!(root.starts_with(world.path("state")), "{}", root.display());
}

/// Children are those of a thread.
fn descendants(of: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten();
    let children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|word| word.parse().ok())
        .collect();
    let deeper: Vec<u32> = children.iter().flat_map(|child| descendants(*child)).collect();
    [children, deeper].concat()
}

#[test]
fn a_container_without_the_right_to_trace_is_enough() {
    let Some(world) = world("a_container_without_the_right_to_trace_is_enough") else {
        return;
    };
    let run = super::launch(&world, &["--json"], &["/usr/bin/id", "-u"]);
    let mut weaker = Command::new("setpriv");
    weaker.arg(
        "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
         +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap",
    );
    weaker.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        weaker.env(name, value.expect("a value"));
    }
    let output = weaker
        .current_dir(world.project())
        .output()
        .expect("setpriv runs");
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    let uid: u32 = text(&output.stdout)
        .lines()
        .next()
        .expect("a line")
        .parse()
        .expect("an id");
    assert!(uid >= 0x7000_0000, "{uid}");
}

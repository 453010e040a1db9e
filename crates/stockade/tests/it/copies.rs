//! `stockade cp`, also against what is inside.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

use crate::world::World;

/// A world with a sandbox to copy from and to.
struct Desk(World);

impl std::ops::Deref for Desk {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.stockade(&["rm", "-f", "box"]).output();
    }
}

impl Desk {
    fn new() -> Self {
        let desk = Self(World::new());
        let made = desk
            .stockade(&["create", "-q", "--name", "box"])
            .output()
            .expect("it runs");
        assert!(made.status.success(), "{}", desk.tidy(&made.stderr));
        desk
    }

    fn inside(&self, script: &str) -> String {
        let output = self
            .stockade(&["exec", "box", "--", "sh", "-c", script])
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", self.tidy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn cp(&self, arguments: &[&str]) -> Output {
        self.stockade(&[&["cp"], arguments].concat())
            .output()
            .expect("it runs")
    }

    /// Copies all of it, and returns nothing to complain about.
    fn copied(&self, from: &str, to: &str) {
        let output = self.cp(&[from, to]);
        assert!(output.status.success(), "{}", self.tidy(&output.stderr));
    }

    /// Copies a part, and returns what was said of the rest.
    fn partly(&self, from: &str, to: &str) -> String {
        let output = self.cp(&[from, to]);
        let said = self.tidy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        said
    }

    fn out(&self) -> std::path::PathBuf {
        self.project().join("out")
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn a_tree_comes_back_as_it_went() {
    let desk = Desk::new();
    let tree = desk.project().join("tree/deep/er");
    std::fs::create_dir_all(&tree).expect("directories");
    let content: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    std::fs::write(tree.join("bytes"), &content).expect("a file");
    std::fs::write(desk.project().join("tree/empty"), "").expect("a file");
    std::fs::write(desk.project().join("tree/run"), "#!/bin/sh\necho ran\n").expect("a file");
    std::fs::set_permissions(desk.project().join("tree/run"), PermissionsExt::from_mode(0o755))
        .expect("a mode");
    symlink("deep/er/bytes", desk.project().join("tree/link")).expect("a link");
    for index in 0..600 {
        std::fs::write(tree.join(format!("n{index}")), "").expect("a file");
    }
    desk.copied("tree", "box:/tmp/in");
    assert_eq!(
        desk.inside("/tmp/in/run; ls /tmp/in/deep/er | wc -l; cat /tmp/in/empty"),
        "ran\n601\n"
    );
    desk.copied("box:/tmp/in", "out");
    assert_eq!(
        std::fs::read(desk.out().join("deep/er/bytes")).expect("a file"),
        content
    );
    assert_eq!(
        std::fs::read(desk.out().join("link")).expect("the link works"),
        content
    );
    assert_eq!(
        std::fs::read_dir(desk.out().join("deep/er"))
            .expect("a directory")
            .count(),
        601
    );
    assert_ne!(
        desk.out().join("run").metadata().expect("a file").mode() & 0o100,
        0
    );
}

#[test]
fn into_a_directory_it_keeps_its_name_and_replaces_what_is_there() {
    let desk = Desk::new();
    desk.inside("echo new > /tmp/file");
    std::fs::create_dir(desk.out()).expect("a directory");
    std::fs::write(desk.out().join("file"), "old and longer").expect("a file");
    desk.copied("box:/tmp/file", "out");
    assert_eq!(read(&desk.out().join("file")), "new\n");
    desk.copied("box:/tmp/file", "other-name");
    assert_eq!(read(&desk.project().join("other-name")), "new\n");
    desk.copied("other-name", "box:/tmp");
    assert_eq!(desk.inside("cat /tmp/other-name"), "new\n");
    let said = desk.partly("box:/tmp/no-such-file", "out");
    assert!(said.contains("no-such-file"), "{said}");
}

#[test]
fn what_could_harm_is_left_out_and_told() {
    let desk = Desk::new();
    desk.inside(
        "mkdir -p /tmp/t/d; cd /tmp/t; echo x > suid; chmod 6777 suid; mkfifo pipe; ln -s /etc/passwd absolute; \
         ln -s ../../.bashrc up; ln -s d/../../x sly; ln -s ../suid d/fine; printf 'x' > \"$(printf 'a\\033[2Jb')\"",
    );
    let said = desk.partly("box:/tmp/t", "out");
    for name in ["pipe", "absolute", "up", "sly"] {
        assert!(said.contains(name), "{name}: {said}");
        assert!(
            !desk.out().join(name).exists() && desk.out().join(name).symlink_metadata().is_err(),
            "{name}"
        );
    }
    assert!(!said.contains('\u{1b}'), "{said}");
    // Positive controls: what is harmless came along.
    assert_eq!(read(&desk.out().join("d/fine")), "x\n");
    assert!(desk.out().join("a\u{1b}[2Jb").exists());
    assert_eq!(
        desk.out().join("suid").metadata().expect("a file").mode() & 0o7022,
        0
    );
}

#[test]
fn links_at_the_destination_are_not_followed() {
    let desk = Desk::new();
    desk.inside("mkdir -p /tmp/t/d; echo evil > /tmp/t/file; echo evil > /tmp/t/d/file");
    let outside = desk.path("outside");
    std::fs::create_dir_all(outside.join("d")).expect("directories");
    std::fs::write(outside.join("file"), "mine").expect("a file");
    std::fs::create_dir(desk.out()).expect("a directory");
    symlink(outside.join("file"), desk.out().join("file")).expect("a link");
    symlink(outside.join("d"), desk.out().join("d")).expect("a link");
    let said = desk.cp(&["box:/tmp/t", "."]);
    assert!(said.status.success());
    // Once more where links are in the way.
    std::fs::rename(desk.out(), desk.project().join("t2")).expect("a rename");
    desk.inside("mv /tmp/t /tmp/t2");
    let said = desk.partly("box:/tmp/t2", ".");
    assert!(said.contains("/tmp/t2/d"), "{said}");
    assert_eq!(read(&outside.join("file")), "mine");
    assert!(!outside.join("d/file").exists());
    assert_eq!(read(&desk.project().join("t2/file")), "evil\n");
}

#[test]
fn races_inside_lead_nowhere() {
    let desk = Desk::new();
    let canary = desk.path("canary");
    std::fs::create_dir(&canary).expect("a directory");
    std::fs::write(canary.join("file"), "mine").expect("a file");
    // A directory that is a link to the host's path of the canary half of the time.
    let script = format!(
        "mkdir -p /tmp/t/real; echo evil > /tmp/t/real/file; cd /tmp/t; while :; do ln -sfn {0} sw; rm -f sw; \
         cp -r real sw; rm -rf sw; done",
        canary.display()
    );
    let mut racing = desk
        .stockade(&["exec", "box", "--", "sh", "-c", &script])
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    for round in 0..15 {
        let to = format!("out{round}");
        let _ = desk.cp(&["-q", "box:/tmp/t", &to]);
        let copied = desk.project().join(&to).join("sw");
        let is_link = copied.symlink_metadata().is_ok_and(|found| found.is_symlink());
        assert!(!is_link, "a link out of the copy was made");
    }
    racing.kill().expect("it is ours");
    racing.wait().expect("it ends");
    assert_eq!(read(&canary.join("file")), "mine");
    assert_eq!(std::fs::read_dir(&canary).expect("a directory").count(), 1);
}

#[test]
fn what_has_no_end_is_cut_off() {
    let desk = Desk::new();
    desk.inside("head -c 3000000 /dev/zero > /tmp/large; truncate -s 1000000000000 /tmp/sparse");
    let output = desk.cp(&["--limit", "8M", "box:/tmp/sparse", "out"]);
    assert!(desk.tidy(&output.stderr).contains("--limit"));
    let output = desk.cp(&["--limit", "1M", "box:/tmp/large", "out"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(desk.tidy(&output.stderr).contains("--limit"));
    assert!(!desk.out().exists());
    desk.copied("box:/tmp/large", "out");
    let left: Vec<_> = std::fs::read_dir(desk.project()).expect("a directory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn links_in_a_source_are_copied_as_links() {
    let desk = Desk::new();
    let secret = desk.path("secret");
    std::fs::write(&secret, "secret").expect("a file");
    std::fs::create_dir(desk.project().join("tree")).expect("a directory");
    symlink(&secret, desk.project().join("tree/link")).expect("a link");
    desk.copied("tree", "box:/tmp/tree");
    assert_eq!(
        desk.inside("readlink /tmp/tree/link; cat /tmp/tree/link || echo gone")
            .lines()
            .last(),
        Some("gone")
    );
}

#[test]
fn one_end_has_to_be_inside() {
    let desk = Desk::new();
    for ends in [["a", "b"], ["box:/a", "box:/b"]] {
        let output = desk.cp(&ends);
        assert_eq!(output.status.code(), Some(125));
        assert!(desk.tidy(&output.stderr).contains("NAME:/PATH"));
    }
}

//! A workspace that travels over the guest's link, beside one that is copied on this host: both come to the same
//! change set. The driver landlock can do both, for ordinary users alone.

mod ends;
mod random;
mod same;

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::world::World;

/// What the landlock driver does not enforce, given up by name; and modes can be changed.
pub const LANDLOCK: &[&str] = &[
    "--driver=landlock",
    "--prefer=names-hidden",
    "--prefer=processes-hidden",
    "--prefer=hostname-private",
    "--prefer=second-wall",
    "--prefer=metadata-protected",
];
pub const OVER_LINK: &str = "--workspace-over-link";

/// A project and a sandbox on it.
pub struct Yard {
    world: World,
    over_link: bool,
}

impl Yard {
    /// None for root, who gets no such sandbox and is told so.
    pub fn new(over_link: bool) -> Option<Self> {
        let yard = Self {
            world: World::new(),
            over_link,
        };
        if rustix::process::geteuid().is_root() {
            let refused = yard.run_output("true");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(
                !refused.status.success() && said.contains("ordinary user"),
                "{said}"
            );
            return None;
        }
        Some(yard)
    }

    pub fn project(&self) -> PathBuf {
        self.world.project()
    }

    /// Does this on the host, in the project.
    pub fn host(&self, script: &str) {
        let mut command = std::process::Command::new("sh");
        let done = command
            .args(["-ec", script])
            .current_dir(self.project())
            .status()
            .unwrap();
        assert!(done.success(), "{script}");
    }

    fn flags(&self) -> Vec<&str> {
        let mut flags = LANDLOCK.to_vec();
        flags.extend(self.over_link.then_some(OVER_LINK));
        flags
    }

    pub fn run_output(&self, script: &str) -> Output {
        let flags = self.flags();
        let mut command = self.world.run_with(&flags, &["sh", "-c", script]);
        command.output().unwrap()
    }

    /// Runs a script to its end, and gives what was said.
    pub fn run(&self, script: &str) -> String {
        let output = self.run_output(script);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}\n{said}");
        assert!(!said.contains("could not be fetched"), "{said}");
        said
    }

    /// A sandbox called `box`, without a command.
    pub fn create(&self) {
        let flags = self.flags();
        self.ok(&[&["create", "-q", "--name", "box"], flags.as_slice()].concat());
    }

    pub fn exec(&self, script: &str) {
        self.ok(&["exec", "box", "--", "sh", "-ec", script]);
    }

    pub fn output(&self, words: &[&str]) -> Output {
        self.world.stockade(words).output().unwrap()
    }

    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}\n{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All that is told of the changes.
    pub fn diff(&self) -> String {
        let told = self.ok(&["diff", "--json", "--ignored"]);
        self.world.tidy(told.as_bytes())
    }

    /// The directory of the pending change set.
    pub fn changes(&self) -> PathBuf {
        let all = self.world.path("state/stockade/changes");
        let mut found = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
        let is_pending = |path: &PathBuf| path.to_string_lossy().ends_with("-pending");
        found.find(is_pending).expect("a pending set")
    }

    /// What the change set holds, once the sandbox has ended.
    pub fn kept(&self) -> Vec<String> {
        picture(&self.changes().join("upper"))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = self.output(&["rm", "-f", "box"]);
    }
}

/// Every node below a directory: its name, kind, mode, content, names and attributes. Directories are open to us.
pub fn picture(root: &Path) -> Vec<String> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let mut lines = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(at) = pending.pop() {
        let Ok(listed) = std::fs::read_dir(&at) else {
            continue;
        };
        for entry in listed {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            let content = if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).map_err(|error| error.kind());
                let digest = bytes.map(|bytes| <sha2::Sha256 as sha2::Digest>::digest(&bytes)[..6].to_vec());
                format!("{digest:?} {} names, {:?}", meta.nlink(), attributes(&path))
            } else if kind.is_dir() {
                pending.push(path.clone());
                format!("directory, {:?}", attributes(&path))
            } else if kind.is_char_device() {
                format!("device {}", meta.rdev())
            } else {
                format!("fifo {} socket {}", kind.is_fifo(), kind.is_socket())
            };
            lines.push(format!("{} {:o} {content}", name.escape_ascii(), meta.mode()));
        }
    }
    lines.sort();
    lines
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, names.as_mut_slice()) else {
        return Vec::new();
    };
    let names = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let named = names.map(|name| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap_or(0);
        (
            String::from_utf8_lossy(name).into_owned(),
            value[..length].to_vec(),
        )
    });
    let mut all: Vec<_> = named.collect();
    all.sort();
    all
}

/// Does the same with both, and compares what came of it.
pub fn both(work: impl Fn(&Yard)) {
    let mut seen = Vec::new();
    for over_link in [false, true] {
        let Some(yard) = Yard::new(over_link) else { return };
        work(&yard);
        seen.push((yard.diff(), yard.kept()));
    }
    let [by_copy, by_link] = seen.as_slice() else {
        panic!("two ways")
    };
    assert!(by_copy.1.len() > 3, "something was changed");
    assert_eq!(by_copy.1, by_link.1);
    assert_eq!(without_times(&by_copy.0), without_times(&by_link.0));
}

/// Of two runs no two times are the same.
fn without_times(told: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(told).expect("JSON");
    strip(&mut value);
    value.to_string()
}

fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("stamp");
            fields.values_mut().for_each(strip);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(strip),
        _ => {}
    }
}

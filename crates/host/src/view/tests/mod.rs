//! Views of small hosts made of temporary directories, and of this host.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first surprise, helpers included"
)]

mod git;
mod path;
mod real_host;
mod rules;
mod workspaces;

use std::path::{Path, PathBuf};

use stockade_domain::policy::{HostDefaults, Layer, Layers, Policy, parse};
use stockade_domain::view::{Access, Content};

use super::{Compiled, Context, Identity, Note, ViewError, Who, compile};

/// A home directory and a project of which the test knows every file.
struct Host {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let host = Self {
            directory,
            variables: Vec::new(),
        };
        host.make("home/project/src/");
        host
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join(inside)
    }

    fn home(&self, inside: &str) -> PathBuf {
        self.path("home").join(inside)
    }

    /// Makes a directory (`x/`), a file (`x`) or a symlink (`x -> target`).
    fn make(&self, what: &str) -> &Self {
        let (name, target) = what
            .split_once(" -> ")
            .map_or((what, None), |(name, target)| (name, Some(target)));
        let path = self.path(name);
        let directory = name.ends_with('/');
        std::fs::create_dir_all(if directory {
            &path
        } else {
            path.parent().expect("a parent")
        })
        .expect("mkdir");
        match target {
            Some(target) => std::os::unix::fs::symlink(target, &path).expect("symlink"),
            None if directory => {}
            None => std::fs::write(&path, "content").expect("write"),
        }
        self
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    fn search_path(&mut self, directories: &[&str]) {
        let home = self.path("home");
        let own = directories
            .iter()
            .map(|directory| home.join(directory).display().to_string());
        let all: Vec<String> = own.chain(["/usr/bin".to_owned()]).collect();
        self.set("PATH", all.join(":"));
    }

    fn context(&self) -> Context {
        let mut variables = vec![("HOME".to_owned(), self.path("home").display().to_string())];
        variables.extend(self.variables.clone());
        Context {
            cwd: self.home("project/src"),
            variables,
            state_dir: Some(self.home(".local/state/stockade")),
            program: None,
            policy_files: Vec::new(),
        }
    }

    fn compile_from(&self, cwd: &Path, policy: &str) -> Result<Compiled, ViewError> {
        compile(
            &read(policy),
            &Context {
                cwd: cwd.to_path_buf(),
                ..self.context()
            },
            WHO,
        )
    }

    fn compile(&self, policy: &str) -> Compiled {
        compile(&read(policy), &self.context(), WHO).expect(policy)
    }

    fn refuse(&self, policy: &str) -> String {
        match compile(&read(policy), &self.context(), WHO) {
            Ok(_) => panic!("not refused: {policy}"),
            Err(error) => error.to_string(),
        }
    }
}

/// Who the workload is, where a test does not care.
const WHO: Who<'_> = &|_| Ok(Identity { uid: 1000, gid: 1000 });

fn read(policy: &str) -> Policy {
    let file = parse(&format!("version = 1\n{policy}"), "stockade.toml").expect(policy);
    Policy::layered(
        Policy::defaults(&HostDefaults {
            memory_bytes: 1 << 30,
            processors: 4,
        }),
        &Layers::of_command_line(Some(file), Layer::default()),
    )
    .expect(policy)
}

/// What stands at a path of a view.
fn at<'v>(compiled: &'v Compiled, path: &Path) -> Option<&'v Content> {
    compiled
        .view
        .entries
        .iter()
        .find(|entry| entry.at == path)
        .map(|entry| &entry.what)
}

fn is_host(compiled: &Compiled, path: &Path, wanted: Access) -> bool {
    matches!(at(compiled, path), Some(Content::Host { access, source, .. }) if *access == wanted && source == path)
}

/// Covered because of what it may hold, and told.
fn is_covered(compiled: &Compiled, path: &Path) -> bool {
    is_hidden(compiled, path)
        && compiled.notes.contains(&Note::Covered {
            path: path.to_path_buf(),
        })
}

fn is_hidden(compiled: &Compiled, path: &Path) -> bool {
    match at(compiled, path) {
        Some(Content::Private {
            size_bytes: Some(_), ..
        }) => true,
        Some(Content::File { content }) => content.is_empty(),
        _ => false,
    }
}

/// Parents come before children and no path stands twice: what every driver relies on.
fn check_order(compiled: &Compiled) {
    let entries = &compiled.view.entries;
    for (index, entry) in entries.iter().enumerate() {
        for later in &entries[index + 1..] {
            assert!(
                !entry.at.starts_with(&later.at),
                "{} after {}",
                later.at.display(),
                entry.at.display()
            );
        }
    }
}

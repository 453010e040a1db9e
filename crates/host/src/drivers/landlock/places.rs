//! Where a sandbox without a root of its own has what is private to it.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use stockade_domain::Spec;
use stockade_domain::view::{ASKS, Access, Content};
use stockade_linux::ops::{Canary, Moved, Way};
use stockade_workspace::replica::COPY;

use crate::driver::Carried;
use crate::error::{Error, Result};

/// Directories of the view that are private, and the one that stands for them.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The directories of one sandbox.
pub(super) struct Places {
    /// Holds the others. In no rule.
    jail: PathBuf,
    home: PathBuf,
    temporary: PathBuf,
    /// Where commands ask for checkpoints, if they may.
    asks: Option<PathBuf>,
    /// Readable: shows that it cannot be written.
    shown: PathBuf,
    /// The copy of the workspace, where there is one.
    pub copy: Option<PathBuf>,
    source: Option<PathBuf>,
    home_outside: PathBuf,
}

impl Places {
    pub(super) fn new(state: &Path, changes: Option<&Path>, spec: &Spec) -> Self {
        let jail = state.join("jail");
        let workspace = spec
            .workspace
            .as_ref()
            .filter(|workspace| workspace.mode.keeps_apart());
        Self {
            home: jail.join("home"),
            temporary: jail.join("tmp"),
            asks: spec.checkpoints_from_inside.then(|| jail.join("asks")),
            shown: jail.join("shown"),
            copy: workspace.and(changes).map(|changes| changes.join(COPY)),
            source: workspace.map(|workspace| workspace.source.clone()),
            home_outside: spec.home.clone(),
            jail,
        }
    }

    /// The workspace is sent in, to where the copy on this host is out of reach.
    pub(super) fn over_link(mut self) -> Self {
        if let Some(copy) = &mut self.copy {
            *copy = self.jail.join("workspace");
        }
        self
    }

    /// The workspace, if it is sent in.
    pub(super) fn carried(&self) -> Option<Carried> {
        let (inside, room) = (self.source.clone()?, self.copy.clone()?);
        room.starts_with(&self.jail).then_some(Carried {
            inside,
            room: Some(room),
        })
    }

    /// Makes all but the copy.
    pub(super) fn make(&self, spec: &Spec) -> Result<()> {
        let failed = |path: &Path, error| Error::state("create", path, error);
        let own = [&self.jail, &self.home, &self.temporary, &self.shown];
        let empty = self.copy.iter().filter(|copy| copy.starts_with(&self.jail));
        for path in own.into_iter().chain(&self.asks).chain(empty) {
            DirBuilder::new()
                .mode(0o700)
                .create(path)
                .map_err(|error| failed(path, error))?;
        }
        for directory in [&self.jail, &self.shown] {
            let path = directory.join("canary");
            write_new(&path, b"stockade\n").map_err(|error| failed(&path, error))?;
        }
        for (path, content) in self.files_of_home(spec) {
            if let Some(parent) = path.parent() {
                DirBuilder::new()
                    .mode(0o700)
                    .recursive(true)
                    .create(parent)
                    .map_err(|error| failed(parent, error))?;
            }
            write_new(&path, content).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Files that the view puts into the home; those that stand over a shown tree are closed in it.
    fn files_of_home<'s>(&self, spec: &'s Spec) -> Vec<(PathBuf, &'s [u8])> {
        let entries = &spec.view.entries;
        let shown = |path: &Path| {
            entries
                .iter()
                .any(|entry| matches!(entry.what, Content::Host { .. }) && path.starts_with(&entry.at))
        };
        let files = entries.iter().filter_map(|entry| match &entry.what {
            Content::File { content } if !shown(&entry.at) => {
                let below = entry.at.strip_prefix(&self.home_outside).ok()?;
                Some((self.home.join(below), content.as_slice()))
            }
            _ => None,
        });
        files.collect()
    }

    /// Can be read and written.
    pub(super) fn writable(&self) -> Vec<PathBuf> {
        let mut all = vec![self.home.clone(), self.temporary.clone()];
        all.extend(self.copy.clone());
        all.extend(self.asks.clone());
        all
    }

    /// Can be read.
    pub(super) fn readable(&self) -> PathBuf {
        self.shown.clone()
    }

    /// A file in no rule.
    pub(super) fn canary(&self) -> PathBuf {
        self.jail.join("canary")
    }

    /// What can be used without the walls and must not be with them. Those of the host are left
    /// out where they cannot be used anyway: a control that fails would show nothing.
    pub(super) fn canaries(&self, spec: &Spec) -> Vec<Canary> {
        let canary = |way, path: PathBuf| Canary { way, path };
        let shown = self.shown.join("canary");
        let mut all = vec![
            canary(Way::Read, self.canary()),
            canary(Way::Write, self.canary()),
            canary(Way::Truncate, self.canary()),
            canary(Way::List, self.jail.clone()),
            canary(Way::Create, self.jail.clone()),
            canary(Way::Write, shown.clone()),
            canary(Way::Truncate, shown),
            canary(Way::Create, self.shown.clone()),
            canary(Way::Read, "/proc/self/stat".into()),
            canary(Way::Write, "/proc/self/comm".into()),
            canary(Way::List, "/dev/pts".into()),
            canary(Way::List, "/proc".into()),
        ];
        for path in std::iter::once(&self.home_outside).chain(&self.source) {
            if !is_shown(spec, path) && fs::read_dir(path).is_ok() {
                all.push(canary(Way::List, path.clone()));
            }
        }
        all
    }

    /// What the host calls by other names.
    pub(super) fn moved(&self, spec: &Spec) -> Vec<Moved> {
        let moved = |from: &Path, to: &Path| Moved {
            from: from.into(),
            to: to.into(),
        };
        let mut all = vec![moved(&self.home_outside, &self.home)];
        all.extend(TEMPORARY.map(|from| moved(Path::new(from), &self.temporary)));
        all.extend(self.asks.as_ref().map(|asks| moved(Path::new(ASKS), asks)));
        if let (Some(source), Some(copy)) = (&self.source, &self.copy) {
            all.push(moved(source, copy));
        }
        // What is shown below a moved place stays where it is, and so does what is private to the sandbox: the
        // state directory may lie below /tmp.
        all.extend(self.writable().iter().map(|own| moved(own, own)));
        let hosts = spec.view.entries.iter().filter(|entry| match &entry.what {
            Content::Host { .. } => true,
            Content::Workspace => self.copy.is_none(),
            _ => false,
        });
        all.extend(hosts.map(|entry| moved(&entry.at, &entry.at)));
        all
    }
}

/// Whether the view shows a directory of the host, or part of what it holds by listing it.
fn is_shown(spec: &Spec, path: &Path) -> bool {
    spec.view.entries.iter().any(|entry| match &entry.what {
        Content::Host { access, .. } => {
            path.starts_with(&entry.at) || (entry.at.starts_with(path) && *access == Access::ReadWrite)
        }
        Content::Workspace => {
            let copied = spec
                .workspace
                .as_ref()
                .is_some_and(|workspace| workspace.mode.keeps_apart());
            !copied && path.starts_with(&entry.at)
        }
        _ => false,
    })
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

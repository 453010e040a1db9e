//! From the file view to a root directory.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use stockade_domain::Spec;
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{Access, Content, ViewEntry};
use stockade_workspace::replica::{COPY, LIST, Owner};

use super::places::{CANARY, OWN, SHOWN, in_workspace, is_open};
use super::pool::{Lent, Pool};
use super::pulse::{Budget, Pulse};
use super::root::{Ids, Root, with_ids};
use super::seal::seal;
use super::{NAME, devices, tree};
use crate::driver::Seed;
use crate::error::{Error, Result};
use crate::local::jail::workspace;

/// Whom what in a root belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    /// The workload on the host.
    pub workload: Ids,
    /// Somebody that the workload is not and nobody else is.
    pub others: Ids,
    /// The workload as the view tells of it.
    pub told: Ids,
}

/// A root that stands.
pub(super) struct Built {
    pub pool: Pool,
    /// Trees that go back.
    pub lent: Vec<Lent>,
}

/// Refuses what no root without mounts can have.
///
/// # Errors
/// The first such thing, with the way out.
pub(super) fn refuse(spec: &Spec) -> Result<()> {
    let written = spec.view.entries.iter().find(|entry| match &entry.what {
        Content::Host { access, .. } => *access == Access::ReadWrite,
        _ => false,
    });
    let in_place = spec
        .workspace
        .as_ref()
        .is_some_and(|workspace| workspace.mode.writes_through());
    let (step, cause, remedy) = if let Some(entry) = written {
        (
            format!("show {} for writing", entry.at.display()),
            "without mounts the sandbox has copies, not the host's own files",
            "work on it as the workspace and take the changes over with `stockade apply`, or use driver native",
        )
    } else if in_place {
        (
            "show the workspace for writing in place".to_owned(),
            "without mounts the sandbox has a copy, not the host's own files",
            "use --workspace-mode cow and `stockade apply`, or use driver native",
        )
    } else if spec.nested_namespaces {
        (
            "leave namespaces to the command".to_owned(),
            "the kernel makes no user namespaces below a changed root",
            "use driver native",
        )
    } else {
        return Ok(());
    };
    Err(Error::Create {
        driver: NAME.to_owned(),
        step,
        cause: cause.to_owned(),
        remedy: Some(remedy.to_owned()),
    })
}

/// What is done for a view, in words, for `--dry-run`.
pub(super) fn describe(spec: &Spec) -> Vec<String> {
    let line = |entry: &ViewEntry| {
        let at = entry.at.display();
        match &entry.what {
            _ if in_workspace(spec, &entry.at) => None,
            Content::Host { .. } => Some(format!("bring {at} into the root")),
            Content::Cache { .. } => Some(format!("private {at} for a cache")),
            Content::Private { mode, .. } => Some(format!("private {at} mode {mode:o}")),
            Content::File { content } => Some(format!("file {at} ({} bytes)", content.len())),
            Content::Symlink { target } => Some(format!("symlink {at} -> {}", target.display())),
            Content::Proc => Some(format!("empty {at}")),
            Content::Devices => Some(format!("six device nodes in {at}")),
            Content::Workspace => Some(format!("copy the workspace to {at}")),
        }
    };
    let mut lines = vec!["make an empty root directory".to_owned()];
    lines.extend(spec.view.entries.iter().filter_map(line));
    lines
}

/// Builds a root.
///
/// # Errors
/// What cannot be made, a bound that is reached, or the end of the caller's patience.
/// What it was handed goes back then. `landlock` says that linked files cannot be written, whatever the host
/// does with their modes.
pub(super) async fn build(spec: &Spec, path: &Path, who: Who, seed: &Seed, landlock: bool) -> Result<Built> {
    let own = seed.state_dir.join("trees");
    let mut building = Building {
        spec,
        who,
        seed,
        root: Root::make(path)?,
        pool: Pool::new(seed.trees_dir.as_deref(), own, !landlock)?,
        lent: Vec::new(),
        budget: Budget::default(),
        pulse: Pulse::new(seed),
    };
    let stands = building.all().await;
    let built = Built {
        pool: building.pool,
        lent: building.lent,
    };
    match stands {
        Ok(()) => Ok(built),
        Err(error) => {
            // Nothing of a sandbox ever ran in it.
            built.pool.give_back(path, built.lent);
            Err(error)
        }
    }
}

struct Building<'a> {
    spec: &'a Spec,
    who: Who,
    seed: &'a Seed,
    root: Root,
    pool: Pool,
    lent: Vec<Lent>,
    budget: Budget,
    pulse: Pulse<'a>,
}

impl Building<'_> {
    async fn all(&mut self) -> Result<()> {
        for entry in &self.spec.view.entries {
            if !in_workspace(self.spec, &entry.at) {
                self.entry(entry).await?;
            }
        }
        self.canaries()
    }

    async fn entry(&mut self, entry: &ViewEntry) -> Result<()> {
        let at = entry.at.as_path();
        match &entry.what {
            Content::Host {
                source,
                directory: true,
                ..
            } => self.tree(at, source).await,
            Content::Host { source, .. } => {
                let (parent, name) = self.root.parent(at)?;
                tree::bring_file(source, (&parent, name), &mut self.budget, &self.pulse)
            }
            Content::Cache { .. } => self.private(at, 0o755),
            Content::Private { mode, .. } => self.private(at, *mode),
            Content::File { content } => {
                let content = with_ids(at, content, self.who.told, self.who.workload);
                self.root.file(at, &content, 0o444, (0, 0))
            }
            Content::Symlink { target } => self.root.link(at, target),
            Content::Proc => self.root.directory(at, 0o555, None).map(drop),
            Content::Devices => devices::make(&self.root, self.who.workload),
            Content::Workspace => self.workspace(at),
        }
    }

    fn private(&self, at: &Path, mode: u32) -> Result<()> {
        let owner = is_open(mode).then_some(self.who.workload);
        self.root.directory(at, mode, owner).map(drop)
    }

    /// A tree with nothing of the sandbox's own in it may be one that an earlier sandbox had.
    async fn tree(&mut self, at: &Path, source: &Path) -> Result<()> {
        let leave_out = self.leave_out(at);
        let (parent, _) = self.root.parent(at)?;
        if leave_out.is_empty()
            && let Some(lent) = self.pool.take(source, (&parent, at), &self.pulse)
        {
            self.lent.push(lent);
            return Ok(());
        }
        let to = self.root.directory(at, 0o755, None)?;
        let order = tree::Order {
            source,
            to: &to,
            leave_out: &leave_out,
        };
        let marks = tree::bring(&order, &mut self.budget, &mut self.pulse).await?;
        if leave_out.is_empty() {
            self.lent.extend(self.pool.note(source, (&parent, at), &marks));
        }
        Ok(())
    }

    /// What else stands below a place, relative to it.
    fn leave_out(&self, at: &Path) -> BTreeSet<PathBuf> {
        let others = self.spec.view.entries.iter().map(|entry| entry.at.as_path());
        others
            .filter_map(|other| other.strip_prefix(at).ok())
            .filter(|below| !below.as_os_str().is_empty())
            .map(Path::to_path_buf)
            .collect()
    }

    /// The copy stands in the root; the change set has a link that leads there.
    fn workspace(&mut self, at: &Path) -> Result<()> {
        let Some(workspace) = &self.spec.workspace else {
            return Ok(());
        };
        self.root.parent(at)?;
        let copy = self.root.on_host(at);
        let list = match (workspace.mode, &self.seed.changes_dir) {
            (WorkspaceMode::Cow | WorkspaceMode::Copy, Some(changes)) => {
                let link = changes.join(COPY);
                symlink(&copy, &link).map_err(|error| Error::state("create", &link, error))?;
                changes.join(LIST)
            }
            _ => self.seed.state_dir.join(LIST),
        };
        let owner = Owner {
            workload: self.who.workload,
            others: self.who.others,
        };
        workspace::make(self.spec, workspace, self.seed, copy.clone(), list, Some(owner))?;
        if workspace.mode == WorkspaceMode::Ro {
            seal(&copy, self.who.workload).map_err(|(path, error)| Error::state("seal", path, error))?;
        }
        Ok(())
    }

    /// For Landlock's self-test.
    fn canaries(&self) -> Result<()> {
        let owner = self.who.workload;
        for directory in [OWN, SHOWN] {
            let directory = Path::new(directory);
            self.root.directory(directory, 0o700, Some(owner))?;
            self.root
                .file(&directory.join(CANARY), b"stockade\n", 0o600, owner)?;
        }
        Ok(())
    }
}

//! Where things are in a sandbox with a root of its own: at the paths that the view says.

use std::path::{Path, PathBuf};

use stockade_domain::Spec;
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{Content, ViewEntry};
use stockade_linux::jail::Rules;
use stockade_linux::ops::{Canary, Way};

use super::devices::NODES;
use super::root::on_host;

/// Ours, in every root: what Landlock's rules leave out.
pub(super) const OWN: &str = "/.stockade";
/// What they show and do not let be written.
pub(super) const SHOWN: &str = "/.stockade/shown";
/// A file in each of them.
pub(super) const CANARY: &str = "canary";

/// Permission bits of which a private directory has one, unless it only covers something.
const WRITES: u32 = 0o222;

/// Whether the workload may write in a private directory.
pub(super) fn is_open(mode: u32) -> bool {
    mode & WRITES != 0
}

/// What the workload may write.
pub(super) fn writable(spec: &Spec) -> Vec<PathBuf> {
    let writes = |entry: &&ViewEntry| match &entry.what {
        Content::Private { mode, .. } => is_open(*mode) && !in_workspace(spec, &entry.at),
        Content::Cache { .. } => !in_workspace(spec, &entry.at),
        Content::Workspace => is_copied(spec),
        Content::Host { .. }
        | Content::File { .. }
        | Content::Symlink { .. }
        | Content::Proc
        | Content::Devices => false,
    };
    spec.view
        .entries
        .iter()
        .filter(writes)
        .map(|entry| entry.at.clone())
        .collect()
}

/// What Landlock lets through. A root that was built is asked what there is.
pub(super) fn rules(spec: &Spec, root: Option<&Path>) -> Rules {
    let mut read: Vec<PathBuf> = Vec::new();
    for entry in &spec.view.entries {
        let is_there = root.is_none_or(|root| {
            on_host(root, &entry.at)
                .symlink_metadata()
                .is_ok_and(|seen| !seen.is_symlink())
        });
        let is_shown = !matches!(entry.what, Content::Symlink { .. } | Content::Proc);
        if is_there && is_shown && !read.iter().any(|covered| entry.at.starts_with(covered)) {
            read.push(entry.at.clone());
        }
    }
    read.push(SHOWN.into());
    let mut write = writable(spec);
    if spec
        .view
        .entries
        .iter()
        .any(|entry| entry.what == Content::Devices)
    {
        write.push("/dev/shm".into());
        write.extend(NODES.map(|(name, _)| Path::new("/dev").join(name)));
    }
    Rules {
        list: vec!["/".into()],
        read,
        write,
        canary: Path::new(OWN).join(CANARY),
    }
}

/// What can be used before Landlock stands, and not after. All of it is the workload's own.
pub(super) fn canaries() -> Vec<Canary> {
    let canary = |way, path: PathBuf| Canary { way, path };
    let (secret, shown) = (Path::new(OWN).join(CANARY), Path::new(SHOWN).join(CANARY));
    vec![
        canary(Way::Read, secret.clone()),
        canary(Way::Write, secret.clone()),
        canary(Way::Truncate, secret),
        canary(Way::Create, OWN.into()),
        canary(Way::Write, shown.clone()),
        canary(Way::Truncate, shown),
        canary(Way::Create, SHOWN.into()),
    ]
}

/// Whether something stands below the workspace: there the copy says what there is.
pub(super) fn in_workspace(spec: &Spec, at: &Path) -> bool {
    let workspace = spec
        .workspace
        .as_ref()
        .filter(|workspace| workspace.mode != WorkspaceMode::None);
    workspace.is_some_and(|workspace| at != workspace.source && at.starts_with(&workspace.source))
}

/// Whether changes in the workspace are kept apart.
pub(super) fn is_copied(spec: &Spec) -> bool {
    let workspace = spec.workspace.as_ref();
    workspace.is_some_and(|workspace| workspace.mode.keeps_apart())
}

//! From the file view to Landlock's rules. They only ever add: what is covered in a shown tree is
//! left out by naming its neighbours.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use stockade_domain::Spec;
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{Access, Content, ViewEntry};
use stockade_linux::compile::CPU_TOPOLOGY;
use stockade_linux::jail::Rules;

use super::NAME;
use super::places::Places;
use crate::error::{Error, Result};

/// Most rules: each costs some microseconds at every start.
const MAX_RULES: usize = 4_096;

/// Files of /proc that tell how to use the machine. There is no rule for all of /proc: it would
/// show every process of the host.
pub(super) const PROC: [&str; 12] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/random/uuid",
    "/proc/sys/vm/overcommit_memory",
];

/// Device nodes that are harmless to everybody.
pub(super) const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// The rules of a view.
///
/// # Errors
/// What the view has and rules cannot give.
pub(super) fn rules(spec: &Spec, places: &Places) -> Result<Rules> {
    if spec.image.is_some() {
        return Err(refuse(
            "use an image as the root directory",
            "there is no root directory of its own",
            "use driver native for --image",
        ));
    }
    let mut rules = Rules {
        canary: places.canary(),
        read: vec![places.readable()],
        write: places.writable(),
        list: Vec::new(),
    };
    for entry in &spec.view.entries {
        match &entry.what {
            Content::Host { access, .. } => add(&mut rules, spec, entry, *access)?,
            Content::Workspace => match spec.workspace.as_ref().map(|workspace| workspace.mode) {
                Some(WorkspaceMode::Ro) => add(&mut rules, spec, entry, Access::ReadOnly)?,
                Some(WorkspaceMode::Rw | WorkspaceMode::Live) => {
                    add(&mut rules, spec, entry, Access::ReadWrite)?
                }
                Some(WorkspaceMode::Cow | WorkspaceMode::Copy | WorkspaceMode::None) | None => {}
            },
            Content::Proc => rules.read.extend(existing(&PROC)),
            Content::Devices => rules.write.extend(existing(&DEVICES)),
            // Private places are elsewhere, links stand on the host, and what a file would
            // say instead of the host's is left out with it.
            // A cache that cannot lie over the host's is empty, in the private home.
            Content::Private { .. }
            | Content::File { .. }
            | Content::Cache { .. }
            | Content::Symlink { .. } => {}
        }
    }
    rules.read.extend(existing(&[CPU_TOPOLOGY]));
    if rules.list.len() + rules.read.len() + rules.write.len() > MAX_RULES {
        return Err(refuse(
            "make its rules",
            &format!("the view needs more than {MAX_RULES}"),
            "show fewer paths, or directories in which less is hidden",
        ));
    }
    Ok(rules)
}

fn existing<'p>(paths: &'p [&str]) -> impl Iterator<Item = PathBuf> + 'p {
    paths.iter().map(PathBuf::from).filter(|path| path.exists())
}

fn add(rules: &mut Rules, spec: &Spec, entry: &ViewEntry, access: Access) -> Result<()> {
    let covers: Vec<&Path> = spec
        .view
        .entries
        .iter()
        .filter(|other| other.at != entry.at && other.at.starts_with(&entry.at) && is_cover(spec, other))
        .map(|other| other.at.as_path())
        .collect();
    match access {
        Access::ReadOnly => show(rules, &entry.at, &covers),
        Access::ReadWrite if covers.is_empty() => {
            rules.write.push(entry.at.clone());
            Ok(())
        }
        Access::ReadWrite => Err(refuse(
            &format!("make {} writable", entry.at.display()),
            &format!(
                "{} in it is to stay closed or read-only, and rules cannot except it",
                covers
                    .first()
                    .map_or_else(String::new, |path| path.display().to_string())
            ),
            "show parts of it, or use driver native",
        )),
    }
}

/// Something that stands over a part of a shown tree, so that the host's must not be seen.
fn is_cover(spec: &Spec, entry: &ViewEntry) -> bool {
    match &entry.what {
        Content::File { .. } | Content::Private { .. } | Content::Cache { .. } => true,
        Content::Host { access, .. } => *access == Access::ReadOnly,
        Content::Workspace => spec
            .workspace
            .as_ref()
            .is_some_and(|workspace| workspace.mode.keeps_apart()),
        Content::Symlink { .. } | Content::Proc | Content::Devices => false,
    }
}

/// Shows a tree, or all in it that nothing covers.
fn show(rules: &mut Rules, tree: &Path, covers: &[&Path]) -> Result<()> {
    // Looked up for each name in a directory such as /etc: by hash.
    let above: HashSet<&Path> = covers.iter().flat_map(|cover| cover.ancestors()).collect();
    let covers: HashSet<&Path> = covers.iter().copied().collect();
    let below = |path: &Path| above.contains(path);
    let mut pending = vec![tree.to_path_buf()];
    while let Some(path) = pending.pop() {
        if covers.contains(path.as_path()) {
            continue;
        }
        if !below(&path) {
            rules.read.push(path);
            continue;
        }
        let listed = fs::read_dir(&path).map_err(|error| {
            Error::io(
                format!("list {}, in which something is hidden", path.display()),
                error,
            )
        })?;
        for entry in listed {
            let entry = entry.map_err(|error| Error::io(format!("list {}", path.display()), error))?;
            // A link shows nothing by itself.
            if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                pending.push(entry.path());
            }
            if pending.len() + rules.read.len() > MAX_RULES {
                return Err(refuse(
                    &format!("show {} without what is hidden in it", tree.display()),
                    &format!("that needs more than {MAX_RULES} rules"),
                    "show parts of it, or use driver native",
                ));
            }
        }
        rules.list.push(path);
    }
    Ok(())
}

fn refuse(step: &str, cause: &str, remedy: &str) -> Error {
    Error::Create {
        driver: NAME.to_owned(),
        step: step.to_owned(),
        cause: cause.to_owned(),
        remedy: Some(remedy.to_owned()),
    }
}

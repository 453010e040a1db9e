//! The layers of a copy-on-write workspace: the directories of a change set, made ready for
//! the ids of a sandbox.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};

use stockade_domain::Spec;
use stockade_domain::spec::WorkspaceMode;
use stockade_linux::compile;
use stockade_linux::idmap::{Identity, RANGE, first_of_slot, slot_of};

use crate::driver::Seed;
use crate::error::{Error, Result};

/// Makes the layers, owned by the workload's host ids, or takes over those of an earlier
/// sandbox. The upper directory's mode becomes that of the workspace seen inside.
pub(crate) fn prepare(spec: &Spec, seed: &Seed, identity: &Identity) -> Result<()> {
    prepare_caches(spec, seed, identity)?;
    let (Some(workspace), Some(changes)) = (&spec.workspace, &seed.changes_dir) else {
        return Ok(());
    };
    if workspace.mode != WorkspaceMode::Cow {
        return Ok(());
    }
    prepare_one(&workspace.source, changes, identity)
}

/// The layers of every cache of the view.
fn prepare_caches(spec: &Spec, seed: &Seed, identity: &Identity) -> Result<()> {
    let Some(caches) = &seed.caches_dir else {
        return Ok(());
    };
    for source in compile::caches(spec) {
        let kept = caches.join(compile::cache_name(source));
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&kept)
            .map_err(|error| Error::state("prepare", &kept, error))?;
        prepare_one(source, &kept, identity)?;
    }
    Ok(())
}

/// The layers over one directory of the host.
fn prepare_one(source: &Path, changes: &Path, identity: &Identity) -> Result<()> {
    let mode = fs::metadata(source)
        .map_err(|error| Error::io(format!("read {}", source.display()), error))?
        .mode();
    if identity.map.privileged {
        // The guest's ids are not ours: it has to reach the layers, and no more than that.
        fs::set_permissions(changes, fs::Permissions::from_mode(0o711))
            .map_err(|error| Error::state("prepare", changes, error))?;
        take_over(&changes.join("upper"), identity)?;
    }
    for (name, mode) in [("upper", mode & 0o7777), ("work", 0o700)] {
        let path = changes.join(name);
        make(&path, mode, identity).map_err(|error| Error::state("prepare", &path, error))?;
    }
    Ok(())
}

fn make(path: &Path, mode: u32, identity: &Identity) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .mode(mode & 0o777)
        .recursive(true)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if identity.map.privileged {
        chown(path, identity.host_uid(), identity.host_gid())?;
    }
    Ok(())
}

/// Gives the files of an earlier sandbox to this one, where it has another range of ids.
/// Nobody else can reach the tree now, so paths in it stay what they are.
fn take_over(upper: &Path, identity: &Identity) -> Result<()> {
    let Ok(root) = fs::symlink_metadata(upper) else {
        return Ok(()); // there are none
    };
    let (Some(now), Some(former)) = (identity.host_uid().and_then(slot_of), slot_of(root.uid())) else {
        return Ok(()); // new, and owned by root
    };
    if now == former {
        return Ok(());
    }
    let shift = |id: u32| match id.checked_sub(first_of_slot(former)) {
        Some(offset) if offset < RANGE => first_of_slot(now) + offset,
        _ => id,
    };
    let failed = |path: &Path, error| Error::state("take over", path, error);
    let mut pending: Vec<PathBuf> = vec![upper.to_owned()];
    while let Some(path) = pending.pop() {
        let seen = fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
        // The top comes last, when the layer is made: it tells whether all the rest is done.
        if path != upper {
            lchown(&path, Some(shift(seen.uid())), Some(shift(seen.gid())))
                .map_err(|error| failed(&path, error))?;
        }
        if seen.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| failed(&path, error))?;
            for entry in entries {
                pending.push(entry.map_err(|error| failed(&path, error))?.path());
            }
        }
    }
    Ok(())
}

//! Trees of the host that a privileged supervisor opens for the sandbox: its ids mean
//! nothing on the host, so it could not reach them itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stockade_linux::apply::open_tree;
use stockade_linux::compile::{Owned, SourceRequest};
use stockade_linux::idmap::{self, Identity, MapNamespace};

use crate::error::{Error, Result};

/// The open trees, with what ends when they are not needed here any more: that costs time
/// which the guest can use.
pub(super) struct Opened<'a> {
    pub trees: Vec<OwnedFd>,
    _namespaces: Namespaces<'a>,
}

/// Opens every tree, in order, id-mapped where the workload must own it.
pub(super) fn open<'a>(requests: &[SourceRequest], identity: &'a Identity) -> Result<Opened<'a>> {
    let mut namespaces = Namespaces {
        identity,
        made: HashMap::new(),
    };
    let trees = requests
        .iter()
        .map(|request| open_one(request, &mut namespaces))
        .collect::<Result<_>>()?;
    Ok(Opened {
        trees,
        _namespaces: namespaces,
    })
}

fn open_one(request: &SourceRequest, namespaces: &mut Namespaces<'_>) -> Result<OwnedFd> {
    let failed =
        |what: &str, source: std::io::Error| Error::io(format!("{what} {}", request.path.display()), source);
    let tree = open_tree(&request.path, request.null_device).map_err(|(call, source)| {
        failed(
            "open",
            std::io::Error::new(source.kind(), format!("{call}: {source}")),
        )
    })?;
    match request.owned {
        Owned::AsIs | Owned::Already => Ok(tree),
        Owned::ByWorkload => {
            let seen =
                std::fs::metadata(&request.path).map_err(|error| failed("read the owner of", error))?;
            if let Some(namespace) = namespaces.for_owner(seen.uid(), seen.gid())? {
                idmap::apply(&tree, false, namespace).map_err(|error| not_mapped(&request.path, error))?;
            }
            Ok(tree)
        }
    }
}

fn not_mapped(path: &Path, error: std::io::Error) -> Error {
    if error.raw_os_error() != Some(rustix::io::Errno::INVAL.raw_os_error()) {
        return Error::io(format!("id-map the mount of {}", path.display()), error);
    }
    Error::Impossible {
        what: format!("id-map the mount of {}", path.display()),
        why: "this kernel does not do it for its file system, so the sandbox's own ids could not use it"
            .to_owned(),
        remedy: Some(
            "for the workspace: --workspace-mode copy; for another path: leave it out of the policy, or \
             run as its owner, who needs no id-mapped mounts"
                .to_owned(),
        ),
    }
}

/// One user namespace for each owner: making one costs a process.
struct Namespaces<'a> {
    identity: &'a Identity,
    made: HashMap<(u32, u32), MapNamespace>,
}

impl Namespaces<'_> {
    fn for_owner(&mut self, uid: u32, gid: u32) -> Result<Option<&MapNamespace>> {
        let Some(map) = self.identity.mount_map(uid, gid) else {
            return Ok(None);
        };
        match self.made.entry((uid, gid)) {
            Entry::Occupied(made) => Ok(Some(made.into_mut())),
            Entry::Vacant(vacant) => {
                let namespace = map
                    .namespace()
                    .map_err(|error| Error::io("make a user namespace for id-mapped mounts", error))?;
                Ok(Some(vacant.insert(namespace)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_id_maps_has_a_remedy() {
        let errno = |errno: rustix::io::Errno| std::io::Error::from(errno);
        let text = not_mapped(Path::new("/data"), errno(rustix::io::Errno::INVAL)).to_string();
        assert!(
            text.contains("/data") && text.contains("--workspace-mode copy"),
            "{text}"
        );
        let other = not_mapped(Path::new("/data"), errno(rustix::io::Errno::PERM));
        assert!(!other.to_string().contains("fix:"), "{other}");
    }
}

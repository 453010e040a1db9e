//! Whether an overlay can be laid over a workspace: by the kernel's version and the file systems.

use std::path::Path;

use stockade_domain::target::{Fact, HostFacts};

/// Why the workspace has to be copied: what overlay needs and is not there. What a table cannot
/// tell is told by the mount itself, and its error names the mode.
pub(super) fn missing(facts: &HostFacts, workspace: &Path, state: &Path) -> Option<String> {
    let needed = if facts.privileged {
        &facts.idmapped_mounts
    } else {
        &facts.overlay
    };
    if let Fact::No { why, .. } = needed {
        return Some(why.clone());
    }
    if let Some(name) = file_system(state).and_then(|magic| named(magic, &[&REMOTE, &SIMPLE, &LAYERED])) {
        return Some(format!(
            "overlay cannot keep changes on {name}, where the state directory is"
        ));
    }
    let below = file_system(workspace)?;
    if let Some(name) = named(below, &[&SIMPLE]) {
        return Some(format!("overlay cannot lie over {name}, where the workspace is"));
    }
    let name = unmapped(below, facts.kernel).filter(|_| facts.privileged)?;
    Some(format!(
        "{name}, where the workspace is, cannot be id-mapped for the sandbox's own ids"
    ))
}

/// The name of a file system that this kernel does not id-map.
fn unmapped(magic: u32, kernel: (u32, u32)) -> Option<&'static str> {
    let late = MAPPED_LATE.iter().filter(|(_, _, since)| kernel < *since);
    let mut late = late.map(|(number, name, _)| (*number, *name));
    named(magic, &[&REMOTE, &LAYERED, &UNMAPPED]).or_else(|| {
        let found = late.find(|(number, _)| *number == magic);
        found.map(|(_, name)| name)
    })
}

/// File systems by the number that statfs(2) gives them.
type Table = [(u32, &'static str)];

/// No extended attributes, or names without case (`ovl_dentry_weird`).
const SIMPLE: [(u32, &str); 4] = [
    (0x4d44, "FAT"),
    (0x2011_bab0, "exFAT"),
    (0x5346_544e, "NTFS"),
    (0x7366_746e, "NTFS"),
];
/// No whiteouts, no id-mapped mounts.
const REMOTE: [(u32, &str); 5] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
];
/// No id-mapped mounts; FUSE has them only for servers that ask for it (Linux 6.12).
const UNMAPPED: [(u32, &str); 2] = [(0x6573_5546, "FUSE"), (0x8584_58f6, "ramfs")];
/// Id-mapped mounts since this kernel, later than [`HostFacts::idmapped_mounts`] asks for: where
/// `FS_ALLOW_IDMAP` came to the file system.
const MAPPED_LATE: [(u32, &str, (u32, u32)); 2] =
    [(0x0102_1994, "tmpfs", (6, 3)), (0x00c3_6400, "Ceph", (6, 7))];
/// Another overlay, as in a container.
const LAYERED: [(u32, &str); 1] = [(0x794c_7630, "overlayfs")];

fn named(magic: u32, tables: &[&Table]) -> Option<&'static str> {
    let mut all = tables.iter().flat_map(|table| table.iter());
    all.find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// Of the directory, or of the nearest one above where it will be made.
fn file_system(path: &Path) -> Option<u32> {
    let found = path.ancestors().find_map(|path| rustix::fs::statfs(path).ok())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // magic numbers have 32 bits
    let magic = found.f_type as u32;
    Some(magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_hold_an_upper_layer_is_known_by_its_number() {
        let all: [&Table; 3] = [&REMOTE, &SIMPLE, &LAYERED];
        assert_eq!(named(0x794c_7630, &all), Some("overlayfs"));
        assert_eq!(named(0xef53, &all), None, "ext4");
        assert_eq!(named(0x0102_1994, &all), None, "tmpfs");
    }

    #[test]
    fn some_file_systems_are_id_mapped_by_newer_kernels_only() {
        const TMPFS: u32 = 0x0102_1994;
        assert_eq!(unmapped(TMPFS, (6, 1)), Some("tmpfs"));
        assert_eq!(unmapped(TMPFS, (6, 3)), None);
        assert_eq!(unmapped(0x6573_5546, (6, 18)), Some("FUSE"));
        assert_eq!(unmapped(0xef53, (5, 19)), None, "ext4");
    }

    #[test]
    fn a_directory_that_is_yet_to_be_made_is_on_the_file_system_above() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(
            file_system(&here.path().join("no/such")),
            file_system(here.path())
        );
        assert!(file_system(Path::new("/proc")) == Some(0x9fa0));
    }
}

//! /proc/PID/mountinfo: the file view of a process.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::text::{lines, number, os, read_file, unescape};
use super::{Cause, Part};

/// A namespace has at most 100,000 mounts (fs.mount-max); ours has some tens.
const MOUNTINFO_LIMIT_BYTES: usize = 16 << 20;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u32,
    /// The number of the mount that it stands on.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// The directory of the file system that is seen there.
    pub root: PathBuf,
    /// Where it is seen, from the process's root.
    pub point: PathBuf,
    /// Options of the mount: `ro,nosuid,nodev`.
    pub options: OsString,
    /// Propagation: `shared:1`, `master:2`, `unbindable`; empty if private.
    pub propagation: Vec<OsString>,
    /// Type of the file system.
    pub kind: OsString,
    /// What was mounted, as its maker named it.
    pub source: OsString,
    /// Options of the file system.
    pub super_options: OsString,
}

impl Mount {
    /// Whether an option of the mount is set: `ro`, `nosuid`, `nodev`, `noexec`.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options
            .as_encoded_bytes()
            .split(|byte| *byte == b',')
            .any(|set| set == option.as_bytes())
    }

    /// Neither the mount nor its file system can be written through it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        let file_system = self.super_options.as_encoded_bytes();
        self.has("ro") || file_system.split(|byte| *byte == b',').any(|set| set == b"ro")
    }

    /// Mounts here are not seen elsewhere, nor the other way round.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.propagation.is_empty()
    }
}

/// The mount that a path lies on: of several on one point the last one covers the others.
#[must_use]
pub fn covering<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let depth = |mount: &&Mount| mount.point.components().count();
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(depth)
}

/// Reads a mountinfo.
///
/// # Errors
/// A line that has not the form of proc(5).
pub fn parse(content: &[u8]) -> Result<Vec<Mount>, Cause> {
    lines(content)
        .map(|line| mount(line).ok_or(Cause::Malformed("a line of mountinfo")))
        .collect()
}

pub(super) fn read(process: BorrowedFd<'_>) -> Part<Vec<Mount>> {
    parse(&read_file(process, "mountinfo", MOUNTINFO_LIMIT_BYTES)?)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?, 10)?;
    let parent = number(fields.next()?, 10)?;
    let device = device(fields.next()?)?;
    let root = unescape(fields.next()?)?.into();
    let point = PathBuf::from(unescape(fields.next()?)?);
    let options = os(fields.next()?);
    let mut propagation = Vec::new();
    loop {
        match fields.next()? {
            b"-" => break,
            b"" => return None,
            tag => propagation.push(os(tag)),
        }
    }
    let kind = unescape(fields.next()?)?;
    let source = unescape(fields.next()?)?;
    // File systems write their options as they like, some with blanks.
    let mut super_options = unescape(fields.next()?)?;
    for more in fields {
        super_options.push(" ");
        super_options.push(unescape(more)?);
    }
    point.is_absolute().then_some(Mount {
        id,
        parent,
        device,
        root,
        point,
        options,
        propagation,
        kind,
        source,
        super_options,
    })
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    Some((number(&field[..colon], 10)?, number(&field[colon + 1..], 10)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of proc(5).
    #[test]
    fn manual_example() {
        let line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n";
        let mounts = parse(line).unwrap();
        let mount = &mounts[0];
        assert_eq!((mount.id, mount.parent, mount.device), (36, 35, (98, 0)));
        assert_eq!(
            (mount.root.to_str(), mount.point.to_str()),
            (Some("/mnt1"), Some("/mnt2"))
        );
        assert_eq!(
            (mount.kind.to_str(), mount.source.to_str()),
            (Some("ext3"), Some("/dev/root"))
        );
        assert!(mount.has("noatime") && !mount.has("no") && !mount.is_read_only() && !mount.is_private());
    }

    /// Optional fields may be absent or many; a blank in a path does not shift the others.
    #[test]
    fn optional_fields_and_escapes() {
        let none = mount(br"1 2 0:5 / /a\040b ro,nosuid - tmpfs none\134x rw").unwrap();
        assert!(none.is_private() && none.is_read_only());
        assert_eq!(
            (none.point.to_str(), none.source.to_str()),
            (Some("/a b"), Some("none\\x"))
        );
        let many = mount(b"1 2 0:5 / / rw shared:9 master:1 propagate_from:2 unbindable - x y ro").unwrap();
        assert_eq!(many.propagation.len(), 4);
        assert!(many.is_read_only(), "by its file system");
        let empty_source = mount(b"1 2 0:5 / / rw -  tmpfs rw");
        assert!(
            empty_source.is_some_and(|mount| mount.kind.is_empty()),
            "fields may be empty after the dash"
        );
    }

    /// The deepest mount covers a path, the last one of equals.
    #[test]
    fn covering_mount() {
        let line = |id: u32, point: &str| format!("{id} 1 0:5 / {point} rw - tmpfs x rw\n");
        let text: String = [(1, "/"), (2, "/a"), (3, "/a/b"), (4, "/a")]
            .map(|(id, at)| line(id, at))
            .concat();
        let mounts = parse(text.as_bytes()).unwrap();
        let id = |path: &str| covering(&mounts, Path::new(path)).map(|mount| mount.id);
        assert_eq!(
            (id("/x"), id("/a/c"), id("/ab"), id("/a/b/c")),
            (Some(1), Some(4), Some(1), Some(3))
        );
    }

    /// Lines that are cut or wrong are refused.
    #[test]
    fn other_forms_are_refused() {
        let good = "36 35 98:0 /r /m rw - ext3 dev rw";
        let fields: Vec<&str> = good.split(' ').collect();
        for count in 0..fields.len() {
            let cut = fields[..count].join(" ");
            assert!(mount(cut.as_bytes()).is_none(), "{cut}");
        }
        for bad in [
            "x 35 98:0 /r /m rw - e d rw",
            "36 35 98 /r /m rw - e d rw",
            "36 35 98:0 /r m rw - e d rw",
            r"1 2 3:4 / /\9 rw - e d rw",
        ] {
            assert!(mount(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    /// This machine's own view is understood as a whole.
    #[test]
    fn own_mounts() {
        let content = std::fs::read("/proc/self/mountinfo").unwrap();
        let mounts = parse(&content).unwrap();
        assert_eq!(
            mounts.len(),
            content.iter().filter(|byte| **byte == b'\n').count()
        );
        assert!(mounts.iter().any(|mount| mount.point == Path::new("/")));
    }

    proptest! {
        /// Whatever stands there, it is taken or refused.
        #[test]
        fn never_panics(content: Vec<u8>) {
            let _ = parse(&content);
        }

        /// Mounts named by somebody hostile come back as they were named.
        #[test]
        fn names_survive(name in "[ -~\t\n]{1,40}") {
            let escaped: String = name
                .chars()
                .map(|c| if " \t\n\\".contains(c) { format!("\\{:03o}", c as u32) } else { c.to_string() })
                .collect();
            let line = format!("36 35 98:0 / /{escaped} rw - ext3 {escaped} rw");
            let mount = mount(line.as_bytes()).unwrap();
            prop_assert_eq!(mount.source.to_str().unwrap(), &name);
            prop_assert_eq!(mount.point, PathBuf::from(format!("/{name}")));
        }
    }
}

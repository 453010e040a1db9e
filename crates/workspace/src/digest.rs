//! One hash that stands for a whole change set.
//!
//! It is the SHA-256 of a text that anybody can make: a line for each changed path, in the order of the paths'
//! bytes. What is no longer there is `deleted`, a tab and the path. What is there is its kind, its permission bits in
//! octal, the SHA-256 of a file's content or of a link's target (`-` for what has none) and the path, with tabs
//! between. Bytes of a path that are no plain text are escaped as everywhere ([`crate::lossless`]).
//! Times, owners and extended attributes are not in it.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::change::{Change, Entry, NodeKind, lossless};
use crate::error::{Error, Result};
use crate::scan::ScanLimits;
use crate::trees::{Side, Trees};

/// More content is not read: it would take minutes.
const MAX_BYTES: u64 = 16 << 30;
const CHUNK_BYTES: usize = 128 << 10;

/// What a change set is, in one hash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Digest {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Changed paths.
    pub paths: u64,
    /// Bytes of content that were read.
    pub bytes: u64,
}

impl Trees {
    /// The hash of all changes. Nothing may change them meanwhile.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if not all of them can be told or read.
    pub fn digest(&self) -> Result<Digest> {
        let set = self.scan(ScanLimits::LIST)?;
        if set.truncated || !set.unread.is_empty() {
            return Err(incomplete("there are too many, or some cannot be read"));
        }
        let mut changes: Vec<&Change> = set.changes.iter().collect();
        changes.sort_by_key(|change| change.path.as_os_str().as_bytes());
        let (mut text, mut bytes) = (Sha256::new(), 0);
        for change in &changes {
            text.update(self.line(change, &mut bytes)?);
        }
        Ok(Digest {
            sha256: hex(text),
            paths: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            bytes,
        })
    }

    fn line(&self, change: &Change, bytes: &mut u64) -> Result<String> {
        let path = lossless(change.path.as_os_str());
        let Some(after) = &change.after else {
            return Ok(format!("deleted\t{path}\n"));
        };
        let (kind, content) = match after.node {
            NodeKind::File => ("file", self.hash_content(&change.path, after, bytes)?),
            NodeKind::Directory => ("directory", "-".to_owned()),
            NodeKind::Symlink => {
                let target = self.link(Side::After, &change.path)?;
                (
                    "link",
                    hex(Sha256::new().chain_update(target.as_os_str().as_bytes())),
                )
            }
            NodeKind::Special => ("special", "-".to_owned()),
            NodeKind::Unknown => return Err(incomplete(&format!("{path} cannot be looked at"))),
        };
        Ok(format!("{kind}\t{:o}\t{content}\t{path}\n", after.mode))
    }

    fn hash_content(&self, path: &Path, after: &Entry, bytes: &mut u64) -> Result<String> {
        let failed = |cause| Error::Read {
            path: path.to_owned(),
            cause,
        };
        let mut file = self.file(Side::After, path)?;
        let (mut hash, mut chunk, mut read) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
        loop {
            let count = file.read(&mut chunk).map_err(failed)?;
            let Some(part) = chunk.get(..count).filter(|part| !part.is_empty()) else {
                break;
            };
            hash.update(part);
            read += u64::try_from(count).unwrap_or(u64::MAX);
            if bytes.saturating_add(read) > MAX_BYTES {
                return Err(incomplete("they hold more than 16 GiB"));
            }
        }
        if read != after.bytes {
            return Err(incomplete(&format!("{} is being written", path.display())));
        }
        *bytes += read;
        Ok(hex(hash))
    }
}

fn incomplete(why: &str) -> Error {
    Error::Incomplete { why: why.to_owned() }
}

fn hex(hash: Sha256) -> String {
    let digits = hash.finalize();
    digits.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir(place.path().join("upper")).unwrap();
            fs::create_dir(place.path().join("lower")).unwrap();
            Self(place)
        }

        fn write(&self, name: &str, content: &str) {
            let path = self.0.path().join("upper").join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }

        fn digest(&self) -> Result<Digest> {
            let at = |name: &str| self.0.path().join(name);
            Trees::open(&at("upper"), &at("lower")).unwrap().digest()
        }
    }

    #[test]
    fn it_is_the_hash_of_the_text_that_is_documented() {
        let place = Place::new();
        place.write("b", "two");
        place.write("a", "one");
        symlink("a", place.0.path().join("upper/c")).unwrap();
        let digest = place.digest().unwrap();
        let of = |bytes: &[u8]| hex(Sha256::new().chain_update(bytes));
        let text = format!(
            "file\t644\t{}\ta\nfile\t644\t{}\tb\nlink\t777\t{}\tc\n",
            of(b"one"),
            of(b"two"),
            of(b"a")
        );
        assert_eq!(
            (digest.sha256, digest.paths, digest.bytes),
            (of(text.as_bytes()), 3, 6)
        );
    }

    #[test]
    fn content_modes_and_names_change_it() {
        let place = Place::new();
        place.write("a", "one");
        let first = place.digest().unwrap();
        place.write("a", "two");
        let second = place.digest().unwrap();
        let path = place.0.path().join("upper/a");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let third = place.digest().unwrap();
        fs::rename(&path, path.with_file_name("b")).unwrap();
        let fourth = place.digest().unwrap();
        let all = [first, second, third, fourth].map(|digest| digest.sha256);
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn a_file_that_cannot_be_read_has_no_hash() {
        let place = Place::new();
        symlink("/etc/passwd", place.0.path().join("upper/link")).unwrap();
        assert!(place.digest().is_ok());
        let trees = Trees::open(&place.0.path().join("upper"), &place.0.path().join("lower")).unwrap();
        let mut entry = trees.entry(Side::After, Path::new("link")).unwrap().unwrap();
        entry.node = NodeKind::File;
        assert!(trees.hash_content(Path::new("link"), &entry, &mut 0).is_err());
    }
}

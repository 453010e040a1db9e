//! A review as a patch that `git apply` takes. Git knows files, links and one permission bit;
//! what it cannot say is named.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

use crate::change::{Change, ChangeKind, Entry, NodeKind};
use crate::error::{Error, Result};
use crate::review::{Item, Review};
use crate::text::{Hunk, Line, LineKind, hunks, is_binary};
use crate::trees::{Side, Trees};

/// Larger files are not put into a patch.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes in one line of a binary patch.
const LINE_BYTES: usize = 52;

/// A patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// What `git apply` reads.
    pub bytes: Vec<u8>,
    /// Changes that are not in it, with the reason.
    pub left: Vec<Left>,
}

/// A change that a patch cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The path.
    pub path: PathBuf,
    /// Why, in a clause.
    pub why: &'static str,
}

/// What git keeps of a file.
struct Blob {
    mode: u32,
    content: Vec<u8>,
}

impl Trees {
    /// Writes the changes of a review as a patch.
    ///
    /// # Errors
    /// [`Error::Read`] if a file cannot be read (any more).
    pub fn patch(&self, review: &Review) -> Result<Patch> {
        let mut patch = Patch::default();
        for fold in &review.folded {
            let why = if fold.git {
                "git's own data"
            } else {
                "ignored by git's rules"
            };
            patch.left.push(Left {
                path: fold.path.clone(),
                why,
            });
        }
        // What goes makes room for what comes.
        let goes = |item: &&Item| item.change.after.is_none();
        let items = &review.changes;
        for item in items
            .iter()
            .filter(goes)
            .chain(items.iter().filter(|item| !goes(item)))
        {
            if let Some(why) = unsayable(&item.change) {
                if !why.is_empty() {
                    let path = item.change.path.clone();
                    patch.left.push(Left { path, why });
                }
                continue;
            }
            self.write(&mut patch.bytes, item)?;
        }
        Ok(patch)
    }

    fn write(&self, out: &mut Vec<u8>, item: &Item) -> Result<()> {
        let path = &item.change.path;
        let from = item.renamed.as_ref().map_or(path, |renamed| &renamed.from);
        let before = self.blob(Side::Before, from, item.change.before)?;
        let after = self.blob(Side::After, path, item.change.after)?;
        let is_typed = |blob: &Option<Blob>| blob.as_ref().map(|blob| blob.mode & 0o170_000);
        match (&before, &after) {
            // A link in place of a file is a deletion and an addition.
            (Some(_), Some(_)) if is_typed(&before) != is_typed(&after) => {
                write_file(out, (from, path), before.as_ref(), None, None);
                write_file(out, (path, path), None, after.as_ref(), None);
            }
            _ => {
                let similarity = item.renamed.as_ref().map(|renamed| renamed.similarity);
                write_file(out, (from, path), before.as_ref(), after.as_ref(), similarity);
            }
        }
        Ok(())
    }

    fn blob(&self, side: Side, path: &Path, entry: Option<Entry>) -> Result<Option<Blob>> {
        let Some(entry) = entry else {
            return Ok(None);
        };
        let mode = match entry.node {
            NodeKind::Symlink => 0o120_000,
            NodeKind::File if entry.mode & 0o100 != 0 => 0o100_755,
            NodeKind::File => 0o100_644,
            // What it was is told by other lines of the patch.
            NodeKind::Directory | NodeKind::Special | NodeKind::Unknown => return Ok(None),
        };
        let content = if entry.node == NodeKind::Symlink {
            self.link(side, path)?.as_os_str().as_bytes().to_vec()
        } else {
            if entry.bytes > MAX_FILE_BYTES {
                return Err(Error::Read {
                    path: path.to_owned(),
                    cause: std::io::ErrorKind::FileTooLarge.into(),
                });
            }
            self.content(side, path, MAX_FILE_BYTES)?
        };
        Ok(Some(Blob { mode, content }))
    }
}

/// Why git cannot be told of a change; empty where there is nothing to tell.
fn unsayable(change: &Change) -> Option<&'static str> {
    let is = |entry: Option<Entry>, node| entry.is_some_and(|entry| entry.node == node);
    let has_git = change
        .path
        .components()
        .any(|part| part.as_os_str().eq_ignore_ascii_case(".git"));
    let is_large = |entry: Option<Entry>| entry.is_some_and(|entry| entry.bytes > MAX_FILE_BYTES);
    match change.node() {
        _ if has_git => Some("git refuses paths in .git"),
        NodeKind::Special | NodeKind::Unknown => Some("git keeps no such thing"),
        NodeKind::Directory if change.kind == ChangeKind::Changed => {
            Some("git keeps no permissions of directories")
        }
        // What is in it is told file by file.
        NodeKind::Directory if change.kind != ChangeKind::Replaced => Some(""),
        _ if is_large(change.before) || is_large(change.after) => Some("larger than 64 MiB"),
        NodeKind::File
            if change.modes().is_some_and(|(was, is)| was & 0o100 == is & 0o100)
                && change.content == crate::change::Content::Same =>
        {
            Some("git keeps no permissions but to execute")
        }
        NodeKind::File if change.attributes && change.modes().is_none() => Some("git keeps no attributes"),
        _ if is(change.before, NodeKind::Special) => Some("git keeps no such thing"),
        _ => None,
    }
}

fn write_file(
    out: &mut Vec<u8>,
    (from, to): (&Path, &Path),
    before: Option<&Blob>,
    after: Option<&Blob>,
    similarity: Option<u8>,
) {
    if before.is_none() && after.is_none() {
        return;
    }
    let (a, b) = (quoted(b"a/", from), quoted(b"b/", to));
    line(out, &[b"diff --git ", &a, b" ", &b]);
    match (before, after) {
        (None, Some(after)) => line(out, &[format!("new file mode {:o}", after.mode).as_bytes()]),
        (Some(before), None) => line(out, &[format!("deleted file mode {:o}", before.mode).as_bytes()]),
        (Some(before), Some(after)) if before.mode != after.mode => {
            line(out, &[format!("old mode {:o}", before.mode).as_bytes()]);
            line(out, &[format!("new mode {:o}", after.mode).as_bytes()]);
        }
        _ => {}
    }
    if let Some(similarity) = similarity {
        line(out, &[format!("similarity index {similarity}%").as_bytes()]);
        line(out, &[b"rename from ", &quoted(b"", from)]);
        line(out, &[b"rename to ", &quoted(b"", to)]);
    }
    let content = |blob: Option<&Blob>| blob.map_or(Vec::new(), |blob| blob.content.clone());
    let (was, is) = (content(before), content(after));
    if was == is && before.is_some() == after.is_some() {
        return;
    }
    let mode = match (before, after) {
        (Some(before), Some(after)) if before.mode == after.mode => format!(" {:o}", after.mode),
        _ => String::new(),
    };
    line(
        out,
        &[format!("index {}..{}{mode}", object_id(before), object_id(after)).as_bytes()],
    );
    if is_binary(&was) || is_binary(&is) {
        binary(out, &is);
        return;
    }
    let hunks = hunks(&was, &is);
    if hunks.is_empty() {
        return; // an empty file
    }
    let name = |prefix: &'static [u8], blob: Option<&Blob>, path| match blob {
        Some(_) => with_tab(quoted(prefix, path), path),
        None => b"/dev/null".to_vec(),
    };
    line(out, &[b"--- ", &name(b"a/", before, from)]);
    line(out, &[b"+++ ", &name(b"b/", after, to)]);
    hunks.iter().for_each(|hunk| write_hunk(out, hunk));
}

/// Git ends a name with spaces by a tab, so that nothing is cut off.
fn with_tab(mut name: Vec<u8>, path: &Path) -> Vec<u8> {
    if path.as_os_str().as_bytes().contains(&b' ') && name.first() != Some(&b'"') {
        name.push(b'\t');
    }
    name
}

fn write_hunk(out: &mut Vec<u8>, hunk: &Hunk) {
    line(out, &[hunk_header(hunk).as_bytes()]);
    for Line { kind, bytes } in &hunk.lines {
        out.push(match kind {
            LineKind::Context => b' ',
            LineKind::Removed => b'-',
            LineKind::Added => b'+',
        });
        out.extend_from_slice(bytes);
        if bytes.last() != Some(&b'\n') {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

/// `@@ -1,3 +1,4 @@`. An empty side is numbered by the line before it.
#[must_use]
pub fn hunk_header(hunk: &Hunk) -> String {
    let range = |range: &std::ops::Range<u32>| match range.end - range.start {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        count => format!("{},{count}", range.start + 1),
    };
    format!("@@ -{} +{} @@", range(&hunk.before), range(&hunk.after))
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b'\n');
}

/// Git's name of a content, in a repository with SHA-1.
fn object_id(blob: Option<&Blob>) -> String {
    let Some(blob) = blob else {
        return "0".repeat(40);
    };
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", blob.content.len()).as_bytes());
    hash.update(&blob.content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole new content, packed, in git's base 85.
fn binary(out: &mut Vec<u8>, content: &[u8]) {
    const LETTERS: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    line(out, &[b"GIT binary patch"]);
    line(out, &[format!("literal {}", content.len()).as_bytes()]);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let packed = encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    for chunk in packed.chunks(LINE_BYTES) {
        let length = u8::try_from(chunk.len()).unwrap_or(0);
        out.push(match length {
            1..=26 => b'A' + length - 1,
            _ => b'a' + length - 27,
        });
        for group in chunk.chunks(4) {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().zip(group) {
                *to = *from;
            }
            let mut number = u32::from_be_bytes(word);
            let mut letters = [0; 5];
            for letter in letters.iter_mut().rev() {
                *letter = LETTERS[usize::try_from(number % 85).unwrap_or(0)];
                number /= 85;
            }
            out.extend_from_slice(&letters);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// A path as git writes it: in quotes and with escapes where it holds anything but plain
/// printable ASCII.
#[must_use]
pub fn quoted(prefix: &[u8], path: &Path) -> Vec<u8> {
    let name = path.as_os_str().as_bytes();
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
    if name.iter().all(is_plain) {
        return [prefix, name].concat();
    }
    let mut out = vec![b'"'];
    out.extend_from_slice(prefix);
    for byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte if is_plain(byte) => out.push(*byte),
            byte => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out.push(b'"');
    out
}

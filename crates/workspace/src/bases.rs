//! What stood on the host when a sandbox first changed a file there: the base of a merge.
//!
//! A run does not begin with a walk of the project, and an overlay keeps nothing of a file that is
//! changed in it. But as long as the host's file bears an earlier ctime than the start of the run,
//! it is what the run saw. So it is kept, a copy, at the latest when the sandbox has ended. Of a
//! file that the host had changed by then it is noted that its base is not known, and of what is
//! new inside that nothing stood there: whatever the host makes at that path is a conflict.
//!
//! One file a record: a line of JSON, then the content. It appears whole, and the first of a path
//! stays until the path leaves the change set: what is made of it later came from the same base.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::change::{Change, Entry, NodeKind};
use crate::files::random_name;
use crate::journal::{Mark, Pause, VERSION};
use crate::overlay::is_opaque;
use crate::place::Place;
use crate::scan::each_name;
use crate::trees::{Side, Trees};
use crate::write_error::{WriteError, WriteResult};

/// Larger files are not kept, and so not merged.
pub const MAX_MERGE_BYTES: u64 = 1 << 20;
/// Files of one change set that are kept.
const MAX_RECORDS: usize = 2_000;
/// With so many no more is written down of what is new inside: the others need the room.
const MAX_BEFORE_NEW: usize = 1_000;
/// Bytes that one look keeps, or all while a sandbox runs.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// Longest first line: a path of 4,096 bytes, each escaped, and some.
const MAX_HEADER_BYTES: u64 = 32 << 10;
/// The directory for them in a change set's.
pub const BASES: &str = "bases";

/// What is known of one file's base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    version: u32,
    #[serde(with = "crate::name")]
    path: PathBuf,
    /// The ctime of the host's file as the run saw it, seconds and nanoseconds; none if the host
    /// had changed it before anybody looked.
    changed: Option<(i64, u32)>,
    /// Permission bits.
    mode: u32,
    /// The content follows.
    has_content: bool,
    /// Nothing stood there; of a directory, nor anything below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    was_absent: bool,
}

/// What stood on the host when a file was first changed inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// A file.
    File {
        /// Its ctime, if the run is known to have seen it.
        changed: Option<(i64, u32)>,
        /// Its permission bits.
        mode: u32,
    },
    /// Nothing.
    Nothing,
}

/// The bases of a change set that are known.
#[derive(Debug, Default)]
pub struct Bases {
    place: Option<Place>,
    /// Listed once: most files have none.
    names: HashSet<String>,
}

impl Bases {
    /// Those of the set in a directory.
    ///
    /// # Errors
    /// [`WriteError::History`].
    pub fn of(set: &Path) -> WriteResult<Self> {
        let path = set.join(BASES);
        let failed = |cause| WriteError::history("open", &path, cause);
        let place = match Place::open(&path) {
            Ok(place) => place,
            Err(Errno::NOENT) => return Ok(Self::default()),
            Err(cause) => return Err(failed(cause)),
        };
        let mut names = HashSet::new();
        let directory = place.directory(Path::new("")).map_err(failed)?;
        each_name(&directory, |name| {
            names.extend(name.to_str().map(str::to_owned));
            true
        })
        .map_err(failed)?;
        let place = Some(place);
        Ok(Self { place, names })
    }

    /// What is known of a path. What cannot be read is not known.
    pub(crate) fn get(&self, path: &Path) -> Option<Base> {
        let of_itself = self.record(path).map(|(header, _)| header.base());
        of_itself.or_else(|| {
            let mut above = path.ancestors().skip(1);
            let mut found = above.find_map(|above| Some(self.record(above)?.0.base()));
            found.take_if(|base| *base == Base::Nothing)
        })
    }

    /// The content of a path's base, if it was kept; of nothing, none at all.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        if self.get(path)? == Base::Nothing {
            return Some(content);
        }
        let (header, rest) = self.record(path)?;
        header.changed.filter(|_| header.has_content)?;
        rest.take(MAX_MERGE_BYTES + 1).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// The record of a path that leaves the change set: its name and what it is.
    pub(crate) fn leaving(&self, path: &Path) -> Option<(PathBuf, Mark)> {
        let name = PathBuf::from(name_of(path));
        let stat = self.place.as_ref()?.stat(&name).ok()??;
        Some((name, Mark::of(&stat)))
    }

    fn record(&self, path: &Path) -> Option<(Header, BufReader<File>)> {
        let place = self.place.as_ref().filter(|_| !self.names.is_empty())?;
        let name = Some(name_of(path)).filter(|name| self.names.contains(name))?;
        read(place, &name).filter(|(header, _)| header.path == path)
    }
}

impl Header {
    fn base(&self) -> Base {
        if self.was_absent {
            return Base::Nothing;
        }
        Base::File {
            changed: self.changed,
            mode: self.mode,
        }
    }
}

fn read(place: &Place, name: &str) -> Option<(Header, BufReader<File>)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(place.root(), name, flags, Mode::empty()).ok()?;
    let mut rest = BufReader::new(File::from(file));
    let mut line = Vec::new();
    (&mut rest)
        .take(MAX_HEADER_BYTES)
        .read_until(b'\n', &mut line)
        .ok()?;
    let header: Header = serde_json::from_slice(&line).ok()?;
    (header.version <= VERSION).then_some((header, rest))
}

/// A name for any path: it may be longer than a name, and a file may stand where a directory was.
fn name_of(path: &Path) -> String {
    let digest = Sha1::digest(path.as_os_str().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What may still be kept, in bytes, by looks that belong together.
#[derive(Debug)]
pub struct Room(u64);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_KEPT_BYTES)
    }
}

/// Keeps the bases of changes of which none is known yet. `seen` gives the ctime that a file of the
/// host counts as having, if it is what the sandbox saw. May run in several threads at once, and be ended at any
/// moment.
///
/// # Errors
/// [`WriteError::History`] if the directory cannot be used, for example because the disk is full.
pub(crate) fn keep<'a>(
    set: &Path,
    trees: &Trees,
    changes: impl Iterator<Item = &'a Change> + Clone,
    seen: impl Fn(&Change, &Entry) -> Option<(i64, u32)>,
    room: &mut Room,
    pause: Pause<'_>,
) -> WriteResult {
    let path = set.join(BASES);
    let failed = |cause: Errno| WriteError::history("write", &path, cause);
    let mut place = None;
    let mut records = 0;
    let Room(left) = room;
    let changes = changes.filter(|change| !is_of_git(&change.path));
    let files = changes.clone().filter(|change| is_file(change.before));
    for change in files.chain(outermost_new(changes)) {
        let place = match &place {
            Some(place) => place,
            None => {
                let opened = open(set).map_err(failed)?;
                records = count(&opened).map_err(failed)?;
                place.insert(opened)
            }
        };
        let most = if change.before.is_some() {
            MAX_RECORDS
        } else {
            MAX_BEFORE_NEW
        };
        if records >= most {
            return Ok(());
        }
        let name = name_of(&change.path);
        if read(place, &name).is_some() {
            continue;
        }
        let changed = change.before.and_then(|before| seen(change, &before));
        let known = change.before.filter(|_| changed.is_some());
        let content = known.and_then(|before| content(trees, change, &before, *left));
        let bytes = content.as_ref().map_or(0, |content| content.len() as u64);
        *left = left.saturating_sub(bytes);
        let header = Header {
            version: VERSION,
            path: change.path.clone(),
            changed,
            mode: change.before.map_or(0, |before| before.mode),
            has_content: content.is_some(),
            was_absent: change.before.is_none(),
        };
        pause("base");
        let content = content.as_deref().unwrap_or_default();
        write(place, &name, &header, content, pause).map_err(failed)?;
        records += 1;
    }
    Ok(())
}

fn is_file(entry: Option<Entry>) -> bool {
    entry.is_some_and(|entry| entry.node == NodeKind::File)
}

/// What is new inside. A new directory stands for all that is in it.
fn outermost_new<'a>(changes: impl Iterator<Item = &'a Change>) -> impl Iterator<Item = &'a Change> {
    let mut above: Option<&Path> = None;
    changes
        .filter(|change| change.before.is_none())
        .filter(move |change| {
            let is_in_it = above.is_some_and(|above| change.path.starts_with(above));
            if !is_in_it {
                above = Some(&change.path);
            }
            !is_in_it
        })
}

/// Git's own files are not merged as texts.
pub(crate) fn is_of_git(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".git")
}

fn open(set: &Path) -> Result<Place, Errno> {
    let set = Place::open(set)?;
    match rustix::fs::mkdirat(set.root(), BASES, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => set.below(BASES),
        Err(cause) => Err(cause),
    }
}

fn count(place: &Place) -> Result<usize, Errno> {
    let mut count = 0;
    each_name(&place.directory(Path::new(""))?, |_| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// The content of the host's file, if it is small and still what was looked at when it was read.
fn content(trees: &Trees, change: &Change, before: &Entry, left: u64) -> Option<Vec<u8>> {
    if before.bytes > MAX_MERGE_BYTES.min(left) {
        return None;
    }
    exactly(trees, Side::Before, &change.path, before)
}

/// A file's content, if it is what was looked at: ctime is the kernel's.
pub(crate) fn exactly(trees: &Trees, side: Side, path: &Path, entry: &Entry) -> Option<Vec<u8>> {
    let file = trees.file(side, path).ok()?;
    let mut content = Vec::new();
    (&file).take(MAX_MERGE_BYTES + 1).read_to_end(&mut content).ok()?;
    let now = rustix::fs::fstat(&file).ok()?;
    (Mark::of(&now).is_entry(entry) && content.len() as u64 == entry.bytes).then_some(content)
}

fn write(place: &Place, name: &str, header: &Header, content: &[u8], pause: Pause<'_>) -> Result<(), Errno> {
    let draft = format!(".{}", random_name());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let file = rustix::fs::openat(place.root(), &draft, flags, Mode::RUSR | Mode::WUSR)?;
    let mut line = serde_json::to_vec(header).map_err(|_| Errno::INVAL)?;
    line.push(b'\n');
    let mut file = File::from(file);
    pause("base is empty");
    let written = file
        .write_all(&line)
        .and_then(|()| {
            pause("base has no content");
            file.write_all(content)
        })
        .map_err(failed)
        .and_then(|()| {
            pause("base has no name");
            match rustix::fs::renameat_with(place.root(), &draft, place.root(), name, RenameFlags::NOREPLACE)
            {
                // Somebody else was faster.
                Err(Errno::EXIST) => rustix::fs::unlinkat(place.root(), &draft, rustix::fs::AtFlags::empty()),
                // A file system that does not know the flag. Both would say the same.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    rustix::fs::renameat(place.root(), &draft, place.root(), name)
                }
                other => other,
            }
        });
    if written.is_err() {
        let _ = rustix::fs::unlinkat(place.root(), &draft, rustix::fs::AtFlags::empty());
    }
    written
}

/// Forgets the bases of paths that have left the change set: what is made there later has
/// another. Drafts that a killed process left go, too, so nobody else may be writing.
///
/// # Errors
/// [`WriteError::History`].
pub fn forget(set: &Path, upper: &Path) -> WriteResult {
    let Bases {
        place: Some(place), ..
    } = Bases::of(set)?
    else {
        return Ok(());
    };
    let failed = |cause: Errno| WriteError::history("clean", &set.join(BASES), cause);
    let upper = Place::open(upper).ok();
    let mut gone = Vec::new();
    let directory = place.directory(Path::new("")).map_err(failed)?;
    each_name(&directory, |name| {
        let is_draft = name.to_bytes().starts_with(b".");
        let record = name.to_str().ok().filter(|_| !is_draft);
        let known = record.and_then(|name| read(&place, name));
        if !known.is_some_and(|(header, _)| is_there(upper.as_ref(), &header.path)) {
            gone.push(name.to_owned());
        }
        true
    })
    .map_err(failed)?;
    for name in gone {
        match rustix::fs::unlinkat(place.root(), name.as_c_str(), rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    Ok(())
}

/// A path stands in the change set, or something above it there hides it.
fn is_there(upper: Option<&Place>, path: &Path) -> bool {
    let Some(upper) = upper else { return false };
    for above in path.ancestors().take_while(|above| !above.as_os_str().is_empty()) {
        match upper.stat(above) {
            Ok(None) => {}
            Ok(Some(stat)) if above != path && Mark::of(&stat).is_directory() => {
                return upper.directory(above).is_ok_and(is_opaque);
            }
            // Closed by its mode: what is in it is not known.
            Ok(Some(_)) | Err(_) => return true,
        }
    }
    false
}

//! The thread that watches.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use stockade_workspace::lossless;

use super::{
    HostChanges, Inside, LOOKING, MAX_DIRECTORIES, MAX_INSIDE, MAX_LOOKED_AT, NAMED, SKIPPED, Told, Watched,
};

/// A watched directory.
enum Side {
    /// Of the host.
    Host(PathBuf),
    /// Of the sandbox, relative to where it writes.
    Inside(PathBuf),
}

/// Something happened to a name.
enum Seen {
    Host { path: PathBuf, is_new_directory: bool },
    Inside { path: PathBuf, is_new_directory: bool },
}

pub(super) struct Watch<T> {
    stopped: OwnedFd,
    tell: T,
    root: PathBuf,
    directories: HashMap<i32, Side>,
    held: Option<Vec<PathBuf>>,
    inside: Option<InsideWatch>,
    changes: HostChanges,
}

/// Where the sandbox writes, as long as that is watched.
struct InsideWatch {
    what: Inside,
    root: OwnedFd,
    directories: usize,
    looked_at: usize,
}

impl<T: Fn(Told)> Watch<T> {
    pub(super) fn new(stopped: OwnedFd, tell: T) -> Self {
        Self {
            stopped,
            tell,
            root: PathBuf::new(),
            directories: HashMap::new(),
            held: None,
            inside: None,
            changes: HostChanges::default(),
        }
    }

    pub(super) fn run(mut self, watched: Watched) -> HostChanges {
        // The kernel's limits on watches may be used up by others.
        let _ = self.watch(watched);
        if self.held.is_none() && self.changes.count > 1 {
            (self.tell)(Told::Sofar(self.changes.clone()));
            (self.tell)(Told::Count(self.changes.count));
        }
        self.changes
    }

    fn watch(&mut self, watched: Watched) -> Result<(), Errno> {
        let open = || inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let events = match watched {
            Watched::Below { root, inside } => {
                let events = open()?;
                // First: what the host changes before its file is kept has no base.
                self.inside = inside.and_then(InsideWatch::new);
                self.look_inside(&events, Path::new(""));
                self.root = root;
                self.look_around(&events);
                events
            }
            Watched::Held(paths) => {
                let events = open()?;
                for path in &paths {
                    let is_watched = path
                        .parent()
                        .is_some_and(|parent| self.add_host(&events, parent, WatchFlags::empty()));
                    if !is_watched {
                        (self.tell)(Told::Unwatched(path.clone()));
                    }
                }
                self.held = Some(paths);
                events
            }
        };
        loop {
            let (ready, stopped) = self.wait(&events)?;
            if ready {
                self.read(&events)?;
            }
            if stopped {
                return Ok(());
            }
        }
    }

    /// The directories nearest to the top, until there are enough or it takes too long.
    fn look_around(&mut self, events: &OwnedFd) {
        let began = Instant::now();
        let mut pending = VecDeque::from([self.root.clone()]);
        while let Some(directory) = pending.pop_front() {
            let enough = self.directories.len() >= MAX_DIRECTORIES || began.elapsed() >= LOOKING;
            if enough || self.is_stopped(Duration::ZERO) {
                return;
            }
            self.add_host(events, &directory, WatchFlags::CLOSE_WRITE);
            let Ok(entries) = std::fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten().filter(is_worth_a_watch) {
                pending.push_back(entry.path());
            }
        }
    }

    /// The same where the sandbox writes, from a directory on. What lies there already was written before
    /// the watch began, unless it is a copy.
    fn look_inside(&mut self, events: &OwnedFd, from: &Path) {
        let began = Instant::now();
        let mut pending = VecDeque::from([from.to_owned()]);
        let mut found = Vec::new();
        while let Some(path) = pending.pop_front() {
            let is_copy = match &mut self.inside {
                Some(inside) if inside.directories < MAX_INSIDE => {
                    inside.directories += 1;
                    inside.what.is_copy
                }
                _ => break,
            };
            if began.elapsed() >= LOOKING || self.is_stopped(Duration::ZERO) {
                break;
            }
            let Some(entries) = self.add_inside(events, &path) else {
                continue;
            };
            for entry in entries.flatten().take(MAX_LOOKED_AT) {
                if is_worth_a_watch(&entry) {
                    pending.push_back(path.join(entry.file_name()));
                } else if !is_copy {
                    found.push(path.join(entry.file_name()));
                }
            }
        }
        self.touched(events, &found);
    }

    fn add_host(&mut self, events: &OwnedFd, directory: &Path, more: WatchFlags) -> bool {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | more;
        let added = inotify::add_watch(events, directory, flags);
        if let Ok(number) = added {
            self.directories.insert(number, Side::Host(directory.to_owned()));
        }
        added.is_ok()
    }

    /// Watches a directory, and lists it. By a descriptor: a link that was put on the way leads nowhere.
    fn add_inside(&mut self, events: &OwnedFd, path: &Path) -> Option<std::fs::ReadDir> {
        let inside = self.inside.as_ref()?;
        let name = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let opened = rustix::fs::openat2(inside.root.as_fd(), name, flags, Mode::empty(), beneath).ok()?;
        let by_descriptor = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let mut flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        if inside.what.is_copy {
            flags |= WatchFlags::CLOSE_WRITE | WatchFlags::DELETE | WatchFlags::MOVED_FROM;
        }
        let number = inotify::add_watch(events, by_descriptor.as_str(), flags).ok()?;
        self.directories.insert(number, Side::Inside(path.to_owned()));
        std::fs::read_dir(&by_descriptor).ok()
    }

    fn read(&mut self, events: &OwnedFd) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut seen = Vec::new();
        let mut reader = Reader::new(events, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let is_new_directory = event.events().contains(ReadFlags::ISDIR)
                        && event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                    seen.extend(name.and_then(|name| self.seen(event.wd(), name, is_new_directory)));
                }
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        let mut touched = Vec::new();
        for one in seen {
            match one {
                Seen::Host {
                    path,
                    is_new_directory,
                } => self.changed(events, path, is_new_directory),
                Seen::Inside {
                    path,
                    is_new_directory: true,
                } => self.look_inside(events, &path),
                Seen::Inside { path, .. } => touched.push(path),
            }
        }
        self.touched(events, &touched);
        Ok(())
    }

    fn seen(&self, number: i32, name: &OsStr, is_new_directory: bool) -> Option<Seen> {
        if self.held.is_none() && is_skipped(name) {
            return None;
        }
        Some(match self.directories.get(&number)? {
            Side::Host(at) => Seen::Host {
                path: at.join(name),
                is_new_directory,
            },
            Side::Inside(at) => Seen::Inside {
                path: at.join(name),
                is_new_directory,
            },
        })
    }

    fn changed(&mut self, events: &OwnedFd, path: PathBuf, is_new_directory: bool) {
        if let Some(held) = &mut self.held {
            if let Some(at) = held.iter().position(|one| *one == path) {
                held.swap_remove(at);
                (self.tell)(Told::Replaced(path));
            }
            return;
        }
        if is_new_directory && self.directories.len() < MAX_DIRECTORIES {
            self.add_host(events, &path, WatchFlags::CLOSE_WRITE);
        }
        let HostChanges { count, paths } = &mut self.changes;
        *count += 1;
        if paths.len() < NAMED {
            let name = lossless(path.strip_prefix(&self.root).unwrap_or(&path).as_os_str());
            if !paths.contains(&name) {
                paths.push(name);
            }
        }
        if count.is_power_of_two() {
            (self.tell)(Told::Sofar(self.changes.clone()));
        }
        if self.changes.count == 1 {
            (self.tell)(Told::Changed(path));
        }
    }

    fn touched(&mut self, events: &OwnedFd, paths: &[PathBuf]) {
        let Some(inside) = &mut self.inside else { return };
        if paths.is_empty() {
            return;
        }
        inside.looked_at += paths.len();
        (inside.what.touched)(paths);
        if inside.looked_at >= MAX_LOOKED_AT {
            // The rest is looked at when the sandbox has ended.
            self.inside = None;
            self.directories.retain(|number, side| {
                let is_host = matches!(side, Side::Host(_));
                // One that is gone with its directory needs no removal.
                let _ = is_host || inotify::remove_watch(events, *number).is_ok();
                is_host
            });
        }
    }

    fn is_stopped(&self, time: Duration) -> bool {
        let mut waiting = [PollFd::new(&self.stopped, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        poll(&mut waiting, time.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn wait(&self, events: &OwnedFd) -> Result<(bool, bool), Errno> {
        let mut waiting = [
            PollFd::new(events, PollFlags::IN),
            PollFd::new(&self.stopped, PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok((!waiting[0].revents().is_empty(), !waiting[1].revents().is_empty()))
    }
}

impl InsideWatch {
    fn new(what: Inside) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&what.root, flags, Mode::empty()).ok()?;
        Some(Self {
            what,
            root,
            directories: 0,
            looked_at: 0,
        })
    }
}

fn is_worth_a_watch(entry: &std::fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_skipped(&entry.file_name())
}

fn is_skipped(name: &OsStr) -> bool {
    SKIPPED.iter().any(|skipped| name == *skipped)
}

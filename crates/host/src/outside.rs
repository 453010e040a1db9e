//! What happens to a workspace on the host while a sandbox uses it. Told, and never a ground for a
//! decision: events can be lost, and what was seen can be other by the time it is told.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::Timespec;

/// Directories that are watched: the nearest to the top. Each costs the kernel about a kilobyte.
const MAX_DIRECTORIES: usize = 4_096;
/// A short run is not slowed down by looking around.
const BEFORE_LOOKING: Duration = Duration::from_millis(300);
/// Looking around takes no longer.
const LOOKING: Duration = Duration::from_secs(2);
/// Git's own data changes whenever somebody asks git; the others are made by tools, and large.
const SKIPPED: [&str; 5] = [".git", ".hg", ".jj", "node_modules", "target"];

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// All files below a directory that the sandbox itself does not write.
    Below(PathBuf),
    /// Paths that a mount keeps read-only inside, as long as nobody replaces them.
    Held(Vec<PathBuf>),
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The first file that changed below a directory.
    Changed(PathBuf),
    /// How many changes there were, at the end, if there was more than the first.
    Count(u64),
    /// A held path was replaced: it is held no more.
    Replaced(PathBuf),
    /// That a held path is replaced cannot be told: the kernel gives no more watches.
    Unwatched(PathBuf),
}

/// A watch that ends with this.
#[derive(Debug)]
pub struct Outside {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What it would have told is lost with it.
            let _ = thread.join();
        }
    }
}

impl Outside {
    /// Watches from a thread of its own. None where that cannot be had: nothing depends on it.
    pub fn start(watched: Watched, tell: impl Fn(Told) + Send + 'static) -> Option<Self> {
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let body = move || {
            // The kernel's limits on watches may be used up by others.
            if let Ok(mut watch) = Watch::new(stopped, tell) {
                let _ = watch.run(&watched);
            }
        };
        let thread = std::thread::Builder::new()
            .name("outside".to_owned())
            .spawn(body)
            .ok()?;
        Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

struct Watch<T> {
    stopped: OwnedFd,
    events: OwnedFd,
    directories: HashMap<i32, PathBuf>,
    held: Option<Vec<PathBuf>>,
    count: u64,
    tell: T,
}

impl<T: Fn(Told)> Watch<T> {
    fn new(stopped: OwnedFd, tell: T) -> Result<Self, Errno> {
        Ok(Self {
            stopped,
            events: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            directories: HashMap::new(),
            held: None,
            count: 0,
            tell,
        })
    }

    fn run(&mut self, watched: &Watched) -> Result<(), Errno> {
        match watched {
            Watched::Below(root) => {
                if self.is_stopped(BEFORE_LOOKING) {
                    return Ok(());
                }
                self.look_around(root);
            }
            Watched::Held(paths) => {
                for path in paths {
                    let is_watched = path
                        .parent()
                        .is_some_and(|parent| self.add(parent, WatchFlags::empty()));
                    if !is_watched {
                        (self.tell)(Told::Unwatched(path.clone()));
                    }
                }
                self.held = Some(paths.clone());
            }
        }
        loop {
            let (events, stopped) = self.wait()?;
            if events {
                self.read()?;
            }
            if stopped {
                break;
            }
        }
        if self.held.is_none() && self.count > 1 {
            (self.tell)(Told::Count(self.count));
        }
        Ok(())
    }

    /// The directories nearest to the top, until there are enough or it takes too long.
    fn look_around(&mut self, root: &Path) {
        let began = Instant::now();
        let mut pending = VecDeque::from([root.to_owned()]);
        while let Some(directory) = pending.pop_front() {
            let enough = self.directories.len() >= MAX_DIRECTORIES || began.elapsed() >= LOOKING;
            if enough || self.is_stopped(Duration::ZERO) {
                return;
            }
            self.add(&directory, WatchFlags::CLOSE_WRITE);
            let Ok(entries) = std::fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten().filter(is_worth_a_watch) {
                pending.push_back(entry.path());
            }
        }
    }

    fn add(&mut self, directory: &Path, more: WatchFlags) -> bool {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | more;
        let added = inotify::add_watch(&self.events, directory, flags);
        if let Ok(number) = added {
            self.directories.insert(number, directory.to_owned());
        }
        added.is_ok()
    }

    fn read(&mut self) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut changed = Vec::new();
        let mut reader = Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let is_new = event.events().contains(ReadFlags::CREATE | ReadFlags::ISDIR);
                    if let (Some(at), Some(name)) = (self.directories.get(&event.wd()), name) {
                        changed.push((at.join(name), is_new));
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        for (path, is_new) in changed {
            self.changed(path, is_new);
        }
        Ok(())
    }

    fn changed(&mut self, path: PathBuf, is_new_directory: bool) {
        if let Some(held) = &mut self.held {
            if let Some(at) = held.iter().position(|one| *one == path) {
                held.swap_remove(at);
                (self.tell)(Told::Replaced(path));
            }
            return;
        }
        if path.file_name().is_some_and(is_skipped) {
            return;
        }
        if is_new_directory && self.directories.len() < MAX_DIRECTORIES {
            self.add(&path, WatchFlags::CLOSE_WRITE);
        }
        self.count += 1;
        if self.count == 1 {
            (self.tell)(Told::Changed(path));
        }
    }

    fn is_stopped(&self, time: Duration) -> bool {
        let mut waiting = [PollFd::new(&self.stopped, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        poll(&mut waiting, time.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn wait(&self) -> Result<(bool, bool), Errno> {
        let mut waiting = [
            PollFd::new(&self.events, PollFlags::IN),
            PollFd::new(&self.stopped, PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok((!waiting[0].revents().is_empty(), !waiting[1].revents().is_empty()))
    }
}

fn is_worth_a_watch(entry: &std::fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_skipped(&entry.file_name())
}

fn is_skipped(name: &OsStr) -> bool {
    SKIPPED.iter().any(|skipped| name == *skipped)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Much longer than anything takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn watch(watched: Watched) -> (Outside, Receiver<Told>) {
        let (tell, told) = channel();
        let outside = Outside::start(watched, move |one| drop(tell.send(one))).unwrap();
        (outside, told)
    }

    /// Does something again and again until it is told of: watches begin a little later.
    fn until_told(told: &Receiver<Told>, act: impl Fn()) -> Told {
        let began = Instant::now();
        loop {
            act();
            match told.recv_timeout(Duration::from_millis(20)) {
                Ok(one) => return one,
                Err(_) => assert!(began.elapsed() < PATIENCE, "nothing was told"),
            }
        }
    }

    #[test]
    fn the_first_change_is_told_at_once_and_all_are_counted_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("deep/er")).unwrap();
        let (outside, told) = watch(Watched::Below(place.path().to_owned()));
        let file = place.path().join("deep/er/file");
        let first = until_told(&told, || fs::write(&file, "1").unwrap());
        assert_eq!(first, Told::Changed(file.clone()));
        fs::remove_file(&file).unwrap();
        drop(outside);
        assert!(matches!(told.recv().unwrap(), Told::Count(2..)));
    }

    #[test]
    fn gits_own_data_and_what_is_only_read_is_not_told() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".git")).unwrap();
        let seen = place.path().join("seen");
        fs::write(&seen, "1").unwrap();
        let (outside, told) = watch(Watched::Below(place.path().to_owned()));
        // The control, after which the watch is known to stand.
        until_told(&told, || fs::write(place.path().join("other"), "1").unwrap());
        fs::write(place.path().join(".git/index"), "1").unwrap();
        fs::read(&seen).unwrap();
        let before = told.try_iter().count();
        drop(outside);
        let rest: Vec<Told> = told.iter().collect();
        assert_eq!(before, 0);
        assert!(rest.iter().all(|one| matches!(one, Told::Count(_))), "{rest:?}");
    }

    #[test]
    fn a_held_path_that_is_replaced_is_told_and_one_that_is_written_is_not() {
        let place = tempfile::tempdir().unwrap();
        let (held, new) = (place.path().join("config"), place.path().join("new"));
        fs::write(&held, "1").unwrap();
        let (_outside, told) = watch(Watched::Held(vec![held.clone()]));
        fs::write(&held, "2").unwrap();
        let first = until_told(&told, || {
            fs::write(&new, "3").unwrap();
            fs::rename(&new, &held).unwrap();
        });
        assert_eq!(first, Told::Replaced(held));
    }
}

//! What happens to a workspace on the host while a sandbox uses it. Told, and never a ground for a
//! decision: events can be lost, and what was seen can be other by the time it is told.
//!
//! The same thread sees which files the sandbox itself begins to change, so that what the host's hold can be kept
//! before the host changes them, too.

mod watch;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use watch::Watch;

/// Directories of the host that are watched: the nearest to the top. Each costs the kernel about a kilobyte.
const MAX_DIRECTORIES: usize = 4_096;
/// Directories of the sandbox's changes that are watched.
const MAX_INSIDE: usize = 1_024;
/// Names that the sandbox writes and that are looked at. It can write as many as it likes, and this is not its time.
const MAX_LOOKED_AT: usize = 20_000;
/// A short run is not slowed down by a thread that looks around.
const BEFORE_LOOKING: Duration = Duration::from_millis(300);
/// Looking around takes no longer.
const LOOKING: Duration = Duration::from_secs(2);
/// Git's own data changes whenever somebody asks git; the others are made by tools, and large.
const SKIPPED: [&str; 5] = [".git", ".hg", ".jj", "node_modules", "target"];
/// Paths that are named.
const NAMED: usize = 16;

/// What is watched.
#[derive(Debug)]
pub enum Watched {
    /// A directory that the sandbox itself does not write.
    Below {
        /// The directory, of which all files are watched.
        root: PathBuf,
        /// Where the sandbox writes instead.
        inside: Option<Inside>,
    },
    /// Paths that a mount keeps read-only inside, as long as nobody replaces them.
    Held(Vec<PathBuf>),
}

/// Is told of files.
pub type Touched = Box<dyn FnMut(&[PathBuf]) + Send>;

/// Where a sandbox writes.
pub struct Inside {
    /// The directory. What is in it is hostile.
    pub root: PathBuf,
    /// It is a copy of the workspace, and not only what differs from it.
    pub is_copy: bool,
    /// Is told which files the sandbox has begun to change, relative to the directory.
    pub touched: Touched,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_tuple("Inside").field(&self.root).finish()
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The first file that changed below a directory.
    Changed(PathBuf),
    /// What has changed so far: at first, whenever it has doubled, and at the end.
    Sofar(HostChanges),
    /// How many changes there were, at the end, if there was more than the first.
    Count(u64),
    /// A held path was replaced: it is held no more.
    Replaced(PathBuf),
    /// That a held path is replaced cannot be told: the kernel gives no more watches.
    Unwatched(PathBuf),
}

/// What the host changed below a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostChanges {
    /// How many changes were seen; several of one file count as often.
    pub count: u64,
    /// The first paths, each once, relative to the workspace. What is not UTF-8 in them is escaped.
    pub paths: Vec<String>,
}

/// A watch that ends with this.
#[derive(Debug, Default)]
pub struct Outside {
    running: Arc<Mutex<Option<Running>>>,
    soon: Option<AbortHandle>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.end();
    }
}

impl Outside {
    /// Watches from a thread of its own: held paths at once, what is below a directory in a moment, for which
    /// this has to be called in a Tokio runtime. Where that cannot be had nothing is watched: nothing depends on it.
    pub fn start(watched: Watched, tell: impl Fn(Told) + Send + 'static) -> Self {
        if matches!(watched, Watched::Held(_)) {
            return Self::now(watched, tell);
        }
        let mut this = Self::default();
        let running = Arc::downgrade(&this.running);
        let soon = async move {
            tokio::time::sleep(BEFORE_LOOKING).await;
            if let Some(running) = running.upgrade() {
                *lock(&running) = Running::start(watched, tell);
            }
        };
        this.soon = Some(tokio::spawn(soon).abort_handle());
        this
    }

    fn now(watched: Watched, tell: impl Fn(Told) + Send + 'static) -> Self {
        Self {
            running: Arc::new(Mutex::new(Running::start(watched, tell))),
            soon: None,
        }
    }

    /// Ends it: what was changed on the host.
    #[must_use]
    pub fn finish(mut self) -> HostChanges {
        self.end()
    }

    fn end(&mut self) -> HostChanges {
        if let Some(soon) = self.soon.take() {
            soon.abort();
        }
        let running = lock(&self.running).take();
        running.map(Running::end).unwrap_or_default()
    }
}

fn lock(running: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread, which ends with the pipe.
#[derive(Debug)]
struct Running {
    stop: OwnedFd,
    thread: JoinHandle<HostChanges>,
}

impl Running {
    fn start(watched: Watched, tell: impl Fn(Told) + Send + 'static) -> Option<Self> {
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let body = move || Watch::new(stopped, tell).run(watched);
        let thread = std::thread::Builder::new()
            .name("outside".to_owned())
            .spawn(body)
            .ok()?;
        Some(Self { stop, thread })
    }

    fn end(self) -> HostChanges {
        drop(self.stop);
        // What a thread that failed would have told is lost with it.
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use super::*;

    /// Much longer than anything takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn below(root: &Path) -> Watched {
        Watched::Below {
            root: root.to_owned(),
            inside: None,
        }
    }

    fn watch(watched: Watched) -> (Outside, Receiver<Told>) {
        let (tell, told) = channel();
        let outside = Outside::now(watched, move |one| {
            if !matches!(one, Told::Sofar(_)) {
                drop(tell.send(one));
            }
        });
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
        let (outside, told) = watch(below(place.path()));
        let file = place.path().join("deep/er/file");
        let first = until_told(&told, || fs::write(&file, "1").unwrap());
        assert_eq!(first, Told::Changed(file.clone()));
        fs::remove_file(&file).unwrap();
        drop(outside);
        assert!(matches!(told.recv().unwrap(), Told::Count(2..)));
    }

    #[tokio::test]
    async fn what_is_below_a_directory_is_watched_a_little_later() {
        let place = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let _outside = Outside::start(below(place.path()), move |one| {
            if matches!(one, Told::Changed(_)) {
                drop(tell.send(one));
            }
        });
        tokio::time::sleep(2 * BEFORE_LOOKING).await;
        until_told(&told, || fs::write(place.path().join("file"), "1").unwrap());
    }

    #[tokio::test]
    async fn what_ends_before_is_never_watched() {
        let place = tempfile::tempdir().unwrap();
        let outside = Outside::start(below(place.path()), |_| ());
        let running = Arc::clone(&outside.running);
        assert_eq!(outside.finish(), HostChanges::default());
        tokio::time::sleep(2 * BEFORE_LOOKING).await;
        assert!(lock(&running).is_none());
    }

    #[test]
    fn gits_own_data_and_what_is_only_read_is_not_told() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".git")).unwrap();
        let seen = place.path().join("seen");
        fs::write(&seen, "1").unwrap();
        let (outside, told) = watch(below(place.path()));
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

    /// What the sandbox began to change, as paths, until `enough`.
    fn touched(
        root: &Path,
        is_copy: bool,
        act: impl Fn(),
        enough: impl Fn(&[PathBuf]) -> bool,
    ) -> Vec<PathBuf> {
        let host = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let inside = Inside {
            root: root.to_owned(),
            is_copy,
            touched: Box::new(move |paths: &[PathBuf]| {
                paths.iter().for_each(|path| drop(tell.send(path.clone())))
            }),
        };
        let watched = Watched::Below {
            root: host.path().to_owned(),
            inside: Some(inside),
        };
        let _outside = Outside::now(watched, |_| ());
        let began = Instant::now();
        let mut all = Vec::new();
        loop {
            act();
            if let Ok(path) = told.recv_timeout(Duration::from_millis(20)) {
                all.push(path);
            }
            all.extend(told.try_iter());
            if enough(&all) {
                return all;
            }
            assert!(began.elapsed() < PATIENCE, "only {all:?}");
        }
    }

    #[test]
    fn what_a_sandbox_begins_to_change_is_told_before_and_after_the_watch_begins() {
        let upper = tempfile::tempdir().unwrap();
        fs::create_dir_all(upper.path().join("d/node_modules")).unwrap();
        fs::write(upper.path().join("d/early"), "1").unwrap();
        fs::write(upper.path().join("d/node_modules/skipped"), "1").unwrap();
        let act = || {
            fs::create_dir_all(upper.path().join("new/deep")).unwrap();
            fs::write(upper.path().join("new/deep/late"), "1").unwrap();
        };
        let wanted = ["d/early", "new/deep/late"].map(PathBuf::from);
        let all = touched(upper.path(), false, act, |all| {
            wanted.iter().all(|one| all.contains(one))
        });
        assert!(!all.iter().any(|path| path.ends_with("skipped")), "{all:?}");
    }

    #[test]
    fn of_a_copy_only_what_is_written_is_told_and_no_link_is_followed() {
        let (copy, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(copy.path().join("there"), "1").unwrap();
        fs::write(copy.path().join("written"), "1").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), copy.path().join("link")).unwrap();
        let act = || {
            fs::write(elsewhere.path().join("foreign"), "1").unwrap();
            fs::write(copy.path().join("written"), "2").unwrap();
        };
        let wanted = PathBuf::from("written");
        let all = touched(copy.path(), true, act, |all| all.contains(&wanted));
        assert!(all.iter().all(|path| *path == wanted), "{all:?}");
    }
}

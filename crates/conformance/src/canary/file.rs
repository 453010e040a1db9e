//! Files and directories.

use std::path::{Path, PathBuf};

use super::{Canary, Seen, token, told};
use crate::behaviour::Verdict;
use crate::tree::Tree;
use crate::world::World;

/// A file that must be neither read nor changed.
pub struct FileCanary {
    path: PathBuf,
    token: String,
    before: Tree,
    flags: Vec<String>,
    remove: bool,
}

impl FileCanary {
    /// Writes it in a world.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn at(world: &World, name: &str) -> Verdict<Self> {
        let token = token()?;
        let path = world.file(name, &token)?;
        let before = Tree::of(&path);
        Ok(Self {
            path,
            token,
            before,
            flags: Vec::new(),
            remove: false,
        })
    }

    /// Writes it anywhere on the host; it is removed with this value.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn on_host(path: PathBuf) -> Verdict<Self> {
        let token = token()?;
        std::fs::write(&path, &token)?;
        let before = Tree::of(&path);
        Ok(Self {
            path,
            token,
            before,
            flags: Vec::new(),
            remove: true,
        })
    }

    /// Outside of everything that a sandbox sees.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn outside_view(world: &World) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Self::at(
            world,
            &format!("outside/secret-{}", world.number()),
        )?))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Canary for FileCanary {
    fn outside(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let now = Tree::of(&self.path);
        if now != self.before {
            return Some(format!(
                "{} changed:{}",
                self.path.display(),
                self.before.differences(&now)
            ));
        }
        told(seen, &self.token)
    }

    fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }
}

impl Drop for FileCanary {
    fn drop(&mut self) {
        if self.remove {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A directory in which nothing must change.
pub struct TreeCanary {
    path: PathBuf,
    read: fn(&Path) -> Tree,
    before: Tree,
    flags: Vec<String>,
}

impl TreeCanary {
    fn at(world: &World, path: PathBuf, flags: Vec<String>) -> Box<dyn Canary> {
        let read = world.reader();
        Box::new(Self {
            before: read(&path),
            read,
            path,
            flags,
        })
    }

    fn plant(world: &World, flags: fn(&str) -> Vec<String>) -> Verdict<Box<dyn Canary>> {
        let name = format!("outside/tree-{}", world.number());
        world.file(&format!("{name}/file"), token()?)?;
        world.file(&format!("{name}/below/file"), token()?)?;
        let path = world.path(&name);
        let flags = flags(&path.display().to_string());
        Ok(Self::at(world, path, flags))
    }

    /// Shown inside, read-only.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn shown_read_only(world: &World) -> Verdict<Box<dyn Canary>> {
        Self::plant(world, |path| vec!["--ro".into(), path.into()])
    }

    /// The workspace of the sandbox, with a mode.
    fn workspace(world: &World, mode: fn(&str) -> Vec<String>) -> Verdict<Box<dyn Canary>> {
        world.file("work/tree/file", token()?)?;
        world.file("work/tree/below/file", token()?)?;
        let path = world.path("work/tree");
        let flags = mode(&path.display().to_string());
        Ok(Self::at(world, path, flags))
    }

    /// A part of a workspace that is copy-on-write.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn copy_on_write(world: &World) -> Verdict<Box<dyn Canary>> {
        Self::workspace(world, |_| vec!["--workspace-mode".into(), "cow".into()])
    }

    /// A part of a workspace that is read-only.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn read_only_workspace(world: &World) -> Verdict<Box<dyn Canary>> {
        Self::workspace(world, |_| vec!["--workspace-mode".into(), "ro".into()])
    }
}

impl Canary for TreeCanary {
    fn outside(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }

    fn reached(&mut self, _: &Seen) -> Option<String> {
        let now = (self.read)(&self.path);
        (now != self.before).then(|| format!("it changed:{}", self.before.differences(&now)))
    }

    fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }
}

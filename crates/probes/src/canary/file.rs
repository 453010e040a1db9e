//! Files and directories.

use std::path::{Path, PathBuf};

use super::{Canary, Seen, token, told};
use crate::tree::Tree;
use crate::verdict::Verdict;
use crate::wall::Field;

/// A file that must be neither read nor changed.
pub struct FileCanary {
    path: PathBuf,
    token: String,
    before: Tree,
    flags: Vec<String>,
    remove: bool,
}

impl FileCanary {
    /// Writes it on the ground.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn at(field: &Field, name: &str) -> Verdict<Self> {
        let token = token()?;
        field.ground.let_everybody_in()?;
        let path = field.ground.file(name, &token)?;
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
    pub fn outside_view(field: &Field) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Self::at(
            field,
            &format!("outside/secret-{}", field.ground.number()),
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
    /// One that is there already.
    #[must_use]
    pub fn at(field: &Field, path: PathBuf, flags: Vec<String>) -> Box<dyn Canary> {
        let read = field.wall.reader();
        Box::new(Self {
            before: read(&path),
            read,
            path,
            flags,
        })
    }

    fn plant(field: &Field, flags: fn(&str) -> Vec<String>) -> Verdict<Box<dyn Canary>> {
        field.ground.let_everybody_in()?;
        let name = format!("outside/tree-{}", field.ground.number());
        field.ground.file(&format!("{name}/file"), token()?)?;
        field.ground.file(&format!("{name}/below/file"), token()?)?;
        let path = field.ground.path(&name);
        let flags = flags(&path.display().to_string());
        Ok(Self::at(field, path, flags))
    }

    /// Shown inside, read-only.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn shown_read_only(field: &Field) -> Verdict<Box<dyn Canary>> {
        Self::plant(field, |path| vec!["--ro".into(), path.into()])
    }

    /// The workspace of the sandbox, with a mode.
    fn workspace(field: &Field, mode: fn(&str) -> Vec<String>) -> Verdict<Box<dyn Canary>> {
        field.ground.file("work/tree/file", token()?)?;
        field.ground.file("work/tree/below/file", token()?)?;
        let path = field.ground.path("work/tree");
        let flags = mode(&path.display().to_string());
        Ok(Self::at(field, path, flags))
    }

    /// A part of a workspace that is copy-on-write.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn copy_on_write(field: &Field) -> Verdict<Box<dyn Canary>> {
        Self::workspace(field, |_| vec!["--workspace-mode".into(), "cow".into()])
    }

    /// A part of a workspace that is read-only.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn read_only_workspace(field: &Field) -> Verdict<Box<dyn Canary>> {
        Self::workspace(field, |_| vec!["--workspace-mode".into(), "ro".into()])
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

//! What is attacked.

use std::path::Path;

use crate::finished::Finished;
use crate::ground::Ground;
use crate::run::Sandbox;
use crate::tree::Tree;
use crate::verdict::Verdict;

/// Where a probe plants, and what it attacks.
pub struct Field<'a> {
    /// Where canaries are planted.
    pub ground: &'a Ground,
    /// The sandbox.
    pub wall: &'a dyn Wall,
}

impl Field<'_> {
    /// A sandbox of its own, of which nothing stays.
    #[must_use]
    pub fn sandbox(&self) -> Sandbox<'_> {
        Sandbox::new(self.wall.program(), self.ground, self.wall.flags()).flags(&["-q", "--rm"])
    }
}

/// How a sandbox is to be started for an attack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Flags of the sandbox.
    pub flags: Vec<String>,
    /// Variables of whoever starts it.
    pub variables: Vec<(String, String)>,
    /// A program that starts it: it is put before Stockade.
    pub launcher: Vec<String>,
}

/// Something that runs the inside half behind a wall. Its workspace is [`Ground::work`].
pub trait Wall {
    /// The program that starts its sandboxes.
    fn program(&self) -> &Path;

    /// The flags of every one of them.
    fn flags(&self) -> Vec<String>;

    /// Runs an attack to its end.
    ///
    /// # Errors
    /// It does not start, or does not end in time.
    fn attack(&self, setting: &Setting, arguments: &[String]) -> Verdict<Finished>;

    /// How a directory of the host is read that sandboxes are shown.
    fn reader(&self) -> fn(&Path) -> Tree {
        Tree::of
    }
}

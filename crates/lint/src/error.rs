//! Why something could not be read.

use crate::limits::MAX_BYTES;
use crate::node::Mark;

/// A text that is not what its format allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    mark: Mark,
    what: String,
}

impl Unreadable {
    pub(crate) fn at(mark: Mark, what: impl Into<String>) -> Self {
        Self {
            mark,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((line, column)) = self.mark {
            write!(out, "line {line}, column {column}: ")?;
        }
        out.write_str(&self.what)
    }
}

/// Nothing can be said of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LintError {
    /// More than any such file has reason to be.
    #[error(
        "{file}: it has more than {MAX_BYTES} bytes\n    fix: name the file that describes the containers"
    )]
    TooLarge {
        /// The file.
        file: String,
    },
    /// No text.
    #[error(
        "{file}: this is not UTF-8 text\n    fix: name a compose file, a manifest, the output of `docker inspect`, or a policy"
    )]
    NotText {
        /// The file.
        file: String,
    },
    /// Neither YAML nor JSON.
    #[error(
        "{file}: {cause}\n    fix: mend the file; an engine would refuse it, or take it for something else"
    )]
    Syntax {
        /// The file.
        file: String,
        /// Where, and what.
        cause: Unreadable,
    },
    /// A policy with a mistake.
    #[error(transparent)]
    Policy(#[from] stockade_domain::policy::PolicyError),
}

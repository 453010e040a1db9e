//! Commits on their way to the host: which repositories are meant, and what becomes of each.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_host::takeover::Takeover;
use stockade_host::workspace::{Change, Decision, GitDone, GitFile, GitOutcome, GitWish};

use super::apply::Held;

/// The repositories of a change set that are taken over.
pub struct Commits {
    wishes: Vec<GitWish>,
}

/// A repository of which nothing can be taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its `.git`, relative to the project.
    pub repository: PathBuf,
    /// Why.
    pub why: String,
}

/// What becomes of the commits, and what is in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// What becomes of each reference.
    pub done: Vec<GitDone>,
    /// Repositories of which nothing is taken.
    pub refused: Vec<Refused>,
}

impl Commits {
    /// The repositories that `wants` says yes to. `yes` is the yes to rewritten and deleted
    /// branches, to all but those that are named.
    pub fn new(takeover: &Takeover, wants: impl Fn(&Path) -> bool, yes: bool, named: &[PathBuf]) -> Self {
        let understood = takeover.repositories.understood().filter(|path| wants(path));
        let wish = |path: &Path| GitWish {
            path: path.to_owned(),
            id: takeover
                .last_sandbox
                .clone()
                .unwrap_or_else(|| "changes".to_owned()),
            yes,
            named: named.to_vec(),
        };
        Self {
            wishes: understood.map(wish).collect(),
        }
    }

    /// The `.git` of each.
    pub fn repositories(&self) -> Vec<PathBuf> {
        self.wishes.iter().map(|wish| wish.path.clone()).collect()
    }

    pub fn has(&self, repository: &Path) -> bool {
        self.wishes.iter().any(|wish| wish.path == repository)
    }

    /// What would become of them.
    pub fn preview(&self, takeover: &Takeover, decisions: &[Decision]) -> Preview {
        let mut preview = Preview::default();
        for wish in &self.wishes {
            match takeover.preview(decisions, wish) {
                Ok(done) => preview.done.extend(done),
                Err(error) => preview.refused.push(Refused {
                    repository: wish.path.clone(),
                    why: error.to_string(),
                }),
            }
        }
        preview
    }

    /// Those that can be taken over, as a preview has it.
    pub fn possible(&self, preview: &Preview) -> Vec<GitWish> {
        let is_refused = |wish: &GitWish| preview.refused.iter().any(|one| one.repository == wish.path);
        self.wishes
            .iter()
            .filter(|wish| !is_refused(wish))
            .cloned()
            .collect()
    }

    /// Somebody has looked at what becomes of one, and has said yes or no.
    pub fn decide(&mut self, repository: &Path, yes: bool) {
        if !yes {
            self.wishes.retain(|wish| wish.path != repository);
        }
        let of = self.wishes.iter_mut().filter(|wish| wish.path == repository);
        of.for_each(|wish| wish.yes = true);
    }
}

impl Preview {
    /// True if somebody should look first.
    pub fn needs_a_look(&self) -> bool {
        !self.refused.is_empty() || self.done.iter().any(|one| !one.outcome.is_safe())
    }
}

/// True if not all of it is where it was meant to go.
pub fn is_beside(done: &[GitDone]) -> bool {
    let is_beside =
        |one: &GitDone| matches!(one.outcome, GitOutcome::Beside { .. } | GitOutcome::Stays { .. });
    done.iter().any(is_beside)
}

/// Why a file of git's is held back that is not taken with the commits.
pub fn why_held(file: &GitFile, change: &Change, has_yes: bool) -> Option<Held> {
    match file {
        GitFile::Broken => Some(Held::Never {
            why: "its repository was made into something else inside",
        }),
        GitFile::Alternates => Some(Held::Never {
            why: "git would look for objects elsewhere",
        }),
        GitFile::Unfinished => Some(Held::Never {
            why: "a merge or rebase has to be ended inside",
        }),
        GitFile::Other if !has_yes && change.risks.is_empty() => Some(Held::Risky {
            why: vec!["it belongs to git"],
        }),
        GitFile::Other | GitFile::Data(_) => None,
    }
}

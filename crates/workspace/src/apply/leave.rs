//! What was applied leaves the change set, so that a further run starts from the host's file
//! again. An undo brings it back.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::journal::{Act, Mark, Step, Tree};
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

/// The steps that empty a change set but for the paths in `left`, the largest pieces first.
pub(super) fn steps(upper: &Place, left: &BTreeSet<&Path>) -> WriteResult<Vec<Step>> {
    let mut steps = Vec::new();
    let mut closing = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let failed = |cause: Errno| WriteError::step(&path, cause);
        let mut names = Vec::new();
        let directory = match upper.directory(&path) {
            // Closed by its mode: what is in it is unknown, and stays.
            Err(Errno::ACCESS) => continue,
            other => other.map_err(failed)?,
        };
        each_name(&directory, |name| {
            names.push(path.join(OsStr::from_bytes(name.to_bytes())));
            true
        })
        .map_err(failed)?;
        names.sort_unstable();
        let mut is_opened = path.as_os_str().is_empty();
        for name in names {
            let Some(stat) = upper.stat(&name).map_err(failed)? else {
                continue;
            };
            let old = Mark::of(&stat);
            if holds(left, &name) {
                if old.is_directory() {
                    pending.push(name);
                }
                continue;
            }
            if !is_opened {
                is_opened = true;
                open(upper, &path, &mut steps, &mut closing).map_err(failed)?;
            }
            let mode = old.mode & 0o7777;
            if old.is_directory() && mode & 0o700 != 0o700 {
                steps.push(step(
                    &name,
                    Act::Mode {
                        from: mode,
                        to: mode | 0o700,
                    },
                ));
            }
            steps.push(step(&name, Act::Take { old }));
        }
    }
    steps.extend(closing.into_iter().rev());
    Ok(steps)
}

/// True if a path or something below it stays.
fn holds(left: &BTreeSet<&Path>, path: &Path) -> bool {
    left.range(path..)
        .next()
        .is_some_and(|next| next.starts_with(path))
}

/// Untrusted code may have closed a directory that is to lose a name.
fn open(upper: &Place, path: &Path, steps: &mut Vec<Step>, closing: &mut Vec<Step>) -> Result<(), Errno> {
    let Some(stat) = upper.stat(path)? else {
        return Ok(());
    };
    let from = stat.st_mode & 0o7777;
    let to = from | 0o700;
    if from != to {
        steps.push(step(path, Act::Mode { from, to }));
        closing.push(step(path, Act::Mode { from: to, to: from }));
    }
    Ok(())
}

fn step(path: &Path, act: Act) -> Step {
    Step {
        tree: Tree::Changes,
        path: path.to_owned(),
        act,
    }
}

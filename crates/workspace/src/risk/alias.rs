//! Where else the host keeps what it obeys: behind its own links at such names, and where git's
//! `core.hooksPath` says. Their own names tell nothing.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{Risk, by_name, table};
use crate::scan::each_name;
use crate::trees::{Side, Trees};

/// Names at the top of a project that are looked at.
const MAX_NAMES: usize = 10_000;
/// Bytes of a repository's settings, more than any real one has.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Places of a project that are obeyed although their names do not say so. Only the host's side decides.
#[derive(Debug, Default)]
pub(crate) struct Aliases(Vec<(PathBuf, Risk)>);

impl Aliases {
    /// Those of a project.
    pub(crate) fn of(trees: &Trees) -> Self {
        let mut found = Vec::new();
        for name in names(trees) {
            let (Some(risk), Ok(target)) = (by_name(&name), trees.link(Side::Before, &name)) else {
                continue;
            };
            let parent = name.parent().unwrap_or(Path::new(""));
            found.extend(within(parent, &target).map(|place| (place, risk)));
        }
        found.extend(hooks(trees).map(|place| (place, Risk::Git)));
        Self(found)
    }

    /// Why a path is obeyed, if it is.
    pub(crate) fn risk(&self, path: &Path) -> Option<Risk> {
        let meant = self.0.iter().filter(|(place, _)| path.starts_with(place));
        meant.map(|(_, risk)| *risk).min()
    }
}

/// What there may be a link at: names at the top, in any letters, and the known ones below.
fn names(trees: &Trees) -> Vec<PathBuf> {
    let mut names = Vec::new();
    if let Ok(top) = trees.directory(Side::Before, Path::new("")) {
        // What cannot be listed is not there for those who obey it either.
        let _ = each_name(&top, |name| {
            names.push(PathBuf::from(OsStr::from_bytes(name.to_bytes())));
            names.len() < MAX_NAMES
        });
    }
    let files = table::FILES.iter().map(|(pattern, _)| *pattern);
    let below = files.chain(table::GIT_PROTECTED.iter().copied());
    names.extend(
        below
            .filter(|pattern| pattern.contains('/') && !pattern.contains('*'))
            .map(PathBuf::from),
    );
    names
}

/// Where a path from a directory of the project leads, if that is below the project.
fn within(directory: &Path, target: &Path) -> Option<PathBuf> {
    let mut place = directory.to_owned();
    for part in target.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !place.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!place.as_os_str().is_empty()).then_some(place)
}

/// Where the repository's settings say that hooks are.
fn hooks(trees: &Trees) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let file = trees.file(Side::Before, Path::new(".git/config")).ok()?;
    file.take(MAX_CONFIG_BYTES).read_to_end(&mut bytes).ok()?;
    let parsed = gix_config::File::from_bytes_no_includes(
        &bytes,
        gix_config::file::Metadata::api(),
        gix_config::file::init::Options::default(),
    );
    // Settings that cannot be read are obeyed by nobody.
    let value = parsed.ok()?.string("core.hooksPath")?;
    within(Path::new(""), Path::new(OsStr::from_bytes(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_below_the_project_is_found_and_nothing_else() {
        let led = |directory: &str, target: &str| within(Path::new(directory), Path::new(target));
        assert_eq!(led("", "conf/./claude"), Some("conf/claude".into()));
        assert_eq!(led(".git", "../tools/hooks"), Some("tools/hooks".into()));
        for (directory, target) in [
            ("", "../x"),
            (".git", "../.."),
            ("", "/etc"),
            (".git", ".."),
            ("", "."),
        ] {
            assert_eq!(led(directory, target), None, "{directory} {target}");
        }
    }
}

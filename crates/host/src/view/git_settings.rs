//! What of the user's git settings is worth having inside: who commits, and how git looks and
//! merges. The rest stays outside: credentials and their helpers, signing, commands that git
//! would run (ssh, editors, filters, hooks), rewritten addresses.

use std::path::{Path, PathBuf};

use gix_config::file::{Metadata, includes, init};
use gix_config::path::interpolate;
use gix_config::{File, Source};
use stockade_domain::view::Content;

use super::builder::Builder;
use super::{Context, Note, ViewError};

/// Largest settings file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Longest value that is taken over.
const MAX_VALUE_BYTES: usize = 4096;
/// Most values that are taken over.
const MAX_VALUES: usize = 512;

/// Keys that are taken over, in lower case; `*` stands for any name in the section. None of
/// them makes git run a program or read a file (git-config(1)).
const KEYS: &[&str] = &[
    "advice.*",
    "alias.*",
    "author.email",
    "author.name",
    "branch.autosetuprebase",
    "branch.sort",
    "color.*",
    "column.*",
    "commit.cleanup",
    "commit.verbose",
    "committer.email",
    "committer.name",
    "core.abbrev",
    "core.autocrlf",
    "core.eol",
    "core.precomposeunicode",
    "core.quotepath",
    "core.safecrlf",
    "core.whitespace",
    "diff.algorithm",
    "diff.colormoved",
    "diff.context",
    "diff.mnemonicprefix",
    "diff.noprefix",
    "diff.renames",
    "fetch.prune",
    "help.autocorrect",
    "init.defaultbranch",
    "log.*",
    "merge.conflictstyle",
    "merge.ff",
    "pull.ff",
    "pull.rebase",
    "push.autosetupremote",
    "push.default",
    "rebase.autosquash",
    "rebase.autostash",
    "rebase.updaterefs",
    "rerere.enabled",
    "status.*",
    "tag.sort",
    "user.email",
    "user.name",
    "user.useconfigonly",
];

/// Adds a `.gitconfig` to the home inside, if the user has one and nothing else stands there.
pub(super) fn add(
    builder: &mut Builder<'_>,
    context: &Context,
    home: &Path,
    workspace: Option<&Path>,
) -> Result<(), ViewError> {
    let at = home.join(".gitconfig");
    let private = builder
        .seen_through(&at)
        .is_some_and(|entry| matches!(entry.what, Content::Private { .. }));
    let Some(host_home) = builder.home() else {
        return Ok(());
    };
    if !private {
        return Ok(());
    }
    let mut content = match read(&files(context, host_home), host_home, workspace) {
        Ok(chosen) => chosen.unwrap_or_default(),
        Err(why) => {
            builder.note(Note::GitSettings { why });
            Vec::new()
        }
    };
    let worktree = workspace.filter(|workspace| super::git::repository_of(workspace).is_some());
    content.extend(worktree.and_then(trusted).unwrap_or_default());
    content.extend(
        builder
            .own_directories()
            .iter()
            .filter_map(|path| trusted_below(path))
            .flatten(),
    );
    if content.is_empty() {
        return Ok(());
    }
    builder.push(at, Content::File { content })
}

/// What is shown as it is belongs to a user that may not exist inside, and git does not look at
/// other people's repositories. Where it is the user's own, it is read-only or meant to be written, and nothing is
/// lost by looking.
fn trusted(directory: &Path) -> Option<Vec<u8>> {
    let path = directory
        .to_str()
        .filter(|path| !path.contains(char::is_control))?;
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("[safe]\n\tdirectory = \"{path}\"\n").into_bytes())
}

/// A directory, its repository, and those further down, which git knows since 2.46.
fn trusted_below(directory: &Path) -> Option<Vec<u8>> {
    let all = [directory.to_owned(), directory.join(".git"), directory.join("*")];
    let all: Option<Vec<Vec<u8>>> = all.iter().map(|path| trusted(path)).collect();
    Some(all?.concat())
}

/// Where git looks for the user's settings, in its order.
fn files(context: &Context, home: &Path) -> [PathBuf; 2] {
    let settings = context
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home.join(".config"));
    [settings.join("git/config"), home.join(".gitconfig")]
}

fn read(files: &[PathBuf], home: &Path, workspace: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let mut present = Vec::new();
    for path in files {
        let Ok(found) = std::fs::metadata(path) else {
            continue;
        };
        if !found.is_file() || found.len() > MAX_BYTES {
            return Err(format!("{} is no file of at most 1 MiB", path.display()));
        }
        present.push(Metadata::from(Source::User).at(path.clone()));
    }
    if present.is_empty() {
        return Ok(None);
    }
    let git_dir = workspace.map(|workspace| workspace.join(".git"));
    let options = init::Options {
        includes: includes::Options::follow(
            interpolate::Context {
                git_install_dir: None,
                home_dir: Some(home),
                home_for_user: None,
            },
            includes::conditional::Context {
                git_dir: git_dir.as_deref(),
                branch_name: None,
            },
        ),
        ..init::Options::default()
    };
    let known = present.clone();
    let all = File::from_paths_metadata(present, options)
        // A condition that cannot be decided here: without the included files then.
        .or_else(|_| File::from_paths_metadata(known, init::Options::default()))
        .map_err(|error| error.to_string())?;
    Ok(all.map(|all| chosen(&all)).filter(|chosen| !chosen.is_empty()))
}

/// The settings that are taken over, as a file.
fn chosen(all: &File) -> Vec<u8> {
    let mut kept = File::default();
    let mut count = 0;
    for section in all.sections() {
        let section_name = section.header().name().to_string().to_lowercase();
        if section.header().subsection_name().is_some() {
            continue;
        }
        for name in section.value_names() {
            let key = name.to_lowercase();
            let Some(value) = section.values(&name).pop() else {
                continue;
            };
            if count == MAX_VALUES || !is_taken(&section_name, &key, &value) {
                continue;
            }
            // What the library cannot write back is left out: it was no valid name.
            if kept
                .set_raw_value(format!("{section_name}.{key}").as_str(), value)
                .is_ok()
            {
                count += 1;
            }
        }
    }
    kept.to_bstring().into()
}

fn is_taken(section: &str, key: &str, value: &[u8]) -> bool {
    let listed = KEYS.iter().any(|known| {
        known
            .split_once('.')
            .is_some_and(|(in_section, name)| in_section == section && (name == "*" || name == key))
    });
    // An alias with `!` is a shell command: it may hold a token, and what it calls is hidden.
    let is_command = section == "alias" && value.trim_ascii_start().starts_with(b"!");
    listed && !is_command && value.len() <= MAX_VALUE_BYTES
}

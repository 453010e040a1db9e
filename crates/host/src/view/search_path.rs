//! Shows what `PATH` leads to: its directories, what their symlinks lead to, and the
//! parts of tool managers without which the programs do not start.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use stockade_domain::policy::protect;
use stockade_domain::view::{Access, Content};

use super::builder::Builder;
use super::resolve::{Kind, Resolved, is_in, resolve};
use super::toolchains::{ELSEWHERE, PREFIX_PARTS, Shows, TOOLCHAINS, Toolchain};
use super::{Context, Note, ViewError};

/// Most directories of `PATH` that are looked at.
const MAX_DIRECTORIES: usize = 128;
/// Most names that are read from the directories of one `PATH`.
const MAX_NAMES: usize = 512;
/// Largest configuration file of a tool manager that is searched for tokens.
const MAX_CONFIG_BYTES: u64 = 64 << 10;

/// What `PATH` led to.
#[derive(Default)]
pub(super) struct Found<'c> {
    /// The directories that exist, as written and as resolved.
    pub directories: Vec<(&'c str, Resolved)>,
    /// Variables that the shown tool managers read.
    pub variables: Vec<&'static str>,
}

/// Shows what `PATH` leads to.
pub(super) fn add<'c>(builder: &mut Builder<'_>, context: &'c Context) -> Result<Found<'c>, ViewError> {
    let mut directories: Vec<(&str, Resolved)> = Vec::new();
    let mut search = Search {
        builder,
        moved: moved_roots(context),
        shown: Vec::new(),
        names_left: MAX_NAMES,
    };
    for directory in context.variable("PATH").unwrap_or_default().split(':') {
        let repeated = directories.iter().any(|(seen, _)| *seen == directory);
        if !directory.starts_with('/') || repeated || directories.len() == MAX_DIRECTORIES {
            continue;
        }
        let Ok(resolved) = resolve(Path::new(directory)) else {
            continue;
        };
        if resolved.kind == Kind::Directory {
            search.directory(Path::new(directory), &resolved)?;
            directories.push((directory, resolved));
        }
    }
    let variables = search
        .shown
        .iter()
        .flat_map(|toolchain| toolchain.variables)
        .copied()
        .collect();
    Ok(Found {
        directories,
        variables,
    })
}

/// Tool managers that the user's variables put elsewhere than usual.
fn moved_roots(context: &Context) -> Vec<(&'static Toolchain, &Path)> {
    let root = |toolchain: &'static Toolchain| {
        let root = Path::new(context.variable(toolchain.variables.first()?)?);
        root.is_absolute().then_some((toolchain, root))
    };
    TOOLCHAINS.iter().filter_map(root).collect()
}

struct Search<'s, 'b, 'c> {
    builder: &'s mut Builder<'b>,
    moved: Vec<(&'static Toolchain, &'c Path)>,
    shown: Vec<&'static Toolchain>,
    names_left: usize,
}

impl Search<'_, '_, '_> {
    fn directory(&mut self, directory: &Path, resolved: &Resolved) -> Result<(), ViewError> {
        if let Some(refused) = protect::refuse_source(&resolved.real, true, false, self.builder.home()) {
            self.builder.note(Note::PathSkipped {
                path: directory.to_path_buf(),
                why: refused.why.to_owned(),
            });
            return Ok(());
        }
        let protected = self
            .builder
            .home()
            .is_some_and(|home| protect::protected_parent(&resolved.real, home).is_some());
        if protected {
            let why = "lies where credentials are kept".to_owned();
            self.builder.note(Note::PathSkipped {
                path: directory.to_path_buf(),
                why,
            });
            return Ok(());
        }
        let toolchain = self.toolchain_of(directory, &resolved.real);
        if let Some((toolchain, root)) = &toolchain {
            self.toolchain(toolchain, root)?;
        }
        self.elsewhere(&resolved.real)?;
        let known = self.builder.shows(&resolved.real);
        self.builder.reveal(resolved, Access::ReadOnly)?;
        if !known {
            self.prefix_of(&resolved.real)?;
        }
        // A tool manager that is shown as a whole has no symlinks that lead out of it.
        let whole = toolchain
            .as_ref()
            .is_some_and(|(toolchain, _)| matches!(toolchain.shows, Shows::AllBut(_)));
        if whole || (known && toolchain.is_none()) {
            return Ok(());
        }
        self.symlinks_of(&resolved.real)
    }

    /// The tool manager whose root holds a directory, by the longest root.
    fn toolchain_of(&self, directory: &Path, real: &Path) -> Option<(&'static Toolchain, PathBuf)> {
        let moved = self
            .moved
            .iter()
            .filter(|(_, root)| is_in(directory, root) || is_in(real, root))
            .map(|(toolchain, root)| (*toolchain, root.to_path_buf()));
        let home = self.builder.home();
        let usual = home.into_iter().flat_map(|home| {
            let inside = [directory, real].map(|path| path.strip_prefix(home).ok());
            TOOLCHAINS
                .iter()
                .filter(move |toolchain| {
                    inside
                        .iter()
                        .flatten()
                        .any(|path| is_in(path, Path::new(toolchain.root)))
                })
                .map(|toolchain| (toolchain, home.join(toolchain.root)))
        });
        moved.chain(usual).max_by_key(|(_, root)| root.as_os_str().len())
    }

    fn toolchain(&mut self, toolchain: &'static Toolchain, root: &Path) -> Result<(), ViewError> {
        if self.shown.iter().any(|shown| std::ptr::eq(*shown, toolchain)) {
            return Ok(());
        }
        let Ok(resolved) = resolve(root) else {
            return Ok(());
        };
        let usable = resolved.kind == Kind::Directory
            && protect::refuse_source(&resolved.real, true, false, self.builder.home()).is_none();
        if !usable {
            return Ok(());
        }
        self.shown.push(toolchain);
        if self
            .builder
            .seen_through(&resolved.real)
            .is_some_and(|entry| entry.what == Content::Workspace)
        {
            return self.builder.links(&resolved);
        }
        match toolchain.shows {
            Shows::AllBut(hidden) => {
                self.builder.reveal(&resolved, Access::ReadOnly)?;
                for child in hidden {
                    let path = resolved.real.join(child);
                    if self.builder.cover(&path)? {
                        self.builder.note(Note::Covered { path });
                    }
                }
            }
            Shows::Only(parts) => {
                self.builder.links(&resolved)?;
                self.parts(&resolved.real, parts)?;
            }
            Shows::OnPrivate(parts) => {
                self.builder.links(&resolved)?;
                self.builder.push(
                    &resolved.real,
                    Content::Private {
                        mode: 0o755,
                        size_bytes: None,
                    },
                )?;
                self.parts(&resolved.real, parts)?;
            }
        }
        for needed in toolchain.needs {
            let Some(needed) = TOOLCHAINS.iter().find(|toolchain| toolchain.root == *needed) else {
                continue;
            };
            let moved = self.moved.iter().find(|(moved, _)| std::ptr::eq(*moved, needed));
            let usual = || self.builder.home().map(|home| home.join(needed.root));
            if let Some(root) = moved.map(|(_, root)| root.to_path_buf()).or_else(usual) {
                self.toolchain(needed, &root)?;
            }
        }
        Ok(())
    }

    fn parts(&mut self, root: &Path, parts: &[&str]) -> Result<(), ViewError> {
        for part in parts {
            let Ok(resolved) = resolve(&root.join(part)) else {
                continue;
            };
            match resolved.kind {
                Kind::Directory => self.builder.reveal(&resolved, Access::ReadOnly)?,
                Kind::File if holds_token(&resolved.real) => {
                    self.builder.note(Note::TokenHidden { path: resolved.real });
                }
                Kind::File => self.builder.reveal(&resolved, Access::ReadOnly)?,
                Kind::Socket | Kind::Other => {}
            }
        }
        Ok(())
    }

    fn elsewhere(&mut self, real: &Path) -> Result<(), ViewError> {
        for (below, shown) in ELSEWHERE {
            if real.starts_with(below)
                && let Ok(resolved) = resolve(Path::new(shown))
            {
                self.builder.reveal(&resolved, Access::ReadOnly)?;
            }
        }
        Ok(())
    }

    /// Programs in `PREFIX/bin` need `PREFIX/lib` and its like. The home directory and
    /// the roots of tool managers are no prefixes: what is shown of those is in the table.
    fn prefix_of(&mut self, real: &Path) -> Result<(), ViewError> {
        if real.file_name() != Some(OsStr::new("bin")) {
            return Ok(());
        }
        let Some(prefix) = real.parent() else {
            return Ok(());
        };
        let home = self.builder.home();
        let inside = home.and_then(|home| prefix.strip_prefix(home).ok());
        let is_root = inside.is_some_and(|inside| {
            TOOLCHAINS
                .iter()
                .any(|toolchain| Path::new(toolchain.root) == inside)
        });
        if is_root || protect::refuse_source(prefix, true, false, home).is_some() {
            return Ok(());
        }
        self.parts(prefix, PREFIX_PARTS)
    }

    /// Follows the symlinks of a directory that lead to what is not shown yet.
    fn symlinks_of(&mut self, directory: &Path) -> Result<(), ViewError> {
        let Ok(names) = std::fs::read_dir(directory) else {
            return Ok(());
        };
        for name in names.flatten() {
            if self.names_left == 0 {
                let why =
                    format!("leads to more than {MAX_NAMES} names: not all of its symlinks were followed");
                self.builder.note(Note::PathSkipped {
                    path: directory.to_path_buf(),
                    why,
                });
                return Ok(());
            }
            self.names_left -= 1;
            if !name.file_type().is_ok_and(|kind| kind.is_symlink()) {
                continue;
            }
            let path = name.path();
            // Most lead to a neighbour (`cargo -> rustup`), which this loop sees by itself.
            let Ok(target) = std::fs::read_link(&path) else {
                continue;
            };
            if target.components().count() == 1 && target.is_relative() {
                continue;
            }
            let Ok(resolved) = resolve(&path) else {
                continue;
            };
            if !self.builder.shows(&resolved.real) {
                self.program(&resolved)?;
            }
        }
        Ok(())
    }

    /// Shows a program that a symlink leads to, with what it needs.
    fn program(&mut self, resolved: &Resolved) -> Result<(), ViewError> {
        let home = self.builder.home();
        let protected = home.is_some_and(|home| protect::protected_parent(&resolved.real, home).is_some());
        let refused = protect::refuse_source(&resolved.real, false, false, home).is_some();
        if resolved.kind != Kind::File || protected || refused {
            return Ok(());
        }
        if let Some((toolchain, root)) = self.toolchain_of(&resolved.real, &resolved.real) {
            self.toolchain(toolchain, &root)?;
        }
        if self.builder.shows(&resolved.real) {
            return self.builder.links(resolved);
        }
        let Some(parent) = resolved.real.parent() else {
            return Ok(());
        };
        if parent.file_name() != Some(OsStr::new("bin")) {
            return self.builder.reveal(resolved, Access::ReadOnly);
        }
        self.builder.links(resolved)?;
        self.builder.host(parent, true, Access::ReadOnly)?;
        self.prefix_of(parent)
    }
}

/// Whether a configuration file seems to hold a token; one that cannot be read does.
fn holds_token(path: &Path) -> bool {
    let is_config = path.extension().is_some_and(|extension| extension == "toml")
        || path.file_name().is_some_and(|name| name == "config");
    if !is_config {
        return false;
    }
    let small = path
        .metadata()
        .is_ok_and(|metadata| metadata.len() <= MAX_CONFIG_BYTES);
    match std::fs::read_to_string(path).map(|text| text.to_lowercase()) {
        Ok(text) if small => ["token", "secret", "password"]
            .iter()
            .any(|word| text.contains(word)),
        _ => true,
    }
}

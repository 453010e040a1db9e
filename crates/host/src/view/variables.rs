//! The variables that commands start with.

use std::path::Path;

use stockade_domain::environment::{Environment, PASSED_BY_DEFAULT};
use stockade_domain::policy::Policy;
use stockade_domain::view::{ASKS, FileView};
use stockade_wire::ASKS_VARIABLE;

use super::Context;
use super::asks::Asks;
use super::builder::{entry_shows, seen_through};
use super::resolve::{Resolved, resolve};
use super::search_path::Found;

/// `PATH` where the host's means nothing: in an image, or where none of it is shown.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the environment: the allow-list, then ours, then what the policy says. `found` is
/// empty for an image: the host's `PATH` and shell mean nothing there.
pub(super) fn compile(
    policy: &Policy,
    context: &Context,
    view: &FileView,
    home: &Path,
    found: &Found<'_>,
    asks: &Asks,
) -> Environment {
    let mut environment = Environment::default();
    let host = &context.variables;
    for pattern in PASSED_BY_DEFAULT.iter().chain(&found.variables) {
        environment.pass(pattern, host);
    }
    let path = visible_path(found, view).unwrap_or_else(|| USUAL_PATH.to_owned());
    environment.set("PATH", with_directory(path, asks.directory.as_deref()));
    environment.set("HOME", home.to_string_lossy());
    environment.set("USER", "user");
    environment.set("LOGNAME", "user");
    let of_host = context
        .variable("SHELL")
        .filter(|_| !found.directories.is_empty());
    let shell = of_host.filter(|shell| is_visible(Path::new(shell), view));
    environment.set("SHELL", shell.unwrap_or("/bin/sh"));
    environment.set("STOCKADE", "1");
    if asks.allowed {
        environment.set(ASKS_VARIABLE, ASKS);
    }
    environment.apply(policy.variables.iter().map(|clause| &clause.value), host);
    environment
}

/// `PATH` with another directory at its end, if it is not in it.
fn with_directory(path: String, directory: Option<&Path>) -> String {
    match directory.and_then(Path::to_str) {
        // One with a colon in its name cannot be in it.
        Some(directory) if !directory.contains(':') && !path.split(':').any(|one| one == directory) => {
            format!("{path}:{directory}")
        }
        _ => path,
    }
}

/// The directories of `PATH` that are seen inside, in their order.
fn visible_path(found: &Found<'_>, view: &FileView) -> Option<String> {
    let visible = found
        .directories
        .iter()
        .filter(|(_, resolved)| is_seen(resolved, view));
    let directories: Vec<&str> = visible.map(|(directory, _)| *directory).collect();
    (!directories.is_empty()).then(|| directories.join(":"))
}

/// Whether a path of the host is seen inside, through symlinks that are seen too.
pub(super) fn is_visible(path: &Path, view: &FileView) -> bool {
    resolve(path).is_ok_and(|resolved| is_seen(&resolved, view))
}

fn is_seen(resolved: &Resolved, view: &FileView) -> bool {
    let shows = |path: &Path| seen_through(&view.entries, path).is_some_and(|entry| entry_shows(entry, path));
    let link = |path: &Path| shows(path) || view.entries.iter().any(|entry| entry.at == path);
    shows(&resolved.real) && resolved.links.iter().all(|(at, _)| link(at))
}

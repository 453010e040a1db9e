//! Paths that are never exposed by accident: credentials, what runs later on the host,
//! the kernel's and other programs' interfaces.
//!
//! Tables and pure functions over absolute, normalised paths. Who resolves symlinks asks
//! for the path as written and for the path as resolved.

use std::path::{Path, PathBuf};

/// Why a path cannot be used, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why, in a clause after the path.
    pub why: &'static str,
    /// The remedy.
    pub fix: &'static str,
}

/// Credentials, histories and start-up files below the home directory. They are covered
/// where a parent is shown, and shown only when they are named themselves.
pub const HOME_PROTECTED: &[&str] = &[
    // Keys and tokens.
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".kube",
    ".age",
    ".oci",
    ".fly",
    ".docker",
    ".terraform.d",
    ".password-store",
    ".vault-token",
    ".netrc",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    ".git-credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".composer/auth.json",
    ".nuget/NuGet",
    ".conda",
    ".condarc",
    ".config/1Password",
    ".config/op",
    ".config/composer/auth.json",
    ".config/containers/auth.json",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/git",
    ".config/github-copilot",
    ".config/hub",
    ".config/pypoetry",
    ".config/pip",
    ".config/rclone",
    ".config/sops",
    ".config/glab-cli",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".local/share/uv/credentials",
    ".local/share/containers",
    // What Stockade itself may do.
    ".config/stockade",
    // Agents' own settings and logins.
    ".claude.json",
    ".claude/.credentials.json",
    ".claude/settings.json",
    ".claude/commands",
    ".claude/agents",
    ".codex",
    ".gemini",
    ".config/goose",
    // Browsers and mail.
    ".mozilla",
    ".thunderbird",
    ".config/BraveSoftware",
    ".config/chromium",
    ".config/google-chrome",
    ".config/microsoft-edge",
    ".cache/mozilla",
    // Histories.
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
    ".sqlite_history",
    ".lesshst",
    ".viminfo",
    ".local/share/fish",
    ".local/state/bash",
    ".local/state/zsh",
    // What a shell, git or an editor runs later.
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".config/fish",
    ".config/autostart",
    ".config/systemd",
    ".gitconfig",
    // The display and the session.
    ".Xauthority",
    ".ICEauthority",
];

/// Directories of the operating system: never writable in place.
const SYSTEM: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/boot", "/nix", "/gnu",
];

/// Directories that hold the work of all users and programs: too much for one rule.
const SHARED: &[&str] = &["/home", "/tmp", "/var", "/var/tmp", "/lost+found"];

/// Kernel interfaces: the sandbox has its own.
const KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// Sockets of running services.
const RUNTIME: &[&str] = &["/run", "/var/run"];

/// Whether a path of the host may be shown by a rule.
#[must_use]
pub fn refuse_source(path: &Path, directory: bool, writable: bool, home: Option<&Path>) -> Option<Refused> {
    let refused = |why, fix| Some(Refused { why, fix });
    if path == Path::new("/") {
        return refused("is the whole host", "name the directories that are needed");
    }
    if home.is_some_and(|home| home.starts_with(path)) {
        return refused(
            "holds the whole home directory",
            "name the directories in it that are needed",
        );
    }
    if below_any(path, KERNEL) {
        return refused(
            "is an interface of the host's kernel",
            "the sandbox has its own /proc and /dev",
        );
    }
    if directory && below_any(path, RUNTIME) {
        return refused("holds sockets of the host's services", "name a single file in it");
    }
    if directory && SHARED.iter().any(|shared| path == Path::new(shared)) {
        return refused(
            "is shared by all users and programs",
            "name the directory in it that is needed",
        );
    }
    if writable && below_any(path, SYSTEM) {
        return refused(
            "belongs to the operating system",
            "show it with ro; install software outside of the sandbox",
        );
    }
    None
}

/// Whether a directory can be the workspace.
#[must_use]
pub fn refuse_workspace(path: &Path, home: Option<&Path>, state: Option<&Path>) -> Option<Refused> {
    const FIX: &str = "change into a project's directory, or name one with --workspace";
    let refused = |why| Some(Refused { why, fix: FIX });
    if path == Path::new("/") {
        return refused("is the whole host");
    }
    if home == Some(path) {
        return refused("is the home directory");
    }
    if home.is_some_and(|home| home.starts_with(path)) {
        return refused("holds the home directory");
    }
    if state.is_some_and(|state| state.starts_with(path)) {
        return refused("holds Stockade's own state");
    }
    if state.is_some_and(|state| path.starts_with(state)) {
        return refused("lies in Stockade's own state");
    }
    if below_any(path, KERNEL) || below_any(path, RUNTIME) {
        return refused("is an interface of the kernel or of services");
    }
    if SYSTEM.iter().chain(SHARED).any(|taken| path == Path::new(taken)) {
        return refused("belongs to the operating system");
    }
    if home.is_some_and(|home| protected_parent(path, home).is_some()) {
        return refused("holds credentials or start-up files");
    }
    None
}

/// Protected paths strictly inside `tree`, which a rule for `tree` shows only covered.
pub fn covered_inside(tree: &Path, home: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    // The common case, a tree outside of the home directory, costs one comparison.
    let within = home
        .filter(|home| tree.starts_with(home))
        .and_then(|home| Some((home, tree.strip_prefix(home).ok()?)));
    within.into_iter().flat_map(|(home, inside)| {
        HOME_PROTECTED
            .iter()
            .map(Path::new)
            .filter(move |protected| protected.starts_with(inside) && *protected != inside)
            .map(move |protected| home.join(protected))
            .collect::<Vec<_>>()
    })
}

/// The protected path that `path` is or lies in.
#[must_use]
pub fn protected_parent(path: &Path, home: &Path) -> Option<PathBuf> {
    let inside = path.strip_prefix(home).ok()?;
    HOME_PROTECTED
        .iter()
        .find(|protected| inside.starts_with(protected))
        .map(|protected| home.join(protected))
}

fn below_any(path: &Path, parents: &[&str]) -> bool {
    parents.iter().any(|parent| path.starts_with(parent))
}

//! Paths that are never exposed by accident. Each refusal has a neighbour that passes.

use std::path::{Path, PathBuf};

use stockade_domain::policy::protect::{covered_inside, protected_parent, refuse_source, refuse_workspace};

const HOME: &str = "/home/u";

fn source(path: &str, directory: bool, writable: bool) -> bool {
    refuse_source(Path::new(path), directory, writable, Some(Path::new(HOME))).is_none()
}

fn workspace(path: &str) -> bool {
    let state = Path::new("/home/u/.local/state/stockade");
    refuse_workspace(Path::new(path), Some(Path::new(HOME)), Some(state)).is_none()
}

/// The whole host, the whole home, the kernel's and the services' interfaces.
#[test]
fn dangerous_sources_are_refused() {
    for path in [
        "/",
        "/home",
        "/home/u",
        "/proc",
        "/proc/1",
        "/sys/fs",
        "/dev",
        "/dev/shm",
        "/run",
        "/run/user/1000",
    ] {
        assert!(!source(path, true, false), "{path}");
    }
    for path in ["/var/run/docker", "/tmp", "/var", "/var/tmp"] {
        assert!(!source(path, true, false), "{path}");
    }
    for path in [
        "/opt/x",
        "/home/u/data",
        "/home/other",
        "/runner",
        "/processes",
        "/device",
        "/tmp/x",
        "/var/lib/x",
    ] {
        assert!(source(path, true, false), "{path}");
    }
    assert!(
        source("/run/secrets/token", false, false),
        "a single file may be named"
    );
}

/// The operating system is shown, never made writable.
#[test]
fn system_directories_are_not_writable() {
    for path in ["/usr", "/usr/local/lib", "/etc", "/etc/hosts", "/lib64", "/boot"] {
        assert!(!source(path, true, true), "{path}");
        assert!(source(path, true, false), "{path} can be read");
    }
    assert!(source("/opt/x", true, true) && source("/srv/x", true, true));
}

/// Where a workspace cannot be, and its neighbours where it can.
#[test]
fn workspaces_are_checked() {
    for path in [
        "/",
        "/home",
        "/home/u",
        "/usr",
        "/etc",
        "/tmp",
        "/var",
        "/run/x",
        "/proc/1/cwd",
        "/dev/shm/x",
    ] {
        assert!(!workspace(path), "{path}");
    }
    for path in [
        "/home/u/.local",
        "/home/u/.local/state/stockade/run",
        "/home/u/.ssh",
        "/home/u/.aws/sso",
    ] {
        assert!(!workspace(path), "{path}");
    }
    for path in [
        "/home/u/p",
        "/tmp/x",
        "/usr/src/app",
        "/srv",
        "/opt/p",
        "/var/www",
        "/home/u/.config/nvim",
    ] {
        assert!(workspace(path), "{path}");
    }
}

/// Showing a parent covers what is protected in it; naming it does not.
#[test]
fn protected_children_are_covered() {
    let inside =
        |tree: &str| covered_inside(Path::new(tree), Some(Path::new(HOME))).collect::<Vec<PathBuf>>();
    assert!(inside("/home/u/.config").contains(&PathBuf::from("/home/u/.config/gcloud")));
    assert!(inside("/home/u/.cargo").contains(&PathBuf::from("/home/u/.cargo/credentials.toml")));
    assert!(inside("/home/u/.ssh").is_empty(), "it was named itself");
    assert!(inside("/home/u/data").is_empty() && inside("/opt").is_empty());
    assert_eq!(
        protected_parent(Path::new("/home/u/.config/gcloud/x"), Path::new(HOME)),
        Some(PathBuf::from("/home/u/.config/gcloud"))
    );
    assert_eq!(
        protected_parent(Path::new("/home/u/.configs"), Path::new(HOME)),
        None
    );
}

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use stockade_domain::units::{ByteCount, Limit};

use super::*;

const POLICY: &str = "version = 1\n[limits]\nmemory = \"1G\"\n";

/// Directories of an organisation, a user and a project.
struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["etc", "config/stockade", "project"] {
            fs::create_dir_all(root.path().join(name)).expect("a directory");
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
        path
    }

    fn places(&self) -> Places {
        Places {
            organisation: self.path("etc"),
            user: Some(self.path("config").join(USER_FILE)),
        }
    }

    fn read(&self) -> Result<Found> {
        Found::read(&self.places())
    }

    fn refused(&self) -> String {
        self.read().expect_err("refused").to_string()
    }

    fn project(&self) -> Result<Found> {
        let mut found = Found::default();
        found.read_project(&self.path("project"))?;
        Ok(found)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn memory(layer: &Layer) -> Option<u64> {
    match layer.memory.as_ref()?.value {
        Limit::AtMost(ByteCount(bytes)) => Some(bytes),
        Limit::Off => None,
    }
}

/// Where nothing was written nothing is read.
#[test]
fn no_files_are_no_layers() {
    let host = Host::new();
    fs::remove_dir(host.path("etc")).expect("rmdir");
    let found = host.read().expect("nothing");
    assert_eq!((found.files, found.layers), (Vec::new(), Layers::default()));
    assert!(host.project().expect("nothing").layers.project.is_none());
}

/// Files of the organisation are read in the order of their names; others are no policies.
#[test]
fn files_of_the_organisation_are_read_in_order() {
    let host = Host::new();
    host.file("etc/20-b.toml", POLICY);
    host.file("etc/10-a.toml", "version = 1\n[limits]\nmemory = \"2G\"\n");
    host.file("etc/10-a.toml~", "no policy");
    host.file("etc/.hidden.toml", "no policy");
    if !is_root() {
        assert!(host.refused().contains("not to root"), "{}", host.refused());
        return;
    }
    let found = host.read().expect("two files");
    let sizes: Vec<_> = found.layers.organisation.iter().map(memory).collect();
    assert_eq!(sizes, [Some(2 << 30), Some(1 << 30)]);
    assert_eq!(found.files.len(), 2);
}

/// What others than root can write is no word of root.
#[test]
fn an_organisation_that_others_can_write_is_refused() {
    if !is_root() {
        let host = Host::new();
        host.file("etc/a.toml", POLICY);
        assert!(host.refused().contains("not to root"), "{}", host.refused());
        return;
    }
    for (path, mode) in [
        ("etc/a.toml", 0o664),
        ("etc/a.toml", 0o646),
        ("etc", 0o775),
        ("etc", 0o1777),
    ] {
        let host = Host::new();
        host.file("etc/a.toml", POLICY);
        assert!(host.read().is_ok(), "the positive control");
        fs::set_permissions(host.path(path), Permissions::from_mode(mode)).expect("chmod");
        let error = host.refused();
        assert!(
            error.contains("others than root can write it") && error.contains("fix: chown root:root"),
            "{error}"
        );
    }
    let host = Host::new();
    let file = host.file("etc/a.toml", POLICY);
    std::os::unix::fs::chown(&file, Some(1234), None).expect("chown");
    assert!(
        host.refused().contains("belongs to user 1234"),
        "{}",
        host.refused()
    );
}

/// What is there and cannot be read is never passed over.
#[test]
fn what_cannot_be_read_is_refused() {
    let broken = |make: &dyn Fn(&Path)| {
        let host = Host::new();
        make(&host.path("project/stockade.toml"));
        host.project().expect_err("refused").to_string()
    };
    let directory = broken(&|path| fs::create_dir(path).expect("mkdir"));
    assert!(directory.contains("no regular file"), "{directory}");
    let link = broken(&|path| symlink("/etc/passwd", path).expect("symlink"));
    assert!(
        link.contains("not a link") && !link.contains("root:"),
        "a link leads to no file's content: {link}"
    );
    let dangling = broken(&|path| symlink("/nowhere", path).expect("symlink"));
    assert!(dangling.contains("not a link"), "{dangling}");
    let pipe = broken(&|path| {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("mkfifo");
    });
    assert!(pipe.contains("no regular file"), "{pipe}");
    let nonsense = broken(&|path| fs::write(path, "no policy").expect("write"));
    assert!(nonsense.contains("stockade.toml:1:"), "{nonsense}");
    if !is_root() {
        let closed = broken(&|path| {
            fs::write(path, POLICY).expect("write");
            fs::set_permissions(path, Permissions::from_mode(0o000)).expect("chmod");
        });
        assert!(closed.contains("make it readable"), "{closed}");
    }
}

/// The user's file is the user's, whether by a link or not.
#[test]
fn the_users_file_is_the_users() {
    let host = Host::new();
    fs::remove_dir(host.path("etc")).expect("rmdir");
    let file = host.file("config/stockade/policy.toml", POLICY);
    assert_eq!(
        memory(host.read().expect("read").layers.user.as_ref().expect("a layer")),
        Some(1 << 30)
    );
    fs::set_permissions(&file, Permissions::from_mode(0o646)).expect("chmod");
    let error = host.refused();
    assert!(
        error.contains("others can write it (mode 0646)") && error.contains("chmod go-w"),
        "{error}"
    );
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("chmod");
    fs::rename(&file, host.path("dotfile")).expect("rename");
    symlink(host.path("dotfile"), &file).expect("symlink");
    assert!(
        host.read().expect("read").layers.user.is_some(),
        "a link of the user's"
    );
    fs::remove_file(host.path("dotfile")).expect("rm");
    assert!(host.read().is_err(), "a link that leads nowhere is no absence");
    if is_root() {
        let file = host.file("dotfile", POLICY);
        std::os::unix::fs::chown(&file, Some(1234), None).expect("chown");
        assert!(host.refused().contains("belongs to user 1234"));
    }
}

/// A project's file that the command line names is trusted, and not read once more.
#[test]
fn a_named_project_file_is_read_once() {
    let host = Host::new();
    let path = host.file("project/stockade.toml", POLICY);
    let mut found = Found::default();
    found
        .read_named(&host.path("project/../project/stockade.toml"))
        .expect("read");
    found.read_project(&host.path("project")).expect("read");
    assert!(found.layers.named.is_some() && found.layers.project.is_none());
    // The positive control: a copy is another file.
    let mut found = Found::default();
    let copy = host.file("copy.toml", POLICY);
    found.read_named(&copy).expect("read");
    found
        .read_project(path.parent().expect("a directory"))
        .expect("read");
    assert!(found.layers.named.is_some() && found.layers.project.is_some());
    let error = found
        .read_named(&host.path("none.toml"))
        .expect_err("none")
        .to_string();
    assert!(error.contains("cannot read policy"), "{error}");
}

#[test]
fn a_group_that_many_share_is_not_the_user() {
    assert!(!others_can_write(0o664, 1000, 1000, 1000));
    assert!(others_can_write(0o664, 100, 1000, 100), "a shared primary group");
    assert!(others_can_write(0o664, 50, 1000, 1000), "another group");
    assert!(others_can_write(0o666, 1000, 1000, 1000));
    assert!(!others_can_write(0o644, 100, 1000, 100));
}

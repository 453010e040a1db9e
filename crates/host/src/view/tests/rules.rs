//! What `[files]` shows and hides.

use stockade_domain::view::Access;

use super::*;

/// Rules show directories and files, read-only or writable.
#[test]
fn rules_show_what_they_name() {
    let host = Host::new();
    host.make("home/data/").make("home/notes.txt").make("srv/lib/");
    let srv = host.path("srv/lib");
    let compiled = host.compile(&format!(
        "[files]\nrw = [\"~/data\"]\nro = [\"$HOME/notes.txt\", \"{}\"]",
        srv.display()
    ));
    assert!(is_host(&compiled, &host.home("data"), Access::ReadWrite));
    assert!(is_host(&compiled, &host.home("notes.txt"), Access::ReadOnly));
    assert!(is_host(&compiled, &srv, Access::ReadOnly));
    assert!(compiled.notes.is_empty(), "{:?}", compiled.notes);
    check_order(&compiled);
}

/// A rule for what another rule shows already adds nothing; one for more access does.
#[test]
fn rules_do_not_repeat_each_other() {
    let host = Host::new();
    host.make("home/data/a/").make("home/data/b/");
    let compiled =
        host.compile("[files]\nro = [\"~/data/a\", \"~/data\", \"/usr/lib\"]\nrw = [\"~/data/b\"]");
    assert!(is_host(&compiled, &host.home("data"), Access::ReadOnly));
    assert_eq!(at(&compiled, &host.home("data/a")), None);
    assert_eq!(at(&compiled, Path::new("/usr/lib")), None);
    assert!(is_host(&compiled, &host.home("data/b"), Access::ReadWrite));
}

/// Symlinks of a rule's path exist inside too, and lead to the same place.
#[test]
fn symlinks_are_followed() {
    let host = Host::new();
    host.make("disk/models/").make("home/models -> ../disk/models");
    let compiled = host.compile("[files]\nro = [\"~/models\"]");
    assert_eq!(
        at(&compiled, &host.home("models")),
        Some(&Content::Symlink {
            target: "../disk/models".into()
        })
    );
    assert!(is_host(&compiled, &host.path("disk/models"), Access::ReadOnly));
}

/// What may not be shown is refused, also behind a symlink, with place and remedy.
#[test]
fn dangerous_rules_are_refused() {
    let host = Host::new();
    host.make("home/all -> /")
        .make("home/kernel -> /proc")
        .make("home/.local/state/stockade/");
    let _socket = std::os::unix::net::UnixListener::bind(host.home("docker.sock")).expect("a socket");
    for rule in [
        "/",
        "~",
        "~/all",
        "~/kernel",
        "/proc/1",
        "/run",
        "/tmp",
        "~/docker.sock",
        "~/.local",
        "/dev/null",
    ] {
        let error = host.refuse(&format!("[files]\nro = [\"{rule}\"]"));
        assert!(
            error.starts_with("stockade.toml:3:7: ") && error.contains("fix: "),
            "{rule}: {error}"
        );
    }
    assert!(
        host.refuse("[files]\nrw = [\"/usr/local\"]")
            .contains("operating system")
    );
    assert!(
        host.refuse("[files]\nro = [\"~/docker.sock\"]")
            .contains("is a socket")
    );
    assert!(host.refuse("[files]\nro = [\"~/missing\"]").contains("create it"));
}

/// Credentials in a shown parent are covered, and this is told.
#[test]
fn credentials_are_covered() {
    let host = Host::new();
    host.make("home/.config/gcloud/")
        .make("home/.config/nvim/")
        .make("home/.config/git");
    let compiled = host.compile("[files]\nro = [\"~/.config\"]");
    assert!(is_host(&compiled, &host.home(".config"), Access::ReadOnly));
    assert!(is_covered(&compiled, &host.home(".config/gcloud")), "a directory");
    assert!(is_covered(&compiled, &host.home(".config/git")), "a file");
    assert_eq!(
        at(&compiled, &host.home(".config/nvim")),
        None,
        "no credentials: seen as it is"
    );
    check_order(&compiled);
}

/// Named themselves, protected paths are shown: also below a parent that is shown.
#[test]
fn protected_paths_can_be_named() {
    let host = Host::new();
    host.make("home/.config/gcloud/").make("home/.config/gh/");
    let compiled = host.compile("[files]\nro = [\"~/.config/gcloud\", \"~/.config\"]");
    assert!(is_host(&compiled, &host.home(".config/gcloud"), Access::ReadOnly));
    assert!(is_covered(&compiled, &host.home(".config/gh")));
    assert!(compiled.notes.contains(&Note::ProtectedShown {
        path: host.home(".config/gcloud")
    }));
}

/// What is hidden stays hidden, whatever else shows it: deny beats allow.
#[test]
fn hidden_beats_shown() {
    let host = Host::new();
    host.make("home/project/.env")
        .make("home/data/secret/deep/")
        .make("home/data/open");
    let compiled = host.compile(
        "[files]\nro = [\"~/data\", \"~/data/secret/deep\"]\nhide = [\"$WORKDIR/.env\", \"~/data/secret\", \"~/nothing\", \"~/.ssh\"]\n\
         [workspace]\npath = \"~/project\"",
    );
    assert!(is_hidden(&compiled, &host.home("project/.env")));
    assert!(is_hidden(&compiled, &host.home("data/secret")));
    assert_eq!(at(&compiled, &host.home("data/secret/deep")), None);
    assert!(
        compiled.notes.is_empty(),
        "who hides something knows: {:?}",
        compiled.notes
    );
    assert_eq!(
        at(&compiled, &host.home(".ssh")),
        None,
        "nothing shows it, so nothing has to cover it"
    );
    assert!(
        host.refuse("[files]\nhide = [\"~\"]")
            .contains("cannot be hidden")
    );
}

/// In a directory that is writable in place, what the host runs later is kept read-only,
/// and its parent cannot be moved away.
#[test]
fn hooks_are_kept_read_only() {
    let host = Host::new();
    host.make("home/other/.git/hooks/")
        .make("home/other/.vscode/")
        .make("home/other/src/");
    let compiled = host.compile("[files]\nrw = [\"~/other\"]");
    assert!(is_host(
        &compiled,
        &host.home("other/.git/hooks"),
        Access::ReadOnly
    ));
    assert!(is_host(&compiled, &host.home("other/.git"), Access::ReadWrite));
    assert!(is_host(&compiled, &host.home("other/.vscode"), Access::ReadOnly));
    assert_eq!(at(&compiled, &host.home("other/src")), None);
    check_order(&compiled);
}

/// A rule cannot replace the workspace behind its mode's back.
#[test]
fn rules_do_not_replace_the_workspace() {
    let host = Host::new();
    let text = "[workspace]\npath = \"~/project\"\n[files]\nrw = [\"~/project\"]";
    assert!(host.refuse(text).contains("replaces the workspace"));
    host.make("home/project/target/");
    let compiled = host.compile("[workspace]\npath = \"~/project\"\n[files]\nrw = [\"$WORKDIR/target\"]");
    assert!(is_host(
        &compiled,
        &host.home("project/target"),
        Access::ReadWrite
    ));
}

/// A view is bounded.
#[test]
fn views_are_bounded() {
    let host = Host::new();
    for index in 0..600 {
        host.make(&format!("home/many/{index}/"));
    }
    let rules = |from: usize, to: usize| {
        (from..to)
            .map(|index| format!("\"~/many/{index}\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    let text = format!("[files]\nro = [{}]\nrw = [{}]\n", rules(0, 256), rules(256, 512));
    assert!(host.refuse(&text).contains("more than 512 entries"));
    assert!(
        host.compile(&format!("[files]\nro = [{}]", rules(0, 256)))
            .view
            .entries
            .len()
            > 256
    );
}

//! Which directory becomes the workspace.

use stockade_domain::spec::{Workspace, WorkspaceMode};

use super::*;

fn workspace(host: &Host, cwd: &str, policy: &str) -> Result<Option<PathBuf>, String> {
    host.compile_from(&host.path(cwd), policy)
        .map(|compiled| compiled.workspace.map(|workspace| workspace.source))
        .map_err(|error| error.to_string())
}

/// The git root around the current directory, else the current directory.
#[test]
fn the_git_root_is_found() {
    let host = Host::new();
    let cwd = "home/project/src";
    assert_eq!(
        workspace(&host, cwd, ""),
        Ok(Some(host.path(cwd))),
        "no repository"
    );
    host.make("home/project/.git/");
    assert_eq!(workspace(&host, cwd, ""), Ok(Some(host.home("project"))));
    assert_eq!(workspace(&host, cwd, "[workspace]\nmode = \"none\""), Ok(None));
}

/// A repository in the home directory itself (of dotfiles) does not make it the workspace.
#[test]
fn a_repository_at_home_is_passed_over() {
    let host = Host::new();
    host.make("home/.git/");
    assert_eq!(
        workspace(&host, "home/project/src", ""),
        Ok(Some(host.home("project/src")))
    );
}

/// The home directory, the whole host and our own state are refused with a remedy.
#[test]
fn dangerous_workspaces_are_refused() {
    let host = Host::new();
    host.make("home/.local/state/stockade/x/").make("home/.ssh/");
    for cwd in ["home", "home/.local", "home/.local/state/stockade/x", "home/.ssh"] {
        let error = workspace(&host, cwd, "").expect_err(cwd);
        assert!(
            error.contains("cannot be the workspace") && error.contains("--workspace"),
            "{error}"
        );
        assert_eq!(
            workspace(&host, cwd, "[workspace]\nmode = \"none\""),
            Ok(None),
            "{cwd} without one"
        );
    }
    let error = host.compile_from(Path::new("/"), "").expect_err("/").to_string();
    assert!(
        error.contains("/ cannot be the workspace: it is the whole host"),
        "{error}"
    );
    host.make("home/link -> ../home");
    let error =
        workspace(&host, "home/project", "[workspace]\npath = \"~/link\"").expect_err("a symlink to home");
    assert!(
        error.starts_with("stockade.toml:3:8: ") && error.contains("is the home directory"),
        "{error}"
    );
}

/// A named workspace is resolved; it must be a directory.
#[test]
fn workspaces_can_be_named() {
    let host = Host::new();
    host.make("home/file").make("disk/p/").make("home/p -> ../disk/p");
    let named = |path: &str| workspace(&host, "home", &format!("[workspace]\npath = \"{path}\""));
    assert_eq!(named("~/p"), Ok(Some(host.path("disk/p"))));
    assert!(
        named("~/file")
            .expect_err("a file")
            .contains("is not a directory")
    );
    assert!(named("~/missing").expect_err("missing").contains("create it"));
}

/// The entry carries no mode of its own, and credentials in it are covered.
#[test]
fn the_workspace_is_one_entry() {
    let host = Host::new();
    host.make("home/.config/nvim/").make("home/.config/gh/");
    let cwd = host.home(".config");
    let compiled = host
        .compile_from(&cwd, "")
        .expect("a workspace with credentials in it");
    assert_eq!(
        compiled.workspace,
        Some(Workspace {
            source: cwd.clone(),
            mode: WorkspaceMode::Cow
        })
    );
    assert_eq!(at(&compiled, &cwd), Some(&Content::Workspace));
    assert!(is_covered(&compiled, &cwd.join("gh")));
}

/// Writable in place, the workspace keeps its hooks; copy-on-write it needs not.
#[test]
fn hooks_of_a_writable_workspace() {
    let host = Host::new();
    host.make("home/project/.git/hooks/")
        .make("home/project/.git/config");
    let hooks = host.home("project/.git/hooks");
    assert!(is_host(
        &host.compile("[workspace]\nmode = \"rw\""),
        &hooks,
        Access::ReadOnly
    ));
    assert_eq!(at(&host.compile("[workspace]\nmode = \"cow\""), &hooks), None);
}

/// A worktree's repository is shown if it leads back; a forged `.git` file shows nothing.
#[test]
fn worktrees_see_their_repository() {
    let host = Host::new();
    let (main, tree) = (host.home("main/.git"), host.home("tree/.git"));
    host.make("home/main/.git/worktrees/tree/")
        .make("home/main/.git/HEAD")
        .make("home/tree/src/");
    let write = |path: PathBuf, text: String| std::fs::write(path, text).expect("write");
    write(
        tree.clone(),
        format!("gitdir: {}\n", main.join("worktrees/tree").display()),
    );
    let cwd = host.home("tree/src");
    assert_eq!(
        at(&host.compile_from(&cwd, "").expect("forged"), &main),
        None,
        "it does not lead back yet"
    );
    write(
        main.join("worktrees/tree/gitdir"),
        format!("{}\n", tree.display()),
    );
    let compiled = host.compile_from(&cwd, "").expect("a worktree");
    assert_eq!(
        compiled
            .workspace
            .as_ref()
            .map(|workspace| workspace.source.clone()),
        Some(host.home("tree"))
    );
    assert!(is_host(&compiled, &main, Access::ReadOnly));
    write(tree, format!("gitdir: {}\n", host.home(".ssh").display()));
    host.make("home/.ssh/");
    assert_eq!(
        at(&host.compile_from(&cwd, "").expect("forged"), &host.home(".ssh")),
        None
    );
}

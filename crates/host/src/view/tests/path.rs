//! What `PATH` leads to, and what of it never is shown.

use super::super::explain_missing;
use super::*;

fn search_path_inside(compiled: &Compiled) -> Vec<&str> {
    compiled
        .environment
        .get("PATH")
        .expect("PATH")
        .split(':')
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A directory of `PATH` in the home directory is shown, the home directory is not.
#[test]
fn directories_of_path_are_shown() {
    let mut host = Host::new();
    host.make("home/tools/bin/x")
        .make("home/tools/lib/")
        .make("home/tools/secret")
        .make("home/bin/y");
    host.search_path(&["tools/bin", "missing", "bin", "tools/bin"]);
    let compiled = host.compile("");
    assert!(is_host(&compiled, &host.home("tools/bin"), Access::ReadOnly));
    assert!(
        is_host(&compiled, &host.home("tools/lib"), Access::ReadOnly),
        "programs need their libraries"
    );
    assert_eq!(at(&compiled, &host.home("tools")), None);
    assert!(matches!(
        at(&compiled, &host.path("home")),
        Some(Content::Private {
            mode: 0o700,
            size_bytes: None
        })
    ));
    let (tools, bin) = (host.home("tools/bin"), host.home("bin"));
    assert_eq!(
        search_path_inside(&compiled),
        [text(&tools), text(&bin), "/usr/bin"]
    );
    check_order(&compiled);
}

/// Directories that would show too much, or credentials, are left out and told.
#[test]
fn dangerous_directories_are_skipped() {
    let mut host = Host::new();
    host.make("home/.ssh/bin/");
    let home = host.path("home").display().to_string();
    host.set(
        "PATH",
        format!("{home}:/:/proc:.:relative:{home}/.ssh/bin:/usr/bin"),
    );
    let compiled = host.compile("");
    assert_eq!(search_path_inside(&compiled), ["/usr/bin"]);
    assert_eq!(compiled.notes.len(), 4, "{:?}", compiled.notes);
    assert_eq!(at(&compiled, &host.home(".ssh/bin")), None);
}

/// Cargo can work, and its token stays hidden.
#[test]
fn cargo_works_without_its_token() {
    let mut host = Host::new();
    host.make("home/.cargo/bin/rustup")
        .make("home/.cargo/bin/cargo -> rustup")
        .make("home/.cargo/registry/");
    host.make("home/.cargo/credentials.toml")
        .make("home/.cargo/config.toml")
        .make("home/.rustup/toolchains/");
    host.search_path(&[".cargo/bin"]);
    let compiled = host.compile("");
    assert!(
        matches!(at(&compiled, &host.home(".cargo")), Some(Content::Private { .. })),
        "it writes locks there"
    );
    let registry = host.home(".cargo/registry");
    let source = registry.clone();
    assert_eq!(at(&compiled, &registry), Some(&Content::Cache { source }));
    for shown in [".cargo/bin", ".cargo/config.toml", ".rustup"] {
        assert!(is_host(&compiled, &host.home(shown), Access::ReadOnly), "{shown}");
    }
    assert_eq!(at(&compiled, &host.home(".cargo/credentials.toml")), None);
    std::fs::write(
        host.home(".cargo/config.toml"),
        "[registries.x]\ntoken = \"s3cret\"",
    )
    .expect("write");
    let compiled = host.compile("");
    assert_eq!(at(&compiled, &host.home(".cargo/config.toml")), None);
    assert!(compiled.notes.contains(&Note::TokenHidden {
        path: host.home(".cargo/config.toml")
    }));
}

/// A tool manager that variables put elsewhere is found there, and learns it inside.
#[test]
fn moved_tool_managers_are_found() {
    let mut host = Host::new();
    host.make("opt/cargo/bin/cargo")
        .make("opt/cargo/credentials.toml")
        .make("opt/rustup/");
    let (cargo, rustup) = (host.path("opt/cargo"), host.path("opt/rustup"));
    host.set("CARGO_HOME", text(&cargo));
    host.set("RUSTUP_HOME", text(&rustup));
    host.set("NVM_DIR", "/not/used");
    host.set("PATH", format!("{}/bin:/usr/bin", cargo.display()));
    let compiled = host.compile("");
    assert!(matches!(at(&compiled, &cargo), Some(Content::Private { .. })));
    assert!(is_host(&compiled, &rustup, Access::ReadOnly));
    assert_eq!(compiled.environment.get("CARGO_HOME"), Some(text(&cargo)));
    assert_eq!(compiled.environment.get("RUSTUP_HOME"), Some(text(&rustup)));
    assert_eq!(
        compiled.environment.get("NVM_DIR"),
        None,
        "only what is shown passes"
    );
}

/// Shims need their whole manager; one that hides a file keeps it hidden.
#[test]
fn tool_managers_are_shown_as_wholes() {
    let mut host = Host::new();
    host.make("home/.pyenv/shims/python3")
        .make("home/miniconda3/bin/python")
        .make("home/miniconda3/.condarc");
    host.search_path(&[".pyenv/shims", "miniconda3/bin"]);
    let compiled = host.compile("");
    assert!(is_host(&compiled, &host.home(".pyenv"), Access::ReadOnly));
    assert!(is_host(&compiled, &host.home("miniconda3"), Access::ReadOnly));
    assert!(is_covered(&compiled, &host.home("miniconda3/.condarc")));
}

/// Symlinks of a directory of `PATH` lead to what they name, and not into credentials.
#[test]
fn symlinks_of_path_are_followed() {
    let mut host = Host::new();
    host.make("home/.local/bin/uvpy -> ../share/uv/python/cpython/bin/python3");
    host.make("home/.local/share/uv/python/cpython/bin/python3")
        .make("home/.local/share/uv/credentials/x");
    host.make("home/.local/bin/app -> ../share/app/versions/app-1")
        .make("home/.local/share/app/versions/app-1");
    host.make("home/.local/bin/tool -> ../../tool/bin/tool")
        .make("home/tool/bin/tool")
        .make("home/tool/lib/");
    host.make("home/.local/bin/key -> ../../.ssh/id")
        .make("home/.ssh/id");
    host.make("home/.local/bin/gone -> ../nowhere");
    host.search_path(&[".local/bin"]);
    let compiled = host.compile("");
    assert!(is_host(&compiled, &host.home(".local/bin"), Access::ReadOnly));
    assert!(is_host(
        &compiled,
        &host.home(".local/share/uv/python"),
        Access::ReadOnly
    ));
    assert!(is_host(
        &compiled,
        &host.home(".local/share/app/versions/app-1"),
        Access::ReadOnly
    ));
    assert!(is_host(&compiled, &host.home("tool/bin"), Access::ReadOnly));
    assert!(is_host(&compiled, &host.home("tool/lib"), Access::ReadOnly));
    for hidden in [
        ".ssh",
        ".ssh/id",
        ".local/share/uv/credentials",
        ".local/share",
        ".local",
    ] {
        assert_eq!(at(&compiled, &host.home(hidden)), None, "{hidden}");
    }
    check_order(&compiled);
}

/// Only so many names are read, and this is told.
#[test]
fn reading_of_directories_is_bounded() {
    let mut host = Host::new();
    for index in 0..600 {
        host.make(&format!("home/bin/{index}"));
    }
    host.search_path(&["bin"]);
    let notes = host.compile("").notes;
    assert!(
        matches!(&notes[..], [Note::PathSkipped { why, .. }] if why.contains("512 names")),
        "{notes:?}"
    );
}

/// What the host knows of the user does not pass; what the policy names does.
#[test]
fn the_environment_is_clean() {
    let mut host = Host::new();
    for (name, value) in [
        ("LANG", "C.UTF-8"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("SSH_AUTH_SOCK", "/x"),
        ("MINE", "m"),
    ] {
        host.set(name, value);
    }
    host.set("SHELL", "/usr/bin/no-such-shell");
    host.search_path(&[]);
    let compiled = host.compile("[environment]\npass = [\"MINE\"]\nset = { STOCKADE = \"0\", A = \"1\" }");
    let names: Vec<_> = compiled.environment.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "LANG", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "STOCKADE", "MINE", "A"
        ]
    );
    assert_eq!(compiled.environment.get("HOME"), Some(text(&host.path("home"))));
    assert_eq!(compiled.environment.get("SHELL"), Some("/bin/sh"));
}

/// A home directory that is none is replaced, not shown.
#[test]
fn odd_homes_are_replaced() {
    for home in ["/", "/tmp", "relative", "/no/such/home"] {
        let host = Host::new();
        let mut context = host.context();
        context.variables = vec![
            ("HOME".to_owned(), home.to_owned()),
            ("PATH".to_owned(), "/usr/bin".to_owned()),
        ];
        let compiled = compile(&read(""), &context, WHO).expect(home);
        assert_eq!(compiled.home, Path::new("/home/user"), "{home}");
        assert!(matches!(
            at(&compiled, &compiled.home),
            Some(Content::Private { .. })
        ));
    }
}

/// A command that the policy hides is explained, with what would show it.
#[test]
fn hidden_commands_are_explained() {
    use std::os::unix::fs::PermissionsExt;
    let mut host = Host::new();
    host.make("home/secret/interpreter")
        .make("home/bin/script")
        .make("home/private/tool");
    std::fs::write(
        host.home("bin/script"),
        format!("#!{}\n", host.home("secret/interpreter").display()),
    )
    .expect("write");
    for program in ["secret/interpreter", "bin/script", "private/tool"] {
        std::fs::set_permissions(host.home(program), PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    host.search_path(&["bin"]);
    let view = host.compile("").view;
    let path = format!(
        "{}:{}",
        host.home("bin").display(),
        host.home("private").display()
    );
    let explain = |command: &str| explain_missing(command, &view, &path);
    let hidden = explain("tool").expect("it is hidden");
    assert_eq!(
        (hidden.host_path, hidden.show),
        (host.home("private/tool"), host.home("private"))
    );
    let hidden = explain("script").expect("its interpreter is hidden");
    assert_eq!(hidden.host_path, host.home("secret/interpreter"));
    let text = hidden.to_string();
    assert!(
        text.starts_with("script is a script for ") && text.ends_with("/secret"),
        "{text}"
    );
    assert_eq!(
        explain(text_of(&host.home("private/tool"))).map(|hidden| hidden.show),
        Some(host.home("private"))
    );
    host.make("home/alone");
    std::fs::set_permissions(host.home("alone"), PermissionsExt::from_mode(0o755)).expect("chmod");
    let alone = explain(text_of(&host.home("alone"))).expect("it is hidden");
    assert_eq!(
        alone.show,
        host.home("alone"),
        "its directory is the home directory"
    );
    assert!(
        alone
            .to_string()
            .contains("which the policy hides: show it with --ro "),
        "{alone}"
    );
    assert_eq!(explain("sh"), None, "no such command in this PATH");
    assert_eq!(explain("/bin/sh"), None, "it is shown: something else is wrong");
}

fn text_of(path: &Path) -> &str {
    text(path)
}

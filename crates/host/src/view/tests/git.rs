//! The user's git settings, as the git inside finds them.

use super::*;

const SETTINGS: &str = r#"
[user]
    name = Ada \"Quoted\" Example ; not this
    email = ada@example.org
    signingkey = 0xABCDEF
[alias]
    st = status --short
    up = !curl -H token:hunter2 http://example.org
[core]
    editor = vim -c 'call system("x")'
    sshCommand = ssh -i ~/.ssh/key
    hooksPath = /home/hooks
    fsmonitor = /bin/evil
    autocrlf = input
[commit]
    gpgsign = true
[credential]
    helper = store
[url "https://user:hunter2@example.org/"]
    insteadOf = https://example.org/
[filter "lfs"]
    process = git-lfs filter-process
[diff "pdf"]
    textconv = pdftotext
[include]
    path = more.config
[includeIf "gitdir:~/project/"]
    path = work.config
"#;

impl Host {
    fn write(&self, inside: &str, content: &str) -> &Self {
        self.make(inside);
        std::fs::write(self.path(inside), content).expect("write");
        self
    }
}

fn settings(compiled: &Compiled, host: &Host) -> Option<String> {
    match at(compiled, &host.home(".gitconfig")) {
        Some(Content::File { content }) => Some(String::from_utf8(content.clone()).expect("text")),
        _ => None,
    }
}

/// What git itself reads in the file: `key=value` lines.
fn as_git_reads(text: &str) -> Option<Vec<String>> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("config");
    std::fs::write(&file, text).expect("write");
    let output = std::process::Command::new("git")
        .args(["config", "--list", "--file"])
        .arg(&file)
        .output()
        .ok()?;
    assert!(output.status.success(), "git cannot read {text}");
    let lines = String::from_utf8(output.stdout).expect("text");
    Some(lines.lines().map(str::to_owned).collect())
}

/// Name, address and harmless settings pass; what names programs, keys or addresses does not.
#[test]
fn only_harmless_settings_pass() {
    let host = Host::new();
    host.make("home/project/.git/");
    host.write("home/.gitconfig", SETTINGS)
        .write(
            "home/more.config",
            "[pull]\nrebase = true\n[gpg]\nprogram = /bin/evil",
        )
        .write("home/work.config", "[user]\nemail = ada@work.example");
    let text = settings(&host.compile(""), &host).expect("settings");
    if let Some(lines) = as_git_reads(&text) {
        assert_eq!(
            lines,
            [
                "user.name=Ada \"Quoted\" Example",
                "user.email=ada@work.example",
                "alias.st=status --short",
                "core.autocrlf=input",
                "pull.rebase=true",
            ]
        );
    }
    for hidden in ["hunter2", "evil", "gpg", "signing", "ssh", "lfs", "credential"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}

/// The other place that git knows, and the precedence of the two.
#[test]
fn both_places_are_read() {
    let host = Host::new();
    host.write("home/.config/git/config", "[user]\nname = First\nemail = a@b")
        .write("home/.gitconfig", "[user]\nname = Second");
    let text = settings(&host.compile(""), &host).expect("settings");
    if let Some(lines) = as_git_reads(&text) {
        assert!(lines.contains(&"user.name=Second".to_owned()), "{lines:?}");
        assert!(lines.contains(&"user.email=a@b".to_owned()), "{lines:?}");
    }
}

/// No settings, no file; settings that nobody can read are told, and nothing passes.
#[test]
fn nothing_is_made_up() {
    let host = Host::new();
    assert_eq!(settings(&host.compile(""), &host), None);
    host.write("home/.gitconfig", "[user\nname = x");
    let compiled = host.compile("");
    assert_eq!(settings(&compiled, &host), None);
    let told = |note: &Note| matches!(note, Note::GitSettings { .. });
    assert!(compiled.notes.iter().any(told), "{:?}", compiled.notes);
}

/// A policy that shows the file itself has its way.
#[test]
fn a_rule_for_the_file_wins() {
    let host = Host::new();
    host.write("home/.gitconfig", "[user]\nname = x");
    let path = host.home(".gitconfig");
    let compiled = host.compile("[files]\nro = [\"~/.gitconfig\"]");
    assert!(
        is_host(&compiled, &path, Access::ReadOnly),
        "{:?}",
        at(&compiled, &path)
    );
}

/// Root is somebody else inside, and git does not look at other people's repositories.
#[test]
fn what_root_shows_of_its_own_is_looked_at_by_git_inside() {
    let host = Host::new();
    host.make("elsewhere/.git/").make("elsewhere/file");
    let shown = host.path("elsewhere").display().to_string();
    let compiled = host.compile(&format!("[files]\nro = [\"{shown}\", \"{shown}/file\"]"));
    let text = settings(&compiled, &host);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(text, None);
        return;
    }
    let text = text.expect("settings");
    if let Some(lines) = as_git_reads(&text) {
        let trusted = ["", "/.git", "/*"].map(|below| format!("safe.directory={shown}{below}"));
        assert_eq!(lines, trusted);
    }
    // The control: what belongs to somebody else is not.
    std::os::unix::fs::chown(host.path("elsewhere"), Some(65534), None).expect("chown");
    assert_eq!(
        settings(&host.compile(&format!("[files]\nro = [\"{shown}\"]")), &host),
        None
    );
}

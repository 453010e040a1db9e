//! Completions, as the shells themselves offer them.

use std::path::Path;
use std::process::Command;

use crate::detached::skip;
use crate::pty::Terminal;
use crate::world::World;

fn completions(shell: &str) -> String {
    let output = World::new()
        .stockade(&["completions", shell])
        .output()
        .expect("it runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn completions_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = completions(shell);
        for word in ["changes", "workspace-mode", "status-fd"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_accepts_its_completions() {
    let world = World::new();
    std::fs::write(world.path("completions"), completions("bash")).expect("a file");
    let asked = "source ./completions; COMP_WORDS=(stockade ru); COMP_CWORD=1; _stockade stockade ru stockade; echo ${COMPREPLY[@]}";
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", asked])
        .current_dir(world.path("."))
        .output()
        .expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "run\n");
}

/// What bash would offer for the last of these words, sorted.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    std::fs::write(world.path("completions"), completions("bash")).expect("a file");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let asked = format!(
        "source ../completions; COMP_WORDS=('{}' {}); COMP_CWORD={}; _stockade '{}' \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        world.program(),
        quoted.join(" "),
        words.len(),
        world.program(),
    );
    let output = shell(world, "bash")
        .args(["--norc", "--noprofile", "-c", &asked])
        .output()
        .expect("bash");
    sorted(&output.stdout)
}

fn sorted(lines: &[u8]) -> Vec<String> {
    let mut all: Vec<String> = String::from_utf8_lossy(lines)
        .lines()
        // Fish puts what it is behind a tab.
        .filter_map(|line| line.split('\t').next())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

/// A shell with the environment of the program under test, which is on its PATH.
fn shell(world: &World, name: &str) -> Command {
    let program = Path::new(world.program()).parent().expect("a directory");
    let prepared = world.stockade(&[]);
    let variables = prepared
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut shell = Command::new(name);
    shell.env_clear().envs(variables).current_dir(world.project());
    shell.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
    shell
}

/// True if a shell is installed here.
fn has(name: &str) -> bool {
    let is_there = Path::new("/usr/bin").join(name).exists();
    if !is_there {
        skip(name, "it is not installed in a directory of the system");
    }
    is_there
}

/// Two kept sandboxes, each with changes of a name of their own.
fn with_sandboxes() -> World {
    let world = World::new();
    let write = ["sh", "-c", "echo x > file"];
    for (flags, name) in [
        (["--changes", "apples"], "one"),
        (["--changes", "pears"], "other"),
    ] {
        let flags = [&["--name", name, "--keep", "-q"], flags.as_slice()].concat();
        let output = world.run_with(&flags, &write).output().expect("it runs");
        assert!(output.status.success(), "{}", world.tidy(&output.stderr));
    }
    world
}

#[test]
fn bash_offers_what_exists() {
    let world = with_sandboxes();
    assert_eq!(offered(&world, &["inspect", ""]), ["one", "other"]);
    assert_eq!(offered(&world, &["rm", "-f", "on"]), ["one"]);
    assert_eq!(offered(&world, &["logs", "one", "ot"]), ["other"]);
    assert_eq!(offered(&world, &["changes", ""]), ["apples", "pears"]);
    assert_eq!(offered(&world, &["diff", "--changes", "a"]), ["apples"]);
    assert_eq!(
        offered(&world, &["preset", "show", ""]),
        ["locked", "standard", "toolchain"]
    );
    assert_eq!(offered(&world, &["run", "--preset", "l"]), ["locked"]);
    assert_eq!(offered(&world, &["help", "exit"]), ["exit-codes"]);
    // Flags as before, and nothing that is known where a flag's value belongs or after --.
    assert_eq!(offered(&world, &["inspect", "--js"]), ["--json"]);
    assert!(!offered(&world, &["stop", "--grace", "o"]).contains(&"one".to_owned()));
    assert!(!offered(&world, &["exec", "one", "--", "o"]).contains(&"one".to_owned()));
}

#[test]
fn every_shell_asks_the_program() {
    for shell in ["bash", "zsh", "fish"] {
        let script = completions(shell);
        for part in [
            "ls --quiet",
            "changes --quiet",
            "locked standard toolchain",
            "exit-codes",
        ] {
            assert!(script.contains(part), "{shell}: {part}");
        }
        for mark in ["@PRESETS@", "@TOPICS@", "@VALUED@"] {
            assert!(!script.contains(mark), "{shell}: {mark} is left");
        }
    }
}

/// What fish would offer at the end of a line, sorted.
fn fish_offers(world: &World, line: &str) -> Vec<String> {
    std::fs::write(world.path("completions.fish"), completions("fish")).expect("a file");
    let asked = format!("source ../completions.fish; complete -C '{line}'");
    let output = shell(world, "fish")
        .args(["--no-config", "-c", &asked])
        .output()
        .expect("fish");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    sorted(&output.stdout)
}

#[test]
fn fish_offers_what_exists() {
    if !has("fish") {
        return;
    }
    let world = with_sandboxes();
    assert_eq!(fish_offers(&world, "stockade exec "), ["one", "other"]);
    assert_eq!(fish_offers(&world, "stockade rm -f on"), ["one"]);
    assert_eq!(fish_offers(&world, "stockade changes "), ["apples", "pears"]);
    assert_eq!(fish_offers(&world, "stockade diff --changes a"), ["apples"]);
    assert_eq!(
        fish_offers(&world, "stockade preset show "),
        ["locked", "standard", "toolchain"]
    );
    assert_eq!(fish_offers(&world, "stockade run --preset l"), ["locked"]);
    assert_eq!(fish_offers(&world, "stockade help exit"), ["exit-codes"]);
    assert_eq!(fish_offers(&world, "stockade inspect --js"), ["--json"]);
    assert!(fish_offers(&world, "stockade ru").contains(&"run".to_owned()));
    assert!(!fish_offers(&world, "stockade stop --grace o").contains(&"one".to_owned()));
    assert!(!fish_offers(&world, "stockade exec one -- o").contains(&"one".to_owned()));
}

/// An interactive zsh with our completions where a distribution puts them.
fn zsh(world: &World) -> Terminal {
    std::fs::create_dir_all(world.path("zsh/site")).expect("a directory");
    std::fs::write(world.path("zsh/site/_stockade"), completions("zsh")).expect("a file");
    let start = "PROMPT='%% '; fpath=($ZDOTDIR/site $fpath); autoload -Uz compinit; compinit -u -D; \
                 setopt no_beep; print ready\n";
    std::fs::write(world.path("zsh/.zshrc"), start).expect("a file");
    let mut command = shell(world, "zsh");
    command
        .args(["-o", "no_global_rcs", "-i"])
        .env("ZDOTDIR", world.path("zsh"));
    let mut terminal = Terminal::start(&command);
    terminal.expect("ready");
    terminal
}

/// Types a line and a tab, expects what the line becomes, and throws it away.
fn completes(terminal: &mut Terminal, typed: &str, line: &str) {
    const KILL_LINE: &str = "\u{15}";
    const CLEAR: &str = "\u{c}";
    terminal.keys(&format!("{typed}\t"));
    terminal.expect(&format!("% {line}"));
    terminal.keys(&format!("{KILL_LINE}{CLEAR}"));
}

#[test]
fn zsh_offers_what_exists() {
    if !has("zsh") {
        return;
    }
    let world = with_sandboxes();
    let mut terminal = zsh(&world);
    let lines = [
        ("stockade exec on", "stockade exec one"),
        ("stockade rm -f ot", "stockade rm -f other"),
        ("stockade changes ap", "stockade changes apples"),
        ("stockade diff --changes pe", "stockade diff --changes pears"),
        ("stockade preset show to", "stockade preset show toolchain"),
        ("stockade run --preset lo", "stockade run --preset locked"),
        ("stockade help exit", "stockade help exit-codes"),
        ("stockade inspect --js", "stockade inspect --json"),
        ("stockade insp", "stockade inspect"),
    ];
    for (typed, line) in lines {
        completes(&mut terminal, typed, line);
    }
    // Several are listed.
    terminal.keys("stockade exec \t\t");
    terminal.wait_for("both names", |terminal| {
        let shown = terminal.contents();
        shown.contains("one") && shown.contains("other")
    });
}

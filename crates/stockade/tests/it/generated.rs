//! Completions and manual pages.

use std::process::Command;

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
    // With the environment of the program under test, and bash in its place.
    let prepared = world.stockade(&[]);
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &asked])
        .env_clear()
        .envs(
            prepared
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(world.project());
    let output = bash.output().expect("bash");
    let mut all: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

#[test]
fn bash_offers_what_exists() {
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

#[test]
fn every_command_has_a_manual_page() {
    let world = World::new();
    let pages = world.path("man");
    let status = world
        .stockade(&["man", "--dir", pages.to_str().expect("UTF-8")])
        .status()
        .expect("it runs");
    assert!(status.success());
    let mut names: Vec<String> = pages
        .read_dir()
        .expect("pages")
        .map(|page| page.expect("a page").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    insta::assert_snapshot!(names.join("\n"));
    let run = std::fs::read_to_string(pages.join("stockade-run.1")).expect("the page of run");
    assert!(
        run.contains("stockade\\-run") && run.contains("workspace\\-mode"),
        "{run}"
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let world = World::new();
    world.file("file", "");
    let output = world
        .stockade(&["man", "--dir", "file/below"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        world.tidy(&output.stderr).contains("cannot write file/below"),
        "{}",
        world.tidy(&output.stderr)
    );
}

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

//! Help texts, and flags that cannot be right.

use crate::world::World;

fn stdout(arguments: &[&str]) -> String {
    let world = World::new();
    let output = world.stockade(arguments).output().expect("it runs");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        world.tidy(&output.stderr)
    );
    world.tidy(&output.stdout)
}

fn refused(arguments: &[&str]) -> String {
    let world = World::new();
    let output = world.stockade(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(125), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{}", world.tidy(&output.stdout));
    world.tidy(&output.stderr)
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(stdout(&["--help"]));
}

#[test]
fn help_of_every_command() {
    let commands: [&[&str]; 14] = [
        &["run"],
        &["exec"],
        &["ls"],
        &["stop"],
        &["rm"],
        &["changes"],
        &["policy"],
        &["policy", "check"],
        &["gc"],
        &["doctor"],
        &["setup"],
        &["help"],
        &["completions"],
        &["man"],
    ];
    let help = commands.map(|command| {
        format!(
            "## {}\n\n{}",
            command.join(" "),
            stdout(&[command, &["--help"]].concat())
        )
    });
    insta::assert_snapshot!(help.join("\n"));
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(
        stdout(&["--version"]),
        format!("stockade {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn mistakes_are_refused_with_the_reason() {
    let mistakes: [&[&str]; 12] = [
        &[],
        &["rum"],
        &["run"],
        &["run", "--memroy", "1G", "--", "true"],
        &["run", "--memory", "512Q", "--", "true"],
        &["run", "--timeout", "5", "--", "true"],
        &["run", "--pids", "0", "--", "true"],
        &["run", "-t", "-T", "--", "true"],
        &["run", "--prefer", "dsik", "--", "true"],
        &["run", "--workspace-mode", "maybe", "--", "true"],
        &["run", "-e", "=x", "--", "true"],
        &["exec", "name"],
    ];
    let told = mistakes.map(|mistake| format!("$ stockade {}\n{}", mistake.join(" "), refused(mistake)));
    insta::assert_snapshot!(told.join("\n"));
}

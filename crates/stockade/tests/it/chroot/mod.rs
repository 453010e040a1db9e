//! The driver for root without namespaces: what it builds, holds, and leaves.

mod ends;
mod escapes;
mod handed;
mod kept;
mod refusals;
mod work;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::detached::skip;
use crate::world::World;

/// Controls that this driver cannot enforce, given up by name.
const FLAGS: [&str; 7] = [
    "-q",
    "--driver",
    "chroot",
    "--prefer",
    "processes-hidden",
    "--prefer",
    "hostname-private",
];

/// A world where the driver works; none where it cannot, which is noted.
fn world(test: &str) -> Option<World> {
    if !rustix::process::geteuid().is_root() {
        skip(test, "the chroot driver needs root");
        return None;
    }
    Some(World::new())
}

/// Runs with the system's directories. They are brought once: the state is shared by the tests and stays.
fn with_system(world: &World, words: &[&str]) -> Output {
    let mut command = world.run_with(&FLAGS, words);
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.output().expect("it runs")
}

/// Runs with an image.
fn with_image(world: &World, flags: &[&str], words: &[&str]) -> Output {
    launch(world, flags, words).output().expect("it runs")
}

fn launch(world: &World, flags: &[&str], words: &[&str]) -> Command {
    let image = image(world);
    let image = ["--image", image.to_str().expect("UTF-8")];
    world.run_with(&[&FLAGS, &image[..], flags].concat(), words)
}

/// The recipe that chroot's users know: programs with their libraries and loader, at their paths.
fn image(world: &World) -> PathBuf {
    const PROGRAMS: [&str; 6] = [
        "/bin/sh",
        "/bin/cat",
        "/bin/ls",
        "/bin/sleep",
        "/usr/bin/env",
        "/usr/bin/id",
    ];
    let image = world.path("image");
    for program in PROGRAMS {
        bring_program(Path::new(program), &image);
    }
    image
}

fn bring_program(program: &Path, image: &Path) {
    bring(program, image);
    let libraries = Command::new("ldd").arg(program).output().expect("ldd runs");
    for word in String::from_utf8_lossy(&libraries.stdout).split_whitespace() {
        if word.starts_with('/') {
            bring(Path::new(word), image);
        }
    }
}

fn bring(file: &Path, image: &Path) {
    let to = image.join(file.strip_prefix("/").expect("absolute"));
    if !to.exists() {
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
        std::fs::copy(file, &to).expect("a copy");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    let complaint = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{complaint}{}",
        text(&output.stdout)
    );
    text(&output.stdout)
}

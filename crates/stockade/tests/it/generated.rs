//! Manual pages.

use crate::world::World;

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

//! Errors say what, why and what to do, and leave nothing behind.

use crate::world::{World, is_empty_directory};

/// Runs, expects an exit code, returns what was said.
fn said(world: &World, code: i32, arguments: &[&str]) -> String {
    let output = world.stockade(arguments).output().expect("it runs");
    let said = world.tidy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[test]
fn an_unknown_driver_is_refused_with_a_suggestion() {
    let world = World::new();
    let said = said(&world, 125, &["run", "--driver", "nativ", "--", "true"]);
    assert!(
        said.contains("no driver called nativ") && said.contains("did you mean native?"),
        "{said}"
    );
    assert!(is_empty_directory(&world.path("state")), "nothing may be created");
}

#[test]
fn a_missing_policy_is_named() {
    let world = World::new();
    let said = said(&world, 125, &["run", "--policy", "nope.toml", "--", "true"]);
    assert!(
        said.contains("cannot read policy nope.toml") && said.contains("fix:"),
        "{said}"
    );
}

#[test]
fn a_policy_with_an_unknown_key_is_shown_with_its_line() {
    let world = World::new();
    world.file("p.toml", "version = 1\n[limits]\nmemroy = \"1G\"\n");
    let said = said(&world, 125, &["policy", "check", "p.toml"]);
    assert!(said.contains("p.toml:3:1") && said.contains("memory"), "{said}");
}

#[test]
fn a_good_policy_passes() {
    let world = World::new();
    world.file("p.toml", "version = 1\n[limits]\nmemory = \"1G\"\n");
    said(&world, 0, &["policy", "check", "p.toml"]);
}

#[test]
fn a_policy_in_the_project_is_read_by_itself_and_only_tightens() {
    let world = World::new();
    let dry_run = ["run", "--dry-run", "--", "true"];
    world.file("stockade.toml", "this is no policy");
    assert!(said(&world, 125, &dry_run).contains("stockade.toml:1:"));
    world.file("stockade.toml", "version = 1\n[network]\nmode = \"host\"\n");
    let loose = said(&world, 125, &dry_run);
    assert!(
        loose.contains("stockade.toml:3:8") && loose.contains("only tighten"),
        "{loose}"
    );
    // The positive controls: named, it is trusted; and what tightens is fine.
    said(
        &world,
        0,
        &["run", "--policy", "stockade.toml", "--dry-run", "--", "true"],
    );
    world.file("stockade.toml", "version = 1\n[workspace]\nmode = \"ro\"\n");
    said(&world, 0, &dry_run);
}

#[test]
fn a_policy_is_checked_as_what_it_is_to_be() {
    let world = World::new();
    world.file("floor.toml", "version = 1\n[floor.limits]\npids = 50\n");
    assert!(said(&world, 125, &["policy", "check", "floor.toml"]).contains("organisation's files"));
    said(
        &world,
        0,
        &["policy", "check", "--as", "organisation", "floor.toml"],
    );
    world.file("loose.toml", "version = 1\n[limits]\npids = 9999\n");
    said(&world, 0, &["policy", "check", "--as", "user", "loose.toml"]);
    let project = said(&world, 125, &["policy", "check", "--as", "project", "loose.toml"]);
    assert!(project.contains("loose.toml:3:8"), "{project}");
    said(&world, 0, &["policy", "check"]);
    world.file("stockade.toml", "version = 1\n[limits]\npids = 9999\n");
    assert!(said(&world, 125, &["policy", "check"]).contains("stockade.toml:3:8"));
}

#[test]
fn a_preset_that_does_not_exist_is_suggested() {
    let world = World::new();
    for arguments in [
        &["run", "--preset", "standart", "--", "true"][..],
        &["preset", "show", "standart"],
    ] {
        let said = said(&world, 125, arguments);
        assert!(
            said.contains("no preset standart") && said.contains("`standard`"),
            "{said}"
        );
    }
}

#[test]
fn an_unknown_sandbox_is_named() {
    let world = World::new();
    for arguments in [
        &["exec", "ghost", "--", "true"][..],
        &["stop", "ghost"],
        &["rm", "ghost"],
        &["changes", "ghost"],
    ] {
        let said = said(&world, 125, arguments);
        assert!(said.contains("no sandbox called ghost"), "{arguments:?}: {said}");
    }
}

#[test]
fn names_in_errors_cannot_drive_the_terminal() {
    let world = World::new();
    let policy = said(&world, 125, &["run", "--ro", "/nope\u{1b}[31m", "--", "true"]);
    assert!(policy.contains("/nope\\u{1b}[31m"), "{policy}");
    let command = said(&world, 127, &["run", "--", "nope\u{1b}[31m"]);
    assert!(
        !command.contains('\u{1b}') && command.contains("nope\\u{1b}[31m"),
        "{command}"
    );
}

#[test]
fn a_status_fd_that_is_not_open_is_refused() {
    let world = World::new();
    let said = said(&world, 125, &["run", "--status-fd", "77", "--", "true"]);
    assert!(said.contains("--status-fd 77") && said.contains("3>"), "{said}");
}

#[test]
fn the_root_and_the_home_are_no_workspaces() {
    let world = World::new();
    let home = world.path("home");
    for place in ["/", home.to_str().expect("UTF-8")] {
        let said = said(&world, 125, &["run", "--workspace", place, "--", "true"]);
        assert!(said.contains("workspace"), "{said}");
    }
}

#[test]
fn a_missing_env_file_is_named() {
    let world = World::new();
    let said = said(&world, 125, &["run", "--env-file", "nope.env", "--", "true"]);
    assert!(said.contains("nope.env"), "{said}");
}

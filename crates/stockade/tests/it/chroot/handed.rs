//! What this driver left pending, and another one without its rights.

use std::fs;
use std::process::{Command, Output};

use super::{succeeded, text, with_image, world};
use crate::world::World;

/// Stockade as root of a container: with all capabilities but that for mounts.
fn without_mounts(world: &World, arguments: &[&str]) -> Output {
    let program = world.stockade(arguments);
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(world.project())
        .env_clear();
    let variables = program.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    command.output().expect("setpriv runs")
}

const GIVEN_UP: [&str; 2] = ["--prefer=processes-hidden", "--prefer=hostname-private"];

#[test]
fn root_without_the_right_to_mount_is_told_what_to_do_and_goes_on_with_what_is_pending() {
    let Some(world) =
        world("root_without_the_right_to_mount_is_told_what_to_do_and_goes_on_with_what_is_pending")
    else {
        return;
    };
    succeeded(&with_image(&world, &[], &["/bin/sh", "-c", "echo one > new"]));
    for driver in ["native", "auto"] {
        let refused = without_mounts(&world, &["run", "--driver", driver, "--", "cat", "new"]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(125), "{said}");
        for part in [
            "root without CAP_SYS_ADMIN over the whole machine can give a sandbox no id but its own",
            "run as an ordinary user, or as root with CAP_SYS_ADMIN",
            "chroot",
        ] {
            assert!(said.contains(part), "{driver}: {said}");
        }
    }
    // The ways out lead out: the driver that is named, which is chosen once what it lacks is given up, and the right.
    let image = super::image(&world);
    let image = image.to_str().expect("UTF-8");
    let chosen = [
        &["run", "-q"],
        &GIVEN_UP[..],
        &["--image", image, "--", "/bin/cat", "new"],
    ]
    .concat();
    assert_eq!(succeeded(&without_mounts(&world, &chosen)), "one\n");
    let mut with_the_right = world.run_with(&["-q", "--driver", "native"], &["cat", "new"]);
    assert_eq!(succeeded(&with_the_right.output().expect("it runs")), "one\n");
    succeeded(&without_mounts(&world, &["apply", "--all"]));
    let applied = fs::read_to_string(world.project().join("new"));
    assert_eq!(applied.expect("it was taken over"), "one\n");
}

//! The long form of what others show with a few: run by hand, with `--ignored`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::kill::{check, decide, pictures, prepare, run_child};
use super::world::{World, contents};

/// A thousand processes, killed at effects all over an apply, an undo and a recovery.
#[test]
#[ignore = "it takes minutes"]
fn of_a_thousand_that_are_killed_none_leaves_a_torn_tree() {
    const KILLS: u64 = 1000;
    let pictures = pictures();
    let (mut killed, mut at, mut before, mut after) = (0, 0, 0, 0);
    while killed < KILLS {
        for what in ["apply", "undo", "discard", "recover"] {
            let world = prepare();
            match what {
                "undo" => drop(world.apply(decide).expect("applied")),
                "recover" => assert!(run_child("apply", 16 + at % 12, &world)),
                _ => {}
            }
            // Where it has fewer effects it comes to its end, and counts for nothing.
            let was_killed = run_child(what, at % 40, &world);
            killed += u64::from(was_killed);
            check(&world, &pictures, what, at);
            match contents(&world.project()) == pictures.before {
                true => before += 1,
                false => after += 1,
            }
        }
        at += 1;
    }
    println!("{killed} were killed: {before} trees are as before, {after} as after, none is torn");
    assert!(before > 0 && after > 0);
}

/// What the test of this name shows with fewer.
#[test]
#[ignore = "it takes minutes"]
fn ten_thousand_races_of_directories_and_links_lead_nowhere() {
    super::hostile::race(10_000);
}

/// The control: whoever goes by path is led out in the same race.
#[test]
fn who_goes_by_path_is_led_out_in_the_same_race() {
    let race = super::hostile::Race::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| race.exchange_until(&is_over));
        let world: &World = race.world();
        // As an apply that checks first and then writes.
        for number in 0_u32.. {
            let path = world.project().join("d/file");
            let is_inside = std::fs::canonicalize(&path).is_ok_and(|real| real.starts_with(world.project()));
            if is_inside {
                let _ = std::fs::write(&path, number.to_string());
            }
            if race.canary() != "canary" || number == 1_000_000 {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_ne!(race.canary(), "canary", "nothing raced");
}

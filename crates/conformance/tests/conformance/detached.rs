//! Sandboxes that live without a terminal.

use serde_json::Value;
use stockade_conformance::{Behaviour, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "detached-lives",
        "a detached sandbox outlives its launcher, and ends by `stop`",
        lives,
    )
    .small(),
    Behaviour::test(
        "detached-copy",
        "`cp` takes files out of a sandbox, and no link that leads elsewhere",
        copy,
    )
    .small(),
];

/// Starts one that waits, and returns when its launcher has.
fn detach(world: &World) -> Verdict {
    let sandbox = world.sandbox().flags(&["-q", "-d", "--name", "one"]);
    let script = "echo first > file; ln -s /etc/passwd link; echo ready; exec sleep 1000";
    sandbox.run(&["sh", "-c", script])?.expect(0)?;
    for _ in 0..1000 {
        if world
            .stockade(&["logs", "one"])?
            .expect(0)?
            .text()
            .contains("ready")
        {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ensure!(false, "the command did not get ready");
    Ok(())
}

fn lives(world: &World) -> Verdict {
    detach(world)?;
    world
        .stockade(&["exec", "one", "cat", "file"])?
        .expect_text("first")?;
    world.stockade(&["stop", "--grace", "100ms", "one"])?.expect(0)?;
    let told: Value =
        serde_json::from_str(&world.stockade(&["inspect", "--json", "one"])?.expect(0)?.text())?;
    ensure!(
        told["state"] == "ended" && told["why"] == "stockade stop",
        "{told}"
    );
    ensure!(told["life"]["verified"] == told["life"]["controls"], "{told}");
    world.stockade(&["exec", "one", "true"])?.expect(125)?;
    world.stockade(&["rm", "one"])?.expect(0)?;
    Ok(())
}

fn copy(world: &World) -> Verdict {
    detach(world)?;
    let inside = format!("one:{}", world.work().display());
    let outside = world.path("copy");
    let outside_text = outside.display().to_string();
    let copied = world.stockade(&["cp", &inside, &outside_text])?.expect(125)?;
    ensure!(copied.stderr.contains("link"), "{}", copied.stderr);
    // Positive control: what leads nowhere else came along.
    ensure!(
        std::fs::read_to_string(outside.join("file"))? == "first\n",
        "the file was not copied"
    );
    ensure!(
        outside.join("link").symlink_metadata().is_err(),
        "a link to /etc/passwd was made"
    );
    world.stockade(&["rm", "-f", "one"])?.expect(0)?;
    Ok(())
}

//! Checkpoints that commands inside ask for.

use serde_json::Value;
use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "asked-checkpoint",
        "a checkpoint asked for inside is told as such outside, recorded, and gone back to",
        asked,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Behaviour::test(
        "asked-without-leave",
        "where the policy does not have it there is nobody to ask",
        without_leave,
    ),
    Behaviour::test(
        "asked-hostile",
        "junk, floods and foreign pipes keep nobody from asking, and reach nothing",
        hostile,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
];

const LEAVE: [&str; 1] = ["--checkpoints-from-inside"];

fn shell<'w>(world: &'w World<'w>, script: &str) -> Verdict<stockade_conformance::Finished> {
    world.sandbox().flags(&LEAVE).run(&["sh", "-c", script])
}

/// Those that are told outside.
fn outside(world: &World) -> Verdict<Vec<Value>> {
    let listed = world
        .stockade(&["checkpoint", "--list", "--json"])?
        .expect(0)?
        .text();
    Ok(serde_json::from_str(&listed)?)
}

fn asked(world: &World) -> Verdict {
    world.file("work/file", "before\n")?;
    let script = "echo one > file && stockade checkpoint --json first && echo two > file && \
                  stockade checkpoint --list && { stockade rewind first; echo rewind $?; }";
    let said = shell(world, script)?.expect(0)?.text();
    ensure!(
        said.contains("\"number\":1") || said.contains("\"number\": 1"),
        "{said}"
    );
    ensure!(said.contains("first") && said.contains("rewind 125"), "{said}");
    let all = outside(world)?;
    ensure!(all.len() == 1 && all[0]["name"] == "first", "{all:?}");
    ensure!(all[0]["inside"].is_string(), "{all:?}");
    let recorded = world
        .stockade(&["audit", "show", "--kind", "checkpoint"])?
        .expect(0)?
        .text();
    ensure!(recorded.contains("asked for inside first"), "{recorded}");
    // Taken when it was asked for, and not at the end.
    let now = world.stockade(&["diff", "--no-pager"])?.expect(0)?.text();
    ensure!(now.contains("+two"), "{now}");
    world.stockade(&["rewind", "first"])?.expect(0)?;
    let then = world.stockade(&["diff", "--no-pager"])?.expect(0)?.text();
    ensure!(then.contains("+one") && !then.contains("two"), "{then}");
    Ok(())
}

fn without_leave(world: &World) -> Verdict {
    let script = "echo \"[$STOCKADE_ASKS]\"; [ -p /run/stockade/asks ] && echo there; echo done";
    let said = world.sandbox().run(&["sh", "-c", script])?.expect(0)?.text();
    ensure!(said == "[]\ndone\n", "{said}");
    // The control: with leave there is a place.
    let said = shell(world, "[ -p \"$STOCKADE_ASKS/asks\" ] && echo there")?
        .expect(0)?
        .text();
    ensure!(said == "there\n", "{said}");
    Ok(())
}

fn hostile(world: &World) -> Verdict {
    let script = r#"
        echo changed > file
        set -u; cd "$STOCKADE_ASKS" || exit 1
        head -c 60000 /dev/urandom > asks
        head -c 60000 /dev/zero > asks
        printf '\377\377\377\377' > asks
        for name in "$(printf 'a\033[2J')" "" "$(head -c 65 /dev/zero | tr '\0' n)" "../../x" 1; do
            stockade checkpoint "$name" > /dev/null 2>&1; echo $?
        done
        # A pipe that nobody reads, and things that are no pipes, where answers would go.
        for number in 1 2 3 4 5 6 7 8; do
            printf '\011\000\000\000\000\000\000\000\000\000\000%b\001' "\\00$number" > asks
            : > "answer-000000000000000$number"
        done
        stockade checkpoint --list > /dev/null && echo heard
        stat -c %s answer-* | sort -u
        mv asks elsewhere; stockade checkpoint late 2> /dev/null; echo $?
    "#;
    let said = shell(world, script)?.expect(0)?.text();
    let lines: Vec<&str> = said.lines().collect();
    ensure!(
        lines == ["125", "125", "125", "0", "0", "heard", "0", "125"],
        "{said}"
    );
    let all = outside(world)?;
    ensure!(all.len() == 2 && all[0]["name"] == "../../x", "{all:?}");
    Ok(())
}

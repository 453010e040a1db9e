//! After many runs the host has what it had before, compared as sets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stockade_conformance::{Behaviour, Verdict, World, ensure, host};

pub const ALL: &[Behaviour] =
    &[
        Behaviour::test("R1", "a hundred runs of every ending leave nothing", hundred)
            .alone()
            .small(),
    ];

fn files_below(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}

fn kept(world: &World) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    files_below(&world.path("state"), &mut found);
    files_below(&world.path("run"), &mut found);
    found
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "audit"))
        .collect()
}

fn one(world: &World, kind: u32, ids: &mut BTreeSet<String>) -> Verdict {
    let payload = world.payload_inside();
    let sandbox = world.sandbox().flags(&["--rm", "-q"]);
    let finished = match kind % 5 {
        0 => sandbox.run(&["true"])?.expect(0)?,
        1 => sandbox.shell("echo x > file; kill -9 $$")?.expect(137)?,
        2 => sandbox
            .flags(&["--timeout", "30ms"])
            .run(&["sleep", "20"])?
            .expect(124)?,
        3 => sandbox
            .run(&[&payload, "load", "background", "20000"])?
            .expect(0)?,
        _ => sandbox.run(&["no-such-program"])?.expect(127)?,
    };
    ids.extend(finished.id().map(str::to_owned));
    Ok(())
}

fn hundred(world: &World) -> Verdict {
    let mut ids = BTreeSet::new();
    for kind in 0..5 {
        one(world, kind, &mut ids)?;
    }
    world.stockade(&["gc"])?.expect(0)?;
    let state = kept(world);
    let (mounts, memory) = (host::mounts(), host::shared_memory());
    for kind in 0..100 {
        one(world, kind, &mut ids)?;
    }
    world.stockade(&["gc"])?.expect(0)?;
    let left = host::below(std::process::id());
    ensure!(left.is_empty(), "processes: {left:?}");
    ensure!(ids.len() > 60, "{} ids", ids.len());
    let cgroups = host::cgroups_of(&ids);
    ensure!(cgroups.is_empty(), "cgroups: {cgroups:?}");
    let later = kept(world);
    let new: Vec<_> = later.difference(&state).collect();
    ensure!(
        new.is_empty(),
        "state: {} new: {:?}",
        new.len(),
        &new[..new.len().min(10)]
    );
    let root = world.path("").display().to_string();
    let mounts: Vec<String> = host::mounts()
        .difference(&mounts)
        .filter(|line| line.contains(&root) || line.contains("stockade"))
        .cloned()
        .collect();
    ensure!(mounts.is_empty(), "mounts: {mounts:?}");
    let memory: Vec<String> = host::shared_memory()
        .difference(&memory)
        .filter(|name| name.contains("stockade"))
        .cloned()
        .collect();
    ensure!(memory.is_empty(), "shared memory: {memory:?}");
    Ok(())
}

//! Files beyond the usual, taken over to the host and back: access control lists, letter case, holes.

use std::os::unix::fs::MetadataExt;

use stockade_conformance::tree::Tree;
use stockade_conformance::{Behaviour, Verdict, World, ensure, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "apply-acl",
        "a changed file keeps the host's access control list, and no group gets more than it had",
        access_list,
    ),
    Behaviour::test(
        "apply-case",
        "names that differ by case alone are different files",
        letter_case,
    ),
    Behaviour::test(
        "apply-sparse",
        "holes of a file of more than 4 GiB stay holes, inside, on the host and in the undo",
        sparse,
    ),
];

/// Files of the host get their times by a clock that moves in ticks.
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}

/// `apply --all`, in the project.
fn apply(world: &World) -> Verdict {
    world.stockade(&["apply", "--all"])?.expect(0).map(drop)
}

/// Owner, user 1234 and mask may write, the group may read: the mode says 660.
fn list() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 6, 1234),
        (4, 4, u32::MAX),
        (16, 6, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn access_list(world: &World) -> Verdict {
    const NAME: &str = "system.posix_acl_access";
    let path = world.file("work/listed", "before\n")?;
    if let Err(error) = rustix::fs::setxattr(&path, NAME, &list(), rustix::fs::XattrFlags::empty()) {
        return skip(format!("no access control lists here: {error}"));
    }
    let seen = || {
        let mut value = [0_u8; 256];
        let length = rustix::fs::getxattr(&path, NAME, &mut value).unwrap_or(0);
        let mode = std::fs::metadata(&path)
            .map(|found| found.mode() & 0o7777)
            .unwrap_or(0);
        (value.get(..length).unwrap_or_default().to_vec(), mode)
    };
    let before = seen();
    ensure!(before == (list(), 0o660), "{before:?}");
    wait();
    world.shell("echo after > listed")?.expect(0)?;
    apply(world)?;
    ensure!(
        std::fs::read_to_string(&path)? == "after\n",
        "nothing was applied"
    );
    ensure!(seen() == before, "{:?} instead of {before:?}", seen());
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(seen() == before, "after the undo: {:?}", seen());
    Ok(())
}

fn letter_case(world: &World) -> Verdict {
    for name in ["readme", "Readme", "README"] {
        world.file(&format!("work/{name}"), format!("{name}\n"))?;
    }
    wait();
    let before = Tree::of(&world.work());
    world
        .shell(
            "echo more >> Readme; mv README rEADME; mkdir D d; echo upper > D/x; echo lower > d/x; rm readme",
        )?
        .expect(0)?;
    let told = world.stockade(&["diff", "--name-only"])?.expect(0)?.text();
    ensure!(told.lines().count() == 5, "{told}");
    apply(world)?;
    let mut names: Vec<_> = std::fs::read_dir(world.work())?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    names.sort();
    ensure!(names == ["D", "Readme", "d", "rEADME"], "{names:?}");
    for (name, content) in [
        ("Readme", "Readme\nmore\n"),
        ("rEADME", "README\n"),
        ("D/x", "upper\n"),
        ("d/x", "lower\n"),
    ] {
        let found = std::fs::read_to_string(world.path(&format!("work/{name}")))?;
        ensure!(found == content, "{name}: {found}");
    }
    world.stockade(&["undo"])?.expect(0)?;
    let later = Tree::of(&world.work());
    ensure!(before == later, "after the undo:{}", before.differences(&later));
    Ok(())
}

fn sparse(world: &World) -> Verdict {
    const SIZE: u64 = (4 << 30) + (1 << 20);
    /// Much less than the holes, and more than all that is written.
    const BOUND: u64 = 64 << 20;
    let path = world.path("work/holes");
    std::fs::File::create(&path)?.set_len(SIZE)?;
    wait();
    world
        .shell("printf inside | dd of=holes bs=1 seek=4294967296 conv=notrunc 2>/dev/null; dd if=/dev/null of=new bs=1 seek=4296015872 2>/dev/null")?
        .expect(0)?;
    let told = world.stockade(&["diff", "--stat"])?.expect(0)?.text();
    ensure!(told.contains("holes") && told.contains("new"), "{told}");
    let used = || -> Verdict<u64> {
        let mut all = 0;
        let mut pending = vec![world.path("state"), world.work()];
        while let Some(directory) = pending.pop() {
            // What a change set keeps closed is empty.
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let found = entry.metadata()?;
                if found.is_dir() && entry.file_name() != "trees" && entry.file_name() != "root" {
                    pending.push(entry.path());
                }
                all += found.blocks() * 512;
            }
        }
        Ok(all)
    };
    let measured = |what: &str| -> Verdict {
        let used = used()?;
        ensure!(used < BOUND, "{what}: {used} bytes on disk");
        Ok(())
    };
    measured("while it is pending")?;
    apply(world)?;
    measured("when it was applied")?;
    let read = |at: u64| -> Verdict<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; 6];
        std::fs::File::open(&path)?.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    };
    ensure!(
        read(4 << 30)? == b"inside" && read(1 << 30)? == [0; 6],
        "other content"
    );
    for name in ["holes", "new"] {
        let size = std::fs::metadata(world.path(&format!("work/{name}")))?.len();
        ensure!(size == SIZE, "{name} has {size} bytes");
    }
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(
        read(4 << 30)? == [0; 6] && !world.path("work/new").exists(),
        "the undo"
    );
    measured("after the undo")
}

//! Taking over to the host what was changed inside, and taking it back.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, program, run, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test("apply-all", "the project becomes what stood inside", all).uses(&[Ability::Modes]),
    Behaviour::test("apply-undo", "an undo brings back every file as it was", undone).uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-owner",
        "applied files belong to the project's owner",
        owner,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-edited-meanwhile",
        "a file that the host changed after the sandbox, during its run, is merged from what both began with",
        edited_meanwhile,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Behaviour::test(
        "apply-setid",
        "no set-user-id bit and no file capability reaches the host",
        setid,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-special",
        "pipes and sockets made inside stay there",
        special,
    ),
    Behaviour::test(
        "apply-git-moved",
        "a hook in a repository that was moved and made anew is held back",
        git_moved,
    ),
    Behaviour::test(
        "apply-git-commit",
        "a commit made inside comes out as objects and a branch, and an undo takes it back",
        git_commit,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-git-submodule",
        "a commit made in a submodule comes out with the one that names it, and an undo takes both back",
        git_submodule,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-part",
        "of what was changed only the named part is taken over, and the rest waits",
        part,
    ),
    Behaviour::test(
        "apply-link",
        "a link made inside is a link on the host, and not followed",
        link,
    ),
    Behaviour::test(
        "apply-whiteout",
        "deletions forged inside are deletions of names, and no devices",
        forged,
    ),
    Behaviour::test("apply-odd-names", "names of any bytes arrive", odd_names).uses(&[Ability::Modes]),
    Behaviour::test(
        "apply-continued",
        "a run after an apply starts from the host's files",
        continued,
    ),
];

const WORK: &str = "set -e; echo after > changed; chmod 755 changed; rm deleted; rm -r directory; mkdir -p added/deep; \
                    echo new > added/deep/file; ln -s changed link; mv kept renamed";

fn prepare(world: &World) -> Verdict {
    for name in ["kept", "changed", "deleted", "directory/inner"] {
        world.file(&format!("work/{name}"), format!("{name}\n"))?;
    }
    wait();
    Ok(())
}

/// Files of the host get their times by a clock that moves in ticks.
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}

/// `apply --all`, in the project.
fn apply(world: &World) -> Verdict<stockade_conformance::run::Finished> {
    world.stockade(&["apply", "--all"])
}

fn all(world: &World) -> Verdict {
    prepare(world)?;
    world.shell(WORK)?.expect(0)?;
    apply(world)?.expect(0)?;
    let read = |name: &str| std::fs::read_to_string(world.path(&format!("work/{name}")));
    ensure!(read("changed")? == "after\n", "changed is not");
    ensure!(read("added/deep/file")? == "new\n", "added is not there");
    ensure!(read("renamed")? == "kept\n", "renamed is not there");
    ensure!(read("link")? == "after\n", "the link leads elsewhere");
    for gone in ["deleted", "directory", "kept"] {
        ensure!(
            !world.path(&format!("work/{gone}")).exists(),
            "{gone} is still there"
        );
    }
    let mode = std::fs::metadata(world.path("work/changed"))?.mode() & 0o7777;
    ensure!(mode == 0o755, "mode {mode:o}");
    Ok(())
}

fn undone(world: &World) -> Verdict {
    prepare(world)?;
    let before = Tree::of(&world.work());
    world.shell(WORK)?.expect(0)?;
    apply(world)?.expect(0)?;
    ensure!(before != Tree::of(&world.work()), "nothing was applied");
    world.stockade(&["undo"])?.expect(0)?;
    let later = Tree::of(&world.work());
    ensure!(
        before == later,
        "it is not as it was:{}",
        before.differences(&later)
    );
    Ok(())
}

fn owner(world: &World) -> Verdict {
    prepare(world)?;
    world.shell(WORK)?.expect(0)?;
    apply(world)?.expect(0)?;
    let own = std::fs::metadata(world.work())?;
    for name in [
        "changed",
        "added",
        "added/deep",
        "added/deep/file",
        "link",
        "renamed",
    ] {
        let made = std::fs::symlink_metadata(world.path(&format!("work/{name}")))?;
        ensure!(
            (made.uid(), made.gid()) == (own.uid(), own.gid()),
            "{name} belongs to {}:{}",
            made.uid(),
            made.gid()
        );
    }
    Ok(())
}

fn setid(world: &World) -> Verdict {
    let finished = world.shell(
        "cp /bin/true tool; chmod 6755 tool; stat -c %a tool; mkdir d; cp tool d/tool; chmod 4711 d/tool",
    )?;
    // The control: inside, the bits were there.
    finished.expect_text("6755")?;
    apply(world)?.expect(0)?;
    for (name, expected) in [("tool", 0o755), ("d/tool", 0o711)] {
        let path = world.path(&format!("work/{name}"));
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o7777;
        ensure!(mode == expected, "{name} has mode {mode:o}");
        ensure!(
            rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_err(),
            "{name} has capabilities"
        );
    }
    Ok(())
}

fn special(world: &World) -> Verdict {
    world
        .shell("mkfifo pipe; mkdir d; mkfifo d/pipe; echo 1 > d/file; test -p pipe")?
        .expect(0)?;
    apply(world)?.expect(1)?.complains(&["pipe, socket or device"])?;
    ensure!(
        world.path("work/d/file").exists(),
        "the file beside it did not arrive"
    );
    for name in ["pipe", "d/pipe"] {
        ensure!(!world.path(&format!("work/{name}")).exists(), "{name} arrived");
    }
    Ok(())
}

fn git_moved(world: &World) -> Verdict {
    world.file("work/.git/config", "[core]\n")?;
    world.file("work/.git/HEAD", "ref: refs/heads/main\n")?;
    for directory in ["objects/pack", "refs/heads"] {
        std::fs::create_dir_all(world.path("work/.git").join(directory))?;
    }
    wait();
    world
        .shell("mv .git x && mkdir -p .git/hooks && cp -r x/. .git/ && echo evil > .git/hooks/post-commit && echo 1 > plain")?
        .expect(0)?;
    let finished = world.stockade(&["apply", "."])?.expect(1)?;
    finished.complains(&[".git/hooks/post-commit"])?;
    ensure!(
        !world.path("work/.git/hooks/post-commit").exists(),
        "the hook arrived unasked"
    );
    ensure!(world.path("work/plain").exists(), "nothing arrived");
    apply(world)?.expect(0)?;
    ensure!(
        world.path("work/.git/hooks/post-commit").exists(),
        "the hook did not arrive when it was asked for"
    );
    Ok(())
}

/// Git on the host, as its user.
fn host_git(world: &World, words: &[&str]) -> Verdict<String> {
    let mut command = world.command(std::path::Path::new("git"));
    command.args(["-c", "user.name=Host", "-c", "user.email=host@localhost"]);
    command.args(words);
    Ok(run::finish(command, Vec::new(), None)?.expect(0)?.text())
}

fn git_submodule(world: &World) -> Verdict {
    if program::find("git").is_none() {
        return skip("git is missing");
    }
    let git = |words: &[&str]| host_git(world, words);
    let library = world.path("outside/library").display().to_string();
    git(&["init", "-q", "-b", "main", &library])?;
    git(&["-C", &library, "commit", "-q", "--allow-empty", "-m", "outside"])?;
    git(&["init", "-q", "-b", "main"])?;
    let add = ["submodule", "add", "-q", library.as_str(), "sub"];
    git(&[&["-c", "protocol.file.allow=always"], &add[..]].concat())?;
    git(&["commit", "-q", "-m", "outside"])?;
    wait();
    let commit = "g='git -c user.name=x -c user.email=x@localhost'; cd sub && echo inside > file && git add file && \
                  $g commit -q -m inside && cd .. && git add sub && $g commit -q -m inside";
    world.shell(commit)?.expect(0)?;
    let newest = || -> Verdict<[String; 3]> {
        Ok([
            git(&["log", "-1", "--format=%s"])?,
            git(&["-C", "sub", "log", "-1", "--format=%s"])?,
            git(&["status", "--porcelain"])?,
        ])
    };
    let (before, after) = (["outside\n", "outside\n", ""], ["inside\n", "inside\n", ""]);
    ensure!(newest()? == before, "the host changed by itself: {:?}", newest()?);
    world.stockade(&["apply", "."])?.expect(0)?;
    ensure!(newest()? == after, "{:?}", newest()?);
    git(&["-C", "sub", "fsck", "--strict", "--full"])?;
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(newest()? == before, "after the undo: {:?}", newest()?);
    Ok(())
}

fn git_commit(world: &World) -> Verdict {
    if program::find("git").is_none() {
        return skip("git is missing");
    }
    let git = |words: &[&str]| host_git(world, words);
    git(&["init", "-q", "-b", "main"])?;
    world.file("work/file", "outside\n")?;
    git(&["add", "."])?;
    git(&["commit", "-q", "-m", "outside"])?;
    wait();
    let commit = "echo inside > file && git -c user.name=x -c user.email=x@localhost commit -q -a -m inside";
    world.shell(commit)?.expect(0)?;
    let subjects = || git(&["log", "--format=%s", "main"]);
    ensure!(subjects()? == "outside\n", "the host's branch moved by itself");
    apply(world)?.expect(0)?;
    ensure!(subjects()? == "inside\noutside\n", "the branch: {}", subjects()?);
    git(&["fsck", "--strict", "--full"])?;
    let differs = git(&["status", "--porcelain"])?;
    ensure!(differs.is_empty(), "beside the commit: {differs}");
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(subjects()? == "outside\n", "after the undo: {}", subjects()?);
    let text = std::fs::read_to_string(world.path("work/file"))?;
    ensure!(text == "outside\n", "after the undo: {text}");
    Ok(())
}

fn part(world: &World) -> Verdict {
    prepare(world)?;
    world
        .shell("echo after > changed; rm deleted; mkdir added; echo new > added/file")?
        .expect(0)?;
    world.stockade(&["apply", "added"])?.expect(0)?;
    ensure!(world.path("work/added/file").exists(), "the part did not arrive");
    let text = std::fs::read_to_string(world.path("work/changed"))?;
    ensure!(
        text == "changed\n" && world.path("work/deleted").exists(),
        "more than the part arrived"
    );
    apply(world)?.expect(0)?;
    let text = std::fs::read_to_string(world.path("work/changed"))?;
    ensure!(
        text == "after\n" && !world.path("work/deleted").exists(),
        "the rest did not wait"
    );
    Ok(())
}

fn link(world: &World) -> Verdict {
    let canary = world.file("outside/canary", "canary\n")?;
    let outside = world.path("outside").display().to_string();
    world
        .shell(&format!(
            "ln -s {outside} out; ln -s {outside}/canary file; mkdir real; echo 1 > real/canary"
        ))?
        .expect(0)?;
    apply(world)?.expect(0)?;
    ensure!(
        std::fs::read_link(world.path("work/out"))? == world.path("outside"),
        "the link is another"
    );
    // Through the link that is on the host now, nothing is written by a further apply.
    wait();
    world
        .shell("rm out; mkdir out; echo evil > out/canary")?
        .expect(0)?;
    apply(world)?.expect(0)?;
    ensure!(
        std::fs::read_to_string(canary)? == "canary\n",
        "the canary was written"
    );
    ensure!(
        std::fs::read_to_string(world.path("work/out/canary"))? == "evil\n",
        "the directory did not take the link's place"
    );
    Ok(())
}

fn forged(world: &World) -> Verdict {
    prepare(world)?;
    let script = "mknod forged c 0 0 2>/dev/null; python3 -c 'import os; os.setxattr(\"directory\", \"user.overlay.opaque\", b\"y\")' 2>/dev/null; \
                  echo 1 > directory/new";
    world.shell(script)?.expect(0)?;
    apply(world)?;
    ensure!(!world.path("work/forged").exists(), "a device arrived");
    ensure!(
        world.path("work/directory/new").exists(),
        "the new file did not arrive"
    );
    ensure!(
        world.path("work/directory/inner").exists(),
        "a forged mark removed a file of the host"
    );
    Ok(())
}

fn odd_names(world: &World) -> Verdict {
    let script = "touch \"$(printf 'a\\nb')\" \"$(printf 'c\\033[2J')\" \"$(printf '\\377')\" -- '-rf' ' space '; \
                  touch $(printf 'n%.0s' $(seq 255))";
    world.shell(script)?.expect(0)?;
    apply(world)?.expect(0)?;
    let arrived = std::fs::read_dir(world.work())?.count();
    ensure!(arrived == 6, "{arrived} names arrived");
    Ok(())
}

fn continued(world: &World) -> Verdict {
    world.file("work/file", "host\n")?;
    wait();
    world.shell("echo inside > file")?.expect(0)?;
    apply(world)?.expect(0)?;
    std::fs::write(world.path("work/file"), "edited\n")?;
    wait();
    world
        .shell("cat file; echo more >> file")?
        .expect_text("edited")?;
    apply(world)?.expect(0)?;
    let text = std::fs::read_to_string(world.path("work/file"))?;
    ensure!(text == "edited\nmore\n", "{text}");
    Ok(())
}

/// Repeats something until it can be seen.
fn until(what: &str, mut see: impl FnMut() -> Verdict<bool>) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !see()? {
        ensure!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// True once what the host holds at a path has been kept.
fn is_kept(world: &World, name: &str) -> bool {
    let sets = std::fs::read_dir(world.path("state/stockade/changes"));
    let bases = sets
        .into_iter()
        .flatten()
        .flatten()
        .map(|set| set.path().join("bases"));
    let records = bases
        .filter_map(|bases| std::fs::read_dir(bases).ok())
        .flatten()
        .flatten();
    let mut texts = records.filter_map(|record| std::fs::read(record.path()).ok());
    let wanted = format!("\"{name}\"");
    texts.any(|text| text.windows(wanted.len()).any(|part| part == wanted.as_bytes()))
}

fn edited_meanwhile(world: &World) -> Verdict {
    const BASE: &str = "one\n2\n3\n4\nfive\n";
    const HOST: &str = "uno\n2\n3\n4\nfive\n";
    world.file("work/first-inside", BASE)?;
    world.file("work/first-outside", BASE)?;
    wait();
    let detached = world.sandbox().flags(&["-q", "-d", "--name", "one"]);
    detached.run(&["sleep", "1000"])?.expect(0)?;
    until("the watch", || {
        world.file("work/probe", "changed\n")?;
        Ok(world
            .stockade(&["ls"])?
            .expect(0)?
            .text()
            .contains("(host changed)"))
    })?;
    let edit = "printf 'one\\n2\\n3\\n4\\ncinque\\n' >";
    let inside = |name: &str| world.stockade(&["exec", "one", "sh", "-c", &format!("{edit} {name}")]);
    inside("first-inside")?.expect(0)?;
    until("the base", || Ok(is_kept(world, "first-inside")))?;
    world.file("work/first-inside", HOST)?;
    world.file("work/first-outside", HOST)?;
    inside("first-outside")?.expect(0)?;
    let details = world.stockade(&["inspect", "--json", "one"])?.expect(0)?.text();
    ensure!(details.contains("host_changed"), "{details}");
    world.stockade(&["stop", "--grace", "100ms", "one"])?.expect(0)?;
    let recorded = world.stockade(&["audit", "show", "--kind", "host-changed"])?;
    let recorded = recorded.expect(0)?.text();
    ensure!(
        recorded.contains("of the workspace: ") && recorded.contains("probe"),
        "{recorded}"
    );
    // The control: what the sandbox saw of the other cannot be known, so nothing is put together.
    let merged = world.stockade(&["apply", "--all", "--conflicts", "merge"])?;
    ensure!(
        merged.code == 1
            && merged
                .stderr
                .contains("first-outside (conflict, not merged: base not known"),
        "{}",
        merged.all()
    );
    let read = |name: &str| std::fs::read_to_string(world.path(name));
    ensure!(
        read("work/first-inside")? == "uno\n2\n3\n4\ncinque\n",
        "{}",
        merged.all()
    );
    ensure!(read("work/first-outside")? == HOST, "{}", merged.all());
    Ok(())
}

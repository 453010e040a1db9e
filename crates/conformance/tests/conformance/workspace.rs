//! What writing to the workspace means, and what is kept of it.

use serde_json::Value;
use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, fail};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "workspace-cow",
        "changes are kept apart and the host sees none",
        copy_on_write,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Behaviour::test(
        "workspace-cow-changes",
        "`changes` names each addition, change and deletion",
        changes,
    ),
    Behaviour::test(
        "workspace-cow-odd-names",
        "`changes` shows names that could trick a terminal, escaped",
        odd_names,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "workspace-cow-continued",
        "a run goes on with the changes of the one before, or begins clean",
        continued,
    ),
    Behaviour::test(
        "workspace-cow-sets",
        "change sets of different names are apart",
        named_sets,
    ),
    Behaviour::test("workspace-rm", "--rm throws the changes away", thrown_away),
    Behaviour::test(
        "workspace-ro",
        "a read-only workspace is read and not written",
        read_only,
    )
    .needs(&[ControlKind::WorkspaceReadOnly]),
    Behaviour::test("workspace-rw", "a writable workspace is the host's own", writable)
        .uses(&[Ability::InPlace]),
    Behaviour::test(
        "workspace-rw-protected",
        "files that run on the host later stay read-only in a writable workspace",
        protected,
    )
    .uses(&[Ability::Holes]),
    Behaviour::test(
        "workspace-none",
        "without a workspace nothing of it is seen",
        none,
    ),
    Behaviour::test(
        "workspace-refused",
        "the root and the home directory are no workspaces",
        refused,
    ),
    Behaviour::test(
        "workspace-owner",
        "the workload owns the workspace's files, and keeps modes",
        owner,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "workspace-rename",
        "directories and files are renamed, linked and replaced as on any file system",
        renames,
    ),
];

/// The paths of the newest change set with their kinds.
fn changed(world: &World, name: &str) -> Verdict<Vec<(String, String)>> {
    let text = world.stockade(&["changes", "--json", name])?.expect(0)?.text();
    let value: Value = serde_json::from_str(&text)?;
    let Some(list) = find_list(&value) else {
        return fail(format!("no list of changes in {text}"));
    };
    let mut found: Vec<(String, String)> = list
        .iter()
        .map(|change| {
            (
                change["path"].as_str().unwrap_or("?").to_owned(),
                change["kind"].as_str().unwrap_or("?").to_owned(),
            )
        })
        .collect();
    found.sort();
    Ok(found)
}

fn find_list(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(list) if list.iter().all(|entry| entry.get("path").is_some()) => Some(list),
        Value::Array(list) => list.iter().find_map(find_list),
        Value::Object(fields) => fields
            .get("changes")
            .and_then(find_list)
            .or_else(|| fields.values().find_map(find_list)),
        _ => None,
    }
}

fn prepare(world: &World) -> Verdict {
    world.file("work/kept", "kept\n")?;
    world.file("work/changed", "before\n")?;
    world.file("work/deleted", "deleted\n")?;
    world.file("work/directory/inner", "inner\n")?;
    Ok(())
}

const CHANGE: &str = "echo after > changed && rm deleted && rm -r directory && mkdir added && echo new > added/file && cat changed";

fn copy_on_write(world: &World) -> Verdict {
    prepare(world)?;
    let before = Tree::of(&world.work());
    world.shell(CHANGE)?.expect_text("after")?;
    let later = Tree::of(&world.work());
    ensure!(
        before == later,
        "the host's files changed:{}",
        before.differences(&later)
    );
    Ok(())
}

fn changes(world: &World) -> Verdict {
    prepare(world)?;
    world
        .sandbox()
        .flags(&["--name", "edit"])
        .shell(CHANGE)?
        .expect(0)?;
    let found = changed(world, "edit")?;
    let expected = [
        ("added", "added"),
        ("added/file", "added"),
        ("changed", "changed"),
        ("deleted", "deleted"),
        ("directory", "deleted"),
        ("directory/inner", "deleted"),
    ];
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(path, kind)| (path.as_str(), kind.as_str()))
        .collect();
    ensure!(found == expected, "{found:?}");
    let text = world.stockade(&["changes", "edit"])?.expect(0)?.text();
    for line in ["A added/file", "M changed", "D deleted"] {
        ensure!(text.contains(line), "no {line:?} in {text}");
    }
    world.stockade(&["rm", "edit"])?.expect(0)?;
    ensure!(
        world.stockade(&["changes", "edit"])?.code == 125,
        "the changes outlive rm"
    );
    Ok(())
}

fn odd_names(world: &World) -> Verdict {
    let script = "touch \"$(printf 'a\\nD etc')\" \"$(printf 'b\\033[2Jc')\" -- '-rf' ' space ' 'é'";
    world
        .sandbox()
        .flags(&["--name", "odd"])
        .shell(script)?
        .expect(0)?;
    let text = world.stockade(&["changes", "odd"])?.expect(0)?.text();
    ensure!(
        !text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("D etc")),
        "{text:?}"
    );
    ensure!(
        text.lines().filter(|line| line.starts_with("A ")).count() == 5,
        "{text:?}"
    );
    Ok(())
}

fn continued(world: &World) -> Verdict {
    world.file("work/file", "host\n")?;
    world
        .shell("echo first > file; echo first > extra; mkdir -p d/e; echo x > d/e/f; chmod 500 d; rm -f none; ln -s file link")?
        .expect(0)?;
    let next = world.shell("cat file extra d/e/f; readlink link; echo second >> extra; ls -A")?;
    let next = next.complains(&["continuing 4 unapplied changes", "--fresh"])?;
    let text = next.expect(0)?.text();
    ensure!(text.starts_with("first\nfirst\nx\nfile\n"), "{text}");
    world.shell("cat extra")?.expect_text("first\nsecond").map(drop)?;
    // The positive control: the host's file is what it was, and a clean run sees that.
    let clean = world
        .sandbox()
        .flags(&["--fresh"])
        .shell("cat file; ls extra 2>&1 || true")?;
    let clean = clean.complains(&["starting clean", "--changes"])?;
    let text = clean.expect(0)?.text();
    ensure!(
        text.starts_with("host\n") && text.contains("No such file"),
        "{text}"
    );
    Ok(())
}

fn named_sets(world: &World) -> Verdict {
    let run = |flags: &[&str], script: &str| world.sandbox().flags(flags).shell(script);
    run(&["--changes", "one"], "echo 1 > a")?.expect(0)?;
    run(&["--changes", "two"], "test ! -e a && echo 2 > b")?.expect(0)?;
    run(&["--changes", "one"], "cat a; test ! -e b")?.expect_text("1")?;
    world.shell("test ! -e a && test ! -e b")?.expect(0)?;
    let refused = run(&["--changes", "../x"], "true")?;
    ensure!(refused.code == 125, "{}", refused.all());
    let listed = world.stockade(&["changes"])?.expect(0)?.text();
    for name in ["one", "two"] {
        ensure!(listed.contains(name), "no {name} in {listed}");
    }
    Ok(())
}

fn thrown_away(world: &World) -> Verdict {
    let finished = world
        .sandbox()
        .flags(&["--rm", "--name", "thrown"])
        .shell("echo x > file")?
        .expect(0)?;
    ensure!(!finished.stderr.contains("kept apart"), "{}", finished.stderr);
    ensure!(
        world.stockade(&["changes", "thrown"])?.code == 125,
        "the changes are still there"
    );
    Ok(())
}

fn read_only(world: &World) -> Verdict {
    world.file("work/file", "host\n")?;
    let before = Tree::of(&world.work());
    let sandbox = world.sandbox().flags(&["--workspace-mode", "ro"]);
    let finished = sandbox.shell("cat file; echo x > file; echo x > new; rm file; mkdir directory")?;
    ensure!(finished.text() == "host\n", "{}", finished.all());
    ensure!(finished.code != 0, "writing succeeded");
    let later = Tree::of(&world.work());
    ensure!(before == later, "it changed:{}", before.differences(&later));
    Ok(())
}

fn writable(world: &World) -> Verdict {
    world.file("work/file", "host\n")?;
    let sandbox = world.sandbox().flags(&["--workspace-mode", "rw"]);
    sandbox
        .shell("echo after > file; mkdir new; echo new > new/file")?
        .expect(0)?;
    ensure!(
        std::fs::read_to_string(world.path("work/file"))? == "after\n",
        "the change did not arrive"
    );
    let made = std::fs::metadata(world.path("work/new/file"))?;
    let own = std::fs::metadata(world.work())?;
    use std::os::unix::fs::MetadataExt;
    ensure!(
        (made.uid(), made.gid()) == (own.uid(), own.gid()),
        "made by {}:{}",
        made.uid(),
        made.gid()
    );
    Ok(())
}

fn protected(world: &World) -> Verdict {
    const PROTECTED: [&str; 5] = [
        ".git/hooks/pre-commit",
        ".git/config",
        ".vscode/tasks.json",
        ".envrc",
        ".mcp.json",
    ];
    for name in PROTECTED {
        world.file(&format!("work/{name}"), "host\n")?;
    }
    let trees = || PROTECTED.map(|name| Tree::of(&world.path(&format!("work/{name}"))));
    let before = trees();
    let script = "for f in .git/hooks/pre-commit .git/config .vscode/tasks.json .envrc .mcp.json; do echo x > $f; rm -f $f; done; \
                  mv .git moved; mv .vscode moved2; mv .git/hooks .git/other; ln -sf /etc .envrc; mv .mcp.json other; echo free > .git/free";
    world
        .sandbox()
        .flags(&["--workspace-mode", "rw"])
        .shell(script)?
        .expect(0)?;
    for (before, later) in before.iter().zip(trees()) {
        ensure!(*before == later, "it changed:{}", before.differences(&later));
    }
    ensure!(
        world.path("work/.git/free").exists(),
        "nothing else could be written either"
    );
    Ok(())
}

fn none(world: &World) -> Verdict {
    world.file("work/file", "host\n")?;
    let path = world.path("work/file").display().to_string();
    let finished = world
        .sandbox()
        .flags(&["--workspace-mode", "none"])
        .run(&["cat", &path])?;
    ensure!(
        finished.code == 1 && finished.text().is_empty(),
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    Ok(())
}

fn refused(world: &World) -> Verdict {
    let home = world.path("home").display().to_string();
    for directory in ["/", home.as_str()] {
        world
            .sandbox()
            .flags(&["-w", directory])
            .run(&["true"])?
            .expect(125)?
            .complains(&[directory])?;
    }
    let sandbox = world.sandbox().directory(world.path("home"));
    sandbox.run(&["true"])?.expect(125).map(drop)
}

fn owner(world: &World) -> Verdict {
    world.file("work/file", "x")?;
    let finished = world.shell("test -O file && test -O . && stat -c '%u %g' file && id -u && id -g && chmod 640 file && stat -c %a file")?.expect(0)?;
    let text = finished.text();
    let lines: Vec<&str> = text.lines().collect();
    let [ids, user, group, mode] = lines.as_slice() else {
        return fail(text);
    };
    ensure!(
        *ids == format!("{user} {group}") && *mode == "640" && *user != "0",
        "{text}"
    );
    Ok(())
}

fn renames(world: &World) -> Verdict {
    prepare(world)?;
    let script = "set -e; mv kept renamed; mv directory moved; cat renamed moved/inner; ln renamed hard; ln -s renamed soft; cat hard soft; \
                  echo replaced > next; mv next changed; cat changed; rm -r moved; mkdir moved; ls -A moved";
    world
        .shell(script)?
        .expect_text("kept\ninner\nkept\nkept\nreplaced")
        .map(drop)
}

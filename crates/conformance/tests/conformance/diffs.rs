//! What `diff` tells of names and contents that were made to mislead whoever reads it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde_json::Value;
use stockade_conformance::{Behaviour, Verdict, World, ensure, fail, program, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "diff-none",
        "where nothing was changed there is nothing to show",
        none,
    ),
    Behaviour::test(
        "diff-names",
        "--name-only has one line for each name, quoted as git does",
        names_only,
    ),
    Behaviour::test(
        "diff-text",
        "text and --stat drive no terminal, and no name looks like another entry",
        text,
    ),
    Behaviour::test("diff-json", "--json gives every name back, byte by byte", json),
    Behaviour::test(
        "diff-patch",
        "`git apply` of --patch makes what stood inside, and nothing beside it",
        patch,
    ),
];

/// Names of files, and as git quotes them.
const NAMES: [(&[u8], &str); 12] = [
    (b"new\nD line", r#""new\nD line""#),
    (b"esc\x1b[2J\x01", r#""esc\033[2J\001""#),
    (b"\xff\xfe", r#""\377\376""#),
    (b"-rf", "-rf"),
    (b" space ", " space "),
    (b"tab\tx", r#""tab\tx""#),
    (b"quo\"te", r#""quo\"te""#),
    (b"back\\slash", r#""back\\slash""#),
    (b"\\xff", r#""\\xff""#),
    ("é".as_bytes(), r#""\303\251""#),
    (b"a => b", "a => b"),
    (b"diff --git a b", "diff --git a b"),
];

/// What git takes for the beginning of other files.
const CONTENT: &str = "diff --git a/kept b/../../escaped\nnew file mode 100644\n--- /dev/null\n+++ b/../../escaped\n\
                       @@ -0,0 +1 @@\n+escaped\n\u{1b}]0;title\u{7}\n";

/// The longest name that there can be.
fn longest() -> OsString {
    "n".repeat(255).into()
}

/// All names, each with the content, and one changed and one deleted file.
fn change(world: &World) -> Verdict {
    world.file("work/kept", "kept\n")?;
    world.file("work/changed", "before\n")?;
    world.file("work/deleted", "deleted\n")?;
    let script = "content=$1; shift; for name; do printf %s \"$content\" > \"./$name\"; done; \
                  echo after > changed; rm deleted; echo done";
    let mut command: Vec<OsString> = ["sh", "-c", script, "sh", CONTENT].map(OsString::from).to_vec();
    command.extend(NAMES.iter().map(|(name, _)| OsString::from_vec(name.to_vec())));
    command.push(longest());
    world.sandbox().run(&command)?.expect_text("done").map(drop)
}

fn diff(world: &World, flags: &[&str]) -> Verdict<String> {
    let all = [&["diff", "--no-pager"], flags].concat();
    Ok(world.stockade(&all)?.expect(0)?.text())
}

fn none(world: &World) -> Verdict {
    world.file("work/kept", "kept\n")?;
    world.run(&["cat", "kept"])?.expect_text("kept")?;
    let shown = diff(world, &["--name-only"])?;
    ensure!(shown.trim().is_empty(), "{shown}");
    // The control: one change is one line, and thrown away it is none.
    world.shell("echo x > one")?.expect(0)?;
    let shown = diff(world, &["--name-only"])?;
    ensure!(shown == "one\n", "{shown}");
    world.stockade(&["discard", "--yes"])?.expect(0)?;
    let shown = diff(world, &["--name-only"])?;
    ensure!(shown.trim().is_empty(), "{shown}");
    Ok(())
}

/// Every name as git quotes it.
fn quoted() -> BTreeSet<String> {
    let long = longest().to_string_lossy().into_owned();
    let names = NAMES.iter().map(|(_, quoted)| (*quoted).to_owned());
    names
        .chain([long, "changed".to_owned(), "deleted".to_owned()])
        .collect()
}

fn names_only(world: &World) -> Verdict {
    change(world)?;
    let shown = diff(world, &["--name-only"])?;
    let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    let found: BTreeSet<String> = lines.iter().cloned().collect();
    ensure!(
        found == quoted() && lines.len() == found.len(),
        "{found:?}\ninstead of {:?}",
        quoted()
    );
    Ok(())
}

fn text(world: &World) -> Verdict {
    change(world)?;
    for flags in [&[][..], &["--stat"]] {
        let shown = diff(world, flags)?;
        let control = shown.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
        ensure!(control.is_none(), "{flags:?}: {control:?} in {shown:?}");
        for name in quoted() {
            // The text has them behind `a/` and `b/`, in the same quotes.
            let bare = name.trim_matches('"');
            ensure!(shown.contains(bare), "{flags:?}: no {name} in {shown}");
        }
        ensure!(
            !shown.lines().any(|line| line.starts_with("D line")),
            "{flags:?}: a name makes a line of its own: {shown}"
        );
    }
    // What looks like the head of another file is content, behind the sign of its line.
    let shown = diff(world, &[])?;
    let heads = shown
        .lines()
        .filter(|line| line.starts_with("diff --git "))
        .count();
    ensure!(heads == NAMES.len() + 3, "{heads} files in {shown}");
    let count = diff(world, &["--stat"])?;
    ensure!(
        count.contains(&format!("{} files changed", NAMES.len() + 3)),
        "{count}"
    );
    Ok(())
}

/// Undoes the escapes: `\\` and `\xNN`.
fn bytes_of(path: &str) -> Verdict<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('\\') {
        found.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('\\') {
            found.push(b'\\');
            rest = after;
        } else if let Some((digits, after)) = after
            .strip_prefix('x')
            .and_then(|after| after.split_at_checked(2))
        {
            found.push(u8::from_str_radix(digits, 16)?);
            rest = after;
        } else {
            return fail(format!("{path:?} cannot be read back"));
        }
    }
    found.extend_from_slice(rest.as_bytes());
    Ok(found)
}

fn json(world: &World) -> Verdict {
    change(world)?;
    let told: Value = serde_json::from_str(&diff(world, &["--json"])?)?;
    let Some(list) = told["changes"].as_array() else {
        return fail(format!("no changes in {told}"));
    };
    let found: Verdict<BTreeSet<Vec<u8>>> = list
        .iter()
        .map(|change| bytes_of(change["path"].as_str().unwrap_or_default()))
        .collect();
    let own = [longest(), "changed".into(), "deleted".into()];
    let expected: BTreeSet<Vec<u8>> = NAMES
        .iter()
        .map(|(name, _)| name.to_vec())
        .chain(own.map(OsStringExt::into_vec))
        .collect();
    ensure!(found? == expected, "{told}");
    let deleted = list.iter().find(|change| change["path"] == "deleted");
    ensure!(
        deleted.is_some_and(|change| change["kind"] == "deleted"),
        "{deleted:?}"
    );
    Ok(())
}

fn patch(world: &World) -> Verdict {
    if program::find("git").is_none() {
        return skip("git is missing");
    }
    change(world)?;
    let file = world.path("outside/changes.patch").display().to_string();
    diff(world, &["--patch", &file])?;
    // Two levels deep, so that what climbs out would be seen.
    for name in ["kept", "changed", "deleted"] {
        let content = std::fs::read(world.path("work").join(name))?;
        world.file(&format!("outside/a/b/{name}"), content)?;
    }
    let apply = |directory: &Path| -> Verdict<i32> {
        let mut command = world.command(Path::new("git"));
        command.args(["apply", "--verbose", &file]).current_dir(directory);
        Ok(stockade_conformance::run::finish(command, Vec::new(), None)?.code)
    };
    let place = world.path("outside/a/b");
    ensure!(apply(&place)? == 0, "git does not take the patch");
    let read = |name: &std::ffi::OsStr| std::fs::read(place.join(name)).unwrap_or_default();
    for (name, shown) in NAMES {
        let content = read(std::ffi::OsStr::from_bytes(name));
        ensure!(content == CONTENT.as_bytes(), "{shown}: {content:?}");
    }
    ensure!(read(&longest()) == CONTENT.as_bytes(), "the longest name");
    ensure!(read("changed".as_ref()) == b"after\n", "the changed file");
    ensure!(read("kept".as_ref()) == b"kept\n", "the kept file was changed");
    let count = std::fs::read_dir(&place)?.count();
    ensure!(count == NAMES.len() + 3, "{count} names");
    let beside: Vec<_> = std::fs::read_dir(world.path("outside/a"))?.collect::<Result<_, _>>()?;
    ensure!(
        beside.len() == 1 && !world.path("outside/escaped").exists(),
        "something stands beside it: {beside:?}"
    );
    Ok(())
}

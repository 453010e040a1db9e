//! What a command leaves on purpose, to trouble whoever looks at it or comes after it.

use std::time::Duration;

use stockade_conformance::canary::token;
use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, Verdict, World, ensure, host, program, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "WS09",
        "special files, set-id bits, closed directories and deep trees in a change set are listed and removed",
        odd_results,
    ).uses(&[Ability::Modes]),
    Behaviour::test(
        "WS09-links",
        "links in a change set that lead to the host are not followed",
        links,
    ),
    Behaviour::test(
        "WS10",
        "a workspace with any name and any place works",
        odd_places,
    ).small(),
    Behaviour::test(
        "WS-home",
        "a project below the home directory is seen, its neighbours are not",
        below_home,
    ),
    Behaviour::test(
        "IL08",
        "nothing of an ended sandbox is found by the next",
        residue,
    ).uses(&[Ability::Modes]),
    Behaviour::test(
        "FS18-owners",
        "files of other users in the workspace stay closed to it",
        other_owners,
    ),
    Behaviour::test(
        "FS15",
        "what is protected cannot be moved away with its parent",
        moved_parents,
    ).uses(&[Ability::Holes]),
];

const LITTER: &str = "
import os, socket, stat
os.mkfifo('fifo')
try: socket.socket(socket.AF_UNIX).bind('socket')
except OSError: pass
open(b'bad\\xff\\xfe', 'w').write('x')
open('x' * 255, 'w').write('y')
os.makedirs('dark/inner')
open('dark/inner/file', 'w').write('q')
os.chmod('dark/inner', 0)
os.chmod('dark', 0)
os.link('top', 'hard')
os.chmod('top', 0o6777)
os.truncate(os.open('sparse', os.O_CREAT | os.O_WRONLY), 1 << 42)
for name in ['opaque', 'redirect', 'metacopy', 'whiteout', 'origin']:
    try: os.setxattr('directory', 'user.overlay.' + name, b'y')
    except OSError: pass
try: os.mknod('white', stat.S_IFCHR, 0)
except OSError: pass
for _ in range(1500):
    os.mkdir('n')
    os.chdir('n')
print('littered')
";

fn odd_results(world: &World) -> Verdict {
    if program::find("python3").is_none() {
        return skip("python3 is missing");
    }
    world.file("work/top", "top")?;
    world.file("work/directory/file", "file")?;
    let before = Tree::of(&world.work());
    let sandbox = world.sandbox().flags(&["--name", "litter"]);
    sandbox.run(&["python3", "-c", LITTER])?.expect_text("littered")?;
    ensure!(before == Tree::of(&world.work()), "the host was changed");
    let listed = world.stockade(&["changes", "litter"])?.expect(0)?;
    ensure!(
        listed.took < Duration::from_secs(20),
        "listing took {:?}",
        listed.took
    );
    for line in ["A fifo (special)", "A hard", "A dark/", "A bad\\xff\\xfe"] {
        ensure!(listed.text().contains(line), "no {line:?} in {}", listed.text());
    }
    world.stockade(&["changes", "--json", "litter"])?.expect(0)?;
    world.stockade(&["rm", "litter"])?.expect(0)?;
    world.stockade(&["gc"])?.expect(0)?;
    let left = Tree::of(&world.path("state"));
    ensure!(
        !format!("{left:?}").contains("inner"),
        "something is left: {left:?}"
    );
    Ok(())
}

/// The change set's files become links and pipes while the host may be looking at them.
fn links(world: &World) -> Verdict {
    let secret = token()?;
    let path = world.file("outside/secret", &secret)?.display().to_string();
    world.file("work/directory/file", "file")?;
    let script = "rm -r directory; ln -s \"$0\" directory; ln -s \"$0\" direct; ln -s / root; ln -s ../../../../.. up; mkdir -p a; ln -s \"$0\" a/b";
    let sandbox = world.sandbox().flags(&["--name", "links"]);
    sandbox.run(&["sh", "-c", script, &path])?.expect(0)?;
    let listed = world.stockade(&["changes", "links"])?.expect(0)?;
    ensure!(!listed.all().contains(&secret), "the secret was read");
    for line in ["A direct (link)", "A root (link)", "A a/b (link)"] {
        ensure!(listed.text().contains(line), "no {line:?} in {}", listed.text());
    }
    ensure!(
        !listed.text().contains("root/"),
        "a link was followed: {}",
        listed.text()
    );
    world.stockade(&["rm", "links"])?.expect(0)?;
    ensure!(
        std::fs::read_to_string(&path)? == secret,
        "the target was removed"
    );
    Ok(())
}

/// Workspace modes that the driver has.
fn modes(world: &World) -> &'static [&'static str] {
    if world.offers(Ability::InPlace) {
        &["cow", "ro", "rw"]
    } else {
        &["cow", "ro"]
    }
}

fn odd_places(world: &World) -> Verdict {
    for name in [
        "with space",
        "a:b,c\\d",
        "new\nline",
        "é文",
        "-rf",
        "lowerdir=x,upperdir=y",
        "%s$HOME`id`",
    ] {
        let directory = format!("outside/{name}/project");
        world.file(&format!("{directory}/file"), "content\n")?;
        for mode in modes(world) {
            let sandbox = world.sandbox().directory(world.path(&directory));
            let finished = sandbox
                .flags(&["--rm", "--workspace-mode", mode])
                .shell("pwd >&2; cat file")?;
            finished
                .expect_text("content")
                .map_err(|stop| stop.about(&format!("{name:?} {mode}")))?;
        }
    }
    let deep = format!("outside{}", "/a-rather-long-name-of-a-directory".repeat(60));
    world.file(&format!("{deep}/file"), "deep\n")?;
    let finished = world
        .sandbox()
        .directory(world.path(&deep))
        .flags(&["--rm"])
        .run(&["cat", "file"])?;
    finished.expect_text("deep").map(drop)
}

fn below_home(world: &World) -> Verdict {
    world.file("home/code/project/file", "mine\n")?;
    world.file("home/code/other/file", "not mine\n")?;
    world.file("home/secret", "not mine\n")?;
    let before = Tree::of(&world.path("home"));
    let script = "cat file; cat ~/secret ../other/file 2>/dev/null; ls -A ~ ~/code | grep -v '^/' | xargs; echo x > ~/mine && echo x > new && echo written";
    let sandbox = world.sandbox().directory(world.path("home/code/project"));
    let finished = sandbox.shell(script)?.expect(0)?;
    let text = finished.text();
    ensure!(
        text.starts_with("mine\n") && text.ends_with("written\n") && !text.contains("not mine"),
        "{text}"
    );
    ensure!(
        !text.contains("other") && !text.contains("secret"),
        "neighbours are seen: {text}"
    );
    let later = Tree::of(&world.path("home"));
    ensure!(
        before == later,
        "the home was changed:{}",
        before.differences(&later)
    );
    Ok(())
}

/// Directories of ended runs may be used again: each must begin as the host's files are.
fn residue(world: &World) -> Verdict {
    let secret = token()?;
    world.file("work/directory/file", "host\n")?;
    let leave = "echo \"$0\" > left; echo \"$0\" > directory/left; rm directory/file; mkdir -p .hidden; echo \"$0\" > .hidden/x; \
                 chmod 700 .; touch -d @0 .; setfattr -n user.overlay.opaque -v y directory 2>/dev/null; mv directory moved 2>/dev/null; chmod 0 .hidden; \
                 echo \"$0\" > ${TMPDIR:-/tmp}/left; echo \"$0\" > /dev/shm/left; echo \"$0\" > ~/left; true";
    let look = "find . -name attack -prune -o -print | sort | xargs; cat directory/file; stat -c %a . ; ls -A ${TMPDIR:-/tmp}/left /dev/shm 2>/dev/null; (cd ~; ls -A); grep -rl canary . ${TMPDIR:-/tmp} ~ /dev/shm 2>/dev/null";
    let expected = world.sandbox().flags(&["--rm"]).shell(look)?.text();
    ensure!(
        expected.starts_with(". ./directory ./directory/file\nhost\n"),
        "{expected}"
    );
    for round in 0..6 {
        world
            .sandbox()
            .flags(&["--rm"])
            .run(&["sh", "-c", leave, &secret])?;
        let found = world.sandbox().flags(&["--rm"]).shell(look)?.text();
        ensure!(
            found == expected,
            "round {round}: {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}

/// Started by root for a workspace of somebody's: root's own files in it are not theirs.
fn other_owners(world: &World) -> Verdict {
    if !host::is_root() {
        return skip("files of several owners need root");
    }
    let secret = token()?;
    let closed = |path: &std::path::Path, owner: u32| -> Verdict {
        std::os::unix::fs::chown(path, Some(owner), Some(owner))?;
        Ok(std::fs::set_permissions(
            path,
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )?)
    };
    closed(&world.file("work/roots", &secret)?, 0)?;
    closed(&world.file("work/others", &secret)?, 4242)?;
    closed(&world.file("work/own", "own\n")?, 4343)?;
    std::os::unix::fs::chown(world.work(), Some(4343), Some(4343))?;
    for mode in modes(world) {
        let sandbox = world.sandbox().flags(&["--rm", "--workspace-mode", mode]);
        let finished = sandbox
            .shell("cat own roots others; echo x > roots; chmod 666 roots others; true")?
            .expect(0)?;
        ensure!(finished.text() == "own\n", "{mode}: {}", finished.all());
    }
    ensure!(
        std::fs::read_to_string(world.path("work/roots"))? == secret,
        "root's file was changed"
    );
    Ok(())
}

fn moved_parents(world: &World) -> Verdict {
    world.file("outside/tree/closed/secret", "secret")?;
    world.file("outside/tree/open", "open")?;
    let tree = world.path("outside/tree").display().to_string();
    let policy = format!("[files]\nrw = [\"{tree}\"]\nhide = [\"{tree}/closed\"]\n");
    let script = "cd $0; mv closed away; mv ../tree ../moved; rmdir closed; umount closed; cat closed/secret away/secret; ln -s closed link; cat link/secret; echo x > new; ls";
    let finished = world
        .sandbox()
        .policy(&policy)?
        .run(&["sh", "-c", script, &tree])?;
    ensure!(!finished.text().contains("secret"), "{}", finished.all());
    ensure!(
        world.path("outside/tree/new").exists(),
        "nothing could be written at all: {}",
        finished.all()
    );
    ensure!(
        world.path("outside/tree/closed/secret").exists(),
        "the hidden file was moved"
    );
    Ok(())
}

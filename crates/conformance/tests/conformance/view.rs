//! What exists inside.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

use stockade_conformance::tree::Tree;
use stockade_conformance::{
    Ability, Behaviour, ControlKind, Sandbox, Verdict, World, ensure, host, program, skip,
};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "view-ro",
        "--ro shows a file or directory and refuses writing",
        read_only,
    ),
    Behaviour::test(
        "view-rw",
        "--rw lets writes reach the host, there alone",
        writable,
    )
    .uses(&[Ability::InPlace]),
    Behaviour::test(
        "view-rw-names",
        "what lies beside a writable directory is not seen",
        writable_names,
    )
    .needs(&[ControlKind::NamesHidden])
    .uses(&[Ability::InPlace]),
    Behaviour::test("view-hide", "a policy hides a part of what it shows", hide),
    Behaviour::test(
        "view-path",
        "programs of PATH are there, through links, without what lies beside them",
        path,
    ),
    Behaviour::test("view-tmp", "/tmp is private, writable and gone afterwards", tmp)
        .uses(&[Ability::Places]),
    Behaviour::test(
        "view-proc",
        "a listing of /proc shows own processes alone",
        own_processes,
    )
    .uses(&[Ability::Procfs])
    .needs(&[ControlKind::ProcessesHidden]),
    Behaviour::test(
        "view-image",
        "--image stands in place of the system directories",
        image,
    )
    .uses(&[Ability::Image]),
    Behaviour::test(
        "view-image-odd",
        "an image whose directories are links leads nowhere else",
        odd_image,
    ),
    Behaviour::test(
        "view-nested",
        "a policy that leaves namespaces to the command lets it build a sandbox of its own",
        nested,
    )
    .uses(&[Ability::Namespaces]),
    Behaviour::test(
        "view-passwd",
        "the ids that /etc/passwd names are those of the command, whoever owns the workspace",
        passwd,
    )
    .uses(&[Ability::Replaced]),
    Behaviour::test(
        "view-missing",
        "showing what does not exist is refused by name",
        missing,
    ),
    Behaviour::test(
        "view-credentials",
        "credentials below a shown directory stay covered",
        credentials,
    ),
];

fn read_only(world: &World) -> Verdict {
    let file = world.file("outside/shown/file", "content")?.display().to_string();
    let single = world.file("outside/single", "alone")?.display().to_string();
    let directory = world.path("outside/shown").display().to_string();
    let before = world.reader()(&world.path("outside/shown"));
    let sandbox = world.sandbox().flags(&["--ro", &directory, "--ro", &single]);
    let finished = sandbox.run(&[
        "sh",
        "-c",
        "cat $0 $1; echo x > $0; echo x > $1; touch $0.new",
        &file,
        &single,
    ])?;
    ensure!(
        finished.text() == "contentalone" && finished.code != 0,
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    let later = world.reader()(&world.path("outside/shown"));
    ensure!(before == later, "it changed:{}", before.differences(&later));
    ensure!(
        std::fs::read_to_string(&single)? == "alone",
        "the single file changed"
    );
    Ok(())
}

fn writable(world: &World) -> Verdict {
    world.file("outside/shared/file", "content")?;
    world.file("outside/neighbour", "content")?;
    let directory = world.path("outside/shared").display().to_string();
    let script = "cd $0 && echo changed > file && echo new > new && cat ../neighbour 2>/dev/null; echo x > ../beside 2>/dev/null; true";
    let finished = world
        .sandbox()
        .flags(&["--rw", &directory])
        .run(&["sh", "-c", script, &directory])?
        .expect(0)?;
    ensure!(
        finished.text().is_empty() && !world.path("outside/beside").exists(),
        "the neighbour was read, or something stands beside it: {}",
        finished.all()
    );
    ensure!(
        std::fs::read_to_string(world.path("outside/shared/file"))? == "changed\n",
        "the change did not arrive"
    );
    ensure!(
        world.path("outside/shared/new").exists(),
        "the new file did not arrive"
    );
    Ok(())
}

fn writable_names(world: &World) -> Verdict {
    world.file("outside/shared/file", "content")?;
    world.file("outside/neighbour", "content")?;
    let directory = world.path("outside/shared").display().to_string();
    let finished = world.sandbox().flags(&["--rw", &directory]).run(&[
        "sh",
        "-c",
        "cd $0 && ls; ls -A ..; ls ../neighbour",
        &directory,
    ])?;
    let text = finished.text();
    ensure!(
        text.starts_with("file\n") && !text.contains("neighbour"),
        "{}",
        finished.all()
    );
    Ok(())
}

fn hide(world: &World) -> Verdict {
    world.file("outside/tree/open", "open")?;
    world.file("outside/tree/closed/secret", "secret")?;
    world.file("outside/tree/secret-file", "secret")?;
    let tree = world.path("outside/tree").display().to_string();
    let policy = format!("[files]\nro = [\"{tree}\"]\nhide = [\"{tree}/closed\", \"{tree}/secret-file\"]\n");
    let script = "cd $0; cat open closed/secret secret-file";
    let finished = world
        .sandbox()
        .policy(&policy)?
        .run(&["sh", "-c", script, &tree])?;
    ensure!(finished.text() == "open", "{}", finished.all());
    Ok(())
}

fn path(world: &World) -> Verdict {
    let tool = world.file("home/tools/bin/real-tool", "#!/bin/sh\necho tool\n")?;
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755))?;
    world.file("home/tools/secret", "secret")?;
    world.file("home/linked/marker", "x")?;
    symlink("../tools/bin/real-tool", world.path("home/linked/linked-tool"))?;
    let value = format!("{}:/usr/bin:/bin", world.path("home/linked").display());
    let sandbox = world.sandbox().variable("PATH", value);
    let script = "linked-tool; cat ~/tools/secret 2>/dev/null || echo hidden";
    sandbox.shell(script)?.expect_text("tool\nhidden").map(drop)
}

fn passwd(world: &World) -> Verdict {
    const SCRIPT: &str =
        "test $(id -u):$(id -g) = $(sed -n 's/^user:x:\\([0-9:]*\\):user:.*/\\1/p' /etc/passwd) && id -un";
    let told = |sandbox: Sandbox<'_>| sandbox.shell(SCRIPT)?.expect_text("user").map(drop);
    told(world.sandbox())?;
    told(world.sandbox().flags(&["--workspace-mode", "none"]))?;
    if !host::is_root() {
        return Ok(());
    }
    // The last two lie beyond what is mapped; below a repository's root its owner counts.
    for (owner, group) in [(1_234, 4_321), (65_536, 70_000), (4_000_000_000, 100_000)] {
        chown(world.work(), Some(owner), Some(group))?;
        told(world.sandbox())?;
    }
    world.file("work/.git/HEAD", "ref: refs/heads/main\n")?;
    world.file("work/below/file", "content")?;
    told(world.sandbox().directory(world.path("work/below")))
}

fn tmp(world: &World) -> Verdict {
    let name = format!("stockade-view-{}", std::process::id());
    let outside = std::path::Path::new("/tmp").join(&name);
    world.shell(&format!("echo x > /tmp/{name} && cp /bin/sh /tmp/sh && /tmp/sh -c 'echo runs' && touch /dev/shm/y /var/tmp/z"))?.expect_text("runs")?;
    ensure!(!outside.exists(), "{} is on the host", outside.display());
    world.shell(&format!("ls /tmp/{name}"))?.expect(2).map(drop)
}

fn own_processes(world: &World) -> Verdict {
    if program::find("python3").is_none() {
        return skip("python3 is missing");
    }
    let text = world
        .run(&["python3", "-c", "import os; print(os.listdir('/proc'))"])?
        .expect(0)?
        .text();
    let names: Vec<&str> = text
        .split(['[', ']', ',', '\'', ' ', '\n'])
        .filter(|name| !name.is_empty())
        .collect();
    let processes: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    ensure!(!processes.is_empty() && processes.len() <= 4, "{processes:?}");
    ensure!(processes.iter().all(|process| *process < 50), "{processes:?}");
    Ok(())
}

fn busybox_image(world: &World) -> Verdict<String> {
    let Some(busybox) = program::find("busybox") else {
        return skip("busybox is missing");
    };
    std::fs::create_dir_all(world.path("outside/image/bin"))?;
    std::fs::copy(busybox, world.path("outside/image/bin/busybox"))?;
    for name in ["sh", "ls", "cat", "echo", "mkdir"] {
        symlink("busybox", world.path(&format!("outside/image/bin/{name}")))?;
    }
    world.file("outside/image/etc/marker", "image\n")?;
    for name in ["usr", "tmp", "proc", "dev", "home", "root"] {
        std::fs::create_dir_all(world.path(&format!("outside/image/{name}")))?;
    }
    Ok(world.path("outside/image").display().to_string())
}

fn image(world: &World) -> Verdict {
    let image = busybox_image(world)?;
    world.file("work/file", "workspace\n")?;
    let before = world.reader()(&world.path("outside/image"));
    let sandbox = world.sandbox().flags(&["--image", &image]);
    let script = "cat /etc/marker file; ls /usr; echo x > /etc/marker 2>/dev/null || echo refused; echo y > /tmp/y && cat /tmp/y";
    let finished = sandbox
        .run(&["/bin/sh", "-c", script])?
        .expect_text("image\nworkspace\nrefused\ny")?;
    let later = world.reader()(&world.path("outside/image"));
    ensure!(
        before == later,
        "the image changed:{}{}",
        before.differences(&later),
        finished.stderr
    );
    Ok(())
}

fn odd_image(world: &World) -> Verdict {
    let image = busybox_image(world)?;
    world.file("outside/target/canary", "untouched")?;
    let before = Tree::of(&world.path("outside/target"));
    for name in ["proc", "dev", "tmp", "root", "home"] {
        let path = world.path(&format!("outside/image/{name}"));
        std::fs::remove_dir(&path)?;
        symlink(world.path("outside/target"), &path)?;
    }
    // Refused or built beside the links: both are right, touching the target is not.
    let finished = world.sandbox().flags(&["--image", &image]).run(&[
        "/bin/sh",
        "-c",
        "echo x > /tmp/y; ls /dev /proc",
    ])?;
    let later = Tree::of(&world.path("outside/target"));
    ensure!(
        before == later,
        "the link's target changed:{}",
        before.differences(&later)
    );
    ensure!(
        !finished.text().contains("canary"),
        "the link was followed: {}",
        finished.text()
    );
    Ok(())
}

fn missing(world: &World) -> Verdict {
    let path = world.path("outside/none").display().to_string();
    world
        .sandbox()
        .flags(&["--ro", &path])
        .run(&["true"])?
        .expect(125)?
        .complains(&[&path])
        .map(drop)
}

fn credentials(world: &World) -> Verdict {
    world.file("home/project/readme", "open")?;
    for name in [".ssh/id", ".aws/credentials", ".config/gh/hosts.yml", ".netrc"] {
        world.file(&format!("home/{name}"), "credential")?;
    }
    let config = world.path("home/.config").display().to_string();
    let script =
        "cd \"$0\"; cat .config/gh/hosts.yml .ssh/id .aws/credentials .netrc; cd; cat .config/gh/hosts.yml";
    let home = world.path("home").display().to_string();
    let sandbox = world.sandbox().flags(&["--ro", &config]);
    let finished = sandbox.run(&["sh", "-c", script, &home])?;
    ensure!(!finished.text().contains("credential"), "{}", finished.all());
    // The control: named itself, it is shown.
    let named = world.path("home/.ssh/id").display().to_string();
    world
        .sandbox()
        .flags(&["--ro", &named])
        .run(&["cat", &named])?
        .expect_text("credential")
        .map(drop)
}

fn nested(world: &World) -> Verdict {
    let script = "unshare --user --map-root-user --mount --pid --fork sh -c 'mount -t tmpfs none /tmp && echo own sandbox'";
    if world.shell(script)?.code == 0 {
        return stockade_conformance::fail("the default policy leaves namespaces to the command");
    }
    let outside = stockade_conformance::run::finish(
        {
            let mut command = world.command(std::path::Path::new("/bin/sh"));
            command.args(["-c", script]);
            command
        },
        Vec::new(),
        None,
    )?;
    if outside.code != 0 {
        return skip(format!(
            "inconclusive: outside it is refused, too: {}",
            outside.all()
        ));
    }
    world
        .sandbox()
        .policy("[sandbox]\nnested-namespaces = true\n")?
        .shell(script)?
        .expect_text("own sandbox")
        .map(drop)
}

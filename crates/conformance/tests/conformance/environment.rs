//! Variables, the starting directory, names.

use std::collections::BTreeMap;

use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "environment-allow-list",
        "only allowed variables of the caller pass",
        allow_list,
    )
    .needs(&[ControlKind::CleanEnvironment]),
    Behaviour::test(
        "environment-set",
        "-e sets and passes variables, --env-file reads them",
        set,
    ),
    Behaviour::test(
        "environment-policy",
        "the policy sets and passes variables",
        by_policy,
    ),
    Behaviour::test(
        "environment-home",
        "HOME is a writable directory that starts empty",
        home,
    )
    .needs(&[ControlKind::HomeHidden]),
    Behaviour::test(
        "environment-directory",
        "the command starts in the directory of its caller",
        directory,
    )
    .uses(&[Ability::Places]),
    Behaviour::test("environment-hostname", "the host's name is not shown", hostname)
        .needs(&[ControlKind::HostnamePrivate]),
    Behaviour::test(
        "environment-exec",
        "a second command has the variables of the first",
        second_command,
    )
    .small(),
];

fn variables(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn allow_list(world: &World) -> Verdict {
    let names = [
        "SECRET",
        "SSH_AUTH_SOCK",
        "LD_PRELOAD",
        "PYTHONSTARTUP",
        "BASH_ENV",
        "ENV",
        "GIT_DIR",
        "NODE_OPTIONS",
    ];
    let mut sandbox = world
        .sandbox()
        .variable("TERM", "xterm")
        .variable("LC_TIME", "C")
        .variable("TZ", "UTC");
    for name in names {
        // A library that is missing is complained of by the loader, so this names none.
        sandbox = sandbox.variable(name, if name == "LD_PRELOAD" { "" } else { "/none" });
    }
    let found = variables(&sandbox.run(&["env"])?.expect(0)?.text());
    for name in names {
        ensure!(!found.contains_key(name), "{name} passed");
    }
    for (name, value) in [
        ("TERM", "xterm"),
        ("LC_TIME", "C"),
        ("TZ", "UTC"),
        ("LANG", "C.UTF-8"),
    ] {
        ensure!(
            found.get(name).is_some_and(|found| found == value),
            "{name}: {:?}",
            found.get(name)
        );
    }
    ensure!(found.contains_key("PATH"), "no PATH: {found:?}");
    Ok(())
}

fn set(world: &World) -> Verdict {
    let file = world.file(
        "outside/variables",
        "# comment\nFROM_FILE=with spaces \"and quotes\"\nPASSED_BY_FILE\nEMPTY=\n",
    )?;
    let file = file.display().to_string();
    let flags = [
        "-e",
        "SET=a=b",
        "--env",
        "PASSED",
        "-e",
        "ABSENT",
        "--env-file",
        &file,
    ];
    let sandbox = world
        .sandbox()
        .flags(&flags)
        .variable("PASSED", "p")
        .variable("PASSED_BY_FILE", "f");
    let found = variables(&sandbox.run(&["env"])?.expect(0)?.text());
    let expected = [
        ("SET", "a=b"),
        ("PASSED", "p"),
        ("FROM_FILE", "with spaces \"and quotes\""),
        ("PASSED_BY_FILE", "f"),
        ("EMPTY", ""),
    ];
    for (name, value) in expected {
        ensure!(
            found.get(name).is_some_and(|found| found == value),
            "{name}: {:?}",
            found.get(name)
        );
    }
    ensure!(!found.contains_key("ABSENT"), "ABSENT was set");
    Ok(())
}

fn by_policy(world: &World) -> Verdict {
    let policy = "[environment]\npass = [\"ONE_*\"]\nset = { TWO = \"2\" }\n";
    let sandbox = world
        .sandbox()
        .policy(policy)?
        .variable("ONE_A", "1")
        .variable("THREE", "3");
    let found = variables(&sandbox.run(&["env"])?.expect(0)?.text());
    ensure!(
        found.get("ONE_A").is_some_and(|value| value == "1"),
        "ONE_A: {:?}",
        found.get("ONE_A")
    );
    ensure!(
        found.get("TWO").is_some_and(|value| value == "2"),
        "TWO: {:?}",
        found.get("TWO")
    );
    ensure!(!found.contains_key("THREE"), "THREE passed");
    Ok(())
}

fn home(world: &World) -> Verdict {
    world.file("home/.profile", "echo host")?;
    let script = r#"cd "$HOME" && echo x > file && cat file && ls -A | grep -v '^file$' | grep -c profile"#;
    let finished = world.shell(script)?;
    ensure!(finished.text().trim() == "x\n0", "{}", finished.all());
    ensure!(
        !world.path("home/file").exists(),
        "the file reached the host's home"
    );
    Ok(())
}

fn directory(world: &World) -> Verdict {
    let work = world.work().display().to_string();
    world.run(&["pwd"])?.expect_text(&work)?;
    world.file("work/.git/HEAD", "ref: refs/heads/main\n")?;
    world.file("work/below/deep/file", "content")?;
    let below = world.path("work/below/deep");
    let sandbox = world.sandbox().directory(below.clone());
    sandbox
        .shell("pwd; cat file ../../.git/HEAD")?
        .expect_text(&format!("{}\ncontentref: refs/heads/main", below.display()))
        .map(drop)
}

fn hostname(world: &World) -> Verdict {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let inside = world
        .run(&["cat", "/proc/sys/kernel/hostname"])?
        .expect(0)?
        .text();
    ensure!(inside.trim() != host.trim(), "inside it is {inside:?}, too");
    let sandbox = world.sandbox().policy("[sandbox]\nhostname = \"elsewhere\"\n")?;
    sandbox.run(&["uname", "-n"])?.expect_text("elsewhere").map(drop)
}

fn second_command(world: &World) -> Verdict {
    let flags = ["--name", "env", "-e", "GIVEN=1"];
    let mut running = world.sandbox().flags(&flags).start_open(&["sleep", "50"])?;
    running.until_started()?;
    let found = variables(
        &world
            .stockade(&["exec", "-e", "MORE=2", "env", "env"])?
            .expect(0)?
            .text(),
    );
    ensure!(
        found.get("GIVEN").is_some_and(|value| value == "1"),
        "GIVEN: {:?}",
        found.get("GIVEN")
    );
    ensure!(
        found.get("MORE").is_some_and(|value| value == "2"),
        "MORE: {:?}",
        found.get("MORE")
    );
    ensure!(
        found.contains_key("PATH") && found.contains_key("HOME"),
        "{found:?}"
    );
    Ok(())
}

//! Bad input: a clear error, exit 125, and nothing was started.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, host, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "policy-unknown-driver",
        "an unknown driver is refused with what there is",
        unknown_driver,
    ),
    Behaviour::test(
        "policy-bad-file",
        "mistakes in a policy are told with line and remedy",
        bad_file,
    ),
    Behaviour::test(
        "policy-unreadable",
        "a policy that cannot be read is refused",
        unreadable,
    ),
    Behaviour::test(
        "policy-bad-values",
        "sizes, times and numbers outside the grammar are refused",
        bad_values,
    ),
    Behaviour::test(
        "policy-require",
        "a required limit that cannot be enforced is refused, a preferred one is told",
        require,
    ),
    Behaviour::test(
        "policy-check",
        "`policy check` says what is wrong, and nothing where all is well",
        check,
    ),
    Behaviour::test(
        "policy-dry-run",
        "--dry-run shows plan and steps, and starts nothing",
        dry_run,
    ),
    Behaviour::test(
        "policy-empty-allow",
        "an empty list of destinations allows nothing",
        empty_allow,
    )
    .uses(&[Ability::Procfs]),
    Behaviour::test(
        "policy-some-allow",
        "a list of destinations that cannot be kept to is refused",
        some_allow,
    ),
    Behaviour::test(
        "policy-bad-variables",
        "variables that no program could be started with are refused",
        bad_variables,
    ),
    Behaviour::test(
        "policy-arguments",
        "arguments of any bytes arrive as they are",
        any_arguments,
    ),
];

/// Exit 125, a complaint, and the command did not run.
fn refused(world: &World, flags: &[&str], says: &[&str]) -> Verdict {
    let flags = [&["--workspace-mode", "rw"], flags].concat();
    let finished = world.sandbox().flags(&flags).run(&["touch", "ran"])?;
    ensure!(!world.path("work/ran").exists(), "{flags:?}: the command ran");
    // The parser of the command line has its own code for its own complaints.
    ensure!(
        [125, 2].contains(&finished.code),
        "{flags:?}: exit {}: {}",
        finished.code,
        finished.all()
    );
    finished.complains(says).map(drop)
}

fn unknown_driver(world: &World) -> Verdict {
    let finished = world.stockade(&["run", "--driver", "natve", "--", "true"])?;
    finished
        .expect(125)?
        .complains(&["natve", world.driver().name])
        .map(drop)
}

fn bad_file(world: &World) -> Verdict {
    let cases = [
        ("", "version"),
        ("version = 2\n", "version"),
        ("version = 1\n[limits]\nmemroy = \"1G\"\n", "memory"),
        ("version = 1\n[limits]\nmemory = \"1 XB\"\n", ":3:"),
        (
            "version = 1\n[need]\nnetwork-nome = \"require\"\n",
            "network-none",
        ),
        ("version = 1\n[need]\nnetwork-none = \"perhaps\"\n", ":3:"),
        ("version = 1\nversion = 1\n", ":2:"),
        ("version = 1\n[workspace]\nmode = \"cwo\"\n", ":3:"),
        ("version = 1\n[files]\nro = [\"relative\"]\n", "relative"),
        ("version = 1\n[files]\nro = \"/etc\"\n", ":3:"),
        ("not toml at all", ":1:"),
    ];
    for (text, says) in cases {
        let file = world.file("outside/bad.toml", text)?.display().to_string();
        refused(world, &["--policy", &file], &[says])?;
    }
    let big = world
        .file(
            "outside/big.toml",
            format!("version = 1\n# {}", "x".repeat(4 << 20)),
        )?
        .display()
        .to_string();
    refused(world, &["--policy", &big], &["big.toml"])?;
    let deep = format!("version = 1\nx = {}{}\n", "[".repeat(50_000), "]".repeat(50_000));
    let deep = world.file("outside/deep.toml", deep)?.display().to_string();
    refused(world, &["--policy", &deep], &["deep.toml"])
}

fn unreadable(world: &World) -> Verdict {
    let none = world.path("outside/none.toml").display().to_string();
    refused(world, &["--policy", &none], &["none.toml"])?;
    let directory = world.path("outside").display().to_string();
    refused(world, &["--policy", &directory], &[&directory])?;
    let bytes = world
        .file("outside/bytes.toml", [0xff, 0xfe, 0])?
        .display()
        .to_string();
    refused(world, &["--policy", &bytes], &["bytes.toml"])?;
    if host::is_root() {
        return Ok(());
    }
    let closed = world.file("outside/closed.toml", "version = 1\n")?;
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000))?;
    refused(
        world,
        &["--policy", &closed.display().to_string()],
        &["closed.toml"],
    )
}

fn bad_values(world: &World) -> Verdict {
    let cases = [
        ["--memory", "1X"],
        ["--memory", "-1"],
        ["--memory", "0"],
        ["--memory", "99999999999T"],
        ["--pids", "0"],
        ["--pids", "many"],
        ["--cpus", "0"],
        ["--cpus", "1e9"],
        ["--timeout", "5 parsecs"],
        ["--timeout", ""],
        ["--output", "1K1K"],
        ["--workspace-mode", "maybe"],
        ["--status-fd", "99"],
    ];
    for flags in cases {
        refused(world, &flags, &[])?;
    }
    Ok(())
}

/// What a dry run says of each control: the name and `enforced`, `watched` or `absent`.
fn supports(world: &World) -> Verdict<Vec<(String, String)>> {
    let text = world
        .sandbox()
        .flags(&["--dry-run", "--json"])
        .run(&["true"])?
        .expect(0)?
        .text();
    let plan: Value = serde_json::from_str(&text)?;
    let mut found = Vec::new();
    collect(&plan, &mut found);
    ensure!(found.len() > 15, "few controls in {text}");
    Ok(found)
}

fn collect(value: &Value, found: &mut Vec<(String, String)>) {
    if let (Some(demand), Some(support)) = (value.get("demand"), value.get("support")) {
        let control = &demand["control"];
        let name = if control["control"] == "wall" {
            &control["value"]
        } else {
            &control["control"]
        };
        let state = support
            .as_object()
            .and_then(|fields| fields.keys().next().cloned());
        found.push((
            name.as_str().unwrap_or_default().to_owned(),
            state.unwrap_or_default(),
        ));
    }
    match value {
        Value::Array(list) => list.iter().for_each(|entry| collect(entry, found)),
        Value::Object(fields) => fields.values().for_each(|entry| collect(entry, found)),
        _ => {}
    }
}

/// Whether this machine and user can have a limit.
pub fn can_enforce(world: &World, control: &str) -> Verdict<bool> {
    Ok(supports(world)?
        .iter()
        .any(|(name, state)| name == control && state == "enforced"))
}

fn require(world: &World) -> Verdict {
    for (control, value) in [("memory", "256M"), ("pids", "100"), ("cpu", "1")] {
        let flag = if control == "cpu" {
            "--cpus"
        } else {
            &format!("--{control}")
        };
        if can_enforce(world, control)? {
            world.sandbox().flags(&[flag, value]).run(&["true"])?.expect(0)?;
            continue;
        }
        refused(world, &[flag, value], &[control, "fix"])?;
        let policy = format!("[need]\n{control} = \"prefer\"\n");
        let finished = world
            .sandbox()
            .policy(&policy)?
            .flags(&[flag, value])
            .run(&["true"])?
            .expect(0)?;
        ensure!(
            finished.stderr.contains("not enforced"),
            "{control}: the run does not say so: {}",
            finished.stderr
        );
    }
    // Disk is watched on drivers without quotas: a requirement is then refused.
    let disk = world
        .sandbox()
        .policy("[limits]\ndisk = \"1G\"\n[need]\ndisk = \"require\"\n")?
        .run(&["true"])?;
    ensure!([0, 125].contains(&disk.code), "disk: exit {}", disk.code);
    ensure!(
        disk.code == 0 || disk.stderr.contains("disk"),
        "disk: {}",
        disk.stderr
    );
    Ok(())
}

fn check(world: &World) -> Verdict {
    let good = world
        .file("outside/good.toml", "version = 1\n[limits]\nmemory = \"1G\"\n")?
        .display()
        .to_string();
    world.stockade(&["policy", "check", &good])?.expect(0)?;
    let bad = world
        .file("outside/bad.toml", "version = 1\n[limit]\nmemory = \"1G\"\n")?
        .display()
        .to_string();
    world
        .stockade(&["policy", "check", &bad])?
        .expect(125)?
        .complains(&["bad.toml:2", "limits"])
        .map(drop)
}

fn dry_run(world: &World) -> Verdict {
    let mut flags = vec!["--dry-run"];
    if world.offers(Ability::InPlace) {
        flags.extend(["--workspace-mode", "rw"]);
    }
    let text = world
        .sandbox()
        .flags(&flags)
        .run(&["touch", "ran"])?
        .expect(0)?
        .text();
    ensure!(!world.path("work/ran").exists(), "the command ran");
    let changes = world.stockade(&["changes"])?.all();
    ensure!(!changes.contains("A ran"), "the command ran: {changes}");
    for part in ["network-none", "host kernel"] {
        ensure!(text.contains(part), "no {part:?} in {text}");
    }
    ensure!(
        supports(world)?.iter().all(|(name, state)| state == "enforced"
            || name == "second-wall"
            || ControlKind::named(name).is_some_and(ControlKind::is_limit)
            || world.driver().gives_up.iter().any(|kind| kind.name() == name)),
        "a wall is missing: {:?}",
        supports(world)?
    );
    Ok(())
}

fn empty_allow(world: &World) -> Verdict {
    let finished = world
        .sandbox()
        .policy("[network]\nallow = []\n")?
        .shell("grep -c : /proc/net/dev; cut -d: -f1 /proc/net/dev | tail -n +3")?
        .expect(0)?;
    ensure!(
        finished.text().split_whitespace().collect::<Vec<_>>() == ["1", "lo"],
        "{}",
        finished.text()
    );
    Ok(())
}

/// A destination needs a proxy: without one it is refused, never opened wide.
fn some_allow(world: &World) -> Verdict {
    let some = world
        .sandbox()
        .policy("[network]\nallow = [\"example.com\"]\n")?
        .run(&["true"])?;
    if some.code == 0 {
        return skip("this driver has an egress proxy: see its own tests");
    }
    some.expect(125)?.complains(&["network-allowlist"]).map(drop)
}

fn bad_variables(world: &World) -> Verdict {
    for variable in ["=x", "A B=x", "*", "A\nB=x"] {
        refused(world, &["-e", variable], &[])?;
    }
    let none = world.path("outside/none.env").display().to_string();
    refused(world, &["--env-file", &none], &["none.env"])?;
    let bad = world
        .file("outside/bad.env", "GOOD=1\n=bad\n")?
        .display()
        .to_string();
    refused(world, &["--env-file", &bad], &["bad.env:2"])
}

fn any_arguments(world: &World) -> Verdict {
    use std::os::unix::ffi::OsStringExt;
    let odd: Vec<std::ffi::OsString> = [
        &b"printf"[..],
        b"%s|",
        b"",
        b"a b",
        b"--flag",
        b"\xff\xfe",
        b"new\nline",
        b"--",
    ]
    .iter()
    .map(|bytes| std::ffi::OsString::from_vec(bytes.to_vec()))
    .collect();
    let finished = world.sandbox().run(&odd)?.expect(0)?;
    ensure!(
        finished.stdout == b"|a b|--flag|\xff\xfe|new\nline|--|",
        "{:?}",
        finished.text()
    );
    Ok(())
}

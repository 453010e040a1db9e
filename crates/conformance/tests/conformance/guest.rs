//! The guest: PID 1 of the sandbox runs as the same user as what it starts.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stockade_conformance::{
    Ability, Behaviour, ControlKind, Sandbox, Verdict, World, ensure, fail, host, skip, tree,
};
use stockade_probes::catalogue::guest_control;

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "PR09",
        "the guest can be neither read nor traced nor signalled, and serves on",
        attacked,
    )
    .needs(&[ControlKind::GuestProtected]),
    Behaviour::test(
        "guest-program",
        "PID 1 is the guest that is installed beside the program, else the program itself",
        program_of_guest,
    ),
    Behaviour::test("PR09-exec", "nor by a second command", attacked_by_exec)
        .needs(&[ControlKind::GuestProtected]),
    Behaviour::test(
        "PR09-namespaces",
        "nor where namespaces are left to the commands",
        attacked_with_namespaces,
    )
    .needs(&[ControlKind::GuestProtected])
    .uses(&[Ability::Namespaces]),
    Behaviour::test(
        "PR09-image",
        "nor where an image has its own programs",
        programs_unchanged,
    )
    .needs(&[ControlKind::GuestProtected]),
    Behaviour::test(
        "PR09-terminal",
        "nor can the process that leads a terminal's session",
        leader_attacked,
    )
    .needs(&[ControlKind::GuestProtected, ControlKind::TerminalPrivate]),
    Behaviour::test(
        "PR10",
        "what lies beside PID 1 is only the workload",
        only_the_workload,
    )
    .uses(&[Ability::Procfs]),
];

/// The control: the same attack on a process of the same user that does not protect itself.
fn control(world: &World) -> Verdict {
    guest_control(&world.field())
}

fn attacked(world: &World) -> Verdict {
    attacked_in(world, world.sandbox())
}

fn attacked_with_namespaces(world: &World) -> Verdict {
    let policy = "[sandbox]\nnested-namespaces = true\n";
    attacked_in(world, world.sandbox().policy(policy)?)
}

fn attacked_in(world: &World, sandbox: Sandbox<'_>) -> Verdict {
    control(world)?;
    let before = tree::hash(&std::fs::read(world.suite().program())?);
    let payload = world.payload_inside();
    // Without a PID namespace the guest is the parent, and 1 the host's own.
    let script = r#""$0" PR09 $PPID; "$0" PR09 1; sleep 0.2; echo still here; exit 8"#;
    let finished = sandbox.run(&["sh", "-c", script, &payload])?.expect(8)?;
    ensure!(finished.text().contains("DONE\nstill here"), "{}", finished.all());
    ensure!(!finished.text().contains("REACHED"), "{}", finished.all());
    ensure!(
        tree::hash(&std::fs::read(world.suite().program())?) == before,
        "the program was overwritten"
    );
    Ok(())
}

fn attacked_by_exec(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let mut running = world.sandbox().flags(&["--name", "target"]).start_open(&[
        "sh",
        "-c",
        "echo ready; read line; exit 4",
    ])?;
    running.until_output("ready")?;
    let script = r#""$0" PR09 $PPID; "$0" PR09 1"#;
    let finished = world
        .stockade(&["exec", "target", "sh", "-c", script, &payload])?
        .expect(0)?;
    ensure!(
        finished.text().contains("DONE") && !finished.text().contains("REACHED"),
        "{}",
        finished.all()
    );
    world
        .stockade(&["exec", "target", "echo", "served"])?
        .expect_text("served")?;
    running.feed(b"\n".to_vec());
    running.wait()?.expect(4).map(drop)
}

fn program_of_guest(world: &World) -> Verdict {
    let program = world.suite().program();
    let beside = program
        .parent()
        .and_then(Path::parent)
        .map(|prefix| prefix.join("libexec/stockade/stockade-guest"));
    let wanted = beside.filter(|guest| guest.is_file());
    let wanted = wanted.as_deref().unwrap_or(program);
    let file = |path: &Path| std::fs::metadata(path).map(|seen| (seen.dev(), seen.ino()));
    let mut running = world
        .sandbox()
        .start_open(&["sh", "-c", "echo ready; read line; exit 4"])?;
    running.until_output("ready")?;
    let guests = host::below(running.supervisor());
    let Some(guest) = guests.iter().find(|process| process.name == "stockade-guest") else {
        return fail(format!("no guest among {guests:?}"));
    };
    let executed = file(Path::new(&format!("/proc/{}/exe", guest.pid)));
    match executed {
        // Which file a process executes is hidden from its own user where it protects itself.
        Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied && !host::is_root() => {
            return skip("only root can see which file the guest executes");
        }
        other => ensure!(other? == file(wanted)?, "it is not {}", wanted.display()),
    }
    running.feed(b"\n".to_vec());
    running.wait()?.expect(4).map(drop)
}

/// The guest's program is executed from outside the view: nothing inside names it.
fn programs_unchanged(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let program = world.suite().program().display().to_string();
    let script = r#"readlink /proc/1/exe; "$0" PR11; echo x > "$1"; rm -f "$1"; ls -l "$1" 2>&1"#;
    let before = tree::hash(&std::fs::read(&program)?);
    let finished = world.sandbox().run(&["sh", "-c", script, &payload, &program])?;
    ensure!(!finished.text().contains("REACHED"), "{}", finished.all());
    ensure!(
        tree::hash(&std::fs::read(&program)?) == before,
        "the program was changed"
    );
    Ok(())
}

fn only_the_workload(world: &World) -> Verdict {
    let script = "for p in /proc/[0-9]*; do echo ${p#/proc/} $(tr '\\0' ' ' < $p/cmdline); done";
    let text = world.shell(script)?.expect(0)?.text();
    let strangers: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("sh -c") && !line.starts_with("1 ") && line.contains(' '))
        .collect();
    ensure!(strangers.iter().all(|line| line.contains("tr ")), "{strangers:?}");
    Ok(())
}

fn leader_attacked(world: &World) -> Verdict {
    control(world)?;
    let payload = world.payload_inside();
    let program = world.suite().program().display().to_string();
    let script = r#""$1" run -q $RUN_FLAGS -t -- sh -c 'echo parent $PPID; "$0" PR09 $PPID; "$0" PR09 1; sleep 0.2; echo still here; exit 8' "$0"; echo "exit $?""#;
    let shown = crate::terminal::on_terminal(world, script, &[&payload, &program])?;
    ensure!(
        shown.contains("still here") && shown.contains("exit 8") && shown.matches("DONE").count() == 2,
        "{shown}"
    );
    ensure!(!shown.contains("REACHED"), "{shown}");
    Ok(())
}

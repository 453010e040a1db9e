//! The kernel's other doors: gates, rings, keys, devices, settings.

use std::collections::BTreeMap;

use stockade_domain::ControlKind;

use super::privileges::{NO_NAMESPACES, OWN_NAMESPACES};
use super::running::{beside, until_there};
use crate::canary::{LauncherSecret, Proof};
use crate::denial::{DONE, Denial, arguments};
use crate::ground::PAYLOAD_INSIDE;
use crate::inside::{OWN_FILTER, OWN_RULES};
use crate::{Field, Probe, Setting, Severity, Verdict, broken, ensure, ensure_sound, skip};

const SETTING: &str = "the host's own settings refuse it";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "KS02",
        Severity::High,
        "system calls by the gates of 32-bit programs",
        Denial::new("KS02", Proof::with_token).control_if("the kernel has no such gate"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS03",
        Severity::High,
        "io_uring",
        Denial::new("KS03", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS04",
        Severity::High,
        "bpf",
        Denial::new("KS04", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS05",
        Severity::Medium,
        "perf events",
        Denial::new("KS05", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS06",
        Severity::Medium,
        "userfaultfd",
        Denial::new("KS06", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS07",
        Severity::Medium,
        "keys of the launcher's session, and new keys",
        Denial::new("KS07", LauncherSecret::key).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS08",
        Severity::Medium,
        "fanotify",
        Denial::new("KS08", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS11",
        Severity::High,
        "socket families beyond unix, internet and netlink",
        Denial::new("KS11", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS12",
        Severity::Medium,
        "netlink families that speak of the host",
        Denial::new("KS12", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS14",
        Severity::Medium,
        "local segments and ports",
        Denial::new("KS14", Proof::plant).control_if("this machine has none"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::question(
        "KS01",
        Severity::Medium,
        "calls that no program needs, each by its number",
        by_number,
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS09",
        Severity::Critical,
        "loading modules and other kernels",
        Denial::new("KS09", Proof::plant).control_if("it needs root and a kernel that can"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "KS10",
        Severity::High,
        "mounting piece by piece, by the new calls",
        Denial::new("KS10", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "KS13",
        Severity::Low,
        "memory that is predictable, or executable as a whole",
        Denial::new("KS13", Proof::plant),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::question(
        "KS15",
        Severity::Low,
        "tracing and signalling another command of the same sandbox",
        neighbours,
    )
    .needs(&[ControlKind::SecondWall])
    .small(),
    Probe::denial(
        "KS16",
        Severity::Low,
        "quotas, swap, accounting, file handles",
        Denial::new("KS16", Proof::plant),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::question(
        "KS17",
        Severity::Low,
        "a program inside can put walls around itself",
        own_walls,
    ),
];

/// Errors by which a call is refused without a look at its arguments.
const REFUSED: [&str; 3] = ["1", "38", "killed"];
/// Calls of which the control has to show something, or the host is no measure.
const ENOUGH: usize = 12;

/// How each call was answered.
fn answers(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("call "));
    lines
        .filter_map(|line| {
            let (name, answer) = line.split_once(' ')?;
            Some((name, answer.split(' ').next().unwrap_or(answer)))
        })
        .collect()
}

/// What looks at its arguments outside must not do so inside.
fn by_number(field: &Field) -> Verdict {
    let words = ["KS01".to_owned()];
    let control = field.ground.outside(&[], &[], &words)?.expect(0)?.text();
    let shown: Vec<&str> = answers(&control)
        .into_iter()
        .filter(|(_, answer)| !REFUSED.contains(answer))
        .map(|(name, _)| name)
        .collect();
    if shown.len() < ENOUGH {
        return skip(format!(
            "inconclusive: outside they are refused, too, but for {shown:?}"
        ));
    }
    let inside = field.wall.attack(&Setting::default(), &words)?;
    let text = inside.text();
    let inside = answers(&text);
    for name in shown {
        let Some(answer) = inside.get(name) else {
            return broken(format!("{name} was not tried inside: {text}"));
        };
        ensure!(REFUSED.contains(answer), "{name} answers with error {answer}");
    }
    Ok(())
}

/// Tells where a process is that stays.
const NEIGHBOUR: &str = "neighbour";

/// Two commands of one sandbox.
fn neighbours(field: &Field) -> Verdict {
    drop(field.ground.payload());
    let words = arguments("KS15", vec![NEIGHBOUR.to_owned()]);
    let stay = ["linger", NEIGHBOUR, "50"];
    let mut victim = field.ground.command(field.ground.helper());
    let mut victim = victim.args(stay).spawn()?;
    let control = until_there(&field.ground.work().join(NEIGHBOUR))
        .and_then(|()| field.ground.outside(&[], &[], &words));
    victim.kill()?;
    victim.wait()?;
    std::fs::remove_file(field.ground.work().join(NEIGHBOUR))?;
    let control = control?;
    ensure_sound!(
        control.text().matches("REACHED").count() == 3,
        "the control could not do it all: {}",
        control.all()
    );
    let start = [&[PAYLOAD_INSIDE][..], &stay].concat();
    let inside = beside(field, "neighbour", &[], &start, |sandbox| {
        sandbox.until_written(NEIGHBOUR)?;
        sandbox.exec(&[PAYLOAD_INSIDE, "KS15", NEIGHBOUR])
    })?;
    ensure_sound!(inside.text().contains(DONE), "{}", inside.all());
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    Ok(())
}

/// Not a wall of ours, but whoever needs one more must get it.
fn own_walls(field: &Field) -> Verdict {
    let words = ["KS17".to_owned()];
    let works = |text: &str| [OWN_FILTER, OWN_RULES].map(|what| text.contains(what));
    let control = field.ground.outside(&[], &[], &words)?;
    if works(&control.text()) != [true, true] {
        return skip(
            "inconclusive: outside it does not work either: the kernel has no Landlock or no filters",
        );
    }
    let inside = field.wall.attack(&Setting::default(), &words)?;
    ensure_sound!(inside.text().contains(DONE), "{}", inside.all());
    ensure!(works(&inside.text()) == [true, true], "{}", inside.all());
    Ok(())
}

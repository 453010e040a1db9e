//! The posture of a running sandbox as the kernel tells it to the host, beside the attacks from inside: what the
//! driver claims, and what is seen from outside.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use stockade_domain::Level;
use stockade_host::probed::outside::{Looked, Planted, look_at, looks, runs_below};
use stockade_probes::battery::{Battery, Subject};
use stockade_probes::report::{Outcome, Row};
use stockade_probes::{Ground, Severity, Stop};

/// The group of these rows.
pub(super) const GROUP: &str = "outside-view";
/// A sandbox stands within seconds, or its driver copies the system first.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
/// What waits inside while it is looked at.
const WORK: [&str; 2] = ["sleep", "600"];
/// What is planted in the supervisor's environment.
const VARIABLE: &str = "STOCKADE_PLANTED";
/// Opens a file for the supervisor-to-be, then becomes it.
const LAUNCH: &str = "exec 9<\"$0\"; exec \"$@\"";

/// A row for each look.
pub(super) fn rows(battery: &Battery, subject: &Subject, level: Level) -> Vec<Row> {
    let begun = Instant::now();
    let looked = look(battery, subject);
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let looked = looked.unwrap_or_else(|stop| unseen(&stop.why()));
    // What no driver of its level has is not looked for.
    let looked = looked.iter().filter(|one| level >= one.from);
    let rows = looked.map(|one| judged(one, subject));
    rows.map(|row| Row { took_ms, ..row }).collect()
}

/// Nothing could be looked at: then nothing is shown.
fn unseen(why: &str) -> Vec<Looked> {
    let unseen = looks().map(|(id, title, control)| Looked {
        id,
        title,
        control,
        from: Level::Jail,
        seen: Err(why.to_owned()),
    });
    unseen.collect()
}

fn judged(looked: &Looked, subject: &Subject) -> Row {
    let claimed = subject.claims(looked.control);
    let claim = if claimed { "claimed" } else { "not claimed" };
    let (outcome, detail) = match &looked.seen {
        Ok((true, seen)) if claimed => (Outcome::Held, seen),
        Ok((true, seen)) => (Outcome::Bonus, seen),
        Ok((false, seen)) if claimed => (Outcome::NotHeld, seen),
        Ok((false, seen)) => (Outcome::NotExpected, seen),
        Err(why) => (Outcome::Inconclusive, why),
    };
    Row {
        id: looked.id.to_owned(),
        group: GROUP.to_owned(),
        title: looked.title.to_owned(),
        severity: Severity::High,
        needs: vec![looked.control],
        outcome,
        detail: Some(format!("{claim}; seen from outside: {detail}")),
        took_ms: 0,
    }
}

/// A supervisor that ends with this value.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        // In order first: then nothing is left for others to remove.
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(PAUSE),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn look(battery: &Battery, subject: &Subject) -> std::result::Result<Vec<Looked>, Stop> {
    let ground = Ground::new(&battery.payload)?.with_state(battery.state.clone());
    let value = format!("planted-{}", rustix::process::getpid().as_raw_nonzero());
    let value = format!("{value}-{}", ground.path("").display());
    let file = ground.file("outside/planted", &value)?;
    let mut command = ground.command(std::path::Path::new("/bin/sh"));
    command.args(["-c", LAUNCH]).arg(&file).arg(&battery.program);
    command
        .args(["run", "--quiet", "--rm"])
        .args(&subject.flags)
        .arg("--")
        .args(WORK);
    command
        .env(VARIABLE, &value)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut supervisor = Supervisor(command.spawn()?);
    let pid = supervisor.0.id();
    let until = Instant::now() + PATIENCE;
    while !runs_below(pid, WORK[0]) {
        if let Some(status) = supervisor.0.try_wait()? {
            return Err(Stop::Broken(format!(
                "its supervisor ended before it could be looked at: {status}"
            )));
        }
        if Instant::now() > until {
            return Err(Stop::Broken(format!(
                "nothing ran in it within {} s",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(PAUSE);
    }
    let file = file.display().to_string();
    look_at(
        pid,
        Planted {
            value: &value,
            file: &file,
        },
    )
    .map_err(Stop::Broken)
}

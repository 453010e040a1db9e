//! Other programs that isolate.

use crate::doctor::engines::{ENGINES, Engine, EngineFound};
use crate::doctor::observed::Observed;
use crate::doctor::{Check, Verdict};

pub(super) fn checks(seen: &Observed) -> Vec<Check> {
    let check = |engine: &Engine| {
        let verdict = match seen.engines.get(engine.name) {
            Some(EngineFound::Answers { version }) => Verdict::ok(version),
            Some(EngineFound::Silent { version, why }) => silent(engine, version.as_deref(), why),
            None => Verdict::missing("not installed", install(engine, &seen.system.family)),
        };
        Check::new(format!("engine-{}", engine.name), engine.name, verdict, &[])
    };
    ENGINES.iter().map(check).collect()
}

fn silent(engine: &Engine, version: Option<&str>, why: &str) -> Verdict {
    match version {
        Some(version) => Verdict::missing(
            format!("{version} is installed, but its daemon does not answer: {why}"),
            format!("start it (systemctl start {}), and be of its group", engine.name),
        ),
        None => Verdict::unknown(format!("installed, but tells no version: {why}")),
    }
}

/// The command of this distribution.
fn install(engine: &Engine, family: &[String]) -> String {
    let is = |name: &str| family.iter().any(|one| one == name);
    match engine.packages {
        Some((debian, _)) if is("debian") || is("ubuntu") => format!("sudo apt-get install {debian}"),
        Some((_, fedora)) if is("fedora") || is("rhel") => format!("sudo dnf install {fedora}"),
        _ => format!("see {}", engine.home),
    }
}

//! From what was seen to answers. Pure.

mod engines;
mod limits;
mod machines;
mod namespaces;
mod walls;

pub(super) use machines::{ENCRYPTION, is_on};

use stockade_domain::target::{Fact, Facts, HostFacts};
use stockade_linux::trial::Tried;

use super::observed::{DefaultRun, Observed};
use super::{Check, Verdict};

/// The driver that all these matter to.
const NATIVE: &str = "native";

/// Every answer, the most important first.
#[must_use]
pub fn checks(seen: &Observed) -> Vec<Check> {
    let Facts::Host(facts) = &seen.target.facts;
    let mut all = vec![default_run(seen), program(facts), kernel(seen, facts)];
    all.extend(namespaces::checks(seen));
    all.extend(walls::checks(seen, facts));
    all.extend(limits::checks(seen, facts));
    all.extend(machines::checks(seen));
    all.extend(engines::checks(seen));
    all
}

fn default_run(seen: &Observed) -> Check {
    let verdict = match &seen.default_run {
        DefaultRun::Works {
            driver,
            verified,
            controls,
        } => Verdict::ok(format!("{driver}, {verified} of {controls} controls verified")),
        DefaultRun::Fails { why } => {
            // Stockade's own errors end with what to do.
            let (why, fix) = match why.split_once("fix: ") {
                Some((why, fix)) => (why.trim(), fix.trim()),
                None => (why.as_str(), "see what else is missing below"),
            };
            Verdict::missing(why, fix)
        }
        DefaultRun::Unknown { why } => Verdict::unknown(why),
    };
    Check::new("default-run", "default run of `true`", verdict, &["every run"])
}

fn program(facts: &HostFacts) -> Check {
    let verdict = of_fact(&facts.static_program, "linked statically");
    Check::new("program", "this program", verdict, &[NATIVE])
}

/// Where the oldest kernel that can hold a default run begins: overlay in a user namespace.
const OLDEST: (u32, u32) = (5, 11);
/// From here on root's runs can too, and Landlock lets files be renamed.
const COMPLETE: (u32, u32) = (5, 19);

fn kernel(seen: &Observed, facts: &HostFacts) -> Check {
    let release = &seen.system.kernel;
    let name = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    let verdict = match facts.kernel {
        (0, 0) => Verdict::unknown(format!("the release {release} is no version")),
        version if version < OLDEST => Verdict::missing(
            format!("Linux {release} has no overlay in user namespaces"),
            format!("use Linux {} or newer, better {}", name(OLDEST), name(COMPLETE)),
        ),
        version if version < COMPLETE => Verdict::missing(
            format!(
                "Linux {release} cannot id-map below an overlay, which runs of root need, nor Landlock renames"
            ),
            format!(
                "use Linux {} or newer, or run as an ordinary user",
                name(COMPLETE)
            ),
        ),
        _ => Verdict::ok(format!("Linux {release}")),
    };
    Check::new("kernel", "kernel", verdict, &[NATIVE])
}

/// What a driver believes.
fn of_fact(fact: &Fact, found: &str) -> Verdict {
    match fact {
        Fact::Yes => Verdict::ok(found),
        Fact::No { why, fix } => Verdict::Missing {
            why: why.clone(),
            fix: fix.clone(),
        },
    }
}

/// What was tried.
fn of_try(tried: &Tried, found: &str, fix: &str) -> Verdict {
    match tried {
        Tried::Works => Verdict::ok(found),
        Tried::Refused { step, cause } => Verdict::missing(format!("{step}: {cause}"), fix),
        Tried::Unknown { why } => Verdict::unknown(why),
    }
}

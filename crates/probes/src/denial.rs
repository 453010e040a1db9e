//! An attack that must not reach its canary, and the control that must.

use crate::canary::{Canary, Seen};
use crate::finished::Finished;
use crate::verdict::{Stop, Verdict, broken, fail, skip};
use crate::wall::{Field, Setting};

/// The last line of a payload that ran to its end.
pub const DONE: &str = "DONE";

/// What makes the control work.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// Anybody's process reaches the canary.
    Anybody,
    /// It may be refused outside too, for this reason; then nothing is shown.
    If(&'static str),
}

/// One attack.
#[derive(Clone, Copy)]
pub struct Denial {
    /// The attack of the payload.
    pub attack: &'static str,
    /// Plants a fresh canary.
    pub plant: fn(&Field) -> Verdict<Box<dyn Canary>>,
    /// What makes the control work.
    pub control: Control,
    /// Started before the payload in the control.
    pub wrapper: &'static [&'static str],
    /// Flags of the sandbox.
    pub flags: &'static [&'static str],
}

impl Denial {
    /// An attack under the default policy with a control that everybody can run.
    #[must_use]
    pub const fn new(attack: &'static str, plant: fn(&Field) -> Verdict<Box<dyn Canary>>) -> Self {
        Self {
            attack,
            plant,
            control: Control::Anybody,
            wrapper: &[],
            flags: &[],
        }
    }

    /// The control may be refused outside too.
    #[must_use]
    pub const fn control_if(mut self, reason: &'static str) -> Self {
        self.control = Control::If(reason);
        self
    }

    /// The control runs below another program.
    #[must_use]
    pub const fn wrapped(mut self, wrapper: &'static [&'static str]) -> Self {
        self.wrapper = wrapper;
        self
    }

    /// The sandbox gets flags.
    #[must_use]
    pub const fn flags(mut self, flags: &'static [&'static str]) -> Self {
        self.flags = flags;
        self
    }

    /// Control first, then the attack from inside on a fresh canary.
    ///
    /// # Errors
    /// The canary was reached from inside, or the control shows nothing.
    pub fn run(&self, id: &str, field: &Field) -> Verdict {
        let mut canary = (self.plant)(field)?;
        let outside = self.control(field, canary.as_ref())?;
        let Some(how) = canary.reached(&seen(&outside)) else {
            let said: String = format!("exit {}: {}", outside.code, outside.all().trim())
                .chars()
                .take(400)
                .collect();
            return match self.control {
                Control::Anybody => broken(format!(
                    "the control of {id} did not reach its canary, so nothing is shown; {said}"
                )),
                Control::If(reason) => skip(format!(
                    "inconclusive: outside it is refused, too ({reason}); {said}"
                )),
            };
        };
        drop(canary);
        let mut canary = (self.plant)(field)?;
        let flags: Vec<String> = self
            .flags
            .iter()
            .map(|flag| (*flag).to_owned())
            .chain(canary.flags())
            .collect();
        let setting = Setting {
            flags,
            variables: canary.variables(),
            launcher: canary.launcher(),
        };
        let inside = field
            .wall
            .attack(&setting, &arguments(self.attack, canary.inside()))?;
        held(id, &inside, canary.as_mut()).map_err(|stop| with_control(stop, &how))
    }
}

impl Denial {
    fn control(&self, field: &Field, canary: &dyn Canary) -> Verdict<Finished> {
        let launcher = canary.launcher();
        let wrapper: Vec<&str> = self
            .wrapper
            .iter()
            .copied()
            .chain(launcher.iter().map(String::as_str))
            .collect();
        field.ground.outside(
            &wrapper,
            &canary.variables(),
            &arguments(self.attack, canary.outside()),
        )
    }
}

/// Passes if an attack ran to its end and did not reach its canary.
///
/// # Errors
/// It did, or did not run to its end.
pub fn held(id: &str, inside: &Finished, canary: &mut dyn Canary) -> Verdict {
    if let Some(how) = canary.reached(&seen(inside)) {
        return fail(format!("{id}: reached from inside: {how}\n{}", inside.all()));
    }
    if !inside.text().lines().any(|line| line == DONE) {
        return broken(format!(
            "{id}: the attack did not run to its end (exit {}), so nothing is shown\n{}",
            inside.code,
            inside.all()
        ));
    }
    Ok(())
}

/// The payload's arguments.
#[must_use]
pub fn arguments(attack: &str, rest: Vec<String>) -> Vec<String> {
    std::iter::once(attack.to_owned()).chain(rest).collect()
}

fn seen(finished: &Finished) -> Seen {
    Seen {
        output: finished.text(),
    }
}

fn with_control(stop: Stop, how: &str) -> Stop {
    match stop {
        Stop::Failed(why) => Stop::Failed(format!("{why}\n(control outside: {how})")),
        other @ (Stop::Skipped(_) | Stop::Broken(_)) => other,
    }
}

//! What a behaviour is, and how one ends.

use stockade_domain::ControlKind;
use stockade_probes::{Probe, Verdict};

use crate::ability::Ability;
use crate::world::World;

/// What the result shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The driver worked on the real thing.
    Real,
    /// Something was made to look different: a system call that fails, a fake service.
    Simulated,
}

/// One row.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// Stable name: an id of the catalogue of boundary checks, or words.
    pub id: &'static str,
    /// What it shows, in one line.
    pub intent: &'static str,
    /// What the result shows.
    pub how: How,
    /// Nothing else of this suite runs meanwhile: it compares what the whole host has.
    pub alone: bool,
    /// Its sandboxes are many, or are killed: a driver that brings the system's directories gets an
    /// image with a shell and a few programs in their place.
    pub small: bool,
    /// It shows nothing of a driver that does not claim all of these. With none it is demanded
    /// of every driver.
    pub needs: &'static [ControlKind],
    /// What its programs have to be able to do.
    pub uses: &'static [Ability],
    /// How it is checked.
    pub check: Check,
}

/// How a behaviour is checked.
#[derive(Clone, Copy)]
pub enum Check {
    /// By a function.
    Test(fn(&World) -> Verdict),
    /// By attacks on a boundary.
    Probe(&'static Probe),
}

impl Behaviour {
    /// A behaviour that a function checks.
    #[must_use]
    pub const fn test(id: &'static str, intent: &'static str, run: fn(&World) -> Verdict) -> Self {
        Self::new(id, intent, Check::Test(run))
    }

    const fn new(id: &'static str, intent: &'static str, check: Check) -> Self {
        Self {
            id,
            intent,
            how: How::Real,
            alone: false,
            small: false,
            needs: &[],
            uses: &[],
            check,
        }
    }

    /// A boundary that attacks must not cross.
    #[must_use]
    pub const fn probe(probe: &'static Probe) -> Self {
        let mut this = Self::new(probe.id, probe.title, Check::Probe(probe));
        this.needs = probe.needs;
        this.small = probe.small;
        this
    }

    /// It is about these controls.
    #[must_use]
    pub const fn needs(mut self, controls: &'static [ControlKind]) -> Self {
        self.needs = controls;
        self
    }

    /// Its programs do these.
    #[must_use]
    pub const fn uses(mut self, abilities: &'static [Ability]) -> Self {
        self.uses = abilities;
        self
    }

    /// Nothing else of this suite runs meanwhile.
    #[must_use]
    pub const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// A shell and a few programs are enough, where bringing more takes its time.
    #[must_use]
    pub const fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// Part of what it works on is made to look different.
    #[must_use]
    pub const fn simulated(mut self) -> Self {
        self.how = How::Simulated;
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// Why it does not hold, or why that cannot be told here.
    pub fn run(&self, world: &World) -> Verdict {
        match &self.check {
            Check::Test(run) => run(world),
            Check::Probe(probe) => probe.run(&world.field()),
        }
    }
}

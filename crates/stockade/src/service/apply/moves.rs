//! Files that were moved inside and changed on the host: two changes that are one conflict. The new
//! name stands for both.

use stockade_host::takeover::Takeover;
use stockade_host::workspace::{Decision, lossless};

use super::{Held, Open, Wanted};

/// Holds both names back if one is. Whoever asks for one means both.
pub(super) fn hold_together(takeover: &Takeover, wanted: &Wanted, held: &mut [Option<Held>]) {
    let changes = &takeover.set.changes;
    for (&to, &from) in &takeover.moved {
        let is_wanted = [to, from].map(|number| wanted.has(&changes[number].path).0);
        // Asked for by one name alone: what is asked of that one is asked of both.
        let why = match is_wanted {
            [true, true] => held[to].take().or_else(|| held[from].take()),
            [false, true] => held[from].take(),
            [_, false] => held[to].take(),
        };
        held[from] = old_name(takeover, to, why.as_ref());
        held[to] = why;
    }
}

/// Why the old name is held, if the new one is.
fn old_name(takeover: &Takeover, to: usize, why: Option<&Held>) -> Option<Held> {
    Some(match why? {
        Held::NotChosen => Held::NotChosen,
        _ => Held::Moved {
            to: lossless(takeover.set.changes[to].path.as_os_str()),
        },
    })
}

impl Open {
    /// It is asked about by its new name.
    pub(super) fn is_old_name(&self, number: usize) -> bool {
        self.takeover.moved.values().any(|from| *from == number)
    }

    /// Brings all old names in line with the new ones.
    pub(super) fn decide_moves(&mut self) {
        let all: Vec<usize> = self.takeover.moved.keys().copied().collect();
        for to in all {
            self.decide_old_name(to);
        }
    }

    /// What is decided of a new name holds for the old one.
    pub(super) fn decide_old_name(&mut self, to: usize) {
        let Some(&from) = self.takeover.moved.get(&to) else {
            return;
        };
        // A neighbour of the host's file is what the new name is already.
        let (new, old) = match self.decisions[to] {
            Decision::Beside => (Decision::Apply, Decision::Keep),
            Decision::Merge => (Decision::Merge, Decision::Apply),
            same => (same, same),
        };
        self.decisions[to] = new;
        self.decisions[from] = old;
        self.held[from] = old_name(&self.takeover, to, self.held[to].as_ref());
    }
}

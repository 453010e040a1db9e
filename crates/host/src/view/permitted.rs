//! What the organisation permits to be shown: its lists bound every rule, by where the paths
//! really lead.

use stockade_domain::demand::Origin;
use stockade_domain::policy::paths::{self, Places};
use stockade_domain::policy::{Clause, FileAccess, Policy};

use super::ViewError;
use super::resolve::{Resolved, is_in, resolve};

/// Checks a path that a rule shows.
pub(super) fn check(
    policy: &Policy,
    origin: &Origin,
    access: FileAccess,
    shown: &Resolved,
    places: &Places<'_>,
) -> Result<(), ViewError> {
    for lists in &policy.permitted {
        let (bound, wider) = match access {
            FileAccess::Hide => continue,
            // What may be written may be read; to write where only reading is bounded
            // is to show it as well.
            FileAccess::ReadOnly => (lists.read_only.as_ref(), lists.read_write.as_ref()),
            FileAccess::ReadWrite => (lists.read_write.as_ref().or(lists.read_only.as_ref()), None),
        };
        let Some(bound) = bound else { continue };
        if holds(bound, shown, places) || wider.is_some_and(|wider| holds(wider, shown, places)) {
            continue;
        }
        let how = match access {
            FileAccess::ReadWrite => "made writable",
            FileAccess::ReadOnly | FileAccess::Hide => "shown",
        };
        return Err(ViewError::Refused {
            origin: origin.clone(),
            path: shown.real.clone(),
            why: format!(
                "may not be {how}: it is not in the list of your organisation ({})",
                bound.origin
            ),
            fix: "remove the rule, or ask who keeps that file".to_owned(),
        });
    }
    Ok(())
}

/// Whether a path lies in one of a list. One that does not exist here holds nothing.
fn holds(list: &Clause<Vec<String>>, shown: &Resolved, places: &Places<'_>) -> bool {
    list.value.iter().any(|text| {
        paths::expand(text, places)
            .ok()
            .and_then(|path| resolve(&path).ok())
            .is_some_and(|permitted| is_in(&shown.real, &permitted.real))
    })
}

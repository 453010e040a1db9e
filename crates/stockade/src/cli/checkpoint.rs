//! `stockade checkpoint` and `stockade rewind`.

use std::path::Path;

use stockade_host::workspace::checkpoint::Checkpoint;

use super::Result;
use super::args::{CheckpointArgs, RewindArgs};
use crate::failure::Failure;
use crate::report::{self, Shown};
use crate::service::checkpoints::Gone;
use crate::service::{self, checkpoints, inside};

/// `stockade checkpoint`
pub fn checkpoint(args: &CheckpointArgs) -> Result {
    if let Some(place) = inside::place() {
        return ask(args, &place);
    }
    if inside::is_deaf() {
        return Err(Failure::NotAsked);
    }
    let set = args.changes.as_deref();
    if args.list {
        return list(set, args.json);
    }
    let taken = service::block_on(checkpoints::take(set, args.name.as_deref()))?;
    if args.json {
        report::json(&taken)?;
    } else {
        report::note(&format!(
            "checkpoint {} taken (`stockade rewind {}` goes back to it)",
            label(&taken),
            taken.number
        ));
    }
    Ok(0)
}

/// `stockade rewind`
pub fn rewind(args: &RewindArgs) -> Result {
    if inside::place().is_some() || inside::is_deaf() {
        return Err(Failure::NotFromInside);
    }
    let rewound = checkpoints::rewind(args.changes.as_deref(), &args.which)?;
    if args.json {
        report::json(&rewound)?;
    } else if let Gone::InPlace(restored) = &rewound {
        report::note(&format!(
            "the project is as at checkpoint {} again ({} paths); what it was is checkpoint {} (`stockade undo` takes this back)",
            Shown::new(&restored.to),
            restored.files,
            restored.saved
        ));
    } else if let Gone::Apart(rewound) = &rewound {
        report::note(&format!(
            "the changes are those of checkpoint {} again; what they were is checkpoint {}",
            label(&rewound.to),
            rewound.saved.number
        ));
    }
    Ok(0)
}

/// Inside a sandbox.
fn ask(args: &CheckpointArgs, place: &Path) -> Result {
    if args.changes.is_some() {
        return Err(Failure::OwnChangesOnly);
    }
    if args.list {
        let all = inside::list(place)?;
        if args.json {
            report::json(&all)?;
        } else if all.is_empty() {
            report::note("no checkpoints were asked for inside");
        } else {
            let rows = all.iter().map(|one| {
                vec![
                    one.number.to_string(),
                    name(one.name.as_deref()),
                    report::age(one.age_s),
                ]
            });
            report::out(&report::table(
                report::Paint::stdout(),
                &["NUMBER", "NAME", "AGE"],
                rows,
            ))?;
        }
        return Ok(0);
    }
    let taken = inside::take(place, args.name.clone())?;
    if args.json {
        report::json(&taken)?;
    } else {
        report::note(&format!("checkpoint {} taken", taken.number));
    }
    Ok(0)
}

fn name(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| Shown::new(name).to_string())
}

/// Who took it, and what to know of that.
fn origin(one: &Checkpoint) -> String {
    match (&one.inside, one.moving) {
        (None, _) => "outside".to_owned(),
        (Some(sandbox), false) => format!("inside, {}", Shown::new(sandbox)),
        (Some(sandbox), true) => format!("inside, {}, while it ran", Shown::new(sandbox)),
    }
}

fn list(set: Option<&str>, json: bool) -> Result {
    let all = checkpoints::list(set)?;
    if json {
        report::json(&all)?;
    } else if all.is_empty() {
        report::note("no checkpoints");
    } else {
        let rows = all.iter().map(|one| {
            vec![
                one.number.to_string(),
                name(one.name.as_deref()),
                report::age(report::seconds_since(one.taken_ms)),
                one.nodes.to_string(),
                origin(one),
            ]
        });
        report::out(&report::table(
            report::Paint::stdout(),
            &["NUMBER", "NAME", "AGE", "FILES", "TAKEN"],
            rows,
        ))?;
    }
    Ok(0)
}

fn label(checkpoint: &Checkpoint) -> String {
    match &checkpoint.name {
        Some(name) => format!("{} ({})", checkpoint.number, Shown::new(name)),
        None => checkpoint.number.to_string(),
    }
}

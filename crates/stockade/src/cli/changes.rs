//! `stockade changes`.

use std::fmt::Write;

use stockade_domain::units::ByteCount;

use super::Result;
use super::args::ChangesArgs;
use crate::report::{self, Paint, Shown};
use crate::service::changes::{self, Details, Summary};

/// `stockade changes [NAME]`
pub fn changes(args: &ChangesArgs) -> Result {
    if args.quiet {
        let names = changes::names()?;
        report::out(
            &names
                .iter()
                .map(|name| format!("{}\n", Shown::new(name)))
                .collect::<String>(),
        )?;
        return Ok(0);
    }
    match &args.name {
        Some(name) => details(&changes::of(name)?, args.json),
        None => list(&changes::list()?, args.json),
    }
}

fn list(all: &[Summary], json: bool) -> Result {
    if json {
        report::json(&all)?;
    } else if all.is_empty() {
        report::note("no changes are kept");
    } else {
        let heading = [
            "PROJECT", "NAME", "SANDBOX", "ADDED", "CHANGED", "DELETED", "SIZE", "AGE", "",
        ];
        report::out(&report::table(Paint::stdout(), &heading, all.iter().map(row)))?;
    }
    Ok(0)
}

fn row(set: &Summary) -> Vec<String> {
    let workspace = set
        .workspace
        .as_ref()
        .map(|path| Shown(path.as_os_str()).to_string());
    let remark = match (&set.error, set.live, set.truncated) {
        (Some(error), _, _) => Shown::new(error).to_string(),
        (None, true, _) => "in use".to_owned(),
        (None, false, true) => "and more".to_owned(),
        (None, false, false) => String::new(),
    };
    vec![
        workspace.unwrap_or_else(|| "unknown".to_owned()),
        set.name.clone(),
        Shown::new(set.sandbox.as_deref().unwrap_or("-")).to_string(),
        set.counts.added.to_string(),
        set.counts.changed.to_string(),
        set.counts.deleted.to_string(),
        ByteCount(set.counts.bytes).to_string(),
        report::age(set.age_seconds),
        remark,
    ]
}

fn details(details: &Details, json: bool) -> Result {
    if json {
        report::json(details)?;
        return Ok(0);
    }
    let mut text = String::new();
    for change in &details.set.changes {
        let _ = writeln!(text, "{}", report::change_line(change)); // writing to a string cannot fail
    }
    report::out(&text)?;
    let size = ByteCount(details.set.counts.bytes);
    let more = if details.set.truncated {
        "; there are more than are shown"
    } else {
        ""
    };
    report::note(&format!(
        "{} ({size}){more}",
        report::counts_line(&details.set.counts)
    ));
    Ok(0)
}

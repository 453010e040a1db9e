//! `stockade audit`.

use super::Result;
use super::args::{AuditArgs, AuditCommand, ShowArgs, VerifyArgs};
use crate::report::{self, Paint, Shown};
use crate::service::audit::{self, Seen, Verified, Wanted, Which};

/// What `verify` returns for a chain that does not hold.
const BROKEN: i32 = 1;

/// `stockade audit`
pub fn audit(args: &AuditArgs) -> Result {
    match &args.command {
        AuditCommand::Show(args) => show(args),
        AuditCommand::Verify(args) => verify(args),
    }
}

fn show(args: &ShowArgs) -> Result {
    let wanted = Wanted {
        sandbox: match &args.sandbox {
            _ if args.last => Which::Last,
            Some(name) => Which::Called(name.clone()),
            None => Which::All,
        },
        kinds: args.kind.clone(),
        follow: args.follow,
    };
    let paint = Paint::stdout();
    audit::show(&wanted, &mut |seen| {
        Ok(match seen {
            Seen::Record(_, line) if args.json => report::line(line)?,
            Seen::Record(entry, _) => report::line(&report::record_line(entry, paint))?,
            Seen::Damage { file, line, why } => {
                let file = Shown(file.as_os_str());
                report::note(&format!("{file}, line {line}: {why}"));
                true
            }
        })
    })?;
    Ok(0)
}

fn verify(args: &VerifyArgs) -> Result {
    let found = audit::verify(args.what.as_deref(), &args.head)?;
    if args.json {
        report::json(&found)?;
    } else {
        report::out(&summary(&found))?;
    }
    Ok(if found.broken == 0 { 0 } else { BROKEN })
}

fn summary(found: &Verified) -> String {
    /// With more sandboxes, their heads are in the JSON.
    const FEW: usize = 10;
    let mut text = String::new();
    for one in &found.breaks {
        text.push_str(&format!("broken: {}\n", Shown::new(&one.to_string())));
    }
    let told = u64::try_from(found.breaks.len()).unwrap_or(u64::MAX);
    if found.broken > told {
        text.push_str(&format!("and {} more\n", found.broken - told));
    }
    if found.broken == 0 && found.damaged > 0 {
        text.push_str(&format!(
            "{} lines are no records; none of them is missing in this chain\n",
            found.damaged
        ));
    }
    if found.sandboxes.len() <= FEW {
        for (sandbox, chain) in &found.sandboxes {
            let begin = chain
                .begins_in
                .as_ref()
                .map(|file| format!(", begins in {} (not read)", Shown::new(file)));
            let end = if chain.ended { "" } else { ", no end yet" };
            text.push_str(&format!(
                "{sandbox}: {} records{}{end}, last {}\n",
                chain.records,
                begin.unwrap_or_default(),
                chain.head
            ));
        }
    }
    let verdict = if found.broken == 0 {
        "every chain holds"
    } else {
        "NOT whole"
    };
    let (lines, sandboxes) = (found.lines, found.sandboxes.len());
    text.push_str(&format!("{lines} lines of {sandboxes} sandboxes: {verdict}\n"));
    text
}

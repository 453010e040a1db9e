//! `stockade lint`.

use super::args::LintArgs;
use super::{FAILED, Result, overrides};
use crate::report::{self, Paint};
use crate::service::{self, lint};

/// The exit code where something is bad enough.
const FOUND: i32 = 1;

/// `stockade lint`
pub fn lint(args: &LintArgs) -> Result {
    let wanted = lint::Wanted {
        fail_on: args.fail_on.into(),
        ignore: &args.ignore,
        allow_unknown: args.allow_unknown,
        variables: overrides::written_variables(&args.env_file)?,
    };
    let rules = lint::rules(&wanted)?;
    if args.rules {
        return listed(&rules, args.json);
    }
    let report = service::block_on(lint::lint(&args.targets, &rules, wanted))?;
    if args.sarif {
        report::json(&report::lint_sarif(&report, &rules))?;
    } else if args.json {
        report::json(&report)?;
    } else {
        report::out(&report::lint_text(&report, Paint::stdout()))?;
    }
    Ok(match report.verdict {
        lint::Verdict::Passed => 0,
        lint::Verdict::Found => FOUND,
        lint::Verdict::NotChecked => FAILED,
    })
}

fn listed(rules: &[stockade_lint::rules::Rule], json: bool) -> Result {
    if json {
        report::json(&rules)?;
    } else {
        report::out(&report::rules_text(rules, Paint::stdout()))?;
    }
    Ok(0)
}

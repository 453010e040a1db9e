//! What happened in git repositories inside, in lines. Names and subjects were written inside:
//! they are escaped.

use std::collections::HashSet;

use stockade_host::workspace::{GitDone, GitOutcome, GitTold, RefFate, RefTold};

use super::{Shown, counts_line};
use crate::service::commits::Refused;

/// Letters of a commit's name that are shown.
const SHORT: usize = 8;

/// The lines of one repository, the first its heading.
pub fn git_lines(told: &GitTold) -> Vec<String> {
    let path = Shown(told.path.as_os_str());
    if let Some(problem) = &told.problem {
        return vec![format!(
            "{path}: shown as files, not as commits: {}",
            Shown::new(problem)
        )];
    }
    let commits: usize = told.refs.iter().map(|one| one.commits).sum();
    let mut lines = vec![match (commits, told.refs.is_empty() && told.head.is_none()) {
        (_, true) => format!("{path}: no commits, {}", counts_line(&told.files)),
        (0, false) => format!("{path}: references changed ({})", counts_line(&told.files)),
        (_, false) => format!("{path}: commits were made inside ({})", counts_line(&told.files)),
    }];
    let mut seen = HashSet::new();
    for one in &told.refs {
        lines.push(format!("  {}", ref_line(one)));
        // Branches share commits; each is told once.
        for commit in one.newest.iter().filter(|commit| seen.insert(&commit.id)) {
            let id = commit.id.get(..SHORT).unwrap_or(&commit.id);
            lines.push(format!("    {id} {}", Shown::new(&commit.subject)));
        }
        if one.commits > one.newest.len() {
            lines.push(format!("    and {} more", one.commits - one.newest.len()));
        }
    }
    if told.more_refs > 0 {
        lines.push(format!("  and {} more references", told.more_refs));
    }
    if let Some(head) = &told.head {
        let side = |side: &Option<String>| side.as_deref().map_or_else(|| "nothing".to_owned(), short_name);
        lines.push(format!(
            "  checked out: {} → {}",
            side(&head.before),
            side(&head.after)
        ));
    }
    for (name, why) in &told.left {
        lines.push(format!("  {} is not taken over: {why}", Shown::new(name)));
    }
    lines
}

/// `main: 3 new commits`
fn ref_line(one: &RefTold) -> String {
    let commits = match one.commits {
        0 => "no new commit".to_owned(),
        1 => "1 new commit".to_owned(),
        count => format!("{count} new commits"),
    };
    let what = match one.fate {
        RefFate::New => format!("new, {commits}"),
        RefFate::Forward => commits,
        RefFate::Rewritten => format!("REWRITTEN, {commits}"),
        RefFate::Deleted => "DELETED".to_owned(),
    };
    format!("{}: {what}", short_name(&one.name))
}

/// A name as people say it: `main`, `tag v1`.
pub fn short_name(name: &str) -> String {
    let kinds = [
        ("refs/heads/", ""),
        ("refs/tags/", "tag "),
        ("refs/remotes/", "remote "),
        ("refs/notes/", "notes "),
    ];
    let short = kinds
        .iter()
        .find_map(|(prefix, kind)| Some((kind, name.strip_prefix(prefix)?)));
    match short {
        Some((kind, rest)) => format!("{kind}{}", Shown::new(rest)),
        None if name == "refs/stash" => "stash".to_owned(),
        None => Shown::new(name).to_string(),
    }
}

/// What became of references on the host, and of which repositories nothing was taken.
pub fn taken_lines(done: &[GitDone], refused: &[Refused]) -> Vec<String> {
    let mut lines: Vec<String> = done.iter().map(taken_line).collect();
    for one in refused {
        lines.push(format!(
            "  {}: {}",
            Shown(one.repository.as_os_str()),
            Shown::new(&one.why)
        ));
    }
    lines
}

fn taken_line(one: &GitDone) -> String {
    let commits = match one.commits {
        0 => String::new(),
        1 => " (1 new commit)".to_owned(),
        count => format!(" ({count} new commits)"),
    };
    let what = match &one.outcome {
        GitOutcome::Moved => format!("moved forward{commits}"),
        GitOutcome::Made => format!("made{commits}"),
        GitOutcome::Rewritten => format!("rewritten{commits}"),
        GitOutcome::Deleted => "deleted".to_owned(),
        GitOutcome::Beside { to, why } => format!(
            "not moved, because {}: its commits are in the branch {}{commits}",
            Shown::new(why),
            short_name(to)
        ),
        GitOutcome::Stays { why } => format!("left as it is: {}", Shown::new(why)),
    };
    let name = match one.name.as_str() {
        "HEAD" => "what is checked out".to_owned(),
        name => short_name(name),
    };
    let of = match one
        .repository
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => format!("{}: ", Shown(parent.as_os_str())),
        None => String::new(),
    };
    format!("  {of}{name}: {what}")
}

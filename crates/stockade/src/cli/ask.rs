//! Questions about changes, in a terminal. Names are shown escaped; the answer is one letter;
//! end of input is no.

use std::ffi::OsStr;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use stockade_host::workspace::{Change, Decision, Hunk, LineKind, ThreeWay};

use super::apply::held_text;
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service::apply::{Held, Open};

/// Changes that are listed before a question.
const LISTED: usize = 20;

/// One question about all that is harmless, then one about each that is not. False if the
/// answer was no to everything.
pub fn summary(open: &mut Open) -> Result<bool, Failure> {
    let asked: Vec<Asked> = gather(open);
    let plain: Vec<&Asked> = asked.iter().filter(|one| one.why.is_none()).collect();
    let mut text = String::new();
    for one in plain.iter().take(LISTED) {
        text.push_str(&format!("  {}\n", one.line));
    }
    if plain.len() > LISTED {
        text.push_str(&format!("  and {} more\n", plain.len() - LISTED));
    }
    say(&text)?;
    let mut any = false;
    if !plain.is_empty() {
        match question(
            &format!(
                "apply these {} to {}?",
                plain.len(),
                Shown(open.project().as_os_str())
            ),
            YES_NO_EACH,
        )? {
            'y' => any = true,
            'e' => return each(open),
            _ => {
                let numbers: Vec<usize> = plain.iter().map(|one| one.number).collect();
                numbers
                    .into_iter()
                    .for_each(|number| open.decide(number, Decision::Leave));
            }
        }
    }
    for one in asked.iter().filter(|one| one.why.is_some()) {
        any |= ask_one(open, one)? == Some(true);
    }
    any |= commits(open)?;
    Ok(any)
}

/// One question about the commits of each repository, when it is known which files come with
/// them. The yes is one to all that is told.
fn commits(open: &mut Open) -> Result<bool, Failure> {
    let mut any = false;
    for repository in open.repositories() {
        let preview = open.commits_with_yes(&repository);
        if preview.done.is_empty() {
            continue;
        }
        say(&format!(
            "{}\n",
            report::taken_lines(&preview.done, &[]).join("\n")
        ))?;
        let yes = question(
            &format!("take over the commits of {}?", Shown(repository.as_os_str())),
            YES_NO,
        )? == 'y';
        open.decide_commits(&repository, yes);
        any |= yes;
    }
    Ok(any)
}

/// A plain question; end of input is no.
pub fn yes_or_no(text: &str) -> std::io::Result<bool> {
    Ok(question(text, YES_NO)? == 'y')
}

/// A question about each change. False if none is to be applied.
pub fn each(open: &mut Open) -> Result<bool, Failure> {
    let asked = gather(open);
    let mut any = false;
    let mut rest = None;
    for one in &asked {
        if let Some(decision) = rest.filter(|_| one.is_plain() || rest == Some(Decision::Leave)) {
            open.decide(one.number, decision);
            any |= decision != Decision::Leave;
            continue;
        }
        if !one.is_plain() {
            any |= ask_one(open, one)? == Some(true);
            continue;
        }
        let hunks = open.hunks(one.number);
        let answers = if hunks.len() > 1 {
            WITH_HUNKS
        } else {
            YES_NO_ALL_QUIT
        };
        let answer = question(&one.line, answers)?;
        if answer == 'h' {
            any |= ask_hunks(open, one.number, &hunks)?;
            continue;
        }
        let decision = if matches!(answer, 'y' | 'a') {
            Decision::Apply
        } else {
            Decision::Leave
        };
        if matches!(answer, 'a' | 'q') {
            rest = Some(decision);
        }
        open.decide(one.number, decision);
        any |= decision != Decision::Leave;
    }
    any |= commits(open)?;
    Ok(any)
}

const YES_NO: &[(char, &str)] = &[('y', "yes"), ('n', "no")];
const YES_NO_EACH: &[(char, &str)] = &[('y', "yes"), ('n', "no"), ('e', "each")];
const YES_NO_ALL_QUIT: &[(char, &str)] = &[
    ('y', "yes"),
    ('n', "no"),
    ('a', "all the harmless rest"),
    ('q', "none of the rest"),
];
const WITH_HUNKS: &[(char, &str)] = &[
    ('y', "yes"),
    ('n', "no"),
    ('h', "hunk by hunk"),
    ('a', "all the harmless rest"),
    ('q', "none of the rest"),
];
const SIDES: [(char, &str); 4] = [
    ('l', "leave it pending"),
    ('h', "keep the host's"),
    ('s', "take the sandbox's"),
    ('b', "put the sandbox's beside it"),
];

/// What can be answered to a conflict: where both can be put together, that too.
fn sides(three: Option<&ThreeWay>) -> Vec<(char, &'static str)> {
    let merges = |marks| three.is_some_and(|three| three.merged(marks).is_some());
    let merge = match (merges(false), merges(true)) {
        (true, _) => Some(('m', "merge both")),
        (false, true) => Some(('m', "merge both, with conflict markers")),
        (false, false) => None,
    };
    merge.into_iter().chain(SIDES).collect()
}

struct Asked {
    number: usize,
    line: String,
    /// Of a conflict.
    path: Option<PathBuf>,
    /// Why it is not harmless.
    why: Option<String>,
}

impl Asked {
    /// A yes to it is no decision between two sides, and nothing is risky.
    fn is_plain(&self) -> bool {
        self.why.is_none() && self.path.is_none()
    }
}

fn gather(open: &Open) -> Vec<Asked> {
    let all = open.questions();
    all.filter(|one| !matches!(one.held, Some(Held::Special | Held::Ignored)))
        .map(|one| Asked {
            number: one.number,
            line: report::change_line(one.change),
            path: one.conflict.then(|| one.change.path.clone()),
            why: why_asked(one.held, one.change),
        })
        .collect()
}

/// A conflict may be risky as well, and is asked about once.
fn why_asked(held: Option<&Held>, change: &Change) -> Option<String> {
    let risky = risky(change);
    match held {
        Some(held @ (Held::Conflict | Held::Unmerged { .. })) => {
            let all = std::iter::once(held_text(held)).chain(risky);
            Some(all.collect::<Vec<_>>().join("\n    "))
        }
        Some(held) => Some(held_text(held)),
        None => risky,
    }
}

fn risky(change: &Change) -> Option<String> {
    let why: Vec<&'static str> = change.risks.iter().map(|risk| risk.why()).collect();
    (!why.is_empty()).then(|| held_text(&Held::Risky { why }))
}

/// True if some of them are to be applied.
fn ask_hunks(open: &mut Open, number: usize, hunks: &[Hunk]) -> Result<bool, Failure> {
    let mut chosen = Vec::with_capacity(hunks.len());
    for (index, hunk) in hunks.iter().enumerate() {
        let mut text = String::new();
        for line in &hunk.lines {
            let mark = match line.kind {
                LineKind::Context => ' ',
                LineKind::Removed => '-',
                LineKind::Added => '+',
            };
            let bytes = line.bytes.strip_suffix(b"\n").unwrap_or(&line.bytes);
            text.push_str(&format!("{mark}{}\n", Shown(OsStr::from_bytes(bytes))));
        }
        say(&text)?;
        chosen.push(question(&format!("apply hunk {} of {}?", index + 1, hunks.len()), YES_NO)? == 'y');
    }
    if chosen.iter().all(|chosen| *chosen) {
        open.decide(number, Decision::Apply);
    } else if chosen.contains(&true) {
        open.decide_part(number, hunks, &chosen)?;
    } else {
        open.decide(number, Decision::Leave);
    }
    Ok(chosen.contains(&true))
}

/// True if it is to be done, false if not, none if the input has ended.
fn ask_one(open: &mut Open, one: &Asked) -> Result<Option<bool>, Failure> {
    let why = one.why.clone().unwrap_or_else(|| held_text(&Held::Conflict));
    let three = open.three_way(one.number);
    if let (Some(three), Some(path)) = (&three, &one.path) {
        say(&report::three_way_text(path, three, Paint::stderr()))?;
    }
    let line = format!("{}\n    {why}\n  apply it?", one.line);
    let answer = if one.path.is_some() {
        question(&line, &sides(three.as_ref()))?
    } else {
        question(&line, YES_NO)?
    };
    let decision = match answer {
        'y' | 's' => Decision::Apply,
        'h' => Decision::Keep,
        'b' => Decision::Beside,
        'm' => {
            if let Err(why) = open.decide_merge(one.number, true) {
                say(&format!("  not merged: {why}\n"))?;
                open.decide(one.number, Decision::Leave);
                return Ok(Some(false));
            }
            return Ok(Some(true));
        }
        _ => Decision::Leave,
    };
    open.decide(one.number, decision);
    Ok((answer != END).then_some(decision != Decision::Leave))
}

/// What is returned when the input has ended.
const END: char = '\0';

/// Asks until one of the letters is the answer.
fn question(text: &str, answers: &[(char, &str)]) -> std::io::Result<char> {
    let letters: Vec<String> = answers
        .iter()
        .map(|(letter, what)| format!("{letter} {what}"))
        .collect();
    loop {
        say(&format!("{text} [{}] ", letters.join(", ")))?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            say("\n")?;
            return Ok(END);
        }
        let answer = line.trim().to_lowercase();
        let found = answers.iter().find(|(letter, what)| {
            answer.chars().eq([*letter]) || what.split(' ').next() == Some(answer.as_str())
        });
        if let Some((letter, _)) = found {
            return Ok(*letter);
        }
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

//! `stockade choose`.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use serde::Serialize;
use stockade_domain::advise::Advice;
use stockade_domain::advise::threat::{Answer, Threat};

use super::Result;
use super::args::ChooseArgs;
use crate::failure::Failure;
use crate::report::{self, Paint};
use crate::service::{self, choose};

/// The exit code where nothing on this host is strong enough.
const NOTHING_HERE: i32 = 1;
/// Bytes of a file of answers.
const MAX_FILE: u64 = 64 << 10;
/// Answers that are no answer before the mildest is not taken but everything ends.
const MAX_TRIES: usize = 5;

#[derive(Serialize)]
struct Told<'a> {
    threat: &'a Threat,
    advice: &'a Advice,
    policy: Option<&'a str>,
}

/// `stockade choose`
pub fn choose(args: &ChooseArgs) -> Result {
    let threat = threat(args)?;
    let chosen = service::block_on(choose::choose(&threat))?;
    if let (Some(path), Some(policy)) = (&args.policy_out, &chosen.policy) {
        std::fs::write(path, policy).map_err(|cause| Failure::write(path, cause))?;
    }
    if args.json {
        report::json(&Told {
            threat: &threat,
            advice: &chosen.advice,
            policy: chosen.policy.as_deref(),
        })?;
    } else {
        let written = args.policy_out.as_deref();
        let text = report::advice_text(&chosen.advice, chosen.policy.as_deref(), written, Paint::stdout());
        report::out(&text)?;
    }
    let is_here = !chosen.advice.ranked.is_empty();
    Ok(if is_here { 0 } else { NOTHING_HERE })
}

fn threat(args: &ChooseArgs) -> std::result::Result<Threat, Failure> {
    let mut threat = match &args.threat {
        Some(path) => read(path)?,
        None if args.is_silent() && can_ask() => ask()?,
        None => choose::usual(),
    };
    let set = &mut threat;
    args.code.inspect(|given| set.code = *given);
    args.reads.inspect(|given| set.reads = *given);
    args.data.inspect(|given| set.data = *given);
    args.network.inspect(|given| set.network = *given);
    args.tenancy.inspect(|given| set.tenancy = *given);
    args.agents.inspect(|given| set.agents = *given);
    args.lifetime.inspect(|given| set.lifetime = *given);
    args.system.inspect(|given| set.system = *given);
    args.purpose.inspect(|given| set.purpose = *given);
    args.start.inspect(|given| set.start_ms = Some(given.0));
    set.needs.extend(args.needs.iter().copied());
    set.paid |= args.paid;
    Ok(threat)
}

fn read(path: &Path) -> std::result::Result<Threat, Failure> {
    let failed = |cause| Failure::read("--threat", path, cause);
    let size = path.metadata().map_err(failed)?.len();
    let wrong = |cause: String| Failure::Threat {
        path: path.to_owned(),
        cause,
    };
    if size > MAX_FILE {
        return Err(wrong(format!("it has {size} bytes, more than {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    choose::parse(&text).map_err(wrong)
}

fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The questions, one by one; an empty line takes the usual answer.
fn ask() -> std::result::Result<Threat, Failure> {
    let usual = choose::usual();
    report::note("a few questions; an empty line takes the answer in brackets");
    Ok(Threat {
        code: one("Who wrote what will run?", usual.code)?,
        reads: one("What does it read?", usual.reads)?,
        data: one("What can it reach?", usual.data)?,
        network: one("Which network does it need?", usual.network)?,
        tenancy: one("Whose sandboxes share this host?", usual.tenancy)?,
        lifetime: one("How long does it run?", usual.lifetime)?,
        purpose: one("What is it for?", usual.purpose)?,
        ..usual
    })
}

fn one<T: Answer>(question: &str, usual: T) -> std::result::Result<T, Failure> {
    let mut text = format!("{question}\n");
    for (index, answer) in T::ALL.iter().enumerate() {
        let mark = if *answer == usual { "*" } else { " " };
        text.push_str(&format!("  {mark} {}  {}\n", index + 1, answer.meaning()));
    }
    let first = T::ALL.iter().position(|answer| *answer == usual).unwrap_or(0);
    for _ in 0..MAX_TRIES {
        report::note(&format!("{text}[{}]", first + 1));
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        let given = line.trim();
        if read > 0 && given.is_empty() {
            return Ok(usual);
        }
        let chosen = given
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        if let Some(answer) = chosen.and_then(|index| T::ALL.get(index)) {
            return Ok(*answer);
        }
        if read == 0 {
            break;
        }
    }
    Err(Failure::NoAnswer)
}

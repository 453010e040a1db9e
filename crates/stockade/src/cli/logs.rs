//! `stockade logs`.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use stockade_host::Error;
use stockade_host::logs::{Excerpt, LogRecord, Stream};
use stockade_host::shim::screen::{Rules, Screen};

use super::Result;
use super::args::LogsArgs;
use crate::service::{self, attach};

/// A piece of output as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    time_ms: u64,
    offset: u64,
    stream: &'static str,
    /// What is no UTF-8 is replaced.
    text: std::borrow::Cow<'a, str>,
}

/// `stockade logs`
pub fn logs(args: &LogsArgs) -> Result {
    let since = args.since.map(|time| {
        let since = SystemTime::now() - Duration::from_millis(time.0);
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let wanted = Excerpt {
        since_ms: since,
        tail: args.tail,
        from: 0,
    };
    let mut screens = Screens::survey();
    let shown = attach::logs(&args.name, wanted, |record| {
        show(&record, args.json, &mut screens)
    });
    let (found, end) = match shown {
        // A reader that left early (`| head`).
        Err(failure) if failure.is_broken_pipe() => return Ok(0),
        other => other?,
    };
    if args.follow && found.live {
        let request = attach::Request {
            write: false,
            from: Some(end),
            raw: false,
            keys: stockade_host::shim::Keys::default(),
        };
        // One that ended in between has said all.
        match service::block_on(attach::attach(&found.status.id, request)) {
            Ok(_) => {}
            Err(crate::failure::Failure::Host(Error::NotFound { .. } | Error::LinkLost { .. })) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(0)
}

/// What was written is told to terminals as it would have been then.
struct Screens {
    stdout: Option<Screen>,
    stderr: Option<Screen>,
}

impl Screens {
    fn survey() -> Self {
        let screen = |is_terminal: bool| is_terminal.then(|| Screen::new(Rules::Text));
        Self {
            stdout: screen(std::io::stdout().is_terminal()),
            stderr: screen(std::io::stderr().is_terminal()),
        }
    }

    fn shown(&mut self, record: &LogRecord) -> Vec<u8> {
        let screen = if record.stream == Stream::Stderr {
            &mut self.stderr
        } else {
            &mut self.stdout
        };
        match screen {
            Some(screen) => screen.filter(&record.bytes),
            None => record.bytes.clone(),
        }
    }
}

fn show(record: &LogRecord, json: bool, screens: &mut Screens) -> std::result::Result<(), Error> {
    let is_error = record.stream == Stream::Stderr;
    let written = if json {
        let line = Line {
            time_ms: record.at_ms,
            offset: record.offset,
            stream: if is_error { "stderr" } else { "stdout" },
            text: String::from_utf8_lossy(&record.bytes),
        };
        serde_json::to_vec(&line)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                std::io::stdout().lock().write_all(&line)
            })
    } else if is_error {
        std::io::stderr().lock().write_all(&screens.shown(record))
    } else {
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(&screens.shown(record))
            .and_then(|()| stdout.flush())
    };
    written.map_err(|error| Error::io("write the log", error))
}

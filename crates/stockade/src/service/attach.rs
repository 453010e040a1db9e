//! Watching the first command of a detached sandbox, and typing to it.

use stockade_host::Error;
use stockade_host::logs::{self, Excerpt, LogRecord};
use stockade_host::shim::screen::Rules;
use stockade_host::shim::{AttachEnd, Io, Keys, run_attached};
use stockade_host::state::Listed;
use tokio::sync::mpsc;

use super::{Result, sandboxes, state};
use crate::terminal::{Console, Wish, size};

/// How to attach.
#[derive(Clone, Debug)]
pub struct Request {
    /// Ask for the right to type.
    pub write: bool,
    /// Show output from here on; none: only what is new.
    pub from: Option<u64>,
    /// What leaves the command running.
    pub keys: Keys,
    /// The terminal gets all that the command writes.
    pub raw: bool,
}

/// Attaches until the command ends or is left.
///
/// # Errors
/// There is no such sandbox, it has ended, it is not detached, or somebody else types.
pub async fn attach(name: &str, request: Request) -> Result<AttachEnd> {
    let client = sandboxes::connect(name).await?;
    let size = size().filter(|_| request.write);
    let (attached, exec) = client.attach(request.from, request.write, size).await?;
    let wish = if attached.tty && attached.writes {
        Wish::Pty
    } else {
        Wish::NoPty
    };
    let mut console = Console::new(wish, attached.writes);
    let (sender, told) = mpsc::unbounded_channel();
    console.follow(move |tell| {
        // Nobody listens any more when the command has ended.
        let _ = sender.send(tell);
    })?;
    console.enter()?;
    let rules = if attached.tty { Rules::Drawing } else { Rules::Text };
    let io = Io::standard(
        attached.writes && console.stdin(),
        (!request.raw).then_some(rules),
    );
    let keys = attached.tty.then_some(request.keys);
    let end = run_attached(exec, io, keys, told, |_| {}).await;
    console.leave();
    Ok(end?)
}

/// Calls `each` with what is kept of a sandbox's output. Returns the offset after it.
///
/// # Errors
/// There is no such sandbox, it has no log, and what `each` says.
pub fn logs(
    name: &str,
    wanted: Excerpt,
    each: impl FnMut(LogRecord) -> std::result::Result<(), Error>,
) -> Result<(Listed, u64)> {
    let dirs = state()?;
    let found = dirs.find(name)?;
    let end = logs::read(&dirs, &found.status.id, wanted, each)?;
    Ok((found, end))
}

//! `stockade rpc`: a front for programs of any language. JSON lines come in on standard input,
//! JSON lines go out on standard output; docs/rpc.md describes them.
//!
//! ```text
//! protocol   what the lines hold
//! lines      lines in, of bounded length
//! server     which request is answered by what
//! sandboxes  creating and destroying
//! execs      commands with their streams
//! files      files inside
//! ```

mod execs;
mod files;
mod lines;
mod protocol;
mod sandboxes;
mod server;

use std::time::Duration;

use stockade_host::shim::stdio::{Input, Output};
use tokio::sync::mpsc;

use crate::service::{self, Result};
use lines::{Line, Lines};
use protocol::{Answer, Problem, hello};
use server::Server;

/// Lines that wait for a slow reader; then commands wait, too.
const MAX_WAITING: usize = 64;
/// How long what was said last may take to be read at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves standard input to its end.
pub fn serve() -> Result<i32> {
    service::block_on(serve_all())
}

async fn serve_all() -> Result<i32> {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let mut writing = tokio::spawn(write_all(receiver));
    let mut server = Server::new(Answers(sender.clone()));
    Answers(sender).send(hello()).await;
    let mut lines = Lines::new(Input::standard());
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Line::Whole(line) => server.take(&line).await,
                Line::TooLong => {
                    let problem = Problem::bad(format!("a line is longer than {} bytes", lines::MAX_LINE));
                    server.answer(Answer::failed(None, problem)).await;
                }
                Line::End => {
                    server.finish_others().await;
                    break;
                }
            },
            () = server.finished() => {}
            // Nobody reads any more.
            _ = &mut writing => break,
        }
    }
    server.end().await;
    // One that does not read misses the last words.
    let _ = tokio::time::timeout(FAREWELL, writing).await;
    Ok(0)
}

/// Where answers go.
#[derive(Clone)]
struct Answers(mpsc::Sender<Answer>);

impl Answers {
    /// Waits for room. A reader that is gone ends everything elsewhere.
    async fn send(&self, answer: Answer) {
        let _ = self.0.send(answer).await;
    }
}

async fn write_all(mut answers: mpsc::Receiver<Answer>) {
    use stockade_host::shim::stdio::Written;
    let mut stdout = Output::stdout();
    while let Some(answer) = answers.recv().await {
        let Ok(mut line) = serde_json::to_vec(&answer) else {
            continue;
        };
        line.push(b'\n');
        if !matches!(stdout.write_all(&line).await, Ok(Written::All)) {
            return;
        }
    }
}

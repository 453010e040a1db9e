//! Commands with their streams.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use stockade_domain::environment::{Environment, Variable};
use stockade_host::control::{RemoteEnd, RemoteInput};
use stockade_host::logs::Stream;
use stockade_host::session::{Command, ExecEvent};
use stockade_host::shim::WindowSize;
use tokio::sync::mpsc;

use super::protocol::{Answer, Content, MAX_INPUTS, Problem, Request, bytes, params};
use super::server::{Exec, Outcome, Shared};
use crate::service::{not_started, sandboxes};

/// Signals and sizes that wait for one command.
const MAX_ORDERS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    sandbox: String,
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    #[serde(default)]
    stdin: bool,
    tty: Option<Size>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    rows: u16,
    columns: u16,
}

impl From<Size> for WindowSize {
    fn from(size: Size) -> Self {
        Self {
            rows: size.rows,
            columns: size.columns,
            x_pixels: 0,
            y_pixels: 0,
        }
    }
}

/// Input on its way to a command.
pub enum Input {
    Bytes { answer_to: u64, bytes: Vec<u8> },
    End { answer_to: u64 },
}

/// Something else for a command.
pub enum Order {
    Signal(u8),
    Resize(WindowSize),
    Cancel,
}

/// A command that is about to start.
pub struct Begun {
    sandbox: String,
    command: Command,
    inputs: mpsc::Receiver<Input>,
    orders: mpsc::Receiver<Order>,
}

/// Reads what is asked for, and lets further requests speak to it.
pub fn begin(shared: &Shared, id: u64, value: Value) -> Result<Begun, Problem> {
    let asked: Start = params(value)?;
    let mut env = Environment::default();
    for (name, value) in &asked.env {
        Variable::set(name, value).map_err(|error| Problem::bad(format!("env: {error}")))?;
        env.set(name, value);
    }
    let (inputs_in, inputs) = mpsc::channel(MAX_INPUTS);
    let (orders_in, orders) = mpsc::channel(MAX_ORDERS);
    let exec = Exec {
        inputs: inputs_in,
        orders: orders_in,
    };
    shared.lock().execs.insert(id, exec);
    Ok(Begun {
        sandbox: asked.sandbox,
        command: Command {
            argv: asked.argv.into_iter().map(Into::into).collect(),
            env,
            cwd: asked.cwd.unwrap_or_default(),
            tty: asked.tty.map(Into::into),
            stdin: asked.stdin || asked.tty.is_some(),
        },
        inputs,
        orders,
    })
}

impl Begun {
    /// Runs it to its end.
    pub async fn run(self, shared: &Shared, id: u64) -> Option<Outcome> {
        Some(self.run_it(shared, id).await)
    }

    async fn run_it(mut self, shared: &Shared, id: u64) -> Outcome {
        let client = sandboxes::connect(&self.sandbox).await?;
        let mut exec = client.exec(&self.command)?;
        let feeding = feed(shared.clone(), exec.stdin(), self.inputs);
        tokio::pin!(feeding);
        let mut fed = false;
        loop {
            tokio::select! {
                event = exec.event() => {
                    let event = event.map_err(|error| not_started::explain(error, |_| None))?;
                    if let Some(ended) = tell_event(shared, id, event).await {
                        return Ok(ended);
                    }
                }
                () = &mut feeding, if !fed => fed = true,
                Some(order) = self.orders.recv() => match order {
                    Order::Signal(number) => exec.signal(number, true)?,
                    Order::Resize(size) => exec.resize(size),
                    // Dropping it kills the command.
                    Order::Cancel => return Err(Problem::new("cancelled", "it was cancelled")),
                },
            }
        }
    }
}

/// Tells what a command did; its end is the answer.
async fn tell_event(shared: &Shared, id: u64, event: ExecEvent<RemoteEnd>) -> Option<Value> {
    let (event, content) = match event {
        ExecEvent::Started { pid } => ("started", json!({ "pid": pid })),
        ExecEvent::Output { stream, bytes: out } => {
            let name = if stream == Stream::Stderr {
                "stderr"
            } else {
                "stdout"
            };
            (name, bytes(&out))
        }
        ExecEvent::Stopped { signal } => ("stopped", json!({ "signal": signal })),
        ExecEvent::Continued => ("continued", json!({})),
        ExecEvent::Exited(RemoteEnd { exit, oom_kills }) => {
            let mut ended = serde_json::to_value(exit).unwrap_or_default();
            ended["code"] = exit.code().into();
            ended["oom_kills"] = oom_kills.into();
            return Some(ended);
        }
    };
    shared.answers.send(Answer::Event { id, event, content }).await;
    None
}

/// Passes input on, in order; each is answered when it is taken.
async fn feed(shared: Shared, mut stdin: RemoteInput, mut inputs: mpsc::Receiver<Input>) {
    while let Some(input) = inputs.recv().await {
        let (id, done) = match input {
            Input::Bytes { answer_to, bytes } => {
                let done = match stdin.write_all(&bytes).await {
                    Ok(taken) => Ok(json!({ "taken": taken })),
                    Err(error) => Err(error.into()),
                };
                (answer_to, done)
            }
            Input::End { answer_to } => {
                stdin.end();
                (answer_to, Ok(json!({})))
            }
        };
        shared.finish(id, done).await;
    }
}

#[derive(Deserialize)]
struct Told {
    exec: u64,
    #[serde(flatten)]
    content: Option<Content>,
    number: Option<u8>,
    rows: Option<u16>,
    columns: Option<u16>,
}

/// Handles a request that speaks to a command; none if it is another one. The inner none:
/// the answer comes when the input is taken.
pub fn tell(shared: &Shared, request: &Request) -> Option<Option<Outcome>> {
    let known = ["input", "end_input", "signal", "resize", "cancel"];
    if !known.contains(&request.method.as_str()) {
        return None;
    }
    Some(match try_tell(shared, request) {
        Ok(answer) => answer.map(Ok),
        Err(problem) => Some(Err(problem)),
    })
}

fn try_tell(shared: &Shared, request: &Request) -> Result<Option<Value>, Problem> {
    let told: Told = params(request.params.clone())?;
    let missing = |what: &str| Problem::bad(format!("params: `{what}` is missing"));
    let state = shared.lock();
    let exec = state.execs.get(&told.exec).ok_or_else(|| {
        let text = format!("no command with request {} runs", told.exec);
        Problem::new("not-found", text)
    })?;
    let answer_to = request.id;
    let input = match request.method.as_str() {
        "input" => {
            let content = told.content.ok_or_else(|| missing("text"))?;
            let bytes = content.into_bytes()?;
            Some(Input::Bytes { answer_to, bytes })
        }
        "end_input" => Some(Input::End { answer_to }),
        _ => None,
    };
    if let Some(input) = input {
        return match exec.inputs.try_send(input) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Problem::busy(
                "the command does not read: wait for the answers to earlier inputs",
            )),
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(Some(json!({ "taken": false }))),
        };
    }
    let order = match request.method.as_str() {
        "signal" => Order::Signal(
            told.number
                .filter(|number| (1..=64).contains(number))
                .ok_or_else(|| missing("number"))?,
        ),
        "resize" => {
            let (rows, columns) = told.rows.zip(told.columns).ok_or_else(|| missing("rows"))?;
            Order::Resize(Size { rows, columns }.into())
        }
        _ => Order::Cancel,
    };
    exec.orders
        .try_send(order)
        .map_err(|_| Problem::busy("the command has too much to do"))?;
    Ok(Some(json!({})))
}

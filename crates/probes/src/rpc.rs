//! A wall that is driven as any program drives Stockade: JSON lines to `stockade rpc`.
//!
//! One process for each way of starting it, one sandbox for each set of flags: so a driver whose
//! sandboxes take seconds to start runs all its attacks in a few.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::finished::Finished;
use crate::ground::{Ground, PAYLOAD_INSIDE};
use crate::tree::Tree;
use crate::verdict::{Verdict, broken};
use crate::wall::{Setting, Wall};

/// How long an attack may take, and a sandbox to start: far longer than any does.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines that wait to be looked at.
const MAX_WAITING: usize = 256;
/// Bytes that are kept of what an attack says.
const MAX_OUTPUT: usize = 4 << 20;

/// Sandboxes of one driver, as many as settings were asked for.
pub struct RpcWall<'a> {
    program: PathBuf,
    flags: Vec<String>,
    ground: &'a Ground,
    connections: RefCell<Vec<Connection>>,
}

/// A process that holds sandboxes.
struct Connection {
    /// How it was started.
    setting: Setting,
    child: Child,
    /// Until it is to end.
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    number: u64,
    /// By their flags.
    sandboxes: HashMap<Vec<String>, String>,
}

impl<'a> RpcWall<'a> {
    /// Starts nothing yet. The flags are those of every sandbox.
    #[must_use]
    pub fn new(program: &Path, flags: Vec<String>, ground: &'a Ground) -> Self {
        Self {
            program: program.to_owned(),
            flags,
            ground,
            connections: RefCell::new(Vec::new()),
        }
    }

    /// Starts a sandbox with the flags of every one, to see whether any can be.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn is_possible(&self) -> Verdict {
        // Before the workspace is copied, where it is.
        drop(self.ground.payload());
        self.with(&Setting::default(), |_, _| Ok(()))
    }

    /// Does something in the sandbox of a setting. After a failure nothing of that connection is used
    /// again.
    fn with<T>(
        &self,
        setting: &Setting,
        act: impl FnOnce(&mut Connection, &str) -> Verdict<T>,
    ) -> Verdict<T> {
        let mut connections = self.connections.borrow_mut();
        let at = connections.iter().position(|one| {
            one.setting.variables == setting.variables && one.setting.launcher == setting.launcher
        });
        let mut connection = match at {
            Some(at) => connections.swap_remove(at),
            None => Connection::open(&self.program, self.ground, setting)?,
        };
        let flags = [&self.flags[..], &setting.flags[..]].concat();
        let sandbox = connection.sandbox(flags)?;
        let done = act(&mut connection, &sandbox)?;
        connections.push(connection);
        Ok(done)
    }
}

impl Wall for RpcWall<'_> {
    fn program(&self) -> &Path {
        &self.program
    }

    fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }

    fn attack(&self, setting: &Setting, arguments: &[String]) -> Verdict<Finished> {
        drop(self.ground.payload());
        self.with(setting, |connection, sandbox| connection.exec(sandbox, arguments))
    }

    /// Some drivers show files by other names of the same: these are not counted.
    fn reader(&self) -> fn(&Path) -> Tree {
        Tree::whatever_names
    }
}

impl Connection {
    fn open(program: &Path, ground: &Ground, setting: &Setting) -> Verdict<Self> {
        let mut command = match setting.launcher.split_first() {
            Some((launcher, rest)) => {
                let mut command = ground.command(Path::new(launcher));
                command.args(rest).arg(program);
                command
            }
            None => ground.command(program),
        };
        command.arg("rpc").envs(setting.variables.iter().cloned());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return broken("stockade rpc has no streams");
        };
        let (sender, lines) = sync_channel(MAX_WAITING);
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let this = Self {
            setting: Setting {
                flags: Vec::new(),
                ..setting.clone()
            },
            child,
            input: Some(input),
            lines,
            number: 0,
            sandboxes: HashMap::new(),
        };
        let hello = this.line(Instant::now() + PATIENCE)?;
        match hello["hello"]["protocol"].as_str() {
            Some("stockade-rpc") => Ok(this),
            _ => broken(format!("stockade rpc greets with {hello}")),
        }
    }

    /// The sandbox with these flags, started when it is first asked for.
    fn sandbox(&mut self, flags: Vec<String>) -> Verdict<String> {
        if let Some(id) = self.sandboxes.get(&flags) {
            return Ok(id.clone());
        }
        let made = self.ask("create", &json!({ "flags": flags }))?;
        let Some(id) = made["sandbox"].as_str() else {
            return broken(format!("a sandbox without an id: {made}"));
        };
        self.sandboxes.insert(flags, id.to_owned());
        Ok(id.to_owned())
    }

    fn exec(&mut self, sandbox: &str, arguments: &[String]) -> Verdict<Finished> {
        let begun = Instant::now();
        let argv = [&[PAYLOAD_INSIDE.to_owned()], arguments].concat();
        let id = self.send("exec", &json!({ "sandbox": sandbox, "argv": argv }))?;
        let mut finished = Finished::default();
        loop {
            let line = self.line(begun + PATIENCE)?;
            if line["id"].as_u64() != Some(id) {
                continue;
            }
            if let Some(error) = line["error"]["message"].as_str() {
                return broken(format!("the attack did not run: {error}"));
            }
            if let Some(code) = line["result"]["code"].as_i64() {
                finished.code = i32::try_from(code)?;
                finished.took = begun.elapsed();
                return Ok(finished);
            }
            let said = content(&line)?;
            match line["event"].as_str() {
                Some("stdout") => {
                    finished.stdout_total += said.len() as u64;
                    let room = MAX_OUTPUT.saturating_sub(finished.stdout.len()).min(said.len());
                    finished.stdout.extend_from_slice(&said[..room]);
                }
                Some("stderr") if finished.stderr.len() < MAX_OUTPUT => {
                    finished.stderr.push_str(&String::from_utf8_lossy(&said));
                }
                _ => {}
            }
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Verdict<Value> {
        let id = self.send(method, params)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut line = self.line(deadline)?;
            if line["id"].as_u64() != Some(id) {
                continue;
            }
            return match line["error"]["message"].as_str() {
                Some(error) => broken(error),
                None => Ok(line["result"].take()),
            };
        }
    }

    fn send(&mut self, method: &str, params: &Value) -> Verdict<u64> {
        self.number += 1;
        let line = json!({ "id": self.number, "method": method, "params": params });
        match &mut self.input {
            Some(input) => writeln!(input, "{line}")?,
            None => return broken("stockade rpc was ended"),
        }
        Ok(self.number)
    }

    fn line(&self, deadline: Instant) -> Verdict<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => broken(format!("it did not end in {} s", PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => broken("stockade rpc ended"),
        }
    }
}

/// What an event brings: text, or bytes that are no text.
fn content(line: &Value) -> Verdict<Vec<u8>> {
    match (line["text"].as_str(), line["base64"].as_str()) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(encoded)) => Ok(STANDARD.decode(encoded)?),
        (None, None) => Ok(Vec::new()),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What it made ends with its input, and it with that; unless it hangs.
        drop(self.input.take());
        let _ = crate::finished::wait(&mut self.child, Instant::now() + PATIENCE);
    }
}

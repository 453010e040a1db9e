//! Which request is answered by what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use stockade_host::control::Holder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::execs::{self, Input, Order};
use super::protocol::{Answer, MAX_REQUESTS, Problem, Request};
use super::{Answers, files, sandboxes};

/// How long what was asked last may take when nothing more can be asked.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What the requests share.
#[derive(Clone)]
pub struct Shared {
    pub answers: Answers,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    /// Sandboxes that were created here and end with us.
    pub held: BTreeMap<String, Holder>,
    /// Sandboxes that are being created.
    pub creating: usize,
    /// Commands that run, by the ids of their requests.
    pub execs: BTreeMap<u64, Exec>,
    /// Ids of requests that are not answered.
    open: std::collections::BTreeSet<u64>,
}

/// A command that runs.
pub struct Exec {
    pub inputs: mpsc::Sender<Input>,
    pub orders: mpsc::Sender<Order>,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes requests.
pub struct Server {
    shared: Shared,
    /// Commands that run.
    execs: JoinSet<()>,
    /// Other requests, which end by themselves.
    others: JoinSet<()>,
}

/// What a request came to; none if its answer comes from elsewhere.
pub type Outcome = Result<Value, Problem>;

impl Server {
    pub fn new(answers: Answers) -> Self {
        let state = Arc::default();
        Self {
            shared: Shared { answers, state },
            execs: JoinSet::new(),
            others: JoinSet::new(),
        }
    }

    pub async fn answer(&self, answer: Answer) {
        self.shared.answers.send(answer).await;
    }

    /// Waits until a request is done with.
    pub async fn finished(&mut self) {
        let (execs, others) = (&mut self.execs, &mut self.others);
        tokio::select! {
            Some(_) = execs.join_next() => {}
            Some(_) = others.join_next() => {}
            else => std::future::pending().await,
        }
    }

    /// Answers what was asked before standard input ended; commands are not waited for.
    pub async fn finish_others(&mut self) {
        let all = async { while self.others.join_next().await.is_some() {} };
        // What takes longer is not answered.
        let _ = tokio::time::timeout(LAST_ANSWERS, all).await;
    }

    /// Takes a line.
    pub async fn take(&mut self, line: &[u8]) {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => {
                let problem = Problem::bad(format!("not a request: {error}"));
                return self.answer(Answer::failed(None, problem)).await;
            }
        };
        let id = request.id;
        let refused = if self.execs.len() + self.others.len() >= MAX_REQUESTS {
            Some(Problem::busy(format!("{MAX_REQUESTS} requests are under way")))
        } else if !self.shared.lock().open.insert(id) {
            let problem = Problem::bad(format!("request {id} is not answered yet: use another id"));
            return self.answer(Answer::failed(Some(id), problem)).await;
        } else {
            None
        };
        if let Some(problem) = refused {
            return self.answer(Answer::failed(Some(id), problem)).await;
        }
        let shared = self.shared.clone();
        // What is said to a command stays in order: it is handed over here.
        if let Some(done) = execs::tell(&shared, &request) {
            return finish(&shared, id, done).await;
        }
        if request.method == "exec" {
            // Before the next line, which may already speak to it.
            let begun = execs::begin(&shared, id, request.params);
            self.execs.spawn(async move {
                let done = match begun {
                    Ok(exec) => exec.run(&shared, id).await,
                    Err(problem) => Some(Err(problem)),
                };
                shared.lock().execs.remove(&id);
                finish(&shared, id, done).await;
            });
            return;
        }
        self.others.spawn(async move {
            let done = perform(&shared, request).await;
            finish(&shared, id, Some(done)).await;
        });
    }

    /// Ends what was created here.
    pub async fn end(mut self) {
        self.execs.shutdown().await;
        self.others.shutdown().await;
        let held = std::mem::take(&mut self.shared.lock().held);
        let mut ending = JoinSet::new();
        for (id, holder) in held {
            ending.spawn(async move {
                // What cannot be ended in order ends with its holder.
                let _ = crate::service::sandboxes::remove(&id, true).await;
                drop(holder);
            });
        }
        while ending.join_next().await.is_some() {}
    }
}

async fn finish(shared: &Shared, id: u64, done: Option<Outcome>) {
    let answer = match done {
        None => return,
        Some(Ok(result)) => Answer::Result { id, result },
        Some(Err(problem)) => Answer::failed(Some(id), problem),
    };
    shared.lock().open.remove(&id);
    shared.answers.send(answer).await;
}

impl Shared {
    /// An answer that comes later than its request was taken.
    pub async fn finish(&self, id: u64, done: Outcome) {
        finish(self, id, Some(done)).await;
    }
}

async fn perform(shared: &Shared, request: Request) -> Outcome {
    let Request { method, params, .. } = request;
    match method.as_str() {
        "ping" => Ok(json!({})),
        "create" => sandboxes::create(shared, params).await,
        "destroy" => sandboxes::destroy(shared, params).await,
        "list" => sandboxes::list(),
        "inspect" => sandboxes::inspect(params).await,
        "read_file" => files::read(params).await,
        "write_file" => files::write(params).await,
        "list_files" => files::list(params).await,
        "stat_file" => files::stat(params).await,
        "make_directory" => files::make_directory(params).await,
        "remove_file" => files::remove(params).await,
        "rename_file" => files::rename(params).await,
        other => Err(Problem::bad(format!(
            "no method {other:?}; there are: ping create destroy list inspect exec input end_input signal resize \
             cancel read_file write_file list_files stat_file make_directory remove_file rename_file"
        ))),
    }
}

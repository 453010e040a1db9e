//! What commands inside ask for. The guest is believed as little here as elsewhere: it may have so
//! many asks open and no more, and each has a number of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use stockade_wire::{Answer, Ask, AskId, MAX_ASKS, ToGuest};

use super::Session;
use super::core::Core;

/// Asks without an answer.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Nobody on the host works on these yet.
    waiting: VecDeque<Ask>,
    open: Vec<AskId>,
    waker: Option<Waker>,
}

impl Asks {
    /// The link dropped: the guest has told those who asked.
    pub(super) fn forget_all(&mut self) {
        self.waiting.clear();
        self.open.clear();
    }
}

impl Core {
    pub(super) fn asked(&mut self, ask: Ask) -> Result<(), String> {
        let asks = &mut self.asks;
        if asks.open.len() >= MAX_ASKS || asks.open.contains(&ask.id) {
            return Err(format!(
                "it asked for more than {MAX_ASKS} things at once, or twice with one number"
            ));
        }
        asks.open.push(ask.id);
        asks.waiting.push_back(ask);
        if let Some(waker) = asks.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn answer(&mut self, ask: AskId, answer: Answer) {
        let before = self.asks.open.len();
        self.asks.open.retain(|open| *open != ask);
        // Beyond the bound of waiting messages too: each is asked for.
        if self.asks.open.len() < before {
            self.push(ToGuest::Answer { ask, answer });
        }
    }
}

impl Session {
    /// Waits until something is asked for. Cancel safe.
    pub(crate) async fn next_ask(&self) -> Ask {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            match core.asks.waiting.pop_front() {
                Some(ask) => Poll::Ready(ask),
                None => {
                    core.asks.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Answers; an ask of a link that is no more has been answered already.
    pub(crate) fn answer(&self, ask: AskId, answer: Answer) {
        self.shared.lock().answer(ask, answer);
    }
}

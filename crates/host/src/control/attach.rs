//! The shim's end of a connection that is attached to the first command. It reads what is
//! kept of the output, so that one that does not read holds up nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use super::channel::{Receiver, Sender};
use super::connection::{Context, Credit};
use super::protocol::{AttachAsked, Attached, CREDIT, FromClient, FromShim};
use crate::error::{Error, Result};
use crate::logs::Follower;
use crate::shim::first::{Feed, First};

/// Serves an attached connection to its end.
pub(super) async fn serve(
    receiver: &mut Receiver<FromClient>,
    sender: &mut Sender,
    context: &Context,
    asked: AttachAsked,
) -> Result<()> {
    let refused = |text: &str| FromShim::Refused {
        text: text.to_owned(),
    };
    let Some(first) = &context.first else {
        let text = "its first command is at the terminal that it was started from, not detached";
        return sender.send(&refused(text)).await;
    };
    // Dropped with the connection: the right to type goes to the next who asks.
    let writing = match (&first.feed, asked.write) {
        (Some(_), true) => match first.take_writing() {
            Some(writing) => Some(writing),
            None => {
                let text = "somebody else is attached and types: attach with --read-only, or wait";
                return sender.send(&refused(text)).await;
            }
        },
        _ => None,
    };
    if let (Some(size), true) = (asked.size, writing.is_some()) {
        first.resize(size)?;
    }
    let end = first.log.end();
    let attached = Attached {
        tty: first.tty,
        writes: writing.is_some(),
        end,
    };
    sender.send(&FromShim::Attached(attached)).await?;
    let follower = Follower::new(Arc::clone(&first.log), asked.from.unwrap_or(end));
    let credit = Credit::default();
    let feed = first.feed.as_deref().filter(|_| writing.is_some());
    let done = tokio::select! {
        shown = show(follower, sender, &credit) => shown,
        taken = take(receiver, first, feed, &credit) => return taken,
    };
    done?;
    // All was shown: how the first command ended is all that is left to say.
    if let Some(exit) = context.verdict.get() {
        let ended = FromShim::Exited {
            end: (*exit).into(),
            oom_kills: None,
        };
        sender.send(&ended).await?;
    }
    Ok(())
}

/// Shows output to its end.
async fn show(mut follower: Follower, sender: &mut Sender, credit: &Credit) -> Result<()> {
    loop {
        let message = tokio::select! {
            record = follower.next() => match record? {
                Some(record) => FromShim::Logged(record),
                None => return Ok(()),
            },
            count = credit.take() => FromShim::Credit { count },
        };
        sender.send(&message).await?;
    }
}

/// Takes input until the other side leaves.
async fn take(
    receiver: &mut Receiver<FromClient>,
    first: &First,
    feed: Option<&Feed>,
    credit: &Credit,
) -> Result<()> {
    let mut queue: VecDeque<u8> = VecDeque::new();
    let mut ended = false;
    loop {
        let room = async {
            match feed {
                Some(feed) => feed.room().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = receiver.next() => match (message?, feed) {
                (None, _) => return Ok(()),
                (Some(FromClient::Input(bytes)), Some(_)) => {
                    if ended || queue.len() + bytes.len() > CREDIT {
                        return Err(Error::protocol("more input than there was credit for"));
                    }
                    queue.extend(bytes);
                }
                (Some(FromClient::InputEnd), Some(_)) => ended = true,
                (Some(FromClient::Resize(size)), Some(_)) => first.resize(size)?,
                // Who only reads has nothing to say.
                (Some(FromClient::InputEnd | FromClient::Resize(_)), None) => {}
                (Some(_), _) => return Err(Error::protocol("a second thing was asked for")),
            },
            () = room, if !queue.is_empty() => {
                let taken = feed.map_or(0, |feed| feed.push(queue.make_contiguous()));
                queue.drain(..taken);
                credit.add(taken);
            }
        }
        if let (true, true, Some(feed)) = (ended, queue.is_empty(), feed) {
            feed.finish();
        }
    }
}

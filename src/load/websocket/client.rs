//! A WebSocket that a task attends: pings are answered and messages are timed while its user thinks.
//!
//! It stands alone because that is a choice: a user with a socket has a second task, small and asleep most of the time, and
//! every other wait of the user may be anything at all. The task ends with the connection, or with the client.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::connection::{Connection, Ended, Step};
use super::{Accepted, FAREWELL, Message, Refused, Wish, open};
use crate::clock::{Clock, Moment};
use crate::load::http::Transport;
use crate::load::mailbox::Mailbox;

/// What happened on a connection.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message came.
    Message(Moment, Message),
    /// The connection ended; nothing comes after it.
    Ended(Moment, Ended),
}

enum Order {
    Send(Message),
    Close(Option<u16>, String),
}

type Post = Mailbox<Order, Event>;

/// How long a goodbye may take before the connection is cut: what waits is not sent to a server that does not read.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection and the task that attends it. Dropped, it is cut without a word.
#[derive(Debug)]
pub struct Client {
    post: Arc<Post>,
    task: AbortHandle,
    clock: Clock,
}

impl Client {
    /// Opens a connection; must be called on the runtime of the driver. `due` is when that should have begun.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or does not agree.
    pub async fn open(transport: &Transport, wish: &Wish, due: Moment) -> Result<(Self, Accepted), Refused> {
        let (connection, accepted) = Box::pin(open(transport, wish, due)).await?;
        let (post, clock) = (Arc::<Post>::default(), transport.clock());
        let task = tokio::spawn(attend(connection, Arc::clone(&post), clock)).abort_handle();
        Ok((Self { post, task, clock }, accepted))
    }

    /// Hands a message over to be sent, and says when. It waits as long as too many others wait.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn send(&self, message: Message) -> Result<Moment, Gone> {
        let now = self.clock.now();
        self.post.order(Order::Send(message)).await.map(|()| now).map_err(|_| Gone)
    }

    /// The next thing that happens; nothing after the end. Nothing is lost when it is not awaited to the end.
    pub async fn next(&self) -> Option<Event> {
        self.post.next().await
    }

    /// What has happened already.
    #[must_use]
    pub fn happened(&self) -> Option<Event> {
        self.post.fetch()
    }

    /// Messages that were dropped because more than 1024, or than a MiB, waited to be looked at.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.post.lost()
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.post.is_over()
    }

    /// Closes the connection when all is sent, and waits up to a second for the other side to do so too; three seconds at most
    /// altogether. The events that were not looked at are still there, the end being the last.
    pub async fn close(&self, code: Option<u16>, reason: &str) {
        let closing = async {
            if self.post.order(Order::Close(code, reason.to_owned())).await.is_ok() {
                self.post.ended().await;
            }
        };
        if tokio::time::timeout(PATIENCE, closing).await.is_err() {
            self.task.abort();
            let ended = Ended::Closed { code: 1006, reason: String::new() };
            self.post.end(Some(Event::Ended(self.clock.now(), ended)));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Gone;

async fn attend(mut connection: Connection, post: Arc<Post>, clock: Clock) {
    let mut queue = VecDeque::new();
    let ended = loop {
        let step = tokio::select! {
            () = post.ordered(), if queue.is_empty() => {
                match taken(&post, &mut queue) {
                    None => continue,
                    Some((code, reason)) => break say_goodbye(connection, queue, code, &reason).await,
                }
            }
            step = poll_fn(|context| connection.poll_both(context, &mut queue)) => step,
        };
        match step {
            Ok(Step::Sent) => (),
            Ok(Step::Received(message)) => {
                let weight = message.len();
                post.tell(Event::Message(clock.now(), message), weight);
            }
            Err(ended) => break ended,
        }
    };
    post.end(Some(Event::Ended(clock.now(), ended)));
}

/// Takes all orders; gives how to close, when that is among them.
fn taken(post: &Post, queue: &mut VecDeque<Message>) -> Option<(Option<u16>, String)> {
    while let Some(order) = post.take() {
        match order {
            Order::Send(message) => queue.push_back(message),
            Order::Close(code, reason) => return Some((code, reason)),
        }
    }
    None
}

async fn say_goodbye(mut connection: Connection, queue: VecDeque<Message>, code: Option<u16>, reason: &str) -> Ended {
    let goodbye = async {
        for message in queue {
            connection.send(message).await?;
        }
        Ok(connection.close(code, reason).await)
    };
    match tokio::time::timeout(2 * FAREWELL, goodbye).await {
        Ok(Ok(ended) | Err(ended)) => ended,
        Err(_) => Ended::Closed { code: 1006, reason: String::new() },
    }
}

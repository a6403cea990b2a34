//! A request and its response on a connection: the hot path of a load test.
//!
//! It stands alone because of how it waits. The connection, the response, its body and one timer are polled together in
//! the task of the virtual user: nothing wakes another task, and an idle user has none. It knows neither where the
//! connection came from nor where it goes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Response, response};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Sleep, sleep};

use super::body::Collector;
use super::connection::Wire;
use super::failure::{Failure, Stage};
use super::stream::Notes;
use super::{Answer, Keep, Timings};
use crate::clock::{Clock, Moment};

/// One request on its way over a connection.
pub(super) struct Talk<'a> {
    pub(super) clock: Clock,
    pub(super) timeout: Duration,
    pub(super) started: Moment,
    pub(super) notes: &'a Notes,
    pub(super) keep: Keep,
    pub(super) timings: &'a mut Timings,
}

/// How the wait for a part of the response ended.
enum Wait<T> {
    Over(hyper::Result<T>),
    /// The connection ended without a word.
    Gone,
    TimeIsUp,
}

impl<T> Wait<T> {
    fn failure(self, stage: Stage) -> Result<T, Failure> {
        match self {
            Self::Over(Ok(value)) => Ok(value),
            Self::Over(Err(error)) => Err(Failure::of_http(stage, &error)),
            Self::Gone => Err(Failure::new(stage, "ECONNRESET", "the connection ended")),
            Self::TimeIsUp => Err(Failure::timed_out(stage)),
        }
    }
}

impl Talk<'_> {
    /// The outcome, and whether the connection ended with it.
    pub(super) async fn with<W, A>(self, wire: &mut W, answer: A) -> (Result<Answer, Failure>, bool)
    where
        W: Wire,
        A: Future<Output = hyper::Result<Response<Incoming>>>,
    {
        let mut answer = pin!(answer);
        let timer = pin!(sleep(self.timeout));
        let at = self.started + self.timeout;
        let mut deadline = Deadline { clock: self.clock, timeout: self.timeout, at, timer };
        let mut ended = false;
        let head = poll_fn(|context| {
            ended = ended || wire.poll_wire(context).is_ready();
            match answer.as_mut().poll(context) {
                Poll::Ready(head) => Poll::Ready(Wait::Over(head)),
                Poll::Pending if ended => Poll::Ready(Wait::Gone),
                Poll::Pending => deadline.poll(context).map(|()| Wait::TimeIsUp),
            }
        })
        .await;
        let written = self.notes.written();
        let sent = written >= self.started && !self.notes.is_blocked();
        self.timings.sent = sent.then_some(written);
        let stage = if sent { Stage::AwaitingHead } else { Stage::Sending };
        let (head, mut body) = match head.failure(stage) {
            Ok(response) => response.into_parts(),
            Err(failure) => return (Err(failure), ended),
        };
        let now = self.clock.now();
        self.timings.head = Some(now);
        deadline.move_on(now);
        let mut collector = Collector::new(self.keep, &head.headers);
        let wait = poll_fn(|context| match receive(context, wire, &mut ended, &mut body, &mut collector) {
            Poll::Ready(wait) => Poll::Ready(wait),
            Poll::Pending => deadline.poll(context).map(|()| Wait::TimeIsUp),
        })
        .await;
        self.timings.received = collector.received();
        (settle(head, collector, wait.failure(Stage::ReceivingBody)), ended)
    }
}

/// Takes in what there is of the body. tokio's budget bounds one call: it makes the wire pending at the latest after
/// 128 reads.
fn receive<W: Wire>(
    context: &mut Context<'_>,
    wire: &mut W,
    ended: &mut bool,
    body: &mut Incoming,
    collector: &mut Collector,
) -> Poll<Wait<()>> {
    let mut polled = false;
    loop {
        let before = collector.received();
        while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
            match frame {
                Some(Ok(frame)) => collector.take(frame.data_ref().map_or(&[], |piece| piece)),
                Some(Err(error)) => return Poll::Ready(Wait::Over(Err(error))),
                None => return Poll::Ready(Wait::Over(Ok(()))),
            }
        }
        if *ended {
            return Poll::Ready(Wait::Gone);
        }
        if polled && collector.received() == before {
            return Poll::Pending;
        }
        *ended = wire.poll_wire(context).is_ready();
        polled = true;
    }
}

/// The response, or the failure with as much of it as came.
fn settle(head: response::Parts, collector: Collector, received: Result<(), Failure>) -> Result<Answer, Failure> {
    let body = collector.finish(received.is_err());
    let answer = Answer { status: head.status, version: head.version, headers: head.headers, body };
    match received {
        Ok(()) => Ok(answer),
        Err(failure) => Err(Failure { partial: Some(Box::new(answer)), ..failure }),
    }
}

/// A bound on a wait that can be moved on to the next wait without touching the timer: that is set anew only when it
/// fires too early, which a fast exchange never sees.
struct Deadline<'a> {
    clock: Clock,
    timeout: Duration,
    at: Moment,
    timer: Pin<&'a mut Sleep>,
}

impl Deadline<'_> {
    /// The next wait starts now.
    fn move_on(&mut self, now: Moment) {
        self.at = now + self.timeout;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let left = self.at.since(self.clock.now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.timer.set(sleep(left));
        }
        Poll::Pending
    }
}

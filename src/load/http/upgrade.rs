//! A connection that begins with one request and is then handed over to another protocol (RFC 9110, 7.8).
//!
//! It stands alone because such a connection never serves a second request: it comes from no pool and rests in none. What
//! is spoken on it afterwards is not known here.

use bytes::Bytes;
use http::StatusCode;

use super::connection::Http1;
use super::exchange::direct;
use super::failure::{Failure, Stage};
use super::open::{Progress, Use};
use super::stream::Stream;
use super::{Answer, Outgoing, Timings, Transport};

/// What became of the wish to speak another protocol.
#[derive(Debug)]
pub(in crate::load) struct Upgraded {
    pub(in crate::load) timings: Timings,
    pub(in crate::load) outcome: Result<Switch, Failure>,
}

/// What the server made of it.
#[derive(Debug)]
pub(in crate::load) enum Switch {
    /// It agreed.
    Over {
        /// The connection.
        stream: Stream,
        /// What it has said in the new protocol already.
        early: Bytes,
        /// Its answer.
        answer: Answer,
    },
    /// It answered as if nothing else had been asked for.
    Refused(Answer),
}

impl Transport {
    /// Sends a request on a connection of its own, and takes the connection when the server switches protocols. A plain
    /// proxy is asked for a tunnel. Every wait is bounded.
    pub(in crate::load) async fn upgrade(&self, outgoing: Outgoing) -> Upgraded {
        let mut timings = Timings { due: outgoing.due, ..Timings::default() };
        let outcome = Box::pin(self.switch(outgoing, &mut timings)).await;
        timings.done = self.clock.now();
        Upgraded { timings, outcome }
    }

    async fn switch(&self, outgoing: Outgoing, timings: &mut Timings) -> Result<Switch, Failure> {
        let stream = self.upgradable(&outgoing, timings).await?;
        let http1 = Http1::on(stream, &self.http1).await;
        let mut http1 = http1.map_err(|error| Failure::of_http(Stage::Sending, &error))?;
        timings.local_port = http1.local_port;
        let keep = outgoing.keep;
        let answer = http1.sender.send_request(direct(outgoing));
        let (outcome, _) = self.talk(&http1.notes, keep, timings).with(&mut http1.wire, answer).await;
        let answer = outcome?;
        if answer.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Switch::Refused(answer));
        }
        let parts = http1.wire.into_parts();
        Ok(Switch::Over { stream: parts.io.into_inner(), early: parts.read_buf, answer })
    }

    async fn upgradable(&self, outgoing: &Outgoing, timings: &mut Timings) -> Result<Stream, Failure> {
        let mut progress = Progress::default();
        let opening = self.opener.stream(outgoing.target.origin(), Use::Upgrade, &mut progress);
        let opened = tokio::time::timeout(self.timeout, opening).await;
        progress.end(self.clock.now());
        (timings.dns, timings.connect, timings.tls) = (progress.dns, progress.connect, progress.tls);
        opened.unwrap_or_else(|_| Err(Failure::timed_out(progress.stage)))
    }
}

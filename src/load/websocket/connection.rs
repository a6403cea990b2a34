//! A WebSocket that its owner polls: it moves bytes when it is asked to, and at no other time.
//!
//! It stands alone because of what it costs: 4 KiB and no task, so that whoever has many of them decides how they are
//! attended. Pings are answered while it is polled. What waits to be sent is bounded, whatever the other side does.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::{FAREWELL, Message, failure};
use crate::load::http::{Failure, Stream};

/// What is read at once, in bytes; it is held for as long as the connection lives.
const READ: usize = 4096;
/// Room for answers to pings, in bytes. While they cannot be sent, only the last is kept (RFC 6455, 5.5.3).
const ANSWERS: usize = 1024;
/// The largest head of a frame, in bytes (RFC 6455, 5.2).
const HEAD: usize = 14;
/// Control frames that are taken in a row before others get their turn.
const IN_A_ROW: u32 = 64;

/// A WebSocket.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    context: WebSocketContext,
    ended: Option<Ended>,
    pings: u64,
    /// Whether a message has been taken that the system has not.
    unsent: bool,
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It was closed: the code and the reason that the other side gave. 1005 stands for no code, 1006 for a connection that
    /// ended without a word (RFC 6455, 7.4.1).
    Closed {
        /// The code.
        code: u16,
        /// The reason; empty as a rule.
        reason: String,
    },
    /// It broke, or the other side broke the protocol.
    Failed(Failure),
}

/// The stream as tungstenite wants to see it: what is not ready would block.
struct Polled<'a, 'b> {
    stream: &'a mut Stream,
    context: &'a mut Context<'b>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        now(Pin::new(&mut *self.stream).poll_read(self.context, &mut room))?;
        Ok(room.filled().len())
    }
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_write(self.context, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.stream).poll_flush(self.context))
    }
}

/// Whether an error only says that there is nothing to do now.
fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn config(largest: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_write_buffer_size(ANSWERS)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
}

impl Connection {
    pub(super) fn new(stream: Stream, early: &[u8], largest: usize) -> Self {
        let config = Some(config(largest));
        let context = if early.is_empty() {
            WebSocketContext::new(Role::Client, config)
        } else {
            WebSocketContext::from_partially_read(early.to_vec(), Role::Client, config)
        };
        Self { stream, context, ended: None, pings: 0, unsent: false }
    }

    /// The next message, or how it ended; then the same for ever. Nothing is lost when it is not awaited to the end.
    ///
    /// # Errors
    ///
    /// When there is no more.
    pub async fn next(&mut self) -> Result<Message, Ended> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Connection::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Ended>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        for _ in 0..IN_A_ROW {
            let mut stream = Polled { stream: &mut self.stream, context };
            match self.context.read(&mut stream) {
                Ok(tungstenite::Message::Text(text)) => {
                    return Poll::Ready(Ok(Message::Text(text.as_str().to_owned())));
                }
                // Copied, as it may hold all that was read with it.
                Ok(tungstenite::Message::Binary(bytes)) if bytes.len() < READ => {
                    return Poll::Ready(Ok(Message::Binary(Bytes::copy_from_slice(&bytes))));
                }
                Ok(tungstenite::Message::Binary(bytes)) => return Poll::Ready(Ok(Message::Binary(bytes))),
                Ok(tungstenite::Message::Close(frame)) => return Poll::Ready(Err(self.closed(frame, context))),
                Ok(tungstenite::Message::Ping(_)) => self.pings += 1,
                Ok(_) => (),
                Err(error) if would_block(&error) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(self.broken(&error, context))),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what it can of the queue; ready when all of it has been handed to the system.
    ///
    /// # Errors
    ///
    /// When it cannot be sent any more.
    pub fn poll_send(&mut self, context: &mut Context<'_>, queue: &mut VecDeque<Message>) -> Poll<Result<(), Ended>> {
        loop {
            if let Some(ended) = &self.ended {
                return Poll::Ready(Err(ended.clone()));
            }
            let mut stream = Polled { stream: &mut self.stream, context };
            match self.context.flush(&mut stream) {
                Ok(()) => self.unsent = false,
                Err(error) if would_block(&error) => return Poll::Pending,
                Err(Error::Io(error)) => return Poll::Ready(Err(failure::unsent(&error))),
                Err(error) => return Poll::Ready(Err(self.broken(&error, context))),
            }
            let Some(message) = queue.pop_front() else { return Poll::Ready(Ok(())) };
            let room = message.len() + HEAD + ANSWERS;
            let message = match message {
                Message::Text(text) => tungstenite::Message::text(text),
                Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
            };
            self.context.set_config(|config| config.max_write_buffer_size = room);
            let written = self.context.write(&mut Polled { stream: &mut self.stream, context }, message);
            self.context.set_config(|config| config.max_write_buffer_size = ANSWERS);
            self.unsent = true;
            match written {
                Ok(()) => (),
                // It is taken, and goes out with the next flush.
                Err(error) if would_block(&error) => (),
                Err(Error::Io(error)) => return Poll::Ready(Err(failure::unsent(&error))),
                Err(error) => return Poll::Ready(Err(self.broken(&error, context))),
            }
        }
    }

    /// Sends one message, and waits until it has been handed to the system.
    ///
    /// # Errors
    ///
    /// When it cannot be sent any more.
    pub async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let mut queue = VecDeque::from([message]);
        std::future::poll_fn(|context| self.poll_send(context, &mut queue)).await
    }

    /// Closes it, and waits up to a second for the other side to do so too; what comes meanwhile is dropped. Without a code
    /// none is sent.
    pub async fn close(mut self, code: Option<u16>, reason: &str) -> Ended {
        let frame = code.map(|code| CloseFrame { code: code.into(), reason: reason.into() });
        let closing = async {
            let _ = self.send_all().await;
            std::future::poll_fn(|context| {
                let closed = self.context.close(&mut Polled { stream: &mut self.stream, context }, frame.clone());
                match closed {
                    Err(error) if would_block(&error) => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            loop {
                if let Err(ended) = self.next().await {
                    return ended;
                }
            }
        };
        let closed = tokio::time::timeout(FAREWELL, closing).await;
        closed.unwrap_or_else(|_| Ended::Closed { code: 1006, reason: String::new() })
    }

    /// Pings that were answered, or would have been had there been room.
    #[must_use]
    pub const fn pings(&self) -> u64 {
        self.pings
    }

    async fn send_all(&mut self) -> Result<(), Ended> {
        let mut nothing = VecDeque::new();
        std::future::poll_fn(|context| self.poll_send(context, &mut nothing)).await
    }

    /// The other side has closed; our answer goes out if it can.
    fn closed(&mut self, frame: Option<CloseFrame>, context: &mut Context<'_>) -> Ended {
        let _ = self.context.flush(&mut Polled { stream: &mut self.stream, context });
        let (code, reason) =
            frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.as_str().to_owned()));
        self.end(Ended::Closed { code, reason })
    }

    fn broken(&mut self, error: &Error, context: &mut Context<'_>) -> Ended {
        let gone =
            matches!(error, Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake));
        if gone {
            return self.end(Ended::Closed { code: 1006, reason: String::new() });
        }
        // Why it is given up is said to whoever broke the protocol (RFC 6455, 7.4.1).
        let code = match error {
            Error::Capacity(_) => Some(1009_u16),
            Error::Utf8(_) => Some(1007),
            Error::Protocol(_) => Some(1002),
            _ => None,
        };
        if let Some(code) = code {
            let frame = CloseFrame { code: code.into(), reason: "".into() };
            let _ = self.context.close(&mut Polled { stream: &mut self.stream, context }, Some(frame));
        }
        self.end(Ended::Failed(failure::of(error)))
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.ended.insert(ended).clone()
    }
}

/// What polling both ways at once can bring.
#[derive(Debug)]
pub(in crate::load) enum Step {
    /// All that waited has been handed to the system.
    Sent,
    /// A message came.
    Received(Message),
}

impl Connection {
    /// Polls both ways at once: the other side may not read before it is read from.
    pub(in crate::load) fn poll_both(
        &mut self,
        context: &mut Context<'_>,
        queue: &mut VecDeque<Message>,
    ) -> Poll<Result<Step, Ended>> {
        let waiting = !queue.is_empty() || self.unsent;
        match self.poll_send(context, queue) {
            Poll::Ready(Ok(())) if waiting => Poll::Ready(Ok(Step::Sent)),
            // What the other side said before it went is worth more than that it could not be told something.
            Poll::Ready(Err(ended)) => match self.poll_next(context) {
                Poll::Pending => Poll::Ready(Err(self.end(ended))),
                received @ Poll::Ready(_) => received.map_ok(Step::Received),
            },
            _ => self.poll_next(context).map_ok(Step::Received),
        }
    }
}

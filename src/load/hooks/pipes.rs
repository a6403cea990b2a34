//! The pipes of a child process: our ends of them, and what comes through, line by line and bounded.

use std::io;
use std::process::Child;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Bytes that are read at a time.
pub(super) const PIECE: usize = 64 << 10;

/// Our ends of its pipes.
pub(super) struct Pipes {
    pub(super) input: pipe::Sender,
    pub(super) output: pipe::Receiver,
    pub(super) errors: pipe::Receiver,
}

impl Pipes {
    /// Takes them from a child that has just been started.
    pub(super) fn of(child: &mut Child) -> io::Result<Self> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = child.stdin.take().ok_or_else(closed)?;
        let output = child.stdout.take().ok_or_else(closed)?;
        let errors = child.stderr.take().ok_or_else(closed)?;
        Ok(Self {
            input: pipe::Sender::from_owned_fd(input.into())?,
            output: pipe::Receiver::from_owned_fd(output.into())?,
            errors: pipe::Receiver::from_owned_fd(errors.into())?,
        })
    }
}

/// What comes through a pipe, line by line.
pub(super) struct Lines {
    pipe: pipe::Receiver,
    bytes: Vec<u8>,
    /// How far it has been looked at.
    seen: usize,
    most: usize,
    /// Whether nothing more will come.
    pub(super) ended: bool,
}

impl Lines {
    pub(super) fn new(pipe: pipe::Receiver, most: usize) -> Self {
        Self { pipe, bytes: Vec::new(), seen: 0, most, ended: false }
    }

    /// Reads a piece; false at the end, or when a line is too long.
    pub(super) async fn read(&mut self) -> bool {
        self.bytes.reserve(PIECE);
        matches!(self.pipe.read_buf(&mut self.bytes).await, Ok(count) if count > 0) && self.bytes.len() <= self.most
    }

    /// The next line that is whole.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes.get(self.seen..)?.iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.seen) else {
            self.seen = self.bytes.len();
            return None;
        };
        self.seen = 0;
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        line.pop();
        Some(line)
    }
}

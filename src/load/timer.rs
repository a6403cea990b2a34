//! Waiting for a moment, exactly.
//!
//! The runtime's own timers are good to a millisecond. An arrival is to be good to less, so the driver waits on a timer of the
//! kernel (`timerfd_create(2)`), which the runtime polls like a socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timer::TimerSetTimeFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer for one waiter.
#[derive(Debug)]
pub(super) struct Timer {
    fd: AsyncFd<Owned>,
}

/// A timer of the kernel, under a number that it keeps until it is dropped.
#[derive(Debug)]
struct Owned(TimerFd);

impl AsRawFd for Owned {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// A timer of the present runtime.
    pub(super) fn new() -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that change their number, which this one does not"
        )]
        let fd = AsyncFd::with_interest(Owned(fd), Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Waits for that long.
    pub(super) async fn wait(&mut self, length: Duration) -> io::Result<()> {
        if length.is_zero() {
            return Ok(());
        }
        self.fd.get_ref().0.set(Expiration::OneShot(TimeSpec::from_duration(length)), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.fd.readable().await?;
            // Reading it is what makes it not ready again.
            match ready.try_io(|fd| nix::unistd::read(&fd.get_ref().0, &mut [0; 8]).map_err(io::Error::from)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

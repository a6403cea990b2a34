//! Notices that a process runs another program than before, although its pid and start time are the same.
//!
//! An open `/proc/PID/mem` stays bound to the address space that it was opened on (`fs/proc/base.c`, `mem_open`). While that
//! lives, reading the never-mapped address 0 fails with EIO; after `exec` or exit a read returns 0 bytes. gunicorn execs in
//! place of a fork on USR2, when every address that was known for the process becomes worthless.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

/// The address space of a process, as it was when this was opened.
#[derive(Debug)]
pub struct Image {
    memory: File,
}

impl Image {
    /// Holds on to the present address space of a process. The process is neither stopped nor kept alive by it.
    ///
    /// # Errors
    ///
    /// When there is no such process, or when it may not be read: opening asks for the same right as reading.
    pub fn open(pid: i32) -> std::io::Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { memory })
    }

    /// Reads from this address space, whole or not at all.
    #[must_use]
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        self.memory.read_exact_at(bytes, address).ok()
    }

    /// Whether the process still runs in this address space.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match self.memory.read_at(&mut [0], 0) {
            Ok(count) => count > 0,
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn exec_and_exit_are_noticed() {
        let mut child = Command::new("sh")
            .args(["-c", "read line; exec sleep 600"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let pid = i32::try_from(child.id()).expect("pids fit");
        let shell = Image::open(pid).expect("our own child can be read");
        assert!(shell.is_current());
        drop(child.stdin.take());
        while shell.is_current() {
            std::thread::yield_now();
        }
        let sleep = Image::open(pid).expect("our own child can be read");
        assert!(sleep.is_current());
        child.kill().expect("it lives");
        child.wait().expect("it ends");
        assert!(!sleep.is_current());
    }
}

//! Where an output goes: a file that is written beside its place and renamed, so that nobody ever sees half of one, or a pipe.
//!
//! The temporary file is made anew (`O_EXCL`), and renaming replaces a symlink instead of following it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::signals::Writing;

/// Between two looks for a reader of a pipe.
const READER_TURN: Duration = Duration::from_millis(50);

/// What a path given by the user leads to.
pub(super) enum Place {
    /// Standard output.
    Stdout,
    /// A pipe or a terminal: something to write into, not to replace.
    Stream,
    /// A file, or nothing yet. A symlink is replaced, not followed.
    File,
}

impl Place {
    /// Tells by what is there now.
    pub(super) fn of(path: &Path) -> Result<Self, &'static str> {
        if path.as_os_str() == "-" || path == Path::new("/dev/stdout") {
            return Ok(Self::Stdout);
        }
        if path.file_name().is_none() {
            return Err("it names no file");
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") && !path.is_dir() {
            return Err("there is no such folder");
        }
        match fs::symlink_metadata(path).map(|metadata| metadata.file_type()) {
            Err(_) => Ok(Self::File),
            Ok(kind) if kind.is_file() || kind.is_symlink() => Ok(Self::File),
            Ok(kind) if kind.is_fifo() || kind.is_char_device() => Ok(Self::Stream),
            Ok(kind) if kind.is_dir() => Err("it is a folder"),
            Ok(_) => Err("it is neither a file nor a pipe"),
        }
    }
}

/// Opens a pipe as soon as somebody reads it, which the user may give up waiting for.
pub(super) fn open_stream(path: &Path, writing: &Writing) -> io::Result<File> {
    loop {
        writing.still_wanted()?;
        match OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => thread::park_timeout(READER_TURN),
            Err(error) => return Err(error),
            Ok(file) => {
                fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
                return Ok(file);
            }
        }
    }
}

/// A file beside its place, removed unless it is put there.
pub(super) struct Beside {
    pub(super) file: File,
    path: PathBuf,
}

impl Beside {
    pub(super) fn create(place: &Path) -> io::Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    pub(super) fn put_in_place(self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// A writer that fails as soon as the user has given up.
pub(super) struct GivesUp<'a> {
    pub(super) to: &'a mut dyn Write,
    pub(super) writing: &'a Writing,
}

impl Write for GivesUp<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing.still_wanted()?;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Writing {
    /// Fails as soon as the user has given up.
    pub(super) fn still_wanted(&self) -> io::Result<()> {
        if self.is_given_up() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }
}

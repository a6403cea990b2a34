//! Reading the files that a script names: regular files alone, and never more than a limit.
//!
//! A script may name anything: a device that has no end, a FIFO that nobody writes to, a file that grows while it is read.
//! Whatever is read for a script is read here, so that reading always ends. Knows nothing of what is in the files.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The largest certificate, key or list of authorities, in bytes.
pub const LARGEST_PEM: u64 = 4 << 20;

/// All of a regular file of at most `limit` bytes.
///
/// # Errors
///
/// In words: the system's reason, that it is no regular file, or that it is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let file = open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    // Looked at again: what is opened may be another file than the one before.
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// The same as text.
///
/// # Errors
///
/// As for [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    String::from_utf8(read(path, limit)?).map_err(|_| "this is not UTF-8".to_owned())
}

/// Opens a file without waiting for anybody. Devices are not opened at all: opening some of them does something.
fn open(path: &Path) -> std::io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

fn too_large(limit: u64) -> String {
    match limit {
        0x0010_0000.. => format!("it has more than {} MiB", limit >> 20),
        _ => format!("it has more than {} KiB", limit >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pyperf-files-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_has_no_end_or_no_writer_is_not_read() {
        let folder = Folder::new("fifo");
        let fifo = folder.0.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let refused = Err("it is no regular file".to_owned());
        for path in [fifo.as_path(), folder.0.as_path(), Path::new("/dev/zero")] {
            assert_eq!(read(path, 100), refused);
        }
        // It says that it has no bytes, and has some.
        assert!(read(Path::new("/proc/self/status"), 20).is_err_and(|why| why.starts_with("it has more than")));
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = Folder::new("limit");
        let path = folder.0.join("a");
        fs::write(&path, [b'x'; 2048]).expect("it can be written");
        assert_eq!(read(&path, 2048).map(|bytes| bytes.len()), Ok(2048));
        assert_eq!(read(&path, 2047), Err("it has more than 1 KiB".to_owned()));
        fs::write(&path, b"\xff").expect("it can be written");
        assert_eq!(read_text(&path, 2047), Err("this is not UTF-8".to_owned()));
    }
}

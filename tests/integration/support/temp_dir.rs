//! A directory that lives as long as its guard.
//!
//! It is made under cargo's own directory for tests, so whatever a killed test leaves behind goes with `cargo clean`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty directory of one's own, removed with all its contents on drop.
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes a new one.
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            match fs::create_dir(&path) {
                Ok(()) => return TempDir { path },
                // Left by a killed test whose process had our number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// The path of `name` in it, whether there is such a file or not.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

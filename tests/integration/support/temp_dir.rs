//! A directory that lives as long as its guard.
//!
//! It is made under cargo's own directory for tests, so whatever a killed test leaves behind goes with `cargo clean`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::{User, chown};

use super::say;

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

    /// Makes a new one that belongs to another user, which only root can do.
    pub fn of(user: &User) -> TempDir {
        let dir = TempDir::new();
        chown(&dir.path, Some(user.uid), Some(user.gid)).expect("root may give its files away");
        dir
    }

    /// The names of all that is in it, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("the directory is ours");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("it is readable").file_name().display().to_string();
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort_unstable();
        names
    }

    /// A name that no other test and no other run has, for what is looked for by name.
    pub fn unique_name(&self) -> String {
        let own = self.path.file_name().expect("it has a name").display();
        format!("unique-{own}")
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
            say::aloud(&format!("{}: {error}", self.path.display()));
        }
    }
}

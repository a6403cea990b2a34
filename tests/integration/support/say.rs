//! What must be read even when every test passes: cargo keeps what a passing test prints to itself.

use std::io::Write;

use nix::unistd::{Uid, User};

/// Writes a line to the standard error of the whole run.
pub fn aloud(text: &str) {
    // When nobody can read it there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The user `nobody`, if the tests run as root and can become it; else it says aloud what is not tested.
pub fn nobody_unless_not_root(untested: &str) -> Option<User> {
    is_root(untested).then(|| User::from_name("nobody").expect("the user database is readable").expect("it has nobody"))
}

/// Whether the tests run as root; if not, it says aloud what is not tested.
pub fn is_root(untested: &str) -> bool {
    let root = Uid::effective().is_root();
    if !root {
        aloud(&format!("NOT TESTED, because only root can: {untested}"));
    }
    root
}

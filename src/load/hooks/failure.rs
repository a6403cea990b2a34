//! How a hook failed: what is counted, what is told, and where in the user's own files it happened.
//!
//! It stands alone because both runtimes tell it as JavaScript's errors do, in the text of a stack.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::settings::Failed;

/// How a hook failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is counted as: `err.code`, or else the message.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// `file:line` in the user's files, if it is known.
    pub at: Option<String>,
}

impl Failure {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), at: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.at {
            Some(at) => write!(formatter, " ({at})"),
            None => Ok(()),
        }
    }
}

/// An error as `host.js` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Described {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) stack: String,
    /// Something of Node that the embedded engine lacks.
    pub(super) needs_node: bool,
}

impl Described {
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self { message: text.into(), ..Self::default() })
    }

    pub(super) fn failure(self, folder: &Path) -> Failure {
        let at = place(&self.stack, folder);
        Failure { code: self.code, message: self.message, at }
    }

    pub(super) fn failed(self, folder: &Path) -> Failed {
        let at = place(&self.stack, folder);
        // Node puts the files that asked for a missing module into further lines.
        let message = self.message.lines().next().unwrap_or_default().to_owned();
        Failed { message, at }
    }
}

/// The first place in a stack that is in a file of the user's: `functions.js:12`.
pub(super) fn place(stack: &str, folder: &Path) -> Option<String> {
    let own = |line: &&str| !line.contains("node_modules/");
    let places = || stack.lines().filter_map(location);
    let found = places().find(own).or_else(|| places().next())?;
    Some(found.strip_prefix(&format!("{}/", folder.display())).unwrap_or(found).into())
}

/// `/folder/file.js:12` of a line of a stack; nothing when it names no file.
fn location(line: &str) -> Option<&str> {
    let start = line.find('/')?;
    let text = line.get(start..)?;
    let text = text.strip_prefix("//").unwrap_or(text);
    if line.contains("node:") || !text.starts_with('/') {
        return None;
    }
    let mut parts = text.match_indices(':');
    let (colon, _) = parts.find(|(at, _)| text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit))?;
    let digits = text.get(colon + 1..)?.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..colon + 1 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_line_is_found() {
        let folder = Path::new("/srv/load");
        for stack in [
            "    at inner (/srv/load/node_modules/x/i.js:3:4)\n    at setAuth (/srv/load/functions.js:12:9)\n    at dispatch (host.js:1:1)",
            "Error: boom\n    at async setAuth (file:///srv/load/functions.js:12:9)",
            "/srv/load/functions.js:12\nlet = 3\n^^^\nSyntaxError: x\n    at node:internal/vm:73:18",
            "    at /srv/load/functions.js:12",
        ] {
            assert_eq!(place(stack, folder).as_deref(), Some("functions.js:12"), "{stack}");
        }
        assert_eq!(place("    at dispatch (host.js:1:1)\n   at node:internal/x:3", folder), None);
        assert_eq!(place("    at f (/other/x.js:7:1)", folder).as_deref(), Some("/other/x.js:7"));
    }
}

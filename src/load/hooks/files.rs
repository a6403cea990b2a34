//! The files that a processor may read: its modules, and what lies in the script's folder.
//!
//! It stands alone because it is the fence: links are followed before a path is judged, and nothing is ever written. Modules may
//! come from the package that the script is part of, since that is where `node_modules` and shared code are; data may not.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 32 << 20;

/// Where files may be.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The script's folder.
    data: PathBuf,
    /// The packages that the script and the processor are part of, and where packages are looked for.
    modules: Vec<PathBuf>,
}

/// What a file is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its code is run.
    Module,
    /// A hook reads it.
    Data,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    File,
    Folder,
}

impl Files {
    /// For a script's folder and a processor, both without links.
    pub(super) fn new(folder: &Path, processor: &Path) -> Self {
        let beside = processor.parent().unwrap_or(folder);
        let above = beside.ancestors().map(|folder| folder.join("node_modules"));
        let modules = [package(folder), package(beside)].map(Path::to_owned).into_iter().chain(above).collect();
        Self { data: folder.to_owned(), modules }
    }

    /// The path without links, if it may be used for that.
    pub(super) fn real(&self, path: &str, purpose: Purpose) -> Option<PathBuf> {
        let real = std::fs::canonicalize(path).ok()?;
        let inside = match purpose {
            Purpose::Module => self.modules.iter().any(|root| real.starts_with(root)) || real.starts_with(&self.data),
            Purpose::Data => real.starts_with(&self.data),
        };
        inside.then_some(real)
    }

    /// What is there, as far as may be known.
    pub(super) fn kind(&self, path: &str, purpose: Purpose) -> Kind {
        match self.real(path, purpose).and_then(|path| path.metadata().ok()) {
            Some(found) if found.is_file() => Kind::File,
            Some(found) if found.is_dir() => Kind::Folder,
            _ => Kind::Nothing,
        }
    }

    /// The whole of a file, or the code and the message of an error as Node has them.
    pub(super) fn read(&self, path: &str, purpose: Purpose) -> Result<Vec<u8>, (&'static str, String)> {
        let Some(real) = self.real(path, purpose) else {
            return Err(match std::fs::metadata(path) {
                Ok(_) => ("EACCES", format!("it is not in the script's folder, {}", self.data.display())),
                Err(_) => ("ENOENT", "no such file or directory".into()),
            });
        };
        if real.is_dir() {
            return Err(("EISDIR", "illegal operation on a directory".into()));
        }
        let mut bytes = Vec::new();
        let outcome = std::fs::File::open(&real).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match outcome {
            Ok(length) if length as u64 > LARGEST => Err(("EFBIG", format!("it is larger than {LARGEST} bytes"))),
            Ok(_) => Ok(bytes),
            Err(error) => Err(("EIO", error.to_string())),
        }
    }
}

/// The nearest folder upwards that has packages installed, or else is one; the folder itself when there is none.
fn package(from: &Path) -> &Path {
    let has = |name: &'static str| from.ancestors().find(move |folder| folder.join(name).exists());
    let found = has("node_modules").or_else(|| has("package.json"));
    found.filter(|folder| folder.parent().is_some()).unwrap_or(from)
}

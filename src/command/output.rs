//! Output files: written beside their place and renamed, so that nobody ever sees half of one.
//!
//! The temporary file is made anew (`O_EXCL`), and renaming replaces a symlink instead of following it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::signals::Writing;
use crate::problem::{Exit, Problem};
use crate::report::{Format, Report};
use crate::ui::Ui;

/// Checks, before anything is sampled, that a file can be written to this place.
pub(super) fn check(path: &Path) -> Result<(), Problem> {
    if is_stdout(path) {
        return Ok(());
    }
    let unwritable = |cause: &dyn std::fmt::Display| {
        Problem::new(Exit::Failed, format!("cannot write {}", path.display()))
            .because(cause)
            .hint("choose another place: -o FILE")
    };
    if path.is_dir() || path.file_name().is_none() {
        return Err(unwritable(&"it is a folder"));
    }
    Beside::create(path).map(drop).map_err(|error| unwritable(&error))
}

/// Writes a report to its place and says so. An empty one is refused with an explanation; `-` is standard output.
pub(super) fn deliver(
    ui: Ui,
    report: &Report<'_>,
    format: Format,
    path: &Path,
    writing: &Writing,
) -> Result<(), Problem> {
    refuse_empty(report)?;
    if is_stdout(path) {
        let mut bytes = Vec::new();
        report.write(format, &mut bytes).map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
        ui.bytes(&bytes);
    } else {
        write(report, format, path, writing)?;
        ui.written(&path.display().to_string(), &report.summary());
    }
    Ok(())
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Says why there is nothing to draw, if so: an empty graph explains nothing.
fn refuse_empty(report: &Report<'_>) -> Result<(), Problem> {
    if report.profile.samples > 0 {
        return Ok(());
    }
    let seconds = report.recording.length.as_secs_f64();
    Err(if report.profile.idle > 0 {
        Problem::new(Exit::Failed, "there is nothing to draw: no process was serving or working")
            .because(&format!("all {} samples of {seconds:.1} s show idle threads", report.profile.idle))
            .hint("sample while requests come in, or draw the idle threads with --idle")
    } else if !report.recording.samples.is_empty() {
        Problem::new(Exit::Failed, "there is nothing to draw: no sample is left of those that were taken")
            .because(&format!("{} samples were taken in {seconds:.1} s", report.recording.samples.len()))
            .hint("--by role shows the master, --idle idle threads, and without --gil all threads count")
    } else {
        Problem::new(Exit::Failed, "there is nothing to draw: not one sample was taken")
            .because(&format!("sampling went on for {seconds:.1} s; lost: {}", report.recording.losses.in_words()))
            .hint("sample for longer")
    })
}

/// Writes a report. If its place has become unwritable meanwhile, it goes to the folder for temporary files.
fn write(report: &Report<'_>, format: Format, path: &Path, writing: &Writing) -> Result<(), Problem> {
    let Err(error) = try_write(report, format, path, writing) else {
        return Ok(());
    };
    let cannot = Problem::new(Exit::Failed, format!("cannot write {}", path.display())).because(&error);
    if writing.is_given_up() {
        return Err(Problem::new(Exit::Interrupted, format!("interrupted: {} was not written", path.display())));
    }
    let refuge = std::env::temp_dir().join(path.file_name().unwrap_or_default());
    match try_write(report, format, &refuge, writing) {
        Ok(()) => Err(cannot.hint(format!("mv {} {}", refuge.display(), path.display()))),
        Err(_) => Err(cannot),
    }
}

fn try_write(report: &Report<'_>, format: Format, path: &Path, writing: &Writing) -> io::Result<()> {
    let beside = Beside::create(path)?;
    let mut to = BufWriter::with_capacity(1 << 16, GivesUp { file: &beside.file, writing });
    report.write(format, &mut to)?;
    to.flush()?;
    drop(to);
    writing.still_wanted()?;
    beside.put_in_place(path)
}

impl Writing {
    fn still_wanted(&self) -> io::Result<()> {
        if self.is_given_up() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }
}

/// A file beside its place, removed unless it is put there.
struct Beside {
    file: File,
    path: PathBuf,
}

impl Beside {
    fn create(place: &Path) -> io::Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    fn put_in_place(self, place: &Path) -> io::Result<()> {
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
struct GivesUp<'a> {
    file: &'a File,
    writing: &'a Writing,
}

impl Write for GivesUp<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing.still_wanted()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

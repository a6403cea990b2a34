//! Delivering a report: to its place, or with an explanation why there is none.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::place::{Beside, GivesUp, Place, open_stream};
use super::signals::Writing;
use crate::problem::{Exit, Problem};
use crate::profile::Measure;
use crate::recording::Frame;
use crate::report::Report;
use crate::ui::{self, Ui};

/// Checks, before anything is sampled, that a file can be written to this place.
pub(super) fn check(path: &Path) -> Result<(), Problem> {
    let unwritable = |cause: &dyn std::fmt::Display| cannot_write(path, cause).hint("choose another place: -o FILE");
    match Place::of(path).map_err(|why| unwritable(&why))? {
        Place::Stdout | Place::Stream => Ok(()),
        Place::File => Beside::create(path).map(drop).map_err(|error| unwritable(&error)),
    }
}

fn cannot_write(path: &Path, cause: &dyn std::fmt::Display) -> Problem {
    Problem::new(Exit::Failed, format!("cannot write {}", path.display())).because(cause)
}

/// What writes a report.
pub(super) type Fill<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// Writes a report to its place and says so, with what there is to say about it; `-` is standard output.
pub(super) fn deliver(ui: Ui, fill: Fill<'_>, about: &str, path: &Path, writing: &Writing) -> Result<(), Problem> {
    let failed = |error: io::Error| failure(path, &error, writing);
    match Place::of(path).map_err(|why| cannot_write(path, &why))? {
        Place::Stdout => stream(fill, &mut ui.stdout(), writing).map_err(failed),
        Place::Stream => {
            let pipe = open_stream(path, writing);
            pipe.and_then(|mut pipe| stream(fill, &mut pipe, writing)).map_err(failed)
        }
        Place::File => {
            write(fill, path, writing)?;
            ui.written(&path.display().to_string(), about);
            Ok(())
        }
    }
}

/// What to say of a report that could not be written whole.
fn failure(path: &Path, error: &io::Error, writing: &Writing) -> Problem {
    if writing.is_given_up() {
        Problem::new(Exit::Interrupted, format!("interrupted: {} was not written", path.display()))
    } else {
        cannot_write(path, error)
    }
}

/// Writes into something that cannot be replaced. A reader that went away is no failure.
fn stream(fill: Fill<'_>, to: &mut dyn Write, writing: &Writing) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, GivesUp { to, writing });
    match fill(&mut to).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Fails with the first of these problems, and shows the others before.
pub(super) fn foremost(problems: impl IntoIterator<Item = Problem>) -> Result<(), Problem> {
    let mut problems = problems.into_iter();
    let first = problems.next();
    problems.for_each(|problem| ui::problem(&problem));
    first.map_or(Ok(()), Err)
}

/// Why there is nothing to draw, if so: an empty graph explains nothing.
pub(super) fn nothing_to_draw(report: &Report<'_>) -> Option<Problem> {
    let problem = |sentence: &str| {
        let problem = Problem::new(Exit::Failed, format!("there is nothing to draw: {sentence}"));
        report.only.iter().fold(problem, |problem, only| problem.because(&format!("samples count {only}")))
    };
    let (recording, profile) = (report.recording, &report.profile);
    let seconds = recording.length.as_secs_f64();
    if profile.total > 0 {
        None
    } else if report.view.selection.measure == Measure::Cpu && !recording.samples.is_empty() {
        let taken = format!("{} samples were taken in {seconds:.1} s", recording.samples.len());
        let next = "sample while requests come in, or draw it with --mode wall";
        Some(problem("no thread was seen to use CPU time").because(&taken).hint(next))
    } else if profile.idle > 0 && report.view.selection.measure == Measure::Wall {
        let all = format!("all {} samples of {seconds:.1} s show idle threads", profile.idle);
        let next = "sample while requests come in, or draw the idle threads with --idle";
        let problem = problem("no process was serving or working").because(&all).hint(next);
        Some(if recording.stacks.frames().iter().any(Frame::is_of_greenlets) {
            problem.because(&"requests that wait inside gevent or eventlet cannot be seen yet, only those that run")
        } else {
            problem
        })
    } else if !recording.samples.is_empty() {
        let taken = format!("{} samples were taken in {seconds:.1} s", recording.samples.len());
        let next = "--by role shows the master, --idle idle threads, and without --gil or --mode all threads count";
        Some(problem("no sample is left of those that were taken").because(&taken).hint(next))
    } else if report.only.is_some() {
        Some(problem("no sample was taken then").hint("another --endpoint, or a recording with a higher --rate"))
    } else {
        let lost = recording.losses.in_words();
        let lost = if lost.is_empty() { "nothing".into() } else { lost };
        let why = format!("sampling went on for {seconds:.1} s; lost: {lost}");
        Some(problem("not one sample was taken").because(&why).hint("sample for longer"))
    }
}

/// Writes a report. If its place has become unwritable meanwhile, it goes to the folder for temporary files.
fn write(fill: Fill<'_>, path: &Path, writing: &Writing) -> Result<(), Problem> {
    let Err(error) = try_write(fill, path, writing) else {
        return Ok(());
    };
    let cannot = failure(path, &error, writing);
    if writing.is_given_up() {
        return Err(cannot);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let refuge = std::env::temp_dir().join(format!("pyperf-{}-{name}", std::process::id()));
    match try_write(fill, &refuge, writing) {
        Ok(()) => Err(cannot.hint(format!("mv {} {}", refuge.display(), path.display()))),
        Err(_) => Err(cannot),
    }
}

fn try_write(fill: Fill<'_>, path: &Path, writing: &Writing) -> io::Result<()> {
    let beside = Beside::create(path)?;
    let mut part = &beside.file;
    let mut to = BufWriter::with_capacity(1 << 16, GivesUp { to: &mut part, writing });
    fill(&mut to)?;
    to.flush()?;
    drop(to);
    writing.still_wanted()?;
    beside.put_in_place(path)
}

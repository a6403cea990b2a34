//! The graphs that one run of `pyperf attach` writes: one, or with `--all` one for each program.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use super::output;
use super::signals::Writing;
use crate::cli::Attach;
use crate::problem::Problem;
use crate::process::facts::Facts;
use crate::process::gunicorn;
use crate::profile::Level;
use crate::recording::Recording;
use crate::report::Report;
use crate::ui::Ui;

/// A file to write.
pub(super) struct Graph {
    /// Where.
    pub(super) path: PathBuf,
    /// The tree that it shows, by the pid of its root, and that program in words; without one it shows all.
    tree: Option<(i32, String)>,
}

impl Graph {
    /// The graphs of a run over these roots.
    pub(super) fn all(wish: &Attach, roots: &[i32]) -> Vec<Self> {
        match (&wish.output, roots) {
            (Some(path), _) => vec![Self { path: path.clone(), tree: None }],
            (None, [only]) => vec![Self { path: default_path(wish, *only), tree: None }],
            (None, several) => several
                .iter()
                .map(|root| Self { path: default_path(wish, *root), tree: Some((*root, describe(&[*root]))) })
                .collect(),
        }
    }

    fn report<'a>(&self, wish: &Attach, recording: &'a Recording) -> Report<'a> {
        let mut view = wish.view.clone();
        let Some((root, target)) = &self.tree else {
            let roots: BTreeSet<i32> = recording.processes.iter().map(|process| process.root).collect();
            if roots.len() > 1 {
                view.levels.insert(0, Level::Tree);
            }
            return Report::of(recording, view);
        };
        view.selection.root = Some(*root);
        Report::of(recording, view).about(target.clone())
    }
}

/// Draws every graph, whatever becomes of the others, and then fails with the first problem. Of several trees some may have
/// been idle: that is one only where all were.
pub(super) fn deliver_all(
    ui: Ui,
    wish: &Attach,
    recording: &Recording,
    graphs: &[Graph],
    writing: &Writing,
) -> Result<(), Problem> {
    writing.begin();
    let mut written = 0;
    let (mut empty, mut failed) = (None, None);
    for graph in graphs {
        let report = graph.report(wish, recording);
        let fill = |to: &mut dyn Write| report.write(wish.format, to);
        if let Some(nothing) = output::nothing_to_draw(&report) {
            if graphs.len() > 1 {
                ui.note(&format!("{} is not written: {}", graph.path.display(), nothing.causes.join(", ")));
            }
            empty.get_or_insert(nothing);
        } else if let Err(problem) = output::deliver(ui, &fill, &report.summary(), &graph.path, writing) {
            failed.get_or_insert(problem);
        } else {
            written += 1;
        }
    }
    match (failed, empty) {
        (Some(problem), _) => Err(problem),
        (None, Some(nothing)) if written == 0 => Err(nothing),
        _ => Ok(()),
    }
}

fn default_path(wish: &Attach, root: i32) -> PathBuf {
    let master = served_by(root).unwrap_or(root);
    format!("profile-{master}.{}", wish.format.extension()).into()
}

/// The Python process that a wrapper given by `--pid` (sh, tini, uv) has started.
fn served_by(root: i32) -> Option<i32> {
    let facts = Facts::read(root)?;
    if facts.is_python() {
        return Some(root);
    }
    let mut below: Vec<i32> =
        Facts::all().into_values().filter(|facts| facts.parent == root).map(|facts| facts.id.pid).collect();
    below.sort_unstable();
    below.into_iter().find_map(served_by)
}

/// The programs with these roots in words: `gunicorn booking:app, pid 4121`.
pub(super) fn describe(roots: &[i32]) -> String {
    let of = |root: &i32| {
        let facts = Facts::read(served_by(*root)?)?;
        let app = gunicorn::app(&facts).map(|app| format!(" {app}")).unwrap_or_default();
        let names = facts.names();
        let name = if gunicorn::is_gunicorn(&facts) { "gunicorn" } else { names.last().copied().unwrap_or("python") };
        Some(format!("{name}{app}, pid {}", facts.id))
    };
    roots.iter().filter_map(of).collect::<Vec<_>>().join(" + ")
}

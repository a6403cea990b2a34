//! What a run with load leaves: a recording, a graph and two reports in one folder, and the load's numbers where they are wanted.
//!
//! Every place is tried before the run; afterwards everything is written that can be, whatever becomes of the rest.

use std::io::Write;
use std::path::PathBuf;

use super::folder::Folder;
use super::load;
use super::output::{self, Fill};
use super::signals::Writing;
use crate::cli::RunWithLoad;
use crate::clock::Clock;
use crate::problem::Problem;
use crate::report::Report;
use crate::report::whole::Whole;
use crate::ui::Ui;

/// Where everything goes.
pub(super) struct Results {
    folder: Folder,
    graph: PathBuf,
    numbers: Option<PathBuf>,
}

impl Results {
    /// Makes the folder, and tries the other places.
    pub(super) fn place(wish: &RunWithLoad, roots: &[i32], clock: Clock) -> Result<Self, Problem> {
        let numbers = wish.run.output.as_deref().map(|path| load::place(path, clock));
        numbers.as_deref().map_or(Ok(()), output::check)?;
        let folder = Folder::make(wish.out.as_deref(), clock)?;
        let master = roots.first().copied().unwrap_or_default();
        let graph = folder.file(&format!("profile-{master}.{}", wish.format.extension()));
        Ok(Self { folder, graph, numbers })
    }

    /// The file that the run is recorded in.
    pub(super) fn recording(&self) -> PathBuf {
        self.folder.file("run.pyperf")
    }

    /// Takes away what a run that did not begin would leave.
    pub(super) fn give_up(&self) {
        let _ = std::fs::remove_file(self.recording());
        self.folder.give_up();
    }

    /// Writes everything, says where it is, and tells what could not be written. Once the user has lost patience, no more.
    pub(super) fn deliver(&self, ui: Ui, wish: &RunWithLoad, whole: &Whole<'_>, writing: &Writing) -> Vec<Problem> {
        let graph = Report::of(whole.recording, wish.view.clone());
        let nothing = output::nothing_to_draw(&graph);
        if let Some(nothing) = &nothing {
            ui.note(&format!("{}: {}", nothing.sentence, nothing.causes.join(", ")));
        }
        let about = graph.summary();
        let draw = |to: &mut dyn Write| graph.write(wish.format, to);
        let json = |to: &mut dyn Write| whole.write_json(to);
        let text = |to: &mut dyn Write| whole.write_text(to);
        let numbers = |to: &mut dyn Write| whole.load.write_json(wish.run.layout, to);
        let outputs: [(Fill<'_>, &str, Option<PathBuf>); 4] = [
            (&draw, &about, nothing.is_none().then(|| self.graph.clone())),
            (&json, "everything as JSON", Some(self.folder.file("report.json"))),
            (&text, "what was printed here", Some(self.folder.file("report.txt"))),
            (&numbers, "the numbers as Artillery's JSON", self.numbers.clone()),
        ];
        let mut failed = Vec::new();
        for (fill, about, path) in outputs {
            let Some(path) = path else { continue };
            failed.extend(output::deliver(ui, fill, about, &path, writing).err());
            if writing.is_given_up() {
                break;
            }
        }
        failed
    }
}

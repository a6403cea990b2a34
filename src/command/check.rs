//! `pyperf check`: everything that is wrong, ignored or changed in a script, before any request.

use super::processor;
use crate::cli::Processing;
use crate::clock::Clock;
use crate::load::http::Proxies;
use crate::load::plan::Plan;
use crate::problem::{Exit, Problem};
use crate::redact;
use crate::scenario::finding::{Findings, Severity};
use crate::scenario::load::{Wanted, load};
use crate::scenario::script::Script;
use crate::ui::{self, Ui, Verbosity};

/// Says it.
pub(super) fn run(wanted: &Wanted, processing: Processing) -> Result<(), Problem> {
    let mut loaded = load(wanted);
    let ui = Ui::new(Verbosity::Normal);
    if let Some(script) = &loaded.script {
        let wish = (wanted, processing);
        processor::load(ui, script, wish, Proxies::default(), Clock::start(), &mut loaded.findings)?;
    }
    loaded.script = loaded.script.filter(|_| !loaded.findings.has_errors());
    ui.result(&ui::coloured(&loaded.findings.text(&loaded.sources)));
    match &loaded.script {
        Some(script) => {
            ui.result(&format!("{}; {}\n", counted(&loaded.findings), plan(script, wanted.seed)));
            Ok(())
        }
        None => Err(refusal(&loaded.findings)),
    }
}

/// Why a script is not run. What is wrong with it has been told.
pub(super) fn refusal(findings: &Findings) -> Problem {
    Problem::new(Exit::Usage, format!("the script cannot run: {}", counted(findings)))
}

/// `1 error, 2 ignored, 3 notes`
fn counted(findings: &Findings) -> String {
    let kinds = [
        (Severity::Error, "error", "errors"),
        (Severity::Ignored, "ignored", "ignored"),
        (Severity::Changed, "note", "notes"),
    ];
    let told: Vec<String> = kinds
        .iter()
        .map(|(severity, one, many)| (findings.count(*severity), one, many))
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    if told.is_empty() { "nothing to say".to_owned() } else { told.join(", ") }
}

/// What would be run, in a line.
pub(super) fn plan(script: &Script, seed: u64) -> String {
    let plan = Plan::of(&script.phases, seed);
    let users: u64 = (0..script.phases.len()).map(|phase| plan.expected(phase)).fold(0, u64::saturating_add);
    format!(
        "{} in {} s: {}, {}, {} against {}",
        counted_noun(usize::try_from(users).unwrap_or(usize::MAX), "user"),
        (plan.length().as_secs_f64() * 10.0).round() / 10.0,
        counted_noun(script.phases.len(), "phase"),
        counted_noun(script.scenarios.len(), "scenario"),
        counted_noun(script.endpoints.iter().count(), "endpoint"),
        redact::text(&script.target),
    )
}

fn counted_noun(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

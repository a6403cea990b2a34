//! The processor of a script: loaded before the run, and asked which functions it has.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::cli::Processing;
use crate::clock::Clock;
use crate::load::hooks::{Processor, Said, Sink, Source};
use crate::load::http::Proxies;
use crate::load::lines::{self, Lines, Logged};
use crate::load::settings;
use crate::problem::{Advice, Exit, Problem};
use crate::redact;
use crate::scenario::finding::Findings;
use crate::scenario::hook;
use crate::scenario::load::Wanted;
use crate::scenario::script::Script;
use crate::ui::Ui;

/// A processor that is ready, and where what it prints goes.
pub(super) struct Ready {
    pub(super) processor: Processor,
    pub(super) lines: (Lines, Logged),
    /// What is doubtful in functions that are to change requests.
    pub(super) doubts: Vec<String>,
}

/// Loads the processor of a script, if it calls any; what there is to say of it is added to the findings.
pub(super) fn load(
    ui: Ui,
    script: &Script,
    wish: (&Wanted, Processing),
    proxies: Proxies,
    clock: Clock,
    findings: &mut Findings,
) -> Result<Option<Ready>, Problem> {
    let Some(named) = &script.processor else { return Ok(None) };
    let (wanted, processing) = wish;
    let folder = named.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let source = Source {
        file: named.path.clone(),
        folder: folder.map_or_else(|| PathBuf::from("."), PathBuf::from),
        runtime: processing.runtime,
        environment: wanted.environ.clone().into_iter().collect(),
        test_run_id: script.shared.get("$testId").and_then(|id| id.as_str()).unwrap_or_default().to_owned(),
    };
    let (lines, logged) = lines::channel();
    let said = lines.clone();
    // What the script knows is not known to be secret here; what looks like it is hidden all the same.
    let sink = Sink::new(move |line| match line {
        Said::Console(text) => said.say(&redact::text(text)),
        Said::Note(text) => said.say(&format!("processor: {}", redact::text(text))),
    });
    let processor = match Processor::start(source, processing.limits, settings(script, proxies), clock, sink) {
        Ok(processor) => processor,
        Err(error) if error.exit() == Exit::Usage => {
            // What it printed may say why.
            logged.take().for_each(|line| ui.remark(&line));
            findings.error(named.span, error.to_string(), &error.hint().unwrap_or_default());
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let functions: Vec<String> = processor.functions().map(str::to_owned).collect();
    let doubts = RefCell::new(Vec::new());
    let doubt = |name: &str| {
        let lint = processor.lint(name)?;
        doubts.borrow_mut().push(format!("{} ({})", lint.message, lint.at));
        Some((lint.message.clone(), lint.at.clone()))
    };
    hook::review(script, &functions, &doubt, findings);
    let mut doubts = doubts.into_inner();
    doubts.dedup();
    Ok(Some(Ready { processor, lines: (lines, logged), doubts }))
}

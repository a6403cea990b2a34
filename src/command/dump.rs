//! `pyperf dump`: the stacks of this moment, of every worker.

use crate::cli::Dump;
use crate::clock::Clock;
use crate::problem::{Exit, Problem};
use crate::process::access;
use crate::process::find::find;
use crate::process::tree::{Member, ProcessTree};
use crate::report::{DumpedProcess, dump_json, dump_text};
use crate::stack::pyspy::PySpyReader;
use crate::stack::{Options, StackReader};
use crate::ui::{Ui, Verbosity};

/// Reads each process once and prints.
pub(super) fn run(wish: &Dump) -> Result<(), Problem> {
    let ui = Ui::new(Verbosity::Normal);
    let roots = find(&wish.wanted)?;
    for root in &roots {
        access::check(*root, &wish.wanted)?;
    }
    let mut tree = ProcessTree::new(roots, wish.follow);
    tree.refresh();
    let python: Vec<&Member> = tree.members().filter(|member| member.facts.is_python()).collect();
    // Supervisors serve nothing; but one that was asked for by itself is shown.
    let only_supervisors = python.iter().all(|member| member.role.is_supervisor());
    let clock = Clock::start();
    let mut processes = Vec::new();
    let mut failure = None;
    for member in python.into_iter().filter(|member| only_supervisors || !member.role.is_supervisor()) {
        match read(member, wish.reading, clock) {
            Ok(process) => processes.push(process),
            Err(why) => {
                ui.note(&format!("process {} could not be read: {why}", member.facts.id));
                failure.get_or_insert(why);
            }
        }
    }
    if processes.is_empty() {
        let problem = Problem::new(Exit::Failed, format!("no Python process to show for {}", wish.wanted));
        return Err(match failure {
            Some(why) => problem.because(&why),
            None => problem,
        });
    }
    ui.result(&if wish.json { dump_json(&processes) + "\n" } else { dump_text(&processes) });
    Ok(())
}

fn read(member: &Member, options: Options, clock: Clock) -> Result<DumpedProcess, String> {
    let mut reader = PySpyReader::attach(member.facts.id.pid, options, clock).map_err(|error| error.to_string())?;
    Ok(DumpedProcess {
        id: member.facts.id,
        role: member.role,
        python: reader.version(),
        threads: reader.read().map_err(|error| error.to_string())?,
    })
}

//! `pyperf dump`: the stacks of this moment, of every worker.

use super::sampling::tell_instead;
use crate::cli::Dump;
use crate::clock::Clock;
use crate::problem::{Exit, Problem};
use crate::process::access;
use crate::process::find::find;
use crate::process::tree::ProcessTree;
use crate::process::{ProcessId, Role};
use crate::recording::ThreadStack;
use crate::report::{DumpedProcess, dump_json, dump_text};
use crate::stack::request::proven_role;
use crate::stack::{self, Options};
use crate::ui::{Ui, Verbosity};

/// Reads each process once and prints.
pub(super) fn run(wish: &Dump) -> Result<(), Problem> {
    let ui = Ui::new(Verbosity::Normal);
    let roots = find(&wish.wanted)?;
    for root in &roots {
        access::check(*root, &format!("dump {}", wish.wanted))?;
    }
    let mut tree = ProcessTree::new(roots, wish.follow);
    tree.refresh();
    let clock = Clock::start();
    let mut processes = Vec::new();
    let mut failure = None;
    let python: Vec<ProcessId> = tree.members().filter(|member| member.facts.is_python()).map(|m| m.facts.id).collect();
    for id in python {
        match read(ui, id, wish.reading, clock) {
            Ok((python, threads)) => {
                if let Some(role) = proven_role(&threads) {
                    tree.set_role(id, role);
                }
                processes.push(DumpedProcess { id, role: Role::Main, python, threads });
            }
            Err(why) => {
                ui.note(&format!("process {id} could not be read: {why}"));
                failure.get_or_insert(why);
            }
        }
    }
    for process in &mut processes {
        let member = tree.members().find(|member| member.facts.id == process.id);
        process.role = member.map_or(process.role, |member| member.role);
    }
    // Supervisors serve nothing; but one that was asked for by itself is shown.
    if processes.iter().any(|process| !process.role.is_supervisor()) {
        processes.retain(|process| !process.role.is_supervisor());
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

fn read(ui: Ui, id: ProcessId, options: Options, clock: Clock) -> Result<(String, Vec<ThreadStack>), String> {
    let mut reader = stack::open(id.pid, options, clock).map_err(|error| error.to_string())?;
    if let Some(why) = &reader.instead {
        tell_instead(ui, id, why);
    }
    // The first read makes the threads known, so that the second can look at what each was doing before and after.
    let _ = reader.stacks.read();
    Ok((reader.python, reader.stacks.read().map_err(|error| error.to_string())?))
}

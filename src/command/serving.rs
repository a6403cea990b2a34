//! Who serves the target of a load on this machine, and whether anybody does: asked before the first request.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::cli::RunWithLoad;
use crate::problem::{Exit, Problem};
use crate::process::find::{FindError, Wanted, find};
use crate::scenario::script::Script;
use crate::ui::Ui;

/// How long the target may take to accept a connection before the run.
const PATIENCE: Duration = Duration::from_secs(3);

/// The program to sample: the one that the user names, else the one that listens where the load goes.
pub(super) fn roots(ui: Ui, wish: &RunWithLoad, script: &Script) -> Result<Vec<i32>, Problem> {
    if let Some(wanted) = &wish.wanted {
        return Ok(find(wanted)?);
    }
    let (host, port) = address(script)?;
    match find(&Wanted::Listening { host, port }) {
        Ok(roots) => Ok(roots),
        // A proxy in front, or another name space: then it has to be known by its name.
        Err(why @ FindError::Listening(_)) => match find(&Wanted::Name("gunicorn".into())) {
            Ok(roots) => {
                ui.note(&format!("{why}; sampling gunicorn, which runs here"));
                Ok(roots)
            }
            Err(_) => Err(why.into()),
        },
        Err(why) => Err(why.into()),
    }
}

fn address(script: &Script) -> Result<(String, u16), Problem> {
    let url = url::Url::parse(&script.target).ok();
    let parts = url.as_ref().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
    parts.ok_or_else(|| Problem::new(Exit::Usage, "the target has no host and port"))
}

/// Whether somebody accepts connections where the load goes.
pub(super) fn reachable(script: &Script) -> Result<(), Problem> {
    let (host, port) = address(script)?;
    let refused = |why: &dyn std::fmt::Display| {
        let problem = Problem::new(Exit::Failed, format!("nobody answers at {host}:{port}")).because(why);
        problem.hint("start the server, or name another with --target URL")
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses = (bare, port).to_socket_addrs().map_err(|error| refused(&error))?.peekable();
    if addresses.peek().is_none() {
        return Err(refused(&"the host has no address"));
    }
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), |error| Err(refused(&error)))
}

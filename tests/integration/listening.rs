//! Who serves an address: found from the socket, whatever the server was launched by.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use pyperf::problem::{Advice, Exit};
use pyperf::process::find::{FindError, Wanted, find};

use crate::support::apps;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, Launcher};
use crate::support::output::Output;
use crate::support::process::{self, Process};
use crate::support::python::Python;

#[test]
fn an_address_leads_to_the_master_that_listens_there() {
    for packages in [Packages::Web, Packages::Titles] {
        let environment = Environment::new(&Python::default(), packages);
        for launcher in [Launcher::Script, Launcher::Module, Launcher::Shell] {
            let gunicorn = Gunicorn::of(&environment).launcher(launcher).workers(2).start();
            let port = gunicorn.address().port();
            for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
                assert_eq!(found(host, port).expect("it is there"), [gunicorn.pid()], "{launcher:?} {host}");
            }
            let words = refusal("127.0.0.2", port, Exit::NoProcess);
            assert_eq!(words, format!("nothing listens on 127.0.0.2:{port}; there is 127.0.0.1:{port}"));
        }
    }
}

#[test]
fn workers_that_have_a_socket_each_lead_to_their_master() {
    for packages in [Packages::Web, Packages::Titles] {
        let environment = Environment::new(&Python::default(), packages);
        for workers in [1, 2] {
            let (gunicorn, address) = reusing_its_port(&environment, workers);
            // The shell is the master's parent.
            let master = process::children(gunicorn.pid())[0];
            assert_eq!(process::children(master).len(), workers);
            let found = found(&address.ip().to_string(), address.port());
            assert_eq!(found.expect("it is there"), [master], "{workers} workers");
        }
    }
}

#[test]
fn what_listens_and_is_not_python_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = listener.local_addr().expect("it is bound").port();
    let words = refusal("127.0.0.1", port, Exit::NoProcess);
    let pid = std::process::id();
    assert!(words.contains(&format!("(pid {pid}) listens on 127.0.0.1:{port}, and it is not Python")), "{words}");
    drop(listener);
    let words = refusal("127.0.0.1", port, Exit::NoProcess);
    assert_eq!(words, format!("nothing listens on 127.0.0.1:{port}"));
}

#[test]
fn another_machines_address_is_said_to_be_that() {
    // TEST-NET-1 of RFC 5737 is nobody's.
    let words = refusal("192.0.2.1", 80, Exit::NoProcess);
    assert!(words.contains("192.0.2.1 is not this machine"), "{words}");
}

fn found(host: &str, port: u16) -> Result<Vec<i32>, FindError> {
    find(&Wanted::Listening { host: host.to_owned(), port })
}

/// What is said of an address that leads to no Python program; there is always something to do about it.
fn refusal(host: &str, port: u16, exit: Exit) -> String {
    let error = found(host, port).expect_err("nothing should be found");
    assert_eq!(error.exit(), exit, "{error}");
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

/// A gunicorn with `--reuse-port` below a shell. It needs a port that is known before, so it gets an address of its own.
fn reusing_its_port(environment: &Environment, workers: usize) -> (Process, SocketAddr) {
    let [_, high, low, _] = std::process::id().to_be_bytes();
    let probe =
        TcpListener::bind((std::net::Ipv4Addr::new(127, 1 + high % 200, low, 77), 0)).expect("a port can be had");
    let address = probe.local_addr().expect("it is bound");
    drop(probe);
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let mut command = Command::new("sh");
    command.args(["-c", r#""$@"; exit $?"#, "sh"]).arg(environment.script("gunicorn"));
    command.arg("--config").arg(apps().join("gunicorn_settings.py")).arg("--chdir").arg(apps());
    command.args(["--reuse-port", "--bind", &address.to_string(), "--workers", &workers.to_string()]);
    command.arg("api:application").env_remove("GUNICORN_CMD_ARGS").env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
    let process = Process::spawn(command);
    Output::of(reader).wait_for_lines("Worker ready: ", workers);
    (process, address)
}

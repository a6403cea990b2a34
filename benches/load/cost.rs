//! CPU time of a driver for each request, against nginx with a fixed answer.
//!
//! The start of a program is not what a request costs: each driver runs for short and for long, and what counts is the
//! difference. pyperf runs once with all that a script can ask for at every request, and once as plainly as its peers.

use pyperf::clock::Clock;

use crate::child::{Used, run};
use crate::driver::{Scratch, command};
use crate::server::Nginx;
use crate::table::{Aims, Table};
use crate::{Peers, ROUNDS, median};

const USERS: [u64; 3] = [10, 100, 500];
/// Requests of a short and of a long run.
const REQUESTS: [u64; 2] = [10_000, 80_000];
/// wrk counts time, not requests.
const SECONDS: [u64; 2] = [1, 2];

/// What may be compared.
const NAMES: [&str; 4] = ["wrk", "oha", "pyperf, plain", "pyperf, all on"];

/// A template in the address and in a header, a capture that is read again, an expectation.
const ALL_ON: &str = r#"
          - get:
              url: "/orders/{{ $loopCount }}"
              headers: { x-token: "{{ token }}" }
              capture: { json: $.token, as: token }
              expect: { statusCode: 200 }"#;
const PLAIN: &str = r"
          - get: { url: /orders }";

/// One figure of one driver.
#[derive(Clone, Default)]
struct Figures {
    micros: Vec<f64>,
    rate: Vec<f64>,
    busy: Vec<f64>,
    peak: Vec<f64>,
}

pub fn measure(peers: &Peers, aims: &mut Aims) {
    let nginx = Nginx::start(&peers.nginx);
    let clock = Clock::start();
    let mut table = Table::new(
        "CPU for each request, nginx with a fixed answer of 200 bytes, keep-alive",
        &["driver", "users", "µs/request", "of oha", "requests/s", "CPU busy", "peak MiB"],
    );
    for users in USERS {
        let mut figures = vec![Figures::default(); NAMES.len()];
        for _ in 0..ROUNDS {
            for (name, figures) in NAMES.iter().zip(&mut figures) {
                let [short, long] = [0, 1].map(|length| driven(peers, name, users, length, &nginx.target(), clock));
                figures.add(&short, &long);
            }
        }
        let oha = median(figures[1].micros.clone());
        for (name, figures) in NAMES.iter().zip(&figures) {
            let [micros, rate, busy, peak] =
                [&figures.micros, &figures.rate, &figures.busy, &figures.peak].map(|values| median(values.clone()));
            table.row([
                (*name).to_owned(),
                users.to_string(),
                format!("{micros:.2}"),
                format!("{:.2}", micros / oha),
                format!("{rate:.0}"),
                format!("{:.0} %", busy * 100.0),
                format!("{peak:.1}"),
            ]);
            if name.starts_with("pyperf") {
                aims.at_most(&format!("CPU for each request, {name}, {users} users"), micros / oha, 1.3, "of oha's");
            }
        }
    }
    table.print();
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn add(&mut self, short: &(Used, u64), long: &(Used, u64)) {
        let requests = long.1.saturating_sub(short.1) as f64;
        let cpu = long.0.cpu.saturating_sub(short.0.cpu).as_secs_f64();
        let elapsed = long.0.elapsed.saturating_sub(short.0.elapsed).as_secs_f64();
        self.micros.push(cpu / requests * 1e6);
        self.rate.push(requests / elapsed);
        self.busy.push(cpu / elapsed);
        self.peak.push(long.0.peak);
    }
}

/// What a driver used, and how many requests it sent.
fn driven(peers: &Peers, name: &str, users: u64, length: usize, target: &str, clock: Clock) -> (Used, u64) {
    let (users_text, url) = (users.to_string(), format!("{target}/orders"));
    match name {
        "wrk" => {
            let duration = format!("{}s", SECONDS[length]);
            let used = run(&mut command(&peers.wrk, ["-t1", "-c", &users_text, "-d", &duration, &url]), clock);
            let sent = used.said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
            let sent = sent.unwrap_or_else(|| panic!("wrk does not say how many:\n{}", used.said));
            (used, sent)
        }
        "oha" => {
            let count = REQUESTS[length].to_string();
            let arguments = ["--no-tui", "-n", &count, "-c", &users_text, &url];
            (run(&mut command(&peers.oha, arguments), clock), REQUESTS[length])
        }
        _ => {
            let each = REQUESTS[length] / users;
            let step = if name.ends_with("on") { ALL_ON } else { PLAIN };
            let script = Scratch::new("cost.yaml", &script(target, users, each, step));
            let arguments =
                ["run".as_ref(), "--quiet".as_ref(), "--fail-on-errors".as_ref(), script.path().as_os_str()];
            let used = run(&mut command(&peers.pyperf, arguments), clock);
            (used, each * users)
        }
    }
}

fn script(target: &str, users: u64, each: u64, step: &str) -> String {
    format!(
        "config:\n  target: {target}\n  variables: {{ token: none }}\n  phases: [{{ duration: 100ms, arrivalCount: {users} }}]\n  \
         plugins: {{ expect: {{ outputFormat: prettyError }} }}\n\
         scenarios:\n  - flow:\n      - loop:{step}\n        count: {each}\n"
    )
}

//! What users cost who have sent a request, hold their connection and think.

use pyperf::clock::Clock;

use crate::child::run;
use crate::driver::{Scratch, command};
use crate::server::Nginx;
use crate::table::{Aims, Table};
use crate::{Peers, ROUNDS, median};

const USERS: [u32; 3] = [1, 1000, 10_000];
/// Seconds in which they arrive.
const ARRIVE: u32 = 5;

pub fn measure(peers: &Peers, aims: &mut Aims) {
    let nginx = Nginx::start(&peers.nginx);
    let clock = Clock::start();
    let peak = |users: u32| {
        let script = Scratch::new("memory.yaml", &script(&nginx.target(), users));
        let arguments = ["run".as_ref(), "--quiet".as_ref(), "--fail-on-errors".as_ref(), script.path().as_os_str()];
        run(&mut command(&peers.pyperf, arguments), clock).peak
    };
    let mut peaks = USERS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (users, peaks) in USERS.iter().zip(&mut peaks) {
            peaks.push(peak(*users));
        }
    }
    let peaks = peaks.map(median);
    let mut table =
        Table::new("Memory of users that think, each with its connection", &["users", "peak MiB", "KiB a user"]);
    for (users, peak) in USERS.iter().zip(&peaks) {
        let each = (peak - peaks[0]) * 1024.0 / f64::from(*users);
        table.row([
            users.to_string(),
            format!("{peak:.1}"),
            if *users > 1 { format!("{each:.1}") } else { String::new() },
        ]);
    }
    table.print();
    aims.at_most("memory of 10 000 users that think", peaks[2], 200.0, "MiB");
}

/// All of them are there at once for a second: the first thinks until the last has come.
fn script(target: &str, users: u32) -> String {
    format!(
        "config:\n  target: {target}\n  phases: [{{ duration: {ARRIVE}, arrivalCount: {users} }}]\n\
         scenarios:\n  - flow:\n      - get: {{ url: / }}\n      - think: {}\n      - get: {{ url: / }}\n",
        ARRIVE + 1
    )
}

//! Made-up traffic for the tests of this folder, and the run whose summary stands in the README of the team.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::LoadReport;
use super::figures::WIDTH;
use crate::clock::Moment;
use crate::recording::traffic::{
    EndpointLabel, Exchange, Failure, FailureKind, Failures, Numbers, Outcome, PhaseRun, SeriesKey, Signature, Summary,
    Tally, Traffic, Users,
};
use crate::scenario::plugins::Plugins;

/// 2020-11-09 12:00:23.25 in Vancouver, then the first request.
pub(super) const BEGAN: Duration = Duration::from_millis(1_604_952_023_250);
pub(super) const README_NAMES: [&str; 3] =
    ["CSR – Login, load data, idle", "CSR – Sockets", "CSR – Login, create and delete appointments"];

pub(super) fn label(method: &str, path: &str, query: &str, name: Option<&str>) -> EndpointLabel {
    EndpointLabel {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        name: name.map(str::to_owned),
        metric: Some(path.into()),
    }
}

pub(super) fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// The numbers of the run in the README, as far as its summary shows them.
pub(super) fn readme() -> Numbers {
    Numbers {
        span: Some((at(0), at(138_750))),
        users: Users { created: 619, completed: 618, failed: 1, skipped: 0 },
        created_by: BTreeMap::from([(0, 200), (1, 206), (2, 213)]),
        requests: 3953,
        requested: Some((at(0), at(130_000))),
        codes: BTreeMap::from([(0, 412), (200, 2690), (201, 425), (204, 425), (504, 1)]),
        errors: BTreeMap::from([("ECONNRESET".to_owned(), 1)]),
        bytes: 5_000_000,
        first_byte: Some(Summary {
            max: 30_051.4,
            count: 3953,
            mean: 4000.04,
            p50: 3412.0,
            p75: 6000.0,
            p90: 9000.0,
            p95: 11_993.4,
            p99: 17_865.3,
            p999: 29_000.0,
            min: 0.0,
        }),
        ..Numbers::default()
    }
}

/// Traffic in the making.
pub(super) struct Sample(Traffic);

impl Sample {
    /// A run of one phase and one scenario in which nothing has happened yet.
    pub(super) fn new() -> Self {
        let phase = PhaseRun {
            name: "Ramp".into(),
            began: at(0),
            length: Duration::from_secs(60),
            planned: 100,
            most_users: None,
        };
        Self(Traffic {
            target: "http://user:pw@h/".into(),
            seed: 7,
            anchor: anchor(),
            phases: vec![phase],
            scenarios: README_NAMES.map(str::to_owned).to_vec(),
            endpoints: Vec::new(),
            began: at(0),
            ended: at(138_750),
            cut_short: false,
            abandoned: 0,
            windows: Vec::new(),
            total: Tally::default(),
            failures: Failures::new(1),
            driver_cpu: Duration::from_secs(2),
        })
    }

    pub(super) fn endpoint(&mut self, method: &str, path: &str) -> &mut Self {
        self.0.endpoints.push(label(method, path, "", None));
        self
    }

    /// So many exchanges of a length: `counts` are added up.
    pub(super) fn answers(&mut self, endpoint: u32, status: u16, millis: u64, counts: &[u64]) -> &mut Self {
        for _ in 0..counts.iter().sum() {
            self.exchange(endpoint, Outcome::Status(status), &exchange(millis));
        }
        self
    }

    pub(super) fn exchange(&mut self, endpoint: u32, outcome: Outcome, exchange: &Exchange) -> &mut Self {
        self.0.total.begin(at(100));
        self.0.total.exchange(SeriesKey { phase: 0, scenario: 0, endpoint, outcome }, exchange);
        self
    }

    pub(super) fn fails(&mut self, endpoint: u32, kind: &FailureKind, status: Option<u16>, count: u64) -> &mut Self {
        let signature =
            Signature { scenario: Some(0), step: "csr.yaml:34".into(), endpoint: Some(endpoint), kind: kind.clone() };
        for user in 0..count {
            self.0.failures.add(signature.clone(), || Failure {
                moment: at(12_400),
                user,
                phase: 0,
                request: "POST http://h/api/v1/appointments/".into(),
                status,
                headers: vec![("content-type".into(), "text/html".into()), ("x-b3".into(), "1".into())],
                body: "<html>\n  <h1>504</h1>\u{1b}[2J\n</html>".into(),
                detail: String::new(),
                timings: vec![("connect", Duration::from_micros(1200)), ("first byte", Duration::from_millis(30_051))],
            });
        }
        self
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut Traffic)) -> &mut Self {
        change(&mut self.0);
        self
    }

    pub(super) fn done(&self) -> Traffic {
        self.0.clone()
    }
}

pub(super) fn exchange(millis: u64) -> Exchange {
    let length = Duration::from_millis(millis);
    Exchange {
        ended: at(1000 + millis),
        first_byte: Some(length),
        from_send: Some(length),
        from_due: Some(length),
        queued: None,
        dns: None,
        connect: None,
        tls: None,
        body: Some(Duration::from_millis(1)),
        server: None,
        bytes: 10,
    }
}

fn anchor() -> SystemTime {
    UNIX_EPOCH + BEGAN
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_run_makes_a_report_fail(
        text in "(?s).{0,200}",
        body in "(?s).{0,300}",
        millis in 0_u64..200_000,
        status: u16,
        counts in proptest::collection::vec(0_u64..100_000, 4),
        ended: u64,
    ) {
        let mut sample = Sample::new();
        sample.endpoint(&text, &body).exchange(0, Outcome::Status(status), &exchange(millis));
        sample.exchange(7, Outcome::Failed, &exchange(millis));
        let kinds = [FailureKind::Status(status), FailureKind::Transport(text.clone()), FailureKind::Match(body.clone())];
        for kind in &kinds {
            sample.fails(0, kind, Some(status), 2);
        }
        sample.change(|traffic| {
            traffic.target.clone_from(&body);
            traffic.scenarios = vec![text.clone()];
            traffic.phases.push(PhaseRun { name: body.clone(), began: at(millis), length: Duration::MAX, planned: counts[0], most_users: None });
            traffic.ended = Moment::from_nanos(ended);
            traffic.abandoned = counts[1];
            traffic.total.users_of(9).failed = counts[2];
            traffic.total.error(&text, Some(0), at(millis));
            traffic.total.count(&body, counts[3], at(millis));
            traffic.total.lateness.record(Duration::from_millis(millis));
        });
        let (traffic, plugins) = (sample.done(), Plugins::default());
        let report = LoadReport::of(&traffic, &plugins, true);
        let (summary, details) = (report.summary(&TimeZone::UTC), report.details());
        let foreign = |letter: char| letter.is_control() && letter != '\n';
        prop_assert!(!summary.contains(foreign) && !details.contains(foreign) && !report.verdicts().contains(foreign));
        prop_assert!(details.lines().all(|line| line.chars().count() <= WIDTH), "{details}");
        let mut json = Vec::new();
        report.write_json(super::Layout::Artillery2, &mut json).expect("memory takes everything");
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }
}

//! What a load script costs: reading it, reading a bomb, rendering its templates, planning its arrivals, keeping its latencies.
//!
//! The aim of reading is that no script costs more than 200 ms, whatever is in it. `cargo bench --bench script`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pyperf::load::plan::Plan;
use pyperf::random::Random;
use pyperf::recording::traffic::Latency;
use pyperf::scenario::load::{Wanted, load};
use pyperf::scenario::node::Node;
use pyperf::scenario::phase::{Arrivals, Phase};
use pyperf::scenario::source::Span;
use pyperf::scenario::template::{Scope, Template};
use pyperf::scenario::variables::Variables;
use serde_json::{Value, json};

const HEAD: &str = "
config:
  target: http://127.0.0.1:1
  http: { timeout: 10 }
  variables: { token: a, name: b, id: 1 }
  phases:
    - { name: Ramp, duration: 60, arrivalRate: 1, rampTo: 20 }
scenarios:
  - name: CSR
    flow:
";

const STEP: &str = "
      - post:
          url: \"/api/v1/appointments/{{ id }}/\"
          headers:
            Authorization: \"Bearer {{ token }}\"
          json: { draft: true, comment: \"by {{ name }}\" }
          capture: { json: \"$.appointment.id\", as: id }
      - think: 5
";

/// A script of 200 lines, such as a team has.
fn script() -> String {
    let mut script = HEAD.to_owned();
    while script.lines().count() < 200 {
        script.push_str(STEP);
    }
    script
}

fn read(criterion: &mut Criterion) {
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-script.yaml");
    std::fs::write(&written, script()).expect("it can be written");
    let whole = load(&wanted(written.clone()));
    assert!(whole.script.is_some(), "{}", whole.findings.text(&whole.sources));

    let mut group = criterion.benchmark_group("read");
    group.bench_function("200 lines", |bencher| bencher.iter(|| load(black_box(&wanted(written.clone())))));
    for bomb in ["alias-bomb", "merge-bomb", "text-bomb", "anchor-bomb", "too-deep"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/refused/{bomb}.yaml"));
        assert!(load(&wanted(path.clone())).script.is_none());
        group.bench_function(bomb, |bencher| bencher.iter(|| load(black_box(&wanted(path.clone())))));
    }
    group.finish();
}

fn wanted(file: PathBuf) -> Wanted {
    Wanted { files: vec![file], seed: 1, ..Wanted::default() }
}

fn render(criterion: &mut Criterion) {
    let mut variables = Variables::over(Arc::new(HashMap::from([("target".to_owned(), json!("http://127.0.0.1:1"))])));
    for (name, value) in [("id", json!(4711)), ("name", json!("Zoë")), ("item", json!({"sku": "a-1", "price": 2.5}))] {
        variables.set(name, value);
    }
    let mut random = Random::new(1);
    let text = Template::of_text("/users/{{ id }}/{{ name }}/items/{{ item.sku }}");
    let keys: Value = (0..10).map(|key| (format!("key{key}"), value(key))).collect::<serde_json::Map<_, _>>().into();
    let body = Template::of(&Node::of_value(keys, Span::default()));
    let mut scope = Scope { variables: &variables, random: &mut random };
    assert_eq!(text.text(&mut scope), "/users/4711/Zoë/items/a-1");

    let mut group = criterion.benchmark_group("render");
    group.bench_function("a text with 3 names", |bencher| {
        bencher.iter(|| black_box(&text).text(&mut scope).len());
    });
    group.bench_function("a JSON body with 10 keys", |bencher| {
        bencher.iter(|| black_box(&body).render(&mut scope).map(|value| value.to_string().len()));
    });
    group.finish();
}

/// Half of the values of a body are templates.
fn value(key: usize) -> Value {
    match key % 4 {
        0 => json!("{{ id }}"),
        1 => json!("for {{ name }}"),
        2 => json!(key),
        _ => json!(["a", true, null]),
    }
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan of 1 000 000 arrivals");
    let hour = |arrivals| Phase { length: Duration::from_secs(3600), arrivals, ..Phase::solo() };
    let cases = [
        ("even", Arrivals::Count(1_000_000)),
        ("ramp", Arrivals::Ramp { from: 0.0, to: 555.6 }),
        ("by chance", Arrivals::Poisson(277.8)),
    ];
    for (name, arrivals) in cases {
        let plan = Plan::of(&[hour(arrivals)], 1);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&plan).arrivals().map(|one| one.due).max()));
    }
    group.finish();
}

fn latency(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let lengths: Vec<Duration> = (0..10_000).map(|_| Duration::from_micros(200 + random.below(2_000_000))).collect();
    let mut filled = Latency::default();
    for length in &lengths {
        filled.record(*length);
    }

    let mut group = criterion.benchmark_group("latency");
    group.bench_function("record 10 000", |bencher| {
        let mut latency = filled.clone();
        bencher.iter(|| black_box(&lengths).iter().for_each(|length| latency.record(*length)));
    });
    group.bench_function("merge", |bencher| {
        let mut latency = filled.clone();
        bencher.iter(|| latency.add(black_box(&filled)));
    });
    group.finish();
}

criterion_group!(benches, read, render, plan, latency);
criterion_main!(benches);

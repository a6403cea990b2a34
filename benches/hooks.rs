//! What a call of a hook costs, end to end: from a user's task through the channel into JavaScript and back. Many users at once, as
//! in a run, and one alone, which is the wait that a step has.
//! `cargo bench --bench hooks --no-run`, then the binary under `taskset -c 0`: one core for both threads.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use futures_util::future::join_all;
use pyperf::clock::Clock;
use pyperf::load::hooks::{Call, Limits, Person, Processor, Runtime, Sink, Source, Variables, What};
use pyperf::load::http::Settings;
use serde_json::{Map, Value, json};

const USERS: u64 = 200;

const CODE: &str = "
exports.nothing = (context, ee, next) => next();
exports.promise = async () => {};
exports.reads = (context, ee, next) => next(context.vars.missing);
exports.writes = (context, ee, next) => { context.vars.count += 1; next(); };
exports.header = (requestParams, context, ee, next) => { requestParams.headers.Authorization = 'Bearer token'; next(); };
";

fn processor(runtime: Runtime) -> Processor {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hooks");
    fs::create_dir_all(&folder).expect("ours");
    let file = folder.join("bench.js");
    fs::write(&file, CODE).expect("ours");
    #[expect(clippy::disallowed_methods, reason = "node is looked for where the bench is started")]
    let environment = HashMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())]);
    let source = Source { file, folder, runtime, environment, test_run_id: "bench".into() };
    Processor::start(source, Limits::default(), Settings::default(), Clock::start(), Sink::new(|_| ())).expect("loads")
}

/// Ten variables, as a user has after a few captures.
fn variables() -> Map<String, Value> {
    let text = |number: u32| (format!("variable{number}"), json!(format!("value {number}")));
    let mut all: Map<String, Value> = (0..9).map(text).collect();
    all.insert("count".into(), json!(0));
    all
}

fn person(number: u64) -> Arc<Person> {
    Arc::new(Person { number, uid: format!("{number}"), scenario: Arc::new(Value::Null) })
}

/// Whether somebody changes the variables between two calls.
#[derive(Clone, Copy)]
enum Between {
    Nothing,
    Capture,
}

struct Case {
    name: &'static str,
    function: &'static str,
    what: What,
    between: Between,
}

fn cases() -> [Case; 6] {
    let case = |name, function, what, between| Case { name, function, what, between };
    let request = json!({"url": "/x", "method": "GET", "headers": {"accept": "*/*"}, "uuid": "1", "timeout": 10});
    [
        case("a trivial hook", "nothing", What::Function, Between::Nothing),
        case("an async hook", "promise", What::Function, Between::Nothing),
        case("reading one of ten variables", "reads", What::Function, Between::Nothing),
        case("reading one of ten variables, captured anew", "reads", What::Function, Between::Capture),
        case("changing one of ten variables", "writes", What::Function, Between::Nothing),
        case("setting a header", "header", What::BeforeRequest { request }, Between::Nothing),
    ]
}

async fn user(processor: &Processor, case: &Case, number: u64, times: u64) {
    let person = person(number);
    let function: Arc<str> = case.function.into();
    let mut known: Variables = Arc::new(variables());
    for round in 0..times {
        if let Between::Capture = case.between {
            Arc::make_mut(&mut known).insert("variable3".into(), json!(format!("captured {round}")));
        }
        let call = Call {
            person: person.clone(),
            function: function.clone(),
            what: case.what.clone(),
            variables: known.clone(),
        };
        let called = processor.call(call).await;
        black_box(called.outcome.as_ref().expect("well"));
        if let Some(changed) = called.variables {
            known = changed;
        }
    }
}

fn run(group: &mut BenchmarkGroup<'_, WallTime>, processor: &Processor, case: &Case, users: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    group.throughput(Throughput::Elements(users));
    group.bench_function(case.name, |bencher| {
        bencher.iter_custom(|times| {
            let clock = Clock::start();
            let before = clock.now();
            runtime.block_on(join_all((0..users).map(|number| user(processor, case, number, times))));
            let took = clock.now().since(before);
            (0..users).for_each(|number| processor.forget(number));
            took
        });
    });
}

fn calls(criterion: &mut Criterion) {
    for (title, runtime, users) in [
        ("200 users", Runtime::QuickJs, USERS),
        ("one user alone", Runtime::QuickJs, 1),
        ("200 users in node", Runtime::Node, USERS),
        ("one user alone in node", Runtime::Node, 1),
    ] {
        let processor = processor(runtime);
        let mut group = criterion.benchmark_group(title);
        for case in cases() {
            run(&mut group, &processor, &case, users);
        }
        group.finish();
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);

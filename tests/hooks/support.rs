//! A processor under test: loaded, called, listened to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyperf::clock::Clock;
use pyperf::load::hooks::{
    Call, Called, HooksError, Limits, Person, Processor, Runtime, Said, Sink, Source, Variables, What,
};
use pyperf::load::http::Settings;
use serde_json::{Map, Value, json};

/// What a processor has said.
pub type Heard = Arc<Mutex<Vec<String>>>;

/// A processor that has been loaded.
pub struct Subject {
    pub processor: Processor,
    pub heard: Heard,
}

/// Where the processors are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hooks/processors")
}

/// Short enough for a test, long enough for a busy machine.
pub fn limits() -> Limits {
    Limits { run: Duration::from_millis(300), wait: Duration::from_secs(4), ..Limits::default() }
}

pub fn source(file: &Path, runtime: Runtime) -> Source {
    let folder = file.parent().expect("in a folder").to_owned();
    let mut environment = HashMap::from([("GREETING".to_owned(), "hello".to_owned())]);
    environment.insert("PATH".into(), super::node::path().into());
    Source { file: file.to_owned(), folder, runtime, environment, test_run_id: "test-run".into() }
}

impl Subject {
    pub fn new(name: &str, runtime: Runtime) -> Self {
        Self::load(&source(&folder().join(name), runtime), limits()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn load(source: &Source, limits: Limits) -> Result<Self, HooksError> {
        let heard = Heard::default();
        let sink = {
            let heard = heard.clone();
            Sink::new(move |said| {
                let line = match said {
                    Said::Console(line) => format!("console: {line}"),
                    Said::Note(line) => format!("note: {line}"),
                };
                heard.lock().expect("no panic").push(line);
            })
        };
        let processor = Processor::start(source.clone(), limits, Settings::default(), Clock::start(), sink)?;
        Ok(Self { processor, heard })
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    /// Calls a function as user 1.
    pub fn call(&self, function: &str, what: What, variables: Value) -> Called {
        block_on(self.processor.call(call(1, function, what, variables)))
    }

    /// Calls it as a step, and expects it to succeed; gives the variables as they are then.
    pub fn step(&self, function: &str, variables: Value) -> Value {
        let called = self.call(function, What::Function, variables.clone());
        match called.outcome {
            Ok(_) => called.variables.map_or(variables, |variables| Value::Object((*variables).clone())),
            Err(failure) => panic!("{function}: {failure}; {:?}", self.heard()),
        }
    }
}

pub fn call(user: u64, function: &str, what: What, variables: Value) -> Call {
    let variables = match variables {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let scenario = Arc::new(json!({"name": "a scenario"}));
    Call {
        person: Arc::new(Person { number: user, uid: format!("uid-{user}"), scenario }),
        function: function.into(),
        what,
        variables: Variables::new(variables),
    }
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs") })
}

//! A `pyperf run` on a script of the test's own, and what came of it: the exit, the texts, and the JSON as a stranger reads it.
//!
//! The script lies in a folder of its own beside whatever files it needs, and pyperf runs there. The proxies of the session are
//! not those of a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::pyperf::{Finished, Pyperf, Running};
use super::temp_dir::TempDir;
use super::wait::PATIENCE;

const SCRIPT: &str = "script.yaml";
const REPORT: &str = "report.json";

/// Counts by name, to compare counters with.
pub fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A load test to be run.
pub struct Load {
    dir: TempDir,
    text: Text,
    command: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

enum Text {
    Whole(String),
    Steps { config: Vec<String>, users: usize, steps: Vec<String> },
}

impl Load {
    /// A whole script.
    pub fn script(yaml: impl Into<String>) -> Load {
        Load::with(Text::Whole(yaml.into()))
    }

    /// One user that goes through these steps, each on a line of its own.
    pub fn of<const N: usize>(target: &str, steps: [&str; N]) -> Load {
        let config = vec![format!("target: \"{target}\"")];
        Load::with(Text::Steps { config, users: 1, steps: steps.map(str::to_owned).to_vec() })
    }

    fn with(text: Text) -> Load {
        let environment = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
        let environment = environment.map(|name| (name.to_owned(), String::new())).to_vec();
        Load { dir: TempDir::new(), text, command: "run", arguments: vec![SCRIPT.to_owned()], environment }
    }

    /// One line more in the `config` of steps.
    pub fn config(mut self, line: &str) -> Load {
        let Text::Steps { config, .. } = &mut self.text else { panic!("the script is whole already") };
        config.push(line.to_owned());
        self
    }

    /// So many users in place of one, within a moment.
    pub fn users(mut self, count: usize) -> Load {
        let Text::Steps { users, .. } = &mut self.text else { panic!("the script is whole already") };
        *users = count;
        self
    }

    /// A file beside the script.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Load {
        fs::write(self.dir.join(name), content).expect("the directory is ours");
        self
    }

    /// A folder beside the script.
    pub fn folder(self, name: &str) -> Load {
        fs::create_dir(self.dir.join(name)).expect("the directory is ours");
        self
    }

    /// Another command than `run`.
    pub fn command(mut self, command: &'static str) -> Load {
        self.command = command;
        self
    }

    /// Further arguments.
    pub fn arguments<const N: usize>(mut self, arguments: [&str; N]) -> Load {
        self.arguments.extend(arguments.map(str::to_owned));
        self
    }

    /// One environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Load {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it.
    pub fn start(self) -> UnderWay {
        let script = self.yaml();
        fs::write(self.dir.join(SCRIPT), &script).expect("the directory is ours");
        let mut arguments = vec![self.command.to_owned()];
        arguments.extend(self.arguments.iter().cloned());
        if !self.arguments.iter().any(|argument| argument == "-o" || argument == "--output") {
            arguments.extend(["-o".to_owned(), REPORT.to_owned()]);
        }
        let pyperf = Pyperf::new(arguments).cwd(&self.dir);
        let pyperf = self.environment.iter().fold(pyperf, |pyperf, (name, value)| pyperf.env(name, value));
        UnderWay { running: pyperf.start(), dir: self.dir, script }
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().ended()
    }

    fn yaml(&self) -> String {
        let (config, users, steps) = match &self.text {
            Text::Whole(yaml) => return yaml.clone(),
            Text::Steps { config, users, steps } => (config, users, steps),
        };
        let mut lines = vec!["config:".to_owned()];
        // Without phases a script has one user, who comes after a whole second.
        lines.push(format!("  phases: [{{ duration: 20ms, arrivalCount: {users} }}]"));
        lines.extend(config.iter().map(|line| format!("  {line}")));
        lines.extend(["scenarios:", "  - name: the scenario", "    flow:"].map(str::to_owned));
        lines.extend(steps.iter().map(|step| format!("      - {step}")));
        lines.join("\n") + "\n"
    }
}

/// A load test under way.
pub struct UnderWay {
    running: Running,
    dir: TempDir,
    script: String,
}

impl UnderWay {
    /// The process.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Waits for the end that comes by itself or was asked for.
    pub fn ended(self) -> Ran {
        let finished = self.running.wait(PATIENCE);
        let text = fs::read_to_string(self.dir.join(REPORT)).unwrap_or_default();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ran { finished, text, json, script: self.script, dir: self.dir }
    }
}

/// What came of a load test.
pub struct Ran {
    pub finished: Finished,
    /// The JSON; null when none was written to the usual file.
    pub json: Value,
    text: String,
    script: String,
    dir: TempDir,
}

impl Ran {
    /// Panics with its output unless it ended with code 0.
    pub fn succeeded(self) -> Ran {
        self.ended_with(0)
    }

    /// Panics with its output unless it ended with this code.
    pub fn ended_with(mut self, code: i32) -> Ran {
        self.finished = self.finished.ended_with(code);
        self
    }

    /// Panics unless its standard output contains all of these.
    pub fn tells(&self, parts: &[&str]) {
        let missing = parts.iter().find(|part| !self.finished.stdout.contains(**part));
        assert!(missing.is_none(), "{missing:?} is missing in:\n{}", self.finished.stdout);
    }

    /// All that it wrote: both texts and the JSON.
    pub fn everything(&self) -> String {
        [&self.finished.stdout, &self.finished.stderr, &self.text].map(String::as_str).join("\n")
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Names of all in its folder.
    pub fn names(&self) -> Vec<String> {
        self.dir.names()
    }

    /// Where in the script this first stands: `script.yaml:7`.
    pub fn place(&self, part: &str) -> String {
        let line = self.script.lines().position(|line| line.contains(part));
        format!("{SCRIPT}:{}", line.unwrap_or_else(|| panic!("{part:?} is not in the script")) + 1)
    }

    /// A counter of the whole run; 0 if there is none.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters().get(name).copied().unwrap_or(0)
    }

    /// The counters whose names begin with this, by the rest of the name.
    pub fn counters_of(&self, prefix: &str) -> BTreeMap<String, u64> {
        let under = |(name, count): (String, u64)| Some((name.strip_prefix(prefix)?.to_owned(), count));
        self.counters().into_iter().filter_map(under).collect()
    }

    /// Users that were `[created, completed, failed, skipped]`.
    pub fn users(&self) -> [u64; 4] {
        ["created", "completed", "failed", "skipped"].map(|what| self.counter(&format!("vusers.{what}")))
    }

    /// A part of pyperf's own part, such as `/phases/0/planned`.
    pub fn own(&self, pointer: &str) -> &Value {
        let own = self.json["pyperf"].pointer(pointer);
        own.unwrap_or_else(|| panic!("no {pointer} in {}", self.json["pyperf"]))
    }

    /// The kinds of failures that were kept.
    pub fn failures(&self) -> &[Value] {
        self.own("/failures").as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The only kind of failure.
    pub fn failure(&self) -> &Value {
        let [failure] = self.failures() else { panic!("not one failure: {:#}", self.own("/failures")) };
        failure
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let counters = self.json.pointer("/aggregate/counters").and_then(Value::as_object);
        let counters = counters.unwrap_or_else(|| panic!("no counters; {:?}", self.finished));
        let count = |value: &Value| value.as_u64().expect("a counter is a count");
        counters.iter().map(|(name, value)| (name.clone(), count(value))).collect()
    }
}

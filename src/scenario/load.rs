//! From files and flags to a [`Script`]: reading, laying one file over another, filling in the environment.
//!
//! The order is Artillery's: files in the order given and the config last, then the environment, the target, the payload,
//! overrides and variables; then the whole `config` is rendered once, with what is known before any user exists.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use serde_json::{Value, json};

use super::files;
use super::finding::Findings;
use super::node::{Kind, Lists, Node, lay_over};
use super::review;
use super::script::{self, Script, Surroundings};
use super::source::{SourceId, Sources, Span, lines};
use super::template::{Scope, Template};
use super::variables::Variables;
use super::yaml;
use crate::random::Random;

/// Which script, and with which changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The files, laid over each other in this order.
    pub files: Vec<PathBuf>,
    /// A script that is in no file.
    pub text: Option<String>,
    /// A further file, laid over all of them. `$dirname` is its folder; paths in the script stay relative to the first file.
    pub config: Option<PathBuf>,
    /// Which of `config.environments` is laid over `config`.
    pub environment: Option<String>,
    /// In place of `config.target`.
    pub target: Option<String>,
    /// JSON whose keys become variables.
    pub variables: Option<String>,
    /// JSON that is laid over the whole script.
    pub overrides: Option<String>,
    /// In place of the path of the one payload.
    pub payload: Option<PathBuf>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// One user in place of the phases.
    pub solo: bool,
    /// The only scenario to run.
    pub scenario: Option<String>,
    /// A file of environment variables.
    pub dotenv: Option<PathBuf>,
    /// The environment of the process.
    pub environ: BTreeMap<String, String>,
    /// The seed of what is made up at random.
    pub seed: u64,
}

/// A script and what there is to say of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The script, unless errors are among the findings.
    pub script: Option<Script>,
    /// What is wrong, ignored or changed.
    pub findings: Findings,
    /// The texts that findings speak of.
    pub sources: Sources,
}

/// Reads and checks a script.
#[must_use]
pub fn load(wanted: &Wanted) -> Loaded {
    let mut loading = Loading { wanted, findings: Findings::default(), sources: Sources::default() };
    let script = loading.script();
    let Loading { findings, sources, .. } = loading;
    let script = script.filter(|_| !findings.has_errors());
    Loaded { script, findings, sources }
}

struct Loading<'a> {
    wanted: &'a Wanted,
    findings: Findings,
    sources: Sources,
}

impl Loading<'_> {
    fn script(&mut self) -> Option<Script> {
        let mut root = self.files()?;
        self.lay_environment(&mut root);
        self.apply_flags(&mut root)?;
        let environ = self.environ()?;
        let shared = self.shared(&environ);
        let extra = self.extra_variables(&mut root)?;
        let folder = self.folder();
        let mut known = shared.clone();
        known.extend(extra);
        if let Some(config) = config(&mut root) {
            let variables = Variables::over(std::sync::Arc::new(known));
            let random = Random::stream(self.wanted.seed, u64::MAX);
            Rendering { variables, random, environ: &environ, findings: &mut self.findings }.config(config);
        }
        let around = Surroundings {
            folder: &folder,
            shared: &shared,
            solo: self.wanted.solo,
            scenario: self.wanted.scenario.as_deref(),
        };
        let mut script = script::read(&root, around, &mut self.findings);
        let secrets = review::flows(&root, script.as_ref(), &environ, &mut self.findings);
        if let Some(script) = &mut script {
            script.http.tls.insecure |= self.wanted.insecure;
            script.secrets = secrets;
            if environ.contains_key("ARTILLERY_DISABLE_ENSURE") && !script.plugins.ensure.is_empty() {
                script.plugins.ensure.clear();
                self.findings.ignored(None, "the checks of `ensure` are off", "ARTILLERY_DISABLE_ENSURE is set");
            }
        }
        script
    }

    /// All files, laid over each other.
    fn files(&mut self) -> Option<Node> {
        let mut root: Option<Node> = match &self.wanted.text {
            Some(text) => Some(self.json("the script", text)?),
            None => None,
        };
        for path in self.wanted.files.iter().chain(&self.wanted.config) {
            let node = self.file(path)?;
            if !matches!(node.kind, Kind::Map(_)) {
                let beside = match node.kind {
                    Kind::Null => "there is nothing in it".to_owned(),
                    _ => format!("a script is a map with `config` and `scenarios`, this is {}", node.what()),
                };
                self.findings.error(node.span, format!("{} is no script", path.display()), &beside);
                return None;
            }
            match &mut root {
                Some(root) => lay_over(root, node, Lists::Merge),
                None => root = Some(node),
            }
        }
        root
    }

    fn file(&mut self, path: &Path) -> Option<Node> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if !["yml", "yaml", "json"].contains(&extension.as_str()) {
            let beside = match extension.as_str() {
                "js" | "mjs" | "ts" => "scripts in JavaScript are not supported yet",
                _ => "a script is .yml, .yaml or .json",
            };
            self.findings.error(None, format!("{} is no script that pyperf can read", path.display()), beside);
            return None;
        }
        let text = self.read(path, "script")?;
        let source = self.sources.add(path.display().to_string(), text);
        yaml::read(&self.sources, source, &mut self.findings)
    }

    fn read(&mut self, path: &Path, what: &str) -> Option<String> {
        match files::read(path, yaml::LARGEST as u64).map(String::from_utf8) {
            Ok(Ok(text)) => return Some(text),
            Ok(Err(error)) => self.say_not_utf8(path, what, &error),
            Err(why) => self.findings.error(None, format!("cannot read the {what} {}", path.display()), &why),
        }
        None
    }

    fn say_not_utf8(&mut self, path: &Path, what: &str, error: &FromUtf8Error) {
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        // What cannot be read has become one character.
        let until = text.get(..error.utf8_error().valid_up_to()).unwrap_or_default().to_owned() + "\u{fffd}";
        let (line, column) = lines(&until).fold((0, 0), |(line, _), text| (line + 1, text.chars().count()));
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let source = self.sources.add(path.display().to_string(), text);
        let span = Span { source, line: small(line), column: small(column), length: 1 };
        self.findings.error(span, format!("cannot read the {what} {}", path.display()), "this is not UTF-8");
    }

    fn lay_environment(&mut self, root: &mut Node) {
        let Some(name) = &self.wanted.environment else { return };
        let over = root.get("config").and_then(|config| config.get("environments")).and_then(|all| all.get(name));
        match (over.cloned(), config(root)) {
            (Some(over), Some(config)) => lay_over(config, over, Lists::Merge),
            _ => {
                let all = root.get("config").and_then(|config| config.get("environments"));
                let names: Vec<&str> = all.map(Node::entries).unwrap_or_default().iter().map(|one| &*one.key).collect();
                let beside = match names.as_slice() {
                    [] => "`--environment` has no effect".to_owned(),
                    names => format!("`--environment` has no effect; there are {}", names.join(", ")),
                };
                self.findings.ignored(None, format!("the script has no environment `{name}`"), &beside);
            }
        }
    }

    fn apply_flags(&mut self, root: &mut Node) -> Option<()> {
        if let Some(target) = &self.wanted.target {
            let source = self.sources.add("--target", target.clone());
            let span = whole(source, target);
            *self.place_in_config(root, "target")? = Node::text(target.clone(), span);
        }
        if let Some(path) = &self.wanted.payload {
            self.lay_payload(root, path);
        }
        if let Some(text) = &self.wanted.overrides {
            let over = self.json("--overrides", text)?;
            lay_over(root, over, Lists::Replace);
        }
        Some(())
    }

    /// A key of `config`, which is made up where there is none.
    fn place_in_config<'n>(&mut self, root: &'n mut Node, key: &str) -> Option<&'n mut Node> {
        let config = root.entry("config")?;
        let (span, what) = (config.span, config.what());
        let place = config.entry(key);
        if place.is_none() {
            self.findings.error(span, "`config` is a map", &format!("this is {what}"));
        }
        place
    }

    fn lay_payload(&mut self, root: &mut Node, path: &Path) {
        let payload = config(root).and_then(|config| config.entry("payload"));
        match payload {
            Some(payload) if matches!(payload.kind, Kind::Map(_)) => {
                // Given on the command line, it is relative to where that was typed.
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                let span = payload.span;
                if let Some(place) = payload.entry("path") {
                    *place = Node::text(path.display().to_string(), span);
                }
            }
            _ => {
                let beside = "`config.payload` has to be one map, which says what the fields are";
                self.findings.error(None, "--payload has nothing to replace", beside);
            }
        }
    }

    /// What `-v` says: visible while `config` is rendered, and to every user.
    fn extra_variables(&mut self, root: &mut Node) -> Option<HashMap<String, Value>> {
        let Some(text) = &self.wanted.variables else { return Some(HashMap::new()) };
        let node = self.json("--variables", text)?;
        let place = self.place_in_config(root, "variables")?;
        let extra = node.entries().iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect();
        lay_over(place, node, Lists::Replace);
        Some(extra)
    }

    fn json(&mut self, name: &str, text: &str) -> Option<Node> {
        let source = self.sources.add(name, text);
        let node = yaml::read(&self.sources, source, &mut self.findings)?;
        if !matches!(node.kind, Kind::Map(_)) {
            self.findings.error(node.span, format!("{name} takes a JSON object"), "such as '{\"key\": 1}'");
            return None;
        }
        Some(node)
    }

    /// The environment of the process, with the file of `--dotenv` behind it.
    fn environ(&mut self) -> Option<BTreeMap<String, String>> {
        let mut environ = BTreeMap::new();
        if let Some(path) = &self.wanted.dotenv {
            let text = self.read(path, "environment file")?;
            environ.extend(dotenv(&text));
        }
        environ.extend(self.wanted.environ.clone());
        Some(environ)
    }

    fn shared(&self, environ: &BTreeMap<String, String>) -> HashMap<String, Value> {
        let mut random = Random::stream(self.wanted.seed, u64::MAX - 1);
        let config = self.wanted.config.as_ref().or_else(|| self.wanted.files.first());
        let folder =
            config.and_then(|path| path.parent()).map_or_else(|| ".".into(), |path| path.display().to_string());
        let script = self.wanted.files.first().map(|path| path.display().to_string());
        let mut shared = HashMap::from([
            ("$processEnvironment".into(), json!(environ)),
            ("$env".into(), json!(environ)),
            ("$dirname".into(), json!(if folder.is_empty() { "." } else { &folder })),
            ("$scenarioFile".into(), json!(script)),
            ("$testId".into(), json!(format!("t{:016x}", random.next()))),
        ]);
        // Without `-e` it is undefined, which is not null.
        if let Some(environment) = &self.wanted.environment {
            shared.insert("$environment".into(), json!(environment));
        }
        shared
    }

    /// What paths in the script are relative to.
    fn folder(&self) -> PathBuf {
        let script = self.wanted.files.first().and_then(|path| path.parent());
        script.map(Path::to_owned).unwrap_or_default()
    }
}

fn config(root: &mut Node) -> Option<&mut Node> {
    let Kind::Map(entries) = &mut root.kind else { return None };
    entries.iter_mut().find(|entry| entry.key == "config").map(|entry| &mut entry.value)
}

fn whole(source: SourceId, text: &str) -> Span {
    Span { source, line: 1, column: 1, length: u32::try_from(text.chars().count()).unwrap_or(1) }
}

/// `NAME=value` line by line, as the dotenv packages read it: comments, `export`, quotes.
fn dotenv(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "_.-".contains(letter));
        let quote = value.chars().next().filter(|letter| "'\"`".contains(*letter));
        let value = match quote.and_then(|quote| value[1..].split_once(quote).map(|(inside, _)| (quote, inside))) {
            Some(('"', inside)) => inside.replace("\\n", "\n"),
            Some((_, inside)) => inside.to_owned(),
            None => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
        };
        is_name.then(|| (name.to_owned(), value))
    };
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(pair).collect()
}

/// Rendering `config` before any user exists.
struct Rendering<'a> {
    variables: Variables,
    random: Random,
    environ: &'a BTreeMap<String, String>,
    findings: &'a mut Findings,
}

/// What becomes of a template of `config` in which something is not known.
#[derive(Clone, Copy)]
enum Unknown {
    /// The script cannot run.
    Refused,
    /// It waits for a user's variables.
    ForUsers,
    /// It is no template.
    Kept,
}

impl Rendering<'_> {
    fn config(&mut self, config: &mut Node) {
        let Kind::Map(entries) = &mut config.kind else { return };
        for entry in entries {
            match entry.key.as_str() {
                // The one that was wanted is part of `config` by now.
                "environments" => {}
                "http" => {
                    if let Kind::Map(entries) = &mut entry.value.kind {
                        for entry in entries {
                            let unknown = if entry.key == "defaults" { Unknown::ForUsers } else { Unknown::Refused };
                            self.node(&mut entry.value, unknown);
                        }
                    }
                }
                "defaults" | "socketio" | "ws" => self.node(&mut entry.value, Unknown::ForUsers),
                "variables" => self.node(&mut entry.value, Unknown::Kept),
                _ => self.node(&mut entry.value, Unknown::Refused),
            }
        }
    }

    /// Fills a node in.
    fn node(&mut self, node: &mut Node, unknown: Unknown) {
        match &mut node.kind {
            Kind::List(nodes) => nodes.iter_mut().for_each(|node| self.node(node, unknown)),
            Kind::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.value, unknown)),
            Kind::Text(text) => {
                let template = Template::of_text(text);
                if template.is_fixed() {
                    return;
                }
                if self.is_known(&template, node.span, unknown) {
                    let mut scope = Scope { variables: &self.variables, random: &mut self.random };
                    let value = template.render(&mut scope).unwrap_or_default();
                    *node = Node::of_value(value, node.span);
                }
            }
            _ => {}
        }
    }

    fn is_known(&mut self, template: &Template, span: Span, unknown: Unknown) -> bool {
        let mut known = true;
        template.names(&mut |path| {
            // Without `-e` there is no `$environment`, and that is no mistake.
            if self.variables.get(path).is_some() || path.first() == "$environment" {
                return;
            }
            known = false;
            if let Some(name) = review::unset(path, self.environ) {
                review::say_unset(&name, span, self.findings);
                return;
            }
            let name = path.text();
            match unknown {
                Unknown::Refused => {
                    let beside =
                        "config knows $processEnvironment, $env, $environment, $dirname and what --variables gives";
                    self.findings.error(span, format!("`{name}` is not known here"), beside);
                }
                Unknown::ForUsers => {
                    let beside = "Artillery fills `config` in before there are users, and makes it `undefined`";
                    self.findings.changed(span, format!("`{name}` is filled in for each user"), beside);
                }
                Unknown::Kept => {
                    let beside = "one variable cannot be made of another; Artillery makes it `undefined`";
                    self.findings.changed(span, format!("`{name}` is not known here, and the text stays"), beside);
                }
            }
        });
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_read_as_the_dotenv_packages_do() {
        let text = "# comment\nexport A=1\nB = 'x # y' # z\nC=\"a\\nb\"\nD=plain # said\n\nnonsense\n=x\n";
        let read = dotenv(text);
        let expected = [("A", "1"), ("B", "x # y"), ("C", "a\nb"), ("D", "plain")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}

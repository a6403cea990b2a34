//! The plugins of Artillery that are built in here: `ensure`, `expect`, `metrics-by-endpoint`, `apdex` and `publish-metrics`.

use std::path::Path;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::expression::Expression;
use super::finding::Findings;
use super::node::{Kind, Node};
use super::publish::{self, Publication};
use super::section::{Section, number, one_or_more, text, truth};
use super::source::Span;

/// The threshold of `apdex` where the script names none.
const SATISFIED: Duration = Duration::from_millis(500);

/// Which plugins are on, and how they are set.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    /// What must hold at the end of the run.
    pub ensure: Vec<Check>,
    /// Whether answers are compared with what is expected of them.
    pub expect: Option<Expect>,
    /// How metrics of endpoints are named.
    pub by_endpoint: ByEndpoint,
    /// The time in which a user is satisfied.
    pub apdex: Option<Duration>,
    /// Where the numbers are sent while a run goes on.
    pub publish: Vec<Publication>,
}

/// One thing that must hold at the end of the run.
#[derive(Clone, Debug)]
pub struct Check {
    /// What it says, in words.
    pub words: String,
    /// What it says.
    pub rule: Rule,
    /// Whether the run fails when it does not hold.
    pub strict: bool,
    /// Where it is written.
    pub span: Span,
}

/// What a check says.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A metric is below a bound.
    Below(String, f64),
    /// An expression over metrics holds.
    Holds(Expression),
    /// At most so many of 100 users failed.
    ErrorRate(f64),
}

/// How expectations are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What is printed of each.
    pub format: Format,
    /// Whether a user ends with the first that fails.
    pub as_errors: bool,
    /// Whether a status of 200 is expected where nothing else is said.
    pub expect_200: bool,
    /// Whether a request is shown by its name alone.
    pub names_only: bool,
}

/// What is printed of expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Each, with a mark.
    Pretty,
    /// Those that failed.
    PrettyError,
    /// A line of JSON for each request.
    Json,
    /// Nothing.
    Silent,
}

/// How metrics of endpoints are named.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of the plugin")]
pub struct ByEndpoint {
    /// By the name alone, where there is one.
    pub names_only: bool,
    /// Without the query.
    pub strip_query: bool,
    /// Only requests that have a name.
    pub named_only: bool,
    /// By the address as it is written, not as it is rendered.
    pub group_dynamic: bool,
    /// Shown in the summary too, not only in the JSON.
    pub shown: bool,
    /// What their names begin with.
    pub namespace: String,
}

impl Default for ByEndpoint {
    fn default() -> Self {
        Self {
            names_only: false,
            strip_query: true,
            named_only: false,
            group_dynamic: true,
            shown: false,
            namespace: "plugins.metrics-by-endpoint".to_owned(),
        }
    }
}

impl ByEndpoint {
    /// What an endpoint is called; `None` when it is left out. The methods of one path share a name.
    #[must_use]
    pub fn metric(&self, endpoint: &Endpoint) -> Option<String> {
        let query = if self.strip_query { "" } else { endpoint.query.as_str() };
        match &endpoint.name {
            Some(name) if self.names_only => Some(name.clone()),
            Some(name) => Some(format!("{}{query} ({name})", endpoint.path)),
            None if self.named_only => None,
            None => Some(format!("{}{query}", endpoint.path)),
        }
    }
}

/// Reads `config.plugins`, with `config.ensure` and `config.apdex`; paths are relative to `folder`.
pub fn read(config: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> Plugins {
    let mut plugins = Plugins::default();
    let ensure = config.entry("ensure");
    let apdex = config.entry("apdex");
    let (mut has_ensure, mut has_apdex) = (false, false);
    if let Some(mut section) = config.take("plugins").and_then(|node| Section::of(node, "`plugins`", findings)) {
        if let Some(entry) = section.entry("ensure") {
            has_ensure = true;
            let written = if entry.value.entries().is_empty() { ensure.map(|entry| &entry.value) } else { None };
            plugins.ensure = checks(written.unwrap_or(&entry.value), findings);
        }
        if let Some(entry) = section.entry("expect") {
            plugins.expect = expect(&entry.value, findings);
        }
        if let Some(entry) = section.entry("metrics-by-endpoint") {
            plugins.by_endpoint = by_endpoint(&entry.value, findings).unwrap_or_default();
        }
        if let Some(entry) = section.entry("apdex") {
            has_apdex = true;
            let written = if entry.value.entries().is_empty() { apdex.map(|entry| &entry.value) } else { None };
            plugins.apdex = threshold(written.unwrap_or(&entry.value), findings);
        }
        if let Some(node) = section.take("publish-metrics") {
            plugins.publish = publish::read(node, folder, findings);
        }
        let sentence = |name: &str| format!("pyperf has no plugin `{name}`");
        let there = "it has ensure, expect, metrics-by-endpoint, apdex and publish-metrics";
        section.end_saying(&sentence, there, findings);
    }
    for (entry, is_on) in [(ensure, has_ensure), (apdex, has_apdex)] {
        if let Some(entry) = entry.filter(|_| !is_on) {
            let beside = format!("put `{}: {{}}` under `config.plugins`", entry.key);
            findings.ignored(entry.span, format!("`{}` has no effect without its plugin", entry.key), &beside);
        }
    }
    plugins
}

fn checks(node: &Node, findings: &mut Findings) -> Vec<Check> {
    let mut checks = Vec::new();
    let Some(mut section) = Section::of(node, "`ensure`", findings) else { return checks };
    for key in ["min", "max", "median", "p50", "p75", "p90", "p95", "p99", "p999", "mean"] {
        if let Some(bound) = section.take(key).and_then(|node| number(node, key, findings)) {
            checks.push(below(&format!("http.response_time.{key}"), bound, node.span));
        }
    }
    if let Some(node) = section.take("thresholds") {
        for entry in one_or_more(node).iter().flat_map(Node::entries) {
            if let Some(bound) = number(&entry.value, "a threshold", findings) {
                checks.push(below(&entry.key, bound, entry.span));
            }
        }
    }
    if let Some(node) = section.take("conditions") {
        checks.extend(one_or_more(node).iter().filter_map(|node| condition(node, findings)));
    }
    if let Some(rate) = section.take("maxErrorRate").and_then(|node| number(node, "maxErrorRate", findings)) {
        let words = format!("maxErrorRate < {rate}");
        checks.push(Check { words, rule: Rule::ErrorRate(rate), strict: true, span: node.span });
    }
    section.end(findings);
    checks
}

fn below(metric: &str, bound: f64, span: Span) -> Check {
    let words = format!("{metric} < {bound}");
    Check { words, rule: Rule::Below(metric.to_owned(), bound), strict: true, span }
}

fn condition(node: &Node, findings: &mut Findings) -> Option<Check> {
    let mut section = Section::of(node, "a condition", findings)?;
    let written = section.take("expression");
    let strict = section.take("strict").is_none_or(|node| truth(node, "strict", findings).unwrap_or(true));
    let span = section.span();
    section.end(findings);
    let Some(node) = written else {
        findings.error(span, "this condition has no `expression`", "such as vusers.failed == 0");
        return None;
    };
    let words = text(node, "expression", findings)?;
    match Expression::parse(&words) {
        Ok(expression) => Some(Check { words, rule: Rule::Holds(expression), strict, span }),
        Err(malformed) => {
            findings.error(node.span, format!("`{words}` is no expression: {malformed}"), "");
            None
        }
    }
}

fn expect(node: &Node, findings: &mut Findings) -> Option<Expect> {
    let mut section = Section::of(node, "`expect`", findings)?;
    let format = section.take("outputFormat");
    let format = format.or_else(|| section.take("formatter"));
    let format = match format.and_then(Node::as_text) {
        None | Some("pretty") => Format::Pretty,
        Some("prettyError") => Format::PrettyError,
        Some("json") => Format::Json,
        Some("silent") => Format::Silent,
        Some(_) => {
            let span = format.map(|node| node.span);
            findings.error(span, "the format of expectations is pretty, prettyError, json or silent", "");
            Format::Pretty
        }
    };
    let mut flag = |key, findings: &mut Findings| {
        section.take(key).and_then(|node| truth(node, key, findings)).unwrap_or_default()
    };
    let expect = Expect {
        format,
        as_errors: flag("reportFailuresAsErrors", findings),
        expect_200: flag("expectDefault200", findings),
        names_only: flag("useOnlyRequestNames", findings),
    };
    section.end(findings);
    Some(expect)
}

fn by_endpoint(node: &Node, findings: &mut Findings) -> Option<ByEndpoint> {
    let mut section = Section::of(node, "`metrics-by-endpoint`", findings)?;
    let mut flag = |key, default, findings: &mut Findings| {
        section.take(key).and_then(|node| truth(node, key, findings)).unwrap_or(default)
    };
    let mut settings = ByEndpoint {
        names_only: flag("useOnlyRequestNames", false, findings),
        strip_query: flag("stripQueryString", false, findings),
        named_only: flag("ignoreUnnamedRequests", false, findings),
        group_dynamic: flag("groupDynamicURLs", true, findings),
        shown: !flag("suppressOutput", false, findings),
        ..ByEndpoint::default()
    };
    if let Some(namespace) = section.take("metricsNamespace").and_then(|node| text(node, "metricsNamespace", findings))
    {
        settings.namespace = namespace;
    }
    if !settings.group_dynamic {
        let beside = "every address of its own would fill the memory";
        findings.changed(section.span(), "endpoints are always grouped by the address as it is written", beside);
        settings.group_dynamic = true;
    }
    section.end(findings);
    Some(settings)
}

fn threshold(node: &Node, findings: &mut Findings) -> Option<Duration> {
    if matches!(node.kind, Kind::Null) {
        return Some(SATISFIED);
    }
    let mut section = Section::of(node, "`apdex`", findings)?;
    let written = section.take("threshold");
    section.end(findings);
    let Some(node) = written else { return Some(SATISFIED) };
    let millis = number(node, "threshold", findings)?;
    let threshold = Duration::try_from_secs_f64(millis / 1000.0).ok().filter(|length| !length.is_zero());
    if threshold.is_none() {
        findings.error(node.span, "a threshold is more than 0 ms", "");
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_named_as_the_plugin_is_set() {
        let endpoint = |name: Option<&str>| Endpoint {
            method: "GET".into(),
            path: "/a".into(),
            query: "?x=1".into(),
            name: name.map(str::to_owned),
        };
        let endpoints = [endpoint(None), endpoint(Some("list"))];
        let default = ByEndpoint::default();
        let cases = [
            (default.clone(), [Some("/a"), Some("/a (list)")]),
            (ByEndpoint { strip_query: false, ..default.clone() }, [Some("/a?x=1"), Some("/a?x=1 (list)")]),
            (ByEndpoint { names_only: true, ..default.clone() }, [Some("/a"), Some("list")]),
            (ByEndpoint { named_only: true, ..default }, [None, Some("/a (list)")]),
        ];
        for (rules, expected) in cases {
            let names = endpoints.each_ref().map(|endpoint| rules.metric(endpoint));
            assert_eq!(names, expected.map(|name| name.map(str::to_owned)));
        }
    }
}

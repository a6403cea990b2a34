//! The architecture, as a table that is checked: who may use whom, and which crate is named where.
//!
//! The map in `src/lib.rs` tells the same story in words. When a better structure is found, both change together.

#![expect(clippy::expect_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the modules that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("stop", &[]),
    ("printable", &[]),
    ("problem", &[]),
    ("random", &[]),
    ("redact", &[]),
    ("interned", &[]),
    ("process", KERNEL),
    ("scenario", KERNEL),
    ("recording", &["clock", "stop", "printable", "redact", "problem", "random", "interned", "process"]),
    ("stack", &["clock", "stop", "printable", "redact", "problem", "random", "interned", "process", "recording"]),
    (
        "sampler",
        &["clock", "stop", "printable", "redact", "problem", "random", "interned", "process", "recording", "stack"],
    ),
    ("load", &["clock", "stop", "printable", "redact", "problem", "random", "interned", "scenario", "recording"]),
    ("profile", &["clock", "stop", "printable", "redact", "problem", "random", "interned", "recording"]),
    // A report of load says whether the checks of its script hold, and names endpoints as the script asks.
    (
        "report",
        &["clock", "stop", "printable", "redact", "problem", "random", "interned", "scenario", "recording", "profile"],
    ),
    ("cli", EVERYTHING),
    ("command", EVERYTHING),
    ("ui", EVERYTHING),
];

const KERNEL: &[&str] = &["clock", "stop", "printable", "redact", "problem", "random", "interned"];

const EVERYTHING: &[&str] = &[
    "clock",
    "stop",
    "printable",
    "redact",
    "problem",
    "random",
    "interned",
    "process",
    "scenario",
    "recording",
    "load",
    "stack",
    "sampler",
    "profile",
    "report",
    "cli",
    "command",
    "ui",
];

/// Crates that are named in one place only.
const FENCED: &[(&str, &str)] = &[
    ("py_spy", "src/stack/pyspy.rs"),
    ("remoteprocess", "src/stack/pyspy.rs"),
    ("inferno", "src/report/flamegraph.rs"),
    ("rusqlite", "src/recording/file"),
    ("clap", "src/cli"),
    ("caps", "src/process/privilege.rs"),
    ("procfs", "src/process"),
    ("rustix", "src/process"),
    ("anstream", "src/ui"),
    ("saphyr_parser", "src/scenario/yaml.rs"),
    ("csv", "src/scenario/payload.rs"),
    ("scraper", "src/scenario/extract/selector.rs"),
    ("fancy_regex", "src/scenario"),
    ("hdrhistogram", "src/recording/traffic/latency.rs"),
    ("hyper", "src/load/http"),
    ("rustls", "src/load/http"),
    ("tungstenite", "src/load/websocket"),
    ("cookie_store", "src/load/cookies.rs"),
    ("rquickjs", "src/load/hooks"),
    ("sha2", "src/load/hooks/crypto.rs"),
    ("getrandom", "src/load/hooks/crypto.rs"),
    ("tokio", "src/load"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below a folder, relative to the project, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {folder}");
    found
}

/// The module that a file belongs to: `src/process/tree.rs` is in `process`.
fn module(file: &str) -> &str {
    let inside = file.strip_prefix("src/").expect("a source file");
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules that a file names as `crate::module`, also inside braces: `use crate::{cli, ui}`.
fn used(text: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for rest in code(text).split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default(),
        };
        modules.extend(names.split(',').map(|name| name.trim().split(':').next().unwrap_or_default().to_string()));
    }
    modules
}

#[test]
fn every_module_has_its_place_and_keeps_to_it() {
    for (file, text) in sources("src") {
        let module = module(&file);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            panic!("{file}: the module {module} is not in the table");
        };
        for name in used(&text) {
            assert!(
                name == module || name.is_empty() || allowed.contains(&name.as_str()),
                "{file} uses {name}, which {module} may not"
            );
        }
    }
}

#[test]
fn no_row_of_the_table_is_out_of_date() {
    let modules: BTreeSet<String> = sources("src").iter().map(|(file, _)| module(file).to_string()).collect();
    for (name, _) in MAY_USE {
        assert!(modules.contains(*name), "{name} is in the table and not in src");
    }
}

#[test]
fn each_fenced_crate_is_named_behind_its_fence() {
    let sources = sources("src");
    for (name, fence) in FENCED {
        let naming: Vec<&str> = sources
            .iter()
            .filter(|(_, text)| code(text).contains(&format!("{name}::")))
            .map(|(file, _)| file.as_str())
            .collect();
        assert!(!naming.is_empty(), "nothing names {name} any more");
        for file in naming {
            assert!(file.starts_with(fence), "{file} names {name}, which belongs to {fence}");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (file, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(text.starts_with("//!"), "{file} has no header");
    }
}

//! Scripts of the corpus with damage: whatever becomes of them, reading ends, nothing panics, and every error has a place.
//!
//! Read in the process of the test, by the library, so that thousands of scripts can be tried.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use pyperf::load::plan::Plan;
use pyperf::scenario::finding::{Finding, Severity};
use pyperf::scenario::load::{Loaded, Wanted, load};

use crate::support::temp_dir::TempDir;

/// The bytes of every script, and where damaged ones are put, with the files that they name beside them.
struct Workshop {
    scripts: Vec<Vec<u8>>,
    dir: TempDir,
}

static WORKSHOP: LazyLock<Workshop> = LazyLock::new(|| {
    let dir = TempDir::new();
    let mut scripts = Vec::new();
    for folder in ["noticed", "refused", "runs"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(folder);
        for entry in fs::read_dir(folder).expect("the corpus is there") {
            let path = entry.expect("it can be listed").path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("yaml" | "json") => scripts.push((path.clone(), fs::read(path).expect("it can be read"))),
                Some("csv" | "txt") => {
                    let name = path.file_name().expect("it is a file").to_str().expect("it is UTF-8");
                    fs::copy(&path, dir.join(name)).expect("it can be copied");
                }
                _ => {}
            }
        }
    }
    // In the same order on every machine, so that a failure can be had again.
    scripts.sort();
    let scripts = scripts.into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 20_000).collect();
    Workshop { scripts, dir }
});

/// Something that happens to a script.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte becomes another one.
    Flip(Index, u8),
    /// A line stands there twice.
    Repeat(Index),
    /// A line is gone.
    Remove(Index),
    /// Two lines change places.
    Swap(Index, Index),
    /// A value gets an anchor, and another one becomes an alias of it.
    Alias(Index, Index),
    /// Something of the language, in the middle of a line or in place of a value.
    Insert(Index, &'static str),
    /// A value becomes something else.
    Replace(Index, &'static str),
}

const PIECES: [&str; 22] = [
    "{{ ", " }}", "{{{", "[", "]", "{", "}", "\"", "'", "<<: ", "!!str ", "!!int ", "\t", "- ", "? ", "| ", "&a ",
    "*a ", "\u{feff}", "\u{85}", "# ", "--- ",
];

const VALUES: [&str; 18] = [
    "",
    "~",
    "0",
    "-1",
    "1e400",
    "9007199254740993",
    "0x",
    ".inf",
    "true",
    "[]",
    "{}",
    "[[]]",
    "{ a: b }",
    "\"{{ a }}\"",
    "{{ a }}",
    "\"{{ $randomString(99999999999999999999) }}\"",
    "10y",
    "\"(((((((((((((((((((\"",
];

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Flip(place, byte)),
        any::<Index>().prop_map(Damage::Repeat),
        any::<Index>().prop_map(Damage::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::Swap(one, other)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::Alias(one, other)),
        (any::<Index>(), prop::sample::select(&PIECES[..])).prop_map(|(place, piece)| Damage::Insert(place, piece)),
        (any::<Index>(), prop::sample::select(&VALUES[..])).prop_map(|(place, value)| Damage::Replace(place, value)),
    ]
}

impl Damage {
    fn act(&self, script: &mut Vec<u8>) {
        if script.is_empty() {
            return;
        }
        let mut lines: Vec<Vec<u8>> = script.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let count = lines.len();
        match self {
            Damage::Flip(place, byte) => {
                let place = place.index(script.len());
                script[place] = *byte;
                return;
            }
            Damage::Insert(place, piece) => {
                let place = place.index(script.len());
                script.splice(place..place, piece.bytes());
                return;
            }
            Damage::Repeat(line) => lines.insert(line.index(count), lines[line.index(count)].clone()),
            Damage::Remove(line) => drop(lines.remove(line.index(count))),
            Damage::Swap(one, other) => lines.swap(one.index(count), other.index(count)),
            Damage::Alias(one, other) => {
                put(&mut lines[one.index(count)], |value| [b"&z ", value].concat());
                put(&mut lines[other.index(count)], |_| b"*z\n".to_vec());
            }
            Damage::Replace(line, with) => {
                put(&mut lines[line.index(count)], |_| [with.as_bytes(), b"\n"].concat());
            }
        }
        *script = lines.concat();
    }
}

/// Changes what stands behind the first colon of a line.
fn put(line: &mut Vec<u8>, change: impl Fn(&[u8]) -> Vec<u8>) {
    if let Some(colon) = line.windows(2).position(|pair| pair == b": ") {
        let value = change(&line[colon + 2..]);
        line.splice(colon + 2.., value);
    }
}

/// Reads it, and does all that is done with it before a run.
fn read(script: &[u8], target: Option<&str>) -> (Loaded, Vec<Finding>) {
    let file = WORKSHOP.dir.join("damaged.yaml");
    fs::write(&file, script).expect("it can be written");
    let environ = [("MAX_VIRTUAL_USERS", "200"), ("PATH", "/bin"), ("API_TOKEN", "12345678")];
    let environ = environ.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let target = target.map(str::to_owned);
    let loaded = load(&Wanted { files: vec![file], target, environ, seed: 1, ..Wanted::default() });
    if let Some(script) = &loaded.script {
        let plan = Plan::of(&script.phases, 1);
        let _ = (0..script.phases.len()).map(|phase| plan.expected(phase)).fold(0, u64::saturating_add);
        let _ = plan.arrivals().take(1000).count();
    }
    let findings = loaded.findings.sorted().into_iter().cloned().collect();
    (loaded, findings)
}

/// How many scripts are tried: 3000, or what `PROPTEST_CASES` says.
#[expect(clippy::disallowed_methods, reason = "the switch of this test")]
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_script_is_read_to_an_end_and_every_error_has_a_place(
        script in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..6),
        has_target in any::<bool>(),
    ) {
        let mut script = WORKSHOP.scripts[script.index(WORKSHOP.scripts.len())].clone();
        for damage in &damages {
            damage.act(&mut script);
        }
        let (loaded, findings) = read(&script, has_target.then_some("http://127.0.0.1:1"));
        let text = format!("{}\n{}", loaded.findings.text(&loaded.sources), String::from_utf8_lossy(&script));
        let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error).peekable();
        prop_assert_eq!(loaded.script.is_none(), errors.peek().is_some(), "{}", text);
        for error in errors {
            let span = error.span;
            prop_assert!(span.is_some_and(|span| span.line > 0 && span.column > 0 && span.length > 0), "{}", text);
            // The place is one that there is: the column may be the end of the line.
            let line = span.map(|span| loaded.sources.line(span).chars().count()).unwrap_or_default();
            prop_assert!(span.is_some_and(|span| span.column as usize <= line + 1), "{}", text);
        }
        prop_assert!(text.len() < 300_000);
    }
}

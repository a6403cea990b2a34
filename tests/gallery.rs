//! The gallery in `profiles/` is what today's pyperf draws from the recordings in it. `PYPERF_BLESS=1` renews it.

#![expect(clippy::expect_used, reason = "a test says what is wrong by failing")]
#![expect(clippy::disallowed_methods, reason = "a test may read its own switch from the environment")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is drawn of the recording of a case: the arguments, and the file.
type Rendered = &'static [(&'static [&'static str], &'static str)];

/// Unless the case has something else to show.
const PLAIN: Rendered = &[(&["-f", "flamegraph"], "profile.svg"), (&["-f", "collapsed"], "profile.txt")];
const WITH_PHASES: Rendered = &[
    (&["-f", "flamegraph", "--by", "phase"], "profile.svg"),
    (&["-f", "flamegraph", "--phase", "Sustained max load"], "sustained.svg"),
    (&["--diff", "Warm up", "Sustained max load"], "grew.svg"),
    (&["--text"], "report.txt"),
];
const WITH_STATES: Rendered = &[
    (&["-f", "flamegraph", "--states"], "profile.svg"),
    (&["-f", "collapsed", "--mode", "wait", "--by", "state"], "waits.txt"),
];

fn rendered(recording: &Path) -> Rendered {
    match recording.parent().and_then(Path::file_name).and_then(|case| case.to_str()) {
        Some("demo") => WITH_PHASES,
        Some("waiting") => WITH_STATES,
        _ => PLAIN,
    }
}

fn recordings() -> Vec<PathBuf> {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let cases = fs::read_dir(gallery).expect("the gallery is there").flatten();
    cases.map(|case| case.path().join("run.pyperf")).filter(|recording| recording.exists()).collect()
}

#[test]
fn every_case_is_what_pyperf_draws_today() {
    let recordings = recordings();
    assert!(!recordings.is_empty(), "the gallery is empty");
    for recording in recordings {
        for (arguments, name) in rendered(&recording) {
            let mut pyperf = Command::new(env!("CARGO_BIN_EXE_pyperf"));
            // Times of day are those of one place, wherever the test runs; what goes to a file says nothing beside it.
            pyperf.arg("report").arg(&recording).args(*arguments).args(["-q", "-o", "-"]).env("TZ", "UTC");
            let drawn = pyperf.output().expect("it runs");
            assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
            let committed = recording.with_file_name(name);
            if std::env::var("PYPERF_BLESS").is_ok() {
                fs::write(&committed, &drawn.stdout).expect("the gallery can be written");
            }
            let expected = fs::read(&committed).unwrap_or_default();
            assert!(drawn.stdout == expected, "{} is out of date: PYPERF_BLESS=1", committed.display());
        }
    }
}

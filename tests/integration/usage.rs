//! What is typed wrongly is answered with exit code 2 and the nearest that is right.

use crate::support::pyperf::Pyperf;

#[test]
fn a_misspelt_flag_is_answered_with_the_nearest() {
    for (typed, meant) in [
        ("--duraton", "--duration"),
        ("--reccording", "--recording"),
        ("--full-filename", "--full-filenames"),
        ("--non-blocking", "--nonblocking"),
    ] {
        let finished = Pyperf::new(["attach", "--pid", "1", typed]).run().ended_with(2);
        finished.says(&[&format!("'{typed}'"), &format!("'{meant}'")]);
    }
}

#[test]
fn a_misspelt_command_or_value_is_answered_with_the_nearest() {
    Pyperf::new(["atach"]).run().ended_with(2).says(&["attach"]);
    Pyperf::new(["attach", "--format", "flamegrph"]).run().ended_with(2).says(&["flamegraph", "speedscope"]);
    Pyperf::new(["attach", "--by", "wrker"]).run().ended_with(2).says(&["worker", "thread", "role"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let senseless: [&[&str]; 13] = [
        &["--rate", "0"],
        &["--rate", "fast"],
        &["--duration", "0"],
        &["--duration", "-1"],
        &["--pid", "0"],
        &["--pid", "1", "--name", "gunicorn"],
        &["--pid", "1", "--all"],
        &["--blocking", "--nonblocking"],
        &["--by", "worker,worker"],
        &["--mode", "time"],
        &["--gil", "--mode", "wall"],
        &["--gil", "--mode", "cpu"],
        &["--mode", "cpu", "--idle"],
    ];
    for arguments in senseless {
        let finished = Pyperf::new(["attach"].iter().chain(arguments)).run().ended_with(2);
        assert!(finished.stderr.starts_with("error: "), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for command in [["--help"].as_slice(), &["attach", "--help"], &["record", "-h"], &["dump", "-h"], &["report", "-h"]]
    {
        let finished = Pyperf::new(command.iter().copied()).run().succeeded();
        assert!(finished.stdout.contains("Usage: pyperf"), "{}", finished.stdout);
        assert_eq!(finished.stderr, "");
    }
    Pyperf::new(Vec::<String>::new()).run().ended_with(2).says(&["Usage: pyperf"]);
}

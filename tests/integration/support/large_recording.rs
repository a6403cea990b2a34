//! A recording so large that writing a report of it takes a while: made from the documented tables, without a run.

use std::path::Path;

use rusqlite::Connection;

/// Functions that call each other one inside the other.
const DEPTH: u32 = 200;
/// Samples of all of them and of all but the innermost, in turn: about 35 MB of speedscope's JSON.
const SAMPLES: u32 = 50_000;

/// Writes it.
pub fn write(path: &Path) {
    let connection = Connection::open(path).expect("the directory is ours");
    let script = format!(
        "PRAGMA application_id = {};
         PRAGMA user_version = 1;
         PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TABLE run (target TEXT, started INTEGER, rate INTEGER, mode TEXT, length INTEGER, stopped INTEGER, reads INTEGER);
         CREATE TABLE process (id INTEGER PRIMARY KEY, pid INTEGER, start_ticks INTEGER, role TEXT, root INTEGER,
                               python TEXT, born INTEGER, died INTEGER);
         CREATE TABLE thread (id INTEGER PRIMARY KEY, process INTEGER, ident INTEGER, os_id INTEGER, name TEXT);
         CREATE TABLE frame (id INTEGER PRIMARY KEY, function TEXT, file TEXT, short_file TEXT, line INTEGER);
         CREATE TABLE stack (id INTEGER PRIMARY KEY, caller INTEGER, frame INTEGER);
         CREATE TABLE sample (moment INTEGER, thread INTEGER, stack INTEGER, state INTEGER, gil INTEGER);
         CREATE TABLE loss (kind TEXT PRIMARY KEY, count INTEGER);
         INSERT INTO run VALUES ('made up', 0, 100, 'non-blocking', 1000000000, 0, 0);
         INSERT INTO process VALUES (0, 1, 1, 'main', 1, '3.11.7', 0, NULL);
         INSERT INTO thread VALUES (0, 0, 1, 1, 'MainThread');
         INSERT INTO stack VALUES (0, 0, NULL);
         WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {DEPTH})
         INSERT INTO frame SELECT n, 'function_' || n, '/app.py', 'app.py', n + 1 FROM number;
         INSERT INTO stack SELECT id + 1, id, id FROM frame;
         WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {SAMPLES})
         INSERT INTO sample SELECT n * 1000, 0, {DEPTH} - n % 2, 0, 1 FROM number;
         COMMIT;",
        0x7079_7066
    );
    connection.execute_batch(&script).expect("the script is right");
}

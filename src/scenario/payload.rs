//! Rows of CSV files, of which every virtual user gets one.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::files;
use super::finding::Findings;
use super::node::Node;
use super::section::{Section, one_or_more, text, truth};
use super::source::Span;
use super::yaml::float;

/// The largest file of rows.
const LARGEST: u64 = 64 << 20;

/// How much all payloads of a script may hold together: a cell takes many times the room of its text.
const MOST: Room = Room { cells: 5_000_000, text: 64 << 20 };

/// What a cell of a map weighs: it holds the name of its field besides.
const NAMED: usize = 5;

/// The rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// What the columns are called.
    pub fields: Vec<String>,
    /// The rows, shared by all users.
    pub rows: Arc<Vec<Vec<Value>>>,
    /// Which row a user gets.
    pub order: Order,
    /// Where the payload is written.
    pub span: Span,
}

/// Which row a user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Any.
    Random,
    /// The next one; from the first again behind the last.
    Sequence,
}

/// What the payloads of a script come to.
#[derive(Clone, Debug, Default)]
pub struct Payloads {
    /// A row of each for every user.
    pub drawn: Vec<Payload>,
    /// Whole files by name, for every user the same (`loadAll`).
    pub whole: Vec<(String, Value)>,
}

/// Reads `config.payload`; paths are relative to `folder`.
pub fn read(node: &Node, folder: &Path, findings: &mut Findings) -> Payloads {
    let mut payloads = Payloads::default();
    let mut room = MOST;
    for node in one_or_more(node) {
        read_one(node, folder, &mut payloads, &mut room, findings);
    }
    payloads
}

fn read_one(
    node: &Node,
    folder: &Path,
    payloads: &mut Payloads,
    room: &mut Room,
    findings: &mut Findings,
) -> Option<()> {
    let mut section = Section::of(node, "a payload", findings)?;
    let path = section.take("path");
    let fields: Vec<String> = section
        .take("fields")
        .map(|node| one_or_more(node).iter().filter_map(|node| text(node, "a field", findings)).collect())
        .unwrap_or_default();
    let order = section.take("order").map_or(Some(Order::Random), |node| order(node, findings));
    let mut flag = |key, default, findings: &mut Findings| {
        section.take(key).map_or(default, |node| truth(node, key, findings).unwrap_or(default))
    };
    let mut layout = Layout {
        columns: fields.len(),
        weight: 1,
        skip_header: flag("skipHeader", false, findings),
        cast: flag("cast", true, findings),
        skip_empty: flag("skipEmptyLines", true, findings),
        delimiter: b',',
    };
    let load_all = flag("loadAll", false, findings);
    if load_all {
        (layout.columns, layout.weight) = if fields.is_empty() { (usize::MAX, 1) } else { (fields.len(), NAMED) };
    }
    let name = section.take("name").and_then(|node| text(node, "the name of a payload", findings));
    let delimiter = section.take("delimiter").map_or(Some(b','), |node| delimiter(node, findings))?;
    section.without_effect("options", "name the options here: delimiter, skipHeader, cast, skipEmptyLines", findings);
    let span = section.span();
    section.end(findings);
    let Some(path) = path else {
        findings.error(span, "this payload has no `path`", "the CSV file, relative to the script");
        return None;
    };
    let written = text(path, "path", findings)?;
    let rows = rows(&folder.join(&written), Layout { delimiter, ..layout }, room)
        .map_err(|why| findings.error(path.span, format!("cannot read the payload {written}"), &why))
        .ok()?;
    if rows.is_empty() {
        findings.changed(path.span, format!("the payload {written} is empty"), "its fields will be undefined");
    }
    if !load_all {
        if fields.is_empty() {
            findings.ignored(span, format!("the payload {written} has no `fields`"), "no user sees its rows");
        }
        payloads.drawn.push(Payload { fields, rows: Arc::new(rows), order: order?, span });
    } else if let Some(name) = name {
        payloads.whole.push((name, whole(&fields, rows)));
    } else {
        findings.error(span, "`loadAll` needs a `name`", "of the variable that all rows go to");
    }
    Some(())
}

fn order(node: &Node, findings: &mut Findings) -> Option<Order> {
    match node.as_text() {
        Some("random") => Some(Order::Random),
        Some("sequence") => Some(Order::Sequence),
        _ => {
            findings.error(node.span, "`order` is `random` or `sequence`", "");
            None
        }
    }
}

fn delimiter(node: &Node, findings: &mut Findings) -> Option<u8> {
    let written = text(node, "delimiter", findings)?;
    match written.as_bytes() {
        [byte] => Some(*byte),
        _ => {
            findings.error(node.span, "a delimiter is one character", "");
            None
        }
    }
}

/// All rows as one value: maps by field, or lists where the columns have no names.
fn whole(fields: &[String], rows: Vec<Vec<Value>>) -> Value {
    let row = |cells: Vec<Value>| {
        if fields.is_empty() {
            Value::Array(cells)
        } else {
            Value::Object(fields.iter().cloned().zip(cells).collect::<Map<_, _>>())
        }
    };
    Value::Array(rows.into_iter().map(row).collect())
}

#[derive(Clone, Copy)]
struct Layout {
    /// How many columns are kept.
    columns: usize,
    /// How many cells a cell counts as.
    weight: usize,
    skip_header: bool,
    cast: bool,
    skip_empty: bool,
    delimiter: u8,
}

/// What there is still room for.
#[derive(Clone, Copy, Debug)]
struct Room {
    cells: usize,
    /// In bytes.
    text: usize,
}

impl Room {
    /// Takes the room of a row; one without cells counts as one cell.
    fn take(&mut self, row: &[Value], weight: usize) -> Result<(), String> {
        let text: usize = row.iter().filter_map(Value::as_str).map(str::len).sum();
        let cells = self.cells.checked_sub(row.len().max(1).saturating_mul(weight));
        self.cells = cells.ok_or_else(|| {
            let (all, named) = (MOST.cells / 1_000_000, MOST.cells / NAMED / 1_000_000);
            format!("the payloads of a script have at most {all} million cells ({named} million as maps by `loadAll`)")
        })?;
        let text = self.text.checked_sub(text);
        self.text = text.ok_or_else(|| format!("the payloads of a script have at most {} MiB", MOST.text >> 20))?;
        Ok(())
    }
}

fn rows(path: &Path, layout: Layout, room: &mut Room) -> Result<Vec<Vec<Value>>, String> {
    let text = files::read(path, LARGEST)?;
    table(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text), layout, room)
}

fn table(text: &[u8], layout: Layout, room: &mut Room) -> Result<Vec<Vec<Value>>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(layout.skip_header)
        .delimiter(layout.delimiter)
        .flexible(true)
        .from_reader(text);
    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        if layout.skip_empty && record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        let cells = record.iter().take(layout.columns);
        let row: Vec<Value> = cells.map(|cell| value(&String::from_utf8_lossy(cell), layout.cast)).collect();
        room.take(&row, layout.weight)?;
        rows.push(row);
    }
    Ok(rows)
}

/// A cell: a number when it looks like one and `cast` says so.
fn value(cell: &str, cast: bool) -> Value {
    let looks = cell.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter));
    let number = (cast && looks).then(|| cell.trim().parse::<f64>().ok()).flatten().and_then(float);
    number.map_or_else(|| Value::String(cell.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Layout =
        Layout { columns: 2, weight: 1, skip_header: false, cast: true, skip_empty: true, delimiter: b',' };

    #[test]
    fn only_the_columns_that_have_names_are_kept() {
        let rows = |columns| table(b"1,b,c\n2\n\n", Layout { columns, ..PLAIN }, &mut MOST.clone());
        assert_eq!(rows(2), Ok(vec![vec![json!(1), json!("b")], vec![json!(2)]]));
        assert_eq!(rows(0), Ok(vec![vec![], vec![]]));
        assert_eq!(rows(usize::MAX).map(|rows| rows[0].len()), Ok(3));
    }

    #[test]
    fn the_room_for_rows_has_an_end() {
        let table = |room: &mut Room, weight| table(b"aa,bb\ncc,dd\n", Layout { weight, ..PLAIN }, room).map(|_| ());
        let mut room = Room { cells: 9, text: 12 };
        assert_eq!(table(&mut room, 1), Ok(()));
        assert_eq!((room.cells, room.text), (5, 4));
        assert!(table(&mut room, 1).is_err_and(|why| why.contains("64 MiB")));
        assert!(
            table(&mut Room { cells: 9, text: 12 }, NAMED).is_err_and(|why| why.contains("5 million cells (1 mil"))
        );
    }

    #[test]
    fn cells_that_look_like_numbers_become_numbers() {
        let cast = |cell| value(cell, true);
        assert_eq!([cast("7"), cast("1.50"), cast("-2"), cast("1e3")], [json!(7), json!(1.5), json!(-2), json!(1000)]);
        assert_eq!([cast("7a"), cast(""), cast("inf"), cast("-"), cast("NaN")].map(|v| v.is_string()), [true; 5]);
        assert_eq!(value("7", false), json!("7"));
    }
}

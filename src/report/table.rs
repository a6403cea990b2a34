//! Columns of text: the first one to the left and cut where it does not fit, the others to the right.

use std::fmt::Write;

use super::columns::{WIDTH, clip};

/// The least that is left of a name.
const SHORTEST_NAME: usize = 12;

/// A table with a line of headings.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Its lines, each set in by two.
    pub(super) fn write(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        let room = WIDTH.saturating_sub(others + 2).max(SHORTEST_NAME);
        let name = widths.first().copied().unwrap_or(0).min(room);
        for row in &self.rows {
            let first = row.first().map_or(String::new(), |cell| clip(cell, name));
            let _ = write!(out, "  {first:<name$}");
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                let _ = write!(out, "  {cell:>width$}");
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_names_give_way() {
        let mut table = Table::new(&["name", "p50"]);
        table.row(vec!["CSR – Login".into(), "12".into()]);
        table.row(vec!["x".repeat(200), "3412".into()]);
        let mut text = String::new();
        table.write(&mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() == WIDTH), "{text}");
        assert!(lines[1].starts_with("  CSR – Login ") && lines[1].ends_with("    12"), "{text}");
        assert!(lines[2].contains("…  3412"), "{text}");
    }
}

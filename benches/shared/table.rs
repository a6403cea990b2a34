//! Aligned columns, and what was aimed at.

/// Rows below a heading, the first column to the left and all others to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, heads: &[&str]) -> Self {
        println!("\n{title}");
        Self { rows: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn print(&self) {
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widest(column).unwrap_or_default();
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

/// What was aimed at, and whether it was met.
#[derive(Default)]
pub struct Aims {
    lines: Vec<(bool, String)>,
}

impl Aims {
    /// Notes that `measured` should be at most `most`.
    pub fn at_most(&mut self, what: &str, measured: f64, most: f64, unit: &str) {
        self.lines.push((measured <= most, format!("{what}: {measured:.2} {unit}, at most {most} {unit}")));
    }

    pub fn print(&self) {
        println!("\nAims");
        for (met, line) in &self.lines {
            println!("  {}  {line}", if *met { "met   " } else { "MISSED" });
        }
    }
}

//! Markdown tables that can be read as they are printed.

/// A table whose columns are as wide as their cells.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a header. A column whose name begins with `>` is flushed right.
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row of as many cells as the header has.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has nothing but its header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Prints it.
    pub fn print(&self) {
        let columns = self.rows[0].len();
        let right: Vec<bool> = self.rows[0].iter().map(|name| name.starts_with('>')).collect();
        let text = |row: &[String], column: usize| row[column].trim_start_matches('>').to_owned();
        let width = |column| self.rows.iter().map(|row| text(row, column).chars().count()).max().unwrap_or(0).max(2);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let cell = |column: usize| match (right[column], widths[column]) {
                (true, width) => format!("{:>width$}", text(row, column)),
                (false, width) => format!("{:<width$}", text(row, column)),
            };
            println!("| {} |", (0..columns).map(cell).collect::<Vec<_>>().join(" | "));
            if at == 0 {
                let rule = |column: usize| match right[column] {
                    true => format!("{}:", "-".repeat(widths[column] - 1)),
                    false => "-".repeat(widths[column]),
                };
                println!("| {} |", (0..columns).map(rule).collect::<Vec<_>>().join(" | "));
            }
        }
    }
}

/// For a person: `0.123`, `1.23`, `12.3`, `123`, `1,234,567`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let is_first_of_three = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
        let separated = |(at, digit)| [is_first_of_three(at).then_some(','), Some(digit)];
        return digits.chars().enumerate().flat_map(separated).flatten().collect();
    }
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

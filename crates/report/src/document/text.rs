//! Tables for a terminal.

use super::Table;

/// The table with aligned columns, a rule below the header, and two spaces between columns.
pub fn table(table: &Table) -> String {
    let widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = table.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.chars().count());
            cells.fold(column.name.chars().count(), usize::max)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .zip(&table.columns)
            .map(
                |((cell, &width), column)| {
                    if column.number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        // A control character in a class's name must not reach the terminal.
        let line = padded.join("  ").replace(|c: char| c.is_control(), "\u{fffd}");
        format!("{}\n", line.trim_end())
    };
    let mut out = line(table.columns.iter().map(|column| column.name.as_str()).collect());
    out.push_str(&line(
        widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>().iter().map(String::as_str).collect(),
    ));
    for row in &table.rows {
        out.push_str(&line(row.iter().map(|cell| cell.text.as_str()).collect()));
    }
    out
}

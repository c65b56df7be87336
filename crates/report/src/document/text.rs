//! Tables for a terminal.

use super::Table;
use preprocess::stage::names::shown;

/// The table with aligned columns, a rule below the header, and two spaces between columns.
pub fn table(table: &Table) -> String {
    let widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let length = |text: &str| shown(text).chars().count();
            let cells = table.rows.iter().filter_map(|row| row.get(index)).map(|cell| length(&cell.text));
            cells.fold(length(&column.name), usize::max)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .zip(&table.columns)
            .map(|((cell, &width), column)| {
                // A control character in a class's name must not reach the terminal.
                let cell = shown(cell);
                if column.number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        let line = padded.join("  ");
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

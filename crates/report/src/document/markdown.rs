//! Markdown as GitHub reads it.

use super::{Block, Document, Drawing, Table, link};
use preprocess::stage::names::is_dangerous;
use std::fmt::Write;

/// The whole document. Figures are links to their files.
pub fn to_markdown(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}\n", escape(&document.title), escape(&document.subtitle));
    for section in &document.sections {
        let _ = write!(out, "\n## {}\n", escape(&section.title));
        for block in &section.blocks {
            out.push('\n');
            write_block(&mut out, block);
        }
    }
    out
}

fn write_block(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Paragraph(text) => writeln!(out, "{}", escape(text)),
        Block::Note(text) => writeln!(out, "> **Note:** {}", escape(text)),
        Block::Heading(text) => writeln!(out, "### {}", escape(text)),
        Block::Table(contents) => write!(out, "{}", table(contents)),
        Block::Columns(tables) => {
            let tables: Vec<String> = tables
                .iter()
                .map(|(heading, contents)| format!("### {}\n\n{}", escape(heading), table(contents)))
                .collect();
            write!(out, "{}", tables.join("\n"))
        }
        Block::Wide(drawing) => writeln!(out, "{}", image(drawing)),
        Block::Gallery(drawings) => {
            let images: Vec<String> = drawings.iter().map(image).collect();
            writeln!(out, "{}", images.join("\n\n"))
        }
        Block::File { path, label } => writeln!(out, "[{}]({})", escape(label), link(path)),
    };
}

fn image(drawing: &Drawing) -> String {
    let image = format!("![{}]({})", escape(&drawing.figure.description()), link(&drawing.path()));
    if drawing.caption.is_empty() { image } else { format!("{image}\n\n{}", escape(&drawing.caption)) }
}

/// A table, its columns padded so that the source can be read too.
pub fn table(table: &Table) -> String {
    let text = |text: &str, strong: bool| if strong { format!("**{}**", escape(text)) } else { escape(text) };
    let header: Vec<String> = table.columns.iter().map(|column| text(&column.name, false)).collect();
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|cell| text(&cell.text, cell.strong)).collect()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.chain([&header[column]]).map(|cell| cell.chars().count()).fold(3, usize::max)
        })
        .collect();

    let mut out = String::new();
    let mut line = |cells: &[String]| {
        for ((cell, &width), column) in cells.iter().zip(&widths).zip(&table.columns) {
            let fill = " ".repeat(width - cell.chars().count());
            let _ = if column.number { write!(out, "| {fill}{cell} ") } else { write!(out, "| {cell}{fill} ") };
        }
        out.push_str("|\n");
    };
    line(&header);
    let rule = |(&width, column): (&usize, &super::Column)| {
        if column.number { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(width) }
    };
    line(&widths.iter().zip(&table.columns).map(rule).collect::<Vec<_>>());
    for row in &rows {
        line(row);
    }
    out
}

/// Plain text as Markdown that shows exactly it. An underscore within a word means nothing to Markdown and is left
/// alone.
pub fn escape(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (index, &c) in chars.iter().enumerate() {
        let within_word = || {
            let word = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
            word(index.checked_sub(1)) && word(index.checked_add(1))
        };
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '_' if within_word() => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '#' if index == 0 => out.push_str("\\#"),
            c if c.is_whitespace() => out.push(' '),
            c if is_dangerous(c) => out.push_str(&format!("\\{}", c.escape_unicode())),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_markup() {
        let cases = [
            ("homer_simpson", "homer_simpson"),
            ("_secret_", "\\_secret\\_"),
            ("a|b", "a\\|b"),
            ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
            ("[x](http://y)", "\\[x\\](http://y)"),
            ("# one\ntwo", "\\# one two"),
            ("`code` **bold**", "\\`code\\` \\*\\*bold\\*\\*"),
            ("a\u{1b}[2J\u{202e}b", "a\\\\u{1b}\\[2J\\\\u{202e}b"),
        ];
        for (given, expected) in cases {
            assert_eq!(escape(given), expected);
        }
    }
}

//! One HTML page that holds everything: styles, figures and images. No script, no network.

use super::{Block, Document, Drawing, Section, Table, link};
use crate::figure::{DARK, LIGHT, escape};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub fn to_html(document: &Document) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n\
         :root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&document.title),
        LIGHT.css_variables(),
        DARK.css_variables()
    );
    let _ = write!(
        out,
        "<header>\n<h1>{}</h1>\n<p>{}</p>\n<nav aria-label=\"Sections\">\n",
        escape(&document.title),
        escape(&document.subtitle)
    );
    for section in &document.sections {
        let _ = writeln!(out, "<a href=\"#{}\">{}</a>", section.id, escape(&section.title));
    }
    out.push_str("</nav>\n</header>\n<main>\n");
    for section in &document.sections {
        write_section(&mut out, section);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn write_section(out: &mut String, section: &Section) {
    let _ = writeln!(out, "<section id=\"{}\">\n<h2>{}</h2>", section.id, escape(&section.title));
    for block in &section.blocks {
        write_block(out, block);
    }
    out.push_str("</section>\n");
}

fn write_block(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Paragraph(text) => writeln!(out, "<p>{}</p>", escape(text)),
        Block::Note(text) => writeln!(out, "<p class=\"note\"><strong>Note:</strong> {}</p>", escape(text)),
        Block::Heading(text) => writeln!(out, "<h3>{}</h3>", escape(text)),
        Block::Table(table) => write!(out, "{}", write_table(table)),
        Block::Columns(tables) => {
            let column = |(heading, table): &(String, Table)| {
                format!("<div>\n<h3>{}</h3>\n{}</div>", escape(heading), write_table(table))
            };
            let tables: Vec<String> = tables.iter().map(column).collect();
            writeln!(out, "<div class=\"gallery\">\n{}\n</div>", tables.join("\n"))
        }
        Block::Wide(drawing) => writeln!(out, "{}", write_drawing(drawing, "wide")),
        Block::Gallery(drawings) => {
            let figures: Vec<String> = drawings.iter().map(|drawing| write_drawing(drawing, "")).collect();
            writeln!(out, "<div class=\"gallery\">\n{}\n</div>", figures.join("\n"))
        }
        Block::File { path, label } => writeln!(out, "<p><a href=\"{}\">{}</a></p>", link(path), escape(label)),
    };
}

/// A region that scrolls sideways can be reached with the keyboard.
const SCROLL: &str = "class=\"scroll\" tabindex=\"0\"";

fn write_drawing(drawing: &Drawing, class: &str) -> String {
    let caption = match drawing.caption.as_str() {
        "" => String::new(),
        caption => format!("<figcaption>{}</figcaption>", escape(caption)),
    };
    format!("<figure class=\"{class}\"><div {SCROLL}>{}</div>{caption}</figure>", drawing.figure.to_inline())
}

fn write_table(table: &Table) -> String {
    let class = |column: usize| if table.columns[column].number { " class=\"number\"" } else { "" };
    let mut out = format!("<div {SCROLL}><table>\n<thead><tr>");
    for (index, column) in table.columns.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(index), escape(&column.name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let text = escape(&cell.text);
            let text = if cell.strong { format!("<strong>{text}</strong>") } else { text };
            let _ = match index {
                0 => write!(out, "<th scope=\"row\"{}>{text}</th>", class(index)),
                _ => write!(out, "<td{}>{text}</td>", class(index)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

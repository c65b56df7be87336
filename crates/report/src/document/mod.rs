//! A report as data: sections of paragraphs, tables and figures. One content, written as Markdown, as HTML and, table
//! by table, to a terminal.

mod html;
mod markdown;
mod text;

use crate::figure::Figure;

pub use html::to_html;
pub use markdown::{escape as escape_markdown, table as markdown_table, to_markdown};
pub use text::table as text_table;

/// A whole report.
pub struct Document {
    /// The first heading.
    pub title: String,
    /// One line below it.
    pub subtitle: String,
    /// From top to bottom.
    pub sections: Vec<Section>,
}

/// A part with a heading.
pub struct Section {
    /// Names it in links; lower-case letters and `-` only.
    pub id: &'static str,
    /// The heading.
    pub title: String,
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// A piece of a section. All text is plain: the writers escape it.
pub enum Block {
    /// Prose.
    Paragraph(String),
    /// Prose that the reader should not miss.
    Note(String),
    /// A heading within the section.
    Heading(String),
    /// A table.
    Table(Table),
    /// Tables with a heading each, side by side where there is room.
    Columns(Vec<(String, Table)>),
    /// Drawings side by side where there is room, one below the other on a phone.
    Gallery(Vec<Drawing>),
    /// A drawing that is scrolled rather than shrunk where there is no room.
    Wide(Drawing),
    /// A link to a file beside the report: its path relative to the report's directory, and what it is.
    File {
        /// With `/` between its parts.
        path: String,
        /// What it is.
        label: String,
    },
}

/// A figure and where its file goes.
pub struct Drawing {
    /// The file's name without `.svg`, within `figures/`.
    pub name: String,
    /// The figure.
    pub figure: Box<dyn Figure>,
    /// Below it; may be empty.
    pub caption: String,
}

impl Drawing {
    /// The file's path relative to the report's directory.
    pub(crate) fn path(&self) -> String {
        format!("figures/{}.svg", self.name)
    }
}

/// A table of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The header.
    pub columns: Vec<Column>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A column's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The header.
    pub name: String,
    /// Numbers stand at the right.
    pub number: bool,
}

/// A table's cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Whether it stands out.
    pub strong: bool,
}

impl Table {
    /// A table without rows. Columns whose name begins with `#` hold numbers; the `#` is not shown.
    pub(crate) fn new<S: AsRef<str>>(columns: impl IntoIterator<Item = S>) -> Self {
        let column = |name: S| match name.as_ref().strip_prefix('#') {
            Some(name) => Column::number(name),
            None => Column::text(name.as_ref()),
        };
        Self { columns: columns.into_iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl Column {
    /// A column of words.
    pub(crate) fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), number: false }
    }

    /// A column of numbers.
    pub(crate) fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), number: true }
    }
}

impl Cell {
    /// A cell that stands out if `strong`.
    pub(crate) fn new(text: impl Into<String>, strong: bool) -> Self {
        Self { text: text.into(), strong }
    }
}

impl<S: Into<String>> From<S> for Cell {
    fn from(text: S) -> Self {
        Self { text: text.into(), strong: false }
    }
}

impl Document {
    /// All figures, in order.
    pub fn drawings(&self) -> impl Iterator<Item = &Drawing> {
        self.sections.iter().flat_map(|section| &section.blocks).flat_map(|block| match block {
            Block::Gallery(drawings) => drawings.as_slice(),
            Block::Wide(drawing) => std::slice::from_ref(drawing),
            _ => &[],
        })
    }
}

/// A relative path for a link: everything but letters, digits and `-._~/` percent-encoded.
fn link(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

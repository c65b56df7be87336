//! Reads a file of corrections.

use super::{Action, Corrections, Entry};
use crate::stage::error::Context;
use crate::stage::files;
use crate::stage::names::{from_csv_cell, shown};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The word before the class.
const RELABEL: &str = "relabel";

/// What to do about a line that is none.
const FORM: &str = "a line is as `cat/7.png,relabel dog`, `cat/8.png,drop` or `cat/9.png,keep`, below the line \
                    `path,action`; cells with commas are put in quotes";

impl Corrections {
    /// Reads a CSV file in UTF-8. Its first line names the columns, in any order: `path`, as the program's own CSV
    /// files have it; `action`, which is `relabel CLASS`, `drop` or `keep`; perhaps `class`, which completes an action
    /// that is only `relabel`. Other columns are passed over.
    ///
    /// # Errors
    /// The file cannot be read or is no such table; an action is none, lacks its class or has two; an image is there
    /// twice. With the line. Whether there are such images and classes is not looked at.
    pub fn read(file: &Path) -> Result<Self> {
        let text = read_text(file)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut columns = None;
        for record in reader.records() {
            let record = record.context(|| cannot(file))?;
            let line = line_of(&record, &text);
            let wrong = |because| refused(file, line, because);
            let cells: Vec<&str> = record.iter().collect();
            let Some(columns) = &columns else {
                columns = Some(Columns::named(&cells).map_err(wrong)?);
                continue;
            };
            let (path, action) = columns.entry(&cells).map_err(wrong)?;
            let first = entries.get(&path).map(|entry| entry.line);
            if let Some(first) = first {
                return Err(wrong(format!("`{}` has an action in line {first} already", shown(&path))));
            }
            entries.insert(path, Entry { action, line });
        }
        match columns {
            Some(_) => Ok(Self { file: file.to_owned(), entries }),
            None => Err(refused(file, 1, "the file is empty".to_owned())),
        }
    }
}

fn cannot(file: &Path) -> String {
    format!("cannot read `{}`, which `preprocess.corrections` names", file.display())
}

fn refused(file: &Path, line: u64, because: String) -> Error {
    Error::new(format!("`{}`, line {line}, is no line of corrections", file.display())).because(because).hint(FORM)
}

fn read_text(file: &Path) -> Result<String> {
    let bytes = files::read(file).context(|| cannot(file)).map_err(|error| {
        error.hint("name a CSV file with the columns `path` and `action`; or take the key away until there is one")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        Error::new(cannot(file))
            .because(format!("line {line} is not UTF-8 text"))
            .hint("save the table as CSV, in UTF-8")
    })?;
    // Spreadsheets put a byte order mark first.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The line in which a record begins. The reader counts empty lines before a record to it.
fn line_of(record: &csv::StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 1 };
    let rest = text.get(position.byte() as usize..).unwrap_or_default();
    let passed = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    position.line() + rest[..passed].matches('\n').count() as u64
}

/// Where the columns are.
struct Columns {
    /// How many there are.
    number: usize,
    path: usize,
    action: usize,
    class: Option<usize>,
}

impl Columns {
    /// By the first line's names.
    fn named(names: &[&str]) -> Result<Self, String> {
        let place = |name: &str| {
            let mut places = names.iter().enumerate().filter(|(_, of)| **of == name).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(format!("it names the column `{name}` twice")),
                (place, _) => Ok(place),
            }
        };
        let needed = |name: &str| place(name)?.ok_or_else(|| format!("the first line names no column `{name}`"));
        Ok(Self { number: names.len(), path: needed("path")?, action: needed("action")?, class: place("class")? })
    }

    /// What a line says of which image.
    fn entry(&self, cells: &[&str]) -> Result<(String, Action), String> {
        // The program's own cells have no line breaks: `csv_cell` escapes them.
        if cells.iter().any(|cell| cell.contains('\n')) {
            return Err("a cell goes over several lines: a quotation mark is not closed".to_owned());
        }
        if cells.len() != self.number {
            return Err(format!("it has {} cells, the first line {}", cells.len(), self.number));
        }
        let class = self.class.map_or("", |class| cells[class]);
        match from_csv_cell(cells[self.path]) {
            path if path.is_empty() => Err("its `path` is empty".to_owned()),
            path => Ok((path, action(cells[self.action], class)?)),
        }
    }
}

/// The action of a line, given by the cells of the two columns.
fn action(cell: &str, class: &str) -> Result<Action, String> {
    let text = from_csv_cell(cell);
    let (word, inline) = text.split_once(' ').unwrap_or((&text, ""));
    match (word, inline) {
        ("drop", "") => Ok(Action::Drop),
        ("keep", "") => Ok(Action::Keep),
        (RELABEL, inline) => {
            let class = from_csv_cell(class);
            match (inline, class.as_str()) {
                ("", "") => Err(format!("`{RELABEL}` names no class")),
                ("", class) | (class, "") => Ok(Action::Relabel(class.to_owned())),
                (one, other) if one == other => Ok(Action::Relabel(class)),
                (one, other) => Err(format!("it names two classes, `{}` and `{}`", shown(one), shown(other))),
            }
        }
        _ if text.is_empty() => Err("its `action` is empty".to_owned()),
        _ => Err(format!("its action is `{}`; it must be `{RELABEL} CLASS`, `drop` or `keep`", shown(&text))),
    }
}

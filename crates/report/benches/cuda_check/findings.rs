//! What was found, and the table of it.

use crate::shared::table::Table;

/// All rows so far.
#[derive(Default)]
pub struct Findings {
    rows: Vec<[String; 4]>,
    failed: bool,
}

impl Findings {
    /// Something is as it should be; `goal` says how that is, where there is a goal.
    pub fn passed(&mut self, what: impl Into<String>, measured: impl Into<String>, goal: impl Into<String>) {
        self.add("✓", what.into(), measured.into(), goal.into());
    }

    /// Something is not as it should be.
    pub fn failed(&mut self, what: impl Into<String>, measured: impl Into<String>, goal: impl Into<String>) {
        self.failed = true;
        self.add("✗", what.into(), measured.into(), goal.into());
    }

    /// One of the two.
    pub fn judge(
        &mut self,
        is_well: bool,
        what: impl Into<String>,
        measured: impl Into<String>,
        goal: impl Into<String>,
    ) {
        match is_well {
            true => self.passed(what, measured, goal),
            false => self.failed(what, measured, goal),
        }
    }

    /// A figure without a goal.
    pub fn note(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.add(" ", what.into(), measured.into(), String::new());
    }

    /// Something that could not be tried, and why.
    pub fn not_run(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.add("–", what.into(), format!("not run: {why}"), String::new());
    }

    /// Whether nothing failed.
    pub fn all_well(&self) -> bool {
        !self.failed
    }

    pub fn print(&self) {
        let mut table = Table::new(&["", "check", "measured", "goal"]);
        self.rows.iter().for_each(|row| table.row(row.to_vec()));
        table.print();
    }

    fn add(&mut self, verdict: &str, what: String, measured: String, goal: String) {
        eprintln!("{verdict} {what}: {measured}");
        self.rows.push([verdict.to_owned(), what, measured, goal]);
    }
}

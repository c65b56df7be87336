//! Ours and the peers in turn, and the table of ratios.

use crate::peer::{Peer, Started, pause};
use crate::shared::table::{Table, number};
use crate::shared::timing::median;
use preprocess::Result;

/// What one row compares.
pub struct Goal {
    pub work: String,
    /// The ratio to the peer that has to be reached, and the one that is aimed at.
    pub must: f64,
    pub aim: f64,
    /// Whether less is better.
    pub less_is_better: bool,
}

impl Goal {
    /// Where more is better.
    pub fn more(work: impl Into<String>, must: f64, aim: f64) -> Self {
        Self { work: work.into(), must, aim, less_is_better: false }
    }

    fn verdict(&self, ratio: f64) -> &'static str {
        let reached = |goal: f64| if self.less_is_better { ratio <= goal } else { ratio >= goal };
        match (reached(self.aim), reached(self.must)) {
            (true, _) => "aim reached",
            (_, true) => "must reached",
            _ => "missed",
        }
    }
}

/// The peers of a section, and those that are not installed.
#[derive(Default)]
pub struct Peers {
    ready: Vec<Peer>,
    missing: Vec<String>,
}

impl Peers {
    /// Starts each: name, script, arguments.
    ///
    /// # Errors
    /// As [`Peer::start`].
    pub fn start(peers: &[(&str, &str, &[&str])]) -> Result<Self> {
        let mut all = Self::default();
        for (name, script, arguments) in peers {
            match Peer::start(name, script, arguments)? {
                Started::Ready(peer) => all.ready.push(peer),
                Started::Missing(library) => all.missing.push(format!("{name}: missing (no `{library}`)")),
            }
        }
        Ok(all)
    }

    /// Fails where one is missing.
    ///
    /// # Errors
    /// Names them.
    #[cfg(feature = "cuda")]
    pub fn all_ready(self) -> Result<Self> {
        if self.missing.is_empty() { Ok(self) } else { Err(preprocess::Error::new(self.missing.join("; "))) }
    }

    /// Runs ours and each peer in turn, `rounds` times; the medians of images a second, ours apart.
    ///
    /// # Errors
    /// Ours or a peer fails.
    pub fn race(&mut self, rounds: usize, request: &str, mut ours: impl FnMut() -> Result<f64>) -> Result<Outcome> {
        let mut own = Vec::new();
        let mut others: Vec<Vec<f64>> = self.ready.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            pause();
            own.push(ours()?);
            for (peer, times) in self.ready.iter_mut().zip(&mut others) {
                times.push(peer.measure(request)?);
            }
        }
        let peers = self.ready.iter().map(|peer| peer.name().to_owned()).zip(others.into_iter().map(median)).collect();
        Ok(Outcome { ours: median(own), peers, remarks: self.missing.clone() })
    }
}

/// What a race gave.
pub struct Outcome {
    pub ours: f64,
    /// Names and figures.
    pub peers: Vec<(String, f64)>,
    /// What else the row says: peers that are missing.
    pub remarks: Vec<String>,
}

/// The table as it grows.
pub struct Ratios(Table);

impl Ratios {
    pub fn new() -> Self {
        Self(Table::new(&["work", ">ours", ">best peer", ">ratio", ">must", ">aim", "verdict", "peers"]))
    }

    /// A row that compares with the best peer.
    pub fn add(&mut self, goal: &Goal, outcome: &Outcome) {
        let best = outcome.peers.iter().map(|(_, value)| *value);
        let best = if goal.less_is_better { best.reduce(f64::min) } else { best.reduce(f64::max) };
        let named = outcome.peers.iter().map(|(name, value)| format!("{name} {}", number(*value)));
        let remark = named.chain(outcome.remarks.iter().cloned()).collect::<Vec<_>>().join("; ");
        let ratio = best.map_or(f64::NAN, |best| outcome.ours / best);
        self.row(goal, outcome.ours, best.map_or_else(|| "–".to_owned(), number), ratio, remark);
    }

    /// A row whose goals are figures, not ratios.
    pub fn add_absolute(&mut self, goal: &Goal, ours: f64) {
        self.0.row(vec![
            goal.work.clone(),
            number(ours),
            String::new(),
            String::new(),
            number(goal.must),
            number(goal.aim),
            goal.verdict(ours).to_owned(),
            String::new(),
        ]);
    }

    fn row(&mut self, goal: &Goal, ours: f64, best: String, ratio: f64, remark: String) {
        let (verdict, ratio) = match ratio.is_nan() {
            true => ("no peer", "–".to_owned()),
            false => (goal.verdict(ratio), format!("{ratio:.2}")),
        };
        let (must, aim) = (format!("{:.1}", goal.must), format!("{:.1}", goal.aim));
        self.0.row(vec![goal.work.clone(), number(ours), best, ratio, must, aim, verdict.to_owned(), remark]);
    }

    pub fn print(&self) {
        self.0.print();
    }
}

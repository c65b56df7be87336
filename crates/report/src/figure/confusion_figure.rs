//! A confusion matrix as a picture that stays readable at 50 classes.

use super::svg::{fit, text_width};
use super::{Anchor, Figure, Palette, Svg};
use crate::format::percent;
use crate::metrics::ConfusionMatrix;

/// Right answers in the first colour, mistakes in the second; the strength is the share of the true class.
#[derive(Debug)]
pub(crate) struct ConfusionFigure {
    /// In the order of the matrix.
    pub classes: Vec<String>,
    /// The counts.
    pub matrix: ConfusionMatrix,
    /// Whose it is: for the description.
    pub of: String,
}

/// Up to this many classes the counts are written into the cells.
const WRITTEN: usize = 25;
const LONGEST_NAME: f64 = 180.0;
const LEGEND: [f64; 6] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0];

struct Layout {
    cell: f64,
    font: f64,
    left: f64,
    top: f64,
    side: f64,
    width: f64,
}

impl ConfusionFigure {
    fn layout(&self) -> Layout {
        let classes = self.classes.len();
        let (cell, font) = match classes {
            0..=12 => (40.0, 13.0),
            13..=WRITTEN => (29.0, 12.0),
            26..=100 => (15.0, 11.0),
            _ => (8.0, 7.0),
        };
        let names = self.classes.iter().map(|name| text_width(name, font)).fold(30.0, f64::max).min(LONGEST_NAME);
        let (left, side) = (names + 34.0, cell * classes as f64);
        Layout { cell, font, left, top: names + 34.0, side, width: (left + side + 8.0).max(400.0) }
    }

    fn draw_names(&self, svg: &mut Svg, palette: &Palette, at: &Layout) {
        for (index, name) in self.classes.iter().enumerate() {
            let name = fit(name, at.font, LONGEST_NAME);
            let middle = at.cell * (index as f64 + 0.5) + at.font * 0.35;
            svg.text([at.left - 7.0, at.top + middle], at.font, Anchor::End, palette.ink, &name);
            svg.turned([at.left + middle, at.top - 7.0], at.font, Anchor::Start, palette.ink, -90.0, &name);
        }
        let middle = at.side / 2.0;
        svg.bold([at.left + middle, 14.0], 12.5, Anchor::Middle, palette.muted, "predicted class");
        svg.turned([14.0, at.top + middle], 12.5, Anchor::Middle, palette.muted, -90.0, "true class");
    }

    fn draw_cells(&self, svg: &mut Svg, palette: &Palette, at: &Layout) {
        for (truth, row) in self.matrix.rows().iter().enumerate() {
            let support = self.matrix.support(truth);
            for (predicted, &count) in row.iter().enumerate().filter(|&(_, &count)| count > 0) {
                let share = count as f64 / support as f64;
                let (x, y) = (at.left + at.cell * predicted as f64, at.top + at.cell * truth as f64);
                let colour = palette.series(usize::from(truth != predicted));
                let title = format!(
                    "{} predicted as {}: {count} of {support} ({})",
                    self.classes[truth],
                    self.classes[predicted],
                    percent(share)
                );
                svg.rect([x + 0.5, y + 0.5, at.cell - 1.0, at.cell - 1.0], colour, strength(share), &title);
                if self.classes.len() <= WRITTEN {
                    let ink = if strength(share) > 0.6 { palette.on_fill } else { palette.ink };
                    let text = count.to_string();
                    let size = (at.font - 0.5).min(1.6 * (at.cell - 4.0) / text.len() as f64);
                    let baseline = y + at.cell / 2.0 + size * 0.35;
                    svg.text([x + at.cell / 2.0, baseline], size, Anchor::Middle, ink, &text);
                }
            }
        }
    }

    fn draw_legend(&self, svg: &mut Svg, palette: &Palette, at: &Layout) {
        let y = at.top + at.side + 26.0;
        let wide = 40.0;
        let left = (at.width - wide * LEGEND.len() as f64 - 8.0).max(90.0);
        for (series, name) in ["right", "wrong"].iter().enumerate() {
            let y = y + 15.0 * series as f64;
            svg.text([left - 8.0, y + 11.0], 12.0, Anchor::End, palette.muted, name);
            for (index, &share) in LEGEND.iter().enumerate() {
                let x = left + wide * index as f64;
                svg.rect([x, y, wide - 1.0, 14.0], palette.series(series), strength(share), "");
            }
        }
        for (index, share) in LEGEND.iter().enumerate() {
            let x = left + wide * (index as f64 + 0.5);
            svg.text([x, y + 44.0], 11.0, Anchor::Middle, palette.muted, &format!("{:.0} %", 100.0 * share));
        }
        svg.text([at.width - 8.0, y + 60.0], 11.0, Anchor::End, palette.muted, "share of the true class (row)");
    }
}

/// Opacity of a share: its square root, so that a confusion of one in a hundred can still be seen.
fn strength(share: f64) -> f64 {
    share.sqrt()
}

impl Figure for ConfusionFigure {
    fn draw(&self, palette: &Palette) -> Svg {
        let at = self.layout();
        let mut svg = Svg::new(at.width, at.top + at.side + 94.0);
        self.draw_names(&mut svg, palette, &at);
        for index in 0..=self.classes.len() {
            let offset = at.cell * index as f64;
            svg.line([at.left, at.top + offset], [at.left + at.side, at.top + offset], palette.grid, 0.5);
            svg.line([at.left + offset, at.top], [at.left + offset, at.top + at.side], palette.grid, 0.5);
        }
        self.draw_cells(&mut svg, palette, &at);
        self.draw_legend(&mut svg, palette, &at);
        svg
    }

    fn description(&self) -> String {
        let worst = self.matrix.confused_pairs().first().map_or_else(
            || "no mistakes".to_string(),
            |&(truth, predicted, count)| {
                format!("most often {} is taken for {} ({count} times)", self.classes[truth], self.classes[predicted])
            },
        );
        format!(
            "Confusion matrix of {}: {} of {} images right; {worst}.",
            self.of,
            self.matrix.correct(),
            self.matrix.total()
        )
    }
}

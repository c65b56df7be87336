//! Values against epochs.

use super::axis::Axis;
use super::svg::text_width;
use super::{Anchor, Figure, Palette, Svg};

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// As in the legend.
    pub name: String,
    /// Which model: gives the colour.
    pub series: usize,
    /// Training lines are dashed, validation lines are not.
    pub dashed: bool,
    /// `(epoch, value)`; values that are not finite leave a gap.
    pub points: Vec<(usize, f64)>,
    /// The epoch whose weights are the model: marked by a ring.
    pub marked: Option<usize>,
}

/// A line chart over epochs.
#[derive(Debug)]
pub(crate) struct LineChart {
    /// The vertical axis' name, with its unit.
    pub quantity: String,
    /// Values are fractions, to be written in percent.
    pub percent: bool,
    /// All lines.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 440.0;
const PLOT_HEIGHT: f64 = 235.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 34.0;
const LEGEND_ROW: f64 = 21.0;

impl Figure for LineChart {
    fn draw(&self, palette: &Palette) -> Svg {
        let legend = self.legend_rows();
        let bottom = TOP + PLOT_HEIGHT;
        let mut svg = Svg::new(WIDTH, bottom + 46.0 + LEGEND_ROW * legend.len() as f64);
        let x = Axis::whole(self.last_epoch(), [LEFT + 12.0, WIDTH - 16.0], 8);
        let y = Axis::new(self.range(), [bottom, TOP], 5);
        self.draw_axes(&mut svg, palette, &x, &y);
        for line in &self.lines {
            draw_line(&mut svg, palette, line, &x, &y, |value| self.value(value));
        }
        draw_legend(&mut svg, palette, &legend, bottom + 60.0);
        svg
    }

    fn description(&self) -> String {
        let ends: Vec<String> = self
            .lines
            .iter()
            .filter_map(|line| {
                let (epoch, value) = line.points.iter().rfind(|(_, value)| value.is_finite())?;
                Some(format!("{}: {} after epoch {epoch}", line.name, self.value(*value)))
            })
            .collect();
        format!("{} against epochs. {}.", self.quantity, ends.join("; "))
    }
}

impl LineChart {
    fn value(&self, value: f64) -> String {
        if self.percent { format!("{:.1} %", 100.0 * value) } else { format!("{value:.3}") }
    }

    fn last_epoch(&self) -> usize {
        self.lines.iter().flat_map(|line| &line.points).map(|&(epoch, _)| epoch).max().unwrap_or(1)
    }

    fn range(&self) -> [f64; 2] {
        let values =
            || self.lines.iter().flat_map(|line| &line.points).map(|&(_, value)| value).filter(|v| v.is_finite());
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        match (low.is_finite(), self.percent) {
            (false, _) => [0.0, 1.0],
            // An axis beyond 100 % would be nonsense.
            (true, true) => [low, high.min(1.0)],
            (true, false) => [low, high],
        }
    }

    fn draw_axes(&self, svg: &mut Svg, palette: &Palette, x: &Axis, y: &Axis) {
        let bottom = TOP + PLOT_HEIGHT;
        svg.bold([LEFT - 44.0, 18.0], 14.0, Anchor::Start, palette.ink, &self.quantity);
        for &tick in &y.ticks {
            let label = if self.percent { format!("{:.0} %", 100.0 * tick) } else { y.label(tick) };
            svg.line([LEFT, y.at(tick)], [WIDTH - 8.0, y.at(tick)], palette.grid, 1.0);
            svg.text([LEFT - 7.0, y.at(tick) + 4.5], 13.0, Anchor::End, palette.muted, &label);
        }
        for &tick in &x.ticks {
            svg.line([x.at(tick), bottom], [x.at(tick), bottom + 5.0], palette.muted, 1.0);
            svg.text([x.at(tick), bottom + 20.0], 13.0, Anchor::Middle, palette.muted, &x.label(tick));
        }
        svg.text([WIDTH - 8.0, bottom + 38.0], 13.0, Anchor::End, palette.muted, "epoch");
    }

    /// Lines in rows that fit the width, with where each entry begins.
    fn legend_rows(&self) -> Vec<Vec<(f64, &Line)>> {
        let mut rows: Vec<Vec<(f64, &Line)>> = Vec::new();
        let mut x = WIDTH;
        for line in &self.lines {
            let width = 44.0 + text_width(&line.name, 13.0);
            if x + width > WIDTH {
                rows.push(Vec::new());
                x = LEFT;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x, line));
            }
            x += width;
        }
        rows
    }
}

fn draw_line(svg: &mut Svg, palette: &Palette, line: &Line, x: &Axis, y: &Axis, value_text: impl Fn(f64) -> String) {
    let colour = palette.series(line.series);
    for run in line.points.split(|(_, value)| !value.is_finite()).filter(|run| run.len() > 1) {
        let points: Vec<[f64; 2]> = run.iter().map(|&(epoch, value)| [x.at(epoch as f64), y.at(value)]).collect();
        svg.path(&points, colour, line.dashed);
    }
    for &(epoch, value) in line.points.iter().filter(|(_, value)| value.is_finite()) {
        let title = format!("{}, epoch {epoch}: {}", line.name, value_text(value));
        let at = [x.at(epoch as f64), y.at(value)];
        if line.marked == Some(epoch) {
            svg.dot(at, 5.0, colour, Some(palette.background), &format!("{title} (best epoch)"));
        } else {
            svg.dot(at, if line.points.len() > 60 { 1.2 } else { 2.2 }, colour, None, &title);
        }
    }
}

fn draw_legend(svg: &mut Svg, palette: &Palette, rows: &[Vec<(f64, &Line)>], top: f64) {
    for (row, entries) in rows.iter().enumerate() {
        let y = top + LEGEND_ROW * row as f64;
        for (x, line) in entries {
            svg.path(&[[*x, y - 4.5], [x + 24.0, y - 4.5]], palette.series(line.series), line.dashed);
            svg.text([x + 30.0, y], 13.0, Anchor::Start, palette.ink, &line.name);
        }
    }
}

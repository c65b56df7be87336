//! Horizontal bars of values between 0 and 1.

use super::svg::{fit, text_width};
use super::{Anchor, Figure, Palette, Svg};

/// One group of bars: a class, with a value for each model.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// The group's name.
    pub name: String,
    /// Drawn bold: the true class.
    pub strong: bool,
    /// `(series, value)`.
    pub values: Vec<(usize, f64)>,
}

/// A bar chart with its legend.
#[derive(Debug)]
pub(crate) struct BarChart {
    /// What the values are.
    pub quantity: String,
    /// Names of the series, in order.
    pub series: Vec<String>,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// Where bars are put: shared with the sample cards.
pub(super) struct BarArea {
    /// Left edge of the names.
    pub left: f64,
    /// Width of names, bars and values together.
    pub width: f64,
    /// Top edge of the first group.
    pub top: f64,
    /// The most that names may take.
    pub longest_name: f64,
    /// Values are written in percent.
    pub percent: bool,
}

const FONT: f64 = 12.5;

/// Height of a group with so many bars.
pub(super) fn group_height(values: usize) -> f64 {
    if values <= 1 { 19.0 } else { 10.5 * values as f64 + 5.0 }
}

impl BarArea {
    /// Draws the groups from top to bottom.
    pub(super) fn draw(&self, svg: &mut Svg, palette: &Palette, bars: &[Bar], series: &[String]) {
        let names = bars.iter().map(|bar| text_width(&bar.name, FONT)).fold(0.0, f64::max).min(self.longest_name);
        let (from, to) = (self.left + names + 8.0, self.left + self.width - 46.0);
        let mut y = self.top;
        for bar in bars {
            let height = group_height(bar.values.len());
            let middle = y + height / 2.0;
            let name = fit(&bar.name, FONT, names + 1.0);
            let at = [from - 8.0, middle + 4.0];
            if bar.strong {
                svg.bold(at, FONT, Anchor::End, palette.ink, &name);
            } else {
                svg.text(at, FONT, Anchor::End, palette.ink, &name);
            }
            let thickness = (height - 5.0) / bar.values.len().max(1) as f64;
            for (index, &(model, value)) in bar.values.iter().enumerate() {
                let top = y + 2.5 + thickness * index as f64;
                let text = self.value(value);
                let owner = series.get(model).map(|name| format!("{name}, ")).unwrap_or_default();
                let title = format!("{owner}{}: {text}", bar.name);
                let length = (to - from) * value.clamp(0.0, 1.0);
                svg.rect([from, top, length.max(0.6), thickness - 0.8], palette.series(model), 1.0, &title);
                let size = if bar.values.len() > 1 { 9.5 } else { 12.0 };
                let baseline = top + thickness / 2.0 + size * 0.34;
                svg.text([from + length + 4.0, baseline], size, Anchor::Start, palette.muted, &text);
            }
            y += height;
        }
        svg.line([from, self.top], [from, y], palette.muted, 1.0);
    }

    fn value(&self, value: f64) -> String {
        if self.percent { format!("{:.1} %", 100.0 * value) } else { format!("{value:.3}") }
    }
}

impl Figure for BarChart {
    fn draw(&self, palette: &Palette) -> Svg {
        const WIDTH: f64 = 440.0;
        const TOP: f64 = 30.0;
        let height: f64 = self.bars.iter().map(|bar| group_height(bar.values.len())).sum();
        let mut svg = Svg::new(WIDTH, TOP + height + 14.0 + 21.0 * self.series.len() as f64);
        svg.bold([8.0, 18.0], 14.0, Anchor::Start, palette.ink, &self.quantity);
        let area = BarArea { left: 8.0, width: WIDTH - 12.0, top: TOP, longest_name: 170.0, percent: false };
        area.draw(&mut svg, palette, &self.bars, &self.series);
        for (index, name) in self.series.iter().enumerate() {
            let y = TOP + height + 21.0 * (index + 1) as f64;
            svg.rect([8.0, y - 10.0, 22.0, 10.0], palette.series(index), 1.0, "");
            svg.text([36.0, y], 13.0, Anchor::Start, palette.ink, &fit(name, 13.0, WIDTH - 44.0));
        }
        svg
    }

    fn description(&self) -> String {
        format!("{} of {} classes for {}.", self.quantity, self.bars.len(), self.series.join(", "))
    }
}

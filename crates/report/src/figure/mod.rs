//! Figures as SVG: drawn here, so that a report needs no font, no script and no network.

mod audit_card;
mod axis;
mod bar_chart;
mod confusion_figure;
mod line_chart;
mod palette;
mod sample_card;
mod svg;
mod thumbnail;

pub(crate) use audit_card::{AuditCard, Beside};
pub(crate) use bar_chart::{Bar, BarChart};
pub(crate) use confusion_figure::ConfusionFigure;
pub(crate) use line_chart::{Line, LineChart};
pub(crate) use palette::{DARK, INLINE, LIGHT, Palette};
pub(crate) use sample_card::{Guess, SampleCard};
pub(crate) use svg::{Anchor, Svg, escape};

/// Something that can be drawn: into the HTML page with the page's colours, and into a file with its own.
pub trait Figure {
    /// Draws it.
    fn draw(&self, palette: &Palette) -> Svg;

    /// What it shows, in words, for who cannot see it.
    fn description(&self) -> String;

    /// A file of its own, on its own light background.
    fn to_file(&self) -> String {
        self.draw(&LIGHT).to_file(&self.description(), LIGHT.background)
    }

    /// An element of an HTML page that defines [`palette::INLINE`]'s variables.
    fn to_inline(&self) -> String {
        self.draw(&INLINE).to_inline(&self.description())
    }
}

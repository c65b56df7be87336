//! One image that something is wrong with, and beside it those that show why.

use super::svg::fit;
use super::thumbnail::thumbnail;
use super::{Anchor, Figure, Palette, Svg};
use crate::samples::Picture;

/// An image beside the one in question.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Its path.
    pub path: String,
    /// The image, if the shards are still there.
    pub picture: Option<Picture>,
    /// Below it: its class.
    pub caption: String,
}

/// One image with what is wrong with it.
#[derive(Debug)]
pub(crate) struct AuditCard {
    /// The image's path.
    pub path: String,
    /// The image, if the shards are still there.
    pub picture: Option<Picture>,
    /// In one line: its label and what it should be.
    pub title: String,
    /// Above the images beside it; not shown without any.
    pub heading: String,
    /// As many as there is room for.
    pub beside: Vec<Beside>,
}

impl AuditCard {
    /// Images that there is room for beside the one in question.
    pub(crate) const BESIDE: usize = 3;
}

const WIDTH: f64 = 430.0;
const IMAGE: f64 = 120.0;
const SMALL_IMAGE: f64 = 90.0;
const GAP: f64 = 8.0;
const TOP: f64 = 26.0;

impl Figure for AuditCard {
    fn draw(&self, palette: &Palette) -> Svg {
        let mut svg = Svg::new(WIDTH, TOP + IMAGE + 24.0);
        svg.bold([4.0, 16.0], 14.0, Anchor::Start, palette.ink, &fit(&self.title, 14.0, WIDTH - 8.0));
        thumbnail(&mut svg, palette, self.picture.as_ref(), [4.0, TOP], IMAGE);
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        svg.text([4.0, TOP + IMAGE + 16.0], 11.0, Anchor::Start, palette.muted, &fit(name, 11.0, IMAGE));
        let left = 4.0 + IMAGE + 2.0 * GAP;
        if !self.beside.is_empty() {
            svg.text([left, TOP + 14.0], 12.0, Anchor::Start, palette.muted, &fit(&self.heading, 12.0, WIDTH - left));
        }
        for (index, beside) in self.beside.iter().take(Self::BESIDE).enumerate() {
            let x = left + index as f64 * (SMALL_IMAGE + GAP);
            let y = TOP + IMAGE - SMALL_IMAGE;
            thumbnail(&mut svg, palette, beside.picture.as_ref(), [x, y], SMALL_IMAGE);
            let caption = fit(&beside.caption, 11.5, SMALL_IMAGE);
            svg.text([x, TOP + IMAGE + 16.0], 11.5, Anchor::Start, palette.ink, &caption);
        }
        svg
    }

    fn description(&self) -> String {
        let beside: Vec<String> = self.beside.iter().map(|one| format!("{} ({})", one.path, one.caption)).collect();
        let images =
            if beside.is_empty() { String::new() } else { format!(" {}: {}.", self.heading, beside.join(", ")) };
        format!("{}. {}.{images}", self.path, self.title)
    }
}

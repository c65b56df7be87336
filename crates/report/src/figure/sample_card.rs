//! The mission's panel, one image at a time: the image beside the bar chart of its predicted distribution, titled with
//! the true and the predicted class.

use super::bar_chart::{BarArea, group_height};
use super::svg::fit;
use super::thumbnail::thumbnail;
use super::{Anchor, Bar, Figure, Palette, Svg};
use crate::samples::Picture;

/// What one model says.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    /// The model's name.
    pub model: String,
    /// Gives the colour.
    pub series: usize,
    /// The predicted class.
    pub class: String,
    /// Its probability.
    pub probability: f64,
    /// Whether it is the true one.
    pub right: bool,
}

/// One image with what the models say about it.
#[derive(Debug)]
pub(crate) struct SampleCard {
    /// The image's path.
    pub path: String,
    /// The image, if the shards are still there.
    pub picture: Option<Picture>,
    /// The true class.
    pub truth: String,
    /// One a model.
    pub guesses: Vec<Guess>,
    /// The distribution over the classes.
    pub bars: Vec<Bar>,
    /// Classes left out of the bars, and their total probability for each model.
    pub rest: Option<String>,
}

const WIDTH: f64 = 430.0;
const IMAGE: f64 = 120.0;
const LINE: f64 = 20.0;

impl Figure for SampleCard {
    fn draw(&self, palette: &Palette) -> Svg {
        let top = 28.0 + LINE * self.guesses.len() as f64;
        let bars: f64 = self.bars.iter().map(|bar| group_height(bar.values.len())).sum();
        let rest = if self.rest.is_some() { LINE } else { 0.0 };
        let mut svg = Svg::new(WIDTH, top + (IMAGE + 24.0).max(bars + rest + 8.0));
        self.draw_titles(&mut svg, palette);
        self.draw_picture(&mut svg, palette, top);
        let left = IMAGE + 18.0;
        let area = BarArea { left, width: WIDTH - left - 4.0, top, longest_name: 150.0, percent: true };
        let names: Vec<String> = self.model_names();
        area.draw(&mut svg, palette, &self.bars, &names);
        if let Some(rest) = &self.rest {
            let text = fit(rest, 11.5, WIDTH - left - 4.0);
            svg.text([WIDTH - 4.0, top + bars + 15.0], 11.5, Anchor::End, palette.muted, &text);
        }
        svg
    }

    fn description(&self) -> String {
        let guesses: Vec<String> = self.guesses.iter().map(Guess::text).collect();
        format!("{}. True class: {}. {}.", self.path, self.truth, guesses.join("; "))
    }
}

impl SampleCard {
    /// Names by series number.
    fn model_names(&self) -> Vec<String> {
        let last = self.guesses.iter().map(|guess| guess.series).max().map_or(0, |last| last + 1);
        let mut names = vec![String::new(); last];
        for guess in &self.guesses {
            names[guess.series].clone_from(&guess.model);
        }
        names
    }

    fn draw_titles(&self, svg: &mut Svg, palette: &Palette) {
        svg.bold(
            [4.0, 16.0],
            14.0,
            Anchor::Start,
            palette.ink,
            &fit(&format!("true: {}", self.truth), 14.0, WIDTH - 8.0),
        );
        for (index, guess) in self.guesses.iter().enumerate() {
            let y = 17.0 + LINE * (index + 1) as f64;
            svg.rect([4.0, y - 10.0, 12.0, 10.0], palette.series(guess.series), 1.0, "");
            svg.text([22.0, y], 13.0, Anchor::Start, palette.ink, &fit(&guess.text(), 13.0, WIDTH - 28.0));
        }
    }

    fn draw_picture(&self, svg: &mut Svg, palette: &Palette, top: f64) {
        thumbnail(svg, palette, self.picture.as_ref(), [4.0, top + 2.0], IMAGE);
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        svg.text([4.0, top + IMAGE + 18.0], 11.0, Anchor::Start, palette.muted, &fit(name, 11.0, IMAGE));
    }
}

impl Guess {
    /// The card's line about this model.
    pub(crate) fn text(&self) -> String {
        let mark = if self.right { "✓" } else { "✗" };
        format!("{mark} {}: {} {:.1} %", self.model, self.class, 100.0 * self.probability)
    }
}

//! Colours: Okabe and Ito's, which stay apart for colour-blind readers; lightened where the page is dark.

/// The colours of a figure.
#[derive(Debug)]
pub struct Palette {
    /// Behind everything.
    pub background: &'static str,
    /// Text.
    pub ink: &'static str,
    /// Secondary text.
    pub muted: &'static str,
    /// Grid lines and frames.
    pub grid: &'static str,
    /// Text upon a filled cell.
    pub on_fill: &'static str,
    /// Models, in order; with more models than colours they repeat.
    pub series: [&'static str; 6],
}

impl Palette {
    /// The colour of the model at `index`.
    pub(crate) fn series(&self, index: usize) -> &'static str {
        self.series[index % self.series.len()]
    }
}

/// For files, and for a page in light mode.
pub(crate) const LIGHT: Palette = Palette {
    background: "#ffffff",
    ink: "#1c2128",
    muted: "#5b6470",
    grid: "#d9dee4",
    on_fill: "#ffffff",
    series: ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#3a3f9e"],
};

/// For a page in dark mode.
pub(crate) const DARK: Palette = Palette {
    background: "#14181d",
    ink: "#e6eaef",
    muted: "#9aa4b0",
    grid: "#343b44",
    on_fill: "#101317",
    series: ["#56b4e9", "#ff9552", "#3ecfa4", "#e08cc9", "#f0e442", "#9aa0ff"],
};

/// Variables that the HTML page sets to one of the other two.
pub(crate) const INLINE: Palette = Palette {
    background: "var(--background)",
    ink: "var(--ink)",
    muted: "var(--muted)",
    grid: "var(--grid)",
    on_fill: "var(--on-fill)",
    series: [
        "var(--series-1)",
        "var(--series-2)",
        "var(--series-3)",
        "var(--series-4)",
        "var(--series-5)",
        "var(--series-6)",
    ],
};

impl Palette {
    /// Declarations of [`INLINE`]'s variables with these colours.
    pub(crate) fn css_variables(&self) -> String {
        let mut css = format!(
            "--background:{};--ink:{};--muted:{};--grid:{};--on-fill:{};",
            self.background, self.ink, self.muted, self.grid, self.on_fill
        );
        for (index, colour) in self.series.iter().enumerate() {
            css.push_str(&format!("--series-{}:{colour};", index + 1));
        }
        css
    }
}

//! A small writer of SVG.

use preprocess::stage::names::is_dangerous;
use std::fmt::Write;

/// A drawing. Lengths are in pixels of its own coordinate system, `width` by `height`, from the top left corner.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Which end of a text its position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The position is where the text begins.
    Start,
    /// The position is the text's middle.
    Middle,
    /// The position is where the text ends.
    End,
}

const FONT: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif";

impl Svg {
    /// An empty drawing.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A filled rectangle with a tooltip, if `title` is not empty.
    pub(crate) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, opacity: f64, title: &str) {
        let opacity = if opacity < 1.0 { format!(";fill-opacity:{}", short(opacity)) } else { String::new() };
        let shape = format!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" style="fill:{fill}{opacity}""#,
            short(x),
            short(y),
            short(width.max(0.0)),
            short(height.max(0.0))
        );
        self.with_title(&shape, "rect", title);
    }

    /// An outline.
    pub(crate) fn frame(&mut self, [x, y, width, height]: [f64; 4], colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" style="fill:none;stroke:{colour}"/>"#,
            short(x),
            short(y),
            short(width),
            short(height)
        );
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" style="stroke:{colour};stroke-width:{}"/>"#,
            short(from[0]),
            short(from[1]),
            short(to[0]),
            short(to[1]),
            short(width)
        );
    }

    /// A line through points; `dashed` for a secondary one.
    pub(crate) fn path(&mut self, points: &[[f64; 2]], colour: &str, dashed: bool) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", short(*x), short(*y))).collect();
        let dash = if dashed { ";stroke-dasharray:5 4" } else { "" };
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" style="fill:none;stroke:{colour};stroke-width:2;stroke-linejoin:round{dash}"/>"#,
            points.join(" ")
        );
    }

    /// A dot with a tooltip; hollow ones show `hollow`, the colour of what is behind.
    pub(crate) fn dot(&mut self, [x, y]: [f64; 2], radius: f64, colour: &str, hollow: Option<&str>, title: &str) {
        let style = match hollow {
            Some(inside) => format!("fill:{inside};stroke:{colour};stroke-width:2"),
            None => format!("fill:{colour}"),
        };
        let shape = format!(r#"<circle cx="{}" cy="{}" r="{}" style="{style}""#, short(x), short(y), short(radius));
        self.with_title(&shape, "circle", title);
    }

    /// A line of text on the baseline `at`, `size` pixels high.
    pub(crate) fn text(&mut self, at: [f64; 2], size: f64, anchor: Anchor, colour: &str, text: &str) {
        self.styled_text(at, size, anchor, colour, "", "", text);
    }

    /// As [`Self::text`], bold.
    pub(crate) fn bold(&mut self, at: [f64; 2], size: f64, anchor: Anchor, colour: &str, text: &str) {
        self.styled_text(at, size, anchor, colour, ";font-weight:600", "", text);
    }

    /// As [`Self::text`], turned about `at` by `degrees` clockwise.
    pub(crate) fn turned(&mut self, at: [f64; 2], size: f64, anchor: Anchor, colour: &str, degrees: f64, text: &str) {
        let transform = format!(r#" transform="rotate({} {} {})""#, short(degrees), short(at[0]), short(at[1]));
        self.styled_text(at, size, anchor, colour, "", &transform, text);
    }

    #[allow(clippy::too_many_arguments)]
    fn styled_text(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        anchor: Anchor,
        colour: &str,
        style: &str,
        transform: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => ";text-anchor:middle",
            Anchor::End => ";text-anchor:end",
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{}" y="{}"{transform} style="font-size:{}px;fill:{colour}{anchor}{style}">{}</text>"#,
            short(x),
            short(y),
            short(size),
            escape(text)
        );
    }

    /// A PNG, scaled into the rectangle. `pixelated` keeps the pixels of a small image sharp.
    pub(crate) fn png(&mut self, [x, y, width, height]: [f64; 4], base64: &str, pixelated: bool) {
        let rendering = if pixelated { r#" style="image-rendering:pixelated""# } else { "" };
        let _ = writeln!(
            self.body,
            r#"<image x="{}" y="{}" width="{}" height="{}" href="data:image/png;base64,{base64}"{rendering}/>"#,
            short(x),
            short(y),
            short(width),
            short(height)
        );
    }

    fn with_title(&mut self, shape: &str, element: &str, title: &str) {
        let _ = if title.is_empty() {
            writeln!(self.body, "{shape}/>")
        } else {
            writeln!(self.body, "{shape}><title>{}</title></{element}>", escape(title))
        };
    }

    /// An element for an HTML page.
    pub(crate) fn to_inline(&self, description: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\" \
             font-family=\"{FONT}\">\n{3}</svg>",
            short(self.width),
            short(self.height),
            escape(description),
            self.body
        )
    }

    /// A file of its own upon a background.
    pub(crate) fn to_file(&self, description: &str, background: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" \
             role=\"img\" font-family=\"{FONT}\">\n<title>{2}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"{background}\"/>\n{3}</svg>\n",
            short(self.width),
            short(self.height),
            escape(description),
            self.body
        )
    }
}

/// Text for XML and HTML, in elements and in quoted attributes. Control characters, which XML forbids, become `�`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            c if is_dangerous(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with two decimals at most.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// About how wide a text is, in pixels: fonts differ, so this errs on the wide side.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if u32::from(c) >= 0x1100 { 1.0 } else { 0.56 }).sum::<f64>() * size
}

/// The text, cut to what fits into `width` pixels, with an ellipsis where something is left out.
pub(crate) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_string();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if text_width(&kept, size) + 0.8 * size > width {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_are_defused() {
        let cases = [
            ("<script>&\"'", "&lt;script&gt;&amp;&quot;&#39;"),
            ("a\u{0}b\u{1b}", "a\\u{0}b\\u{1b}"),
            ("Österreich 中", "Österreich 中"),
        ];
        for (given, expected) in cases {
            assert_eq!(escape(given), expected);
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fit("short", 10.0, 100.0), "short");
        let cut = fit(&"x".repeat(300), 10.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 10.0) <= 106.0, "{cut}");
    }
}

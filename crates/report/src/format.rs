//! Numbers as a person reads them.

use crate::metrics::Interval;

/// A fraction in percent with two decimals: `81.17 %`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// A difference of fractions in percentage points: `+2.17 pp`.
pub(crate) fn points(difference: f64) -> String {
    format!("{} pp", signed(100.0 * difference, 2))
}

/// With its sign; zero, also after rounding, has none.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    if text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { text } else { text[1..].to_string() }
}

/// `78.51 to 83.60 %`.
pub(crate) fn percent_interval(interval: &Interval) -> String {
    format!("{:.2} to {:.2} %", 100.0 * interval.low, 100.0 * interval.high)
}

/// `-4.12 to +0.98 pp`.
pub(crate) fn points_interval(interval: &Interval) -> String {
    format!("{} to {} pp", signed(100.0 * interval.low, 2), signed(100.0 * interval.high, 2))
}

/// `-0.051 to +0.128`.
pub(crate) fn signed_interval(interval: &Interval) -> String {
    format!("{} to {}", signed(interval.low, 3), signed(interval.high, 3))
}

/// Of images: `600`, or `600 in 580 groups` where some belong together.
pub(crate) fn number_in_groups(images: usize, groups: usize) -> String {
    let number = count(images);
    if groups == images { number } else { format!("{number} in {}", counted(groups, "group", "groups")) }
}

/// `600 images`, or `600 images in 580 groups` where some belong together.
pub(crate) fn images_in_groups(images: usize, groups: usize) -> String {
    let number = counted(images, "image", "images");
    if groups == images { number } else { format!("{number} in {}", counted(groups, "group", "groups")) }
}

/// `0.731 to 0.865`.
pub(crate) fn interval(interval: &Interval) -> String {
    format!("{:.3} to {:.3}", interval.low, interval.high)
}

/// With thousands separated: `3,491,603`.
pub(crate) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the unit that suits it: `870 ms`, `12.3 s`, `4 min 05 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", 1000.0 * seconds)
    } else if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// A p-value: `p = 0.034`, `p < 0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_string() } else { format!("p = {p:.3}") }
}

/// `1 image`, `12 images`.
pub(crate) fn counted(number: usize, singular: &str, plural: &str) -> String {
    format!("{} {}", count(number), if number == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (count(0), "0"),
            (count(999), "999"),
            (count(3_491_603), "3,491,603"),
            (percent(0.809449), "80.94 %"),
            (points(-0.02166), "-2.17 pp"),
            (points(0.0), "0.00 pp"),
            (points(-1e-9), "0.00 pp"),
            (seconds(0.0312), "31 ms"),
            (seconds(12.34), "12.3 s"),
            (seconds(245.0), "4 min 05 s"),
            (p_value(0.0), "p < 0.001"),
            (p_value(0.21), "p = 0.210"),
        ];
        for (got, expected) in cases {
            assert_eq!(got, expected);
        }
    }
}

//! The order in which a person sorts names: `class 2` before `class 10`.

use std::cmp::Ordering;

/// Compares names with runs of digits by their value; names that are equal in this sense are compared byte by byte, so
/// that only identical names are equal.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (text_a, text_b) = (take(&mut rest_a, |c| !c.is_ascii_digit()), take(&mut rest_b, |c| !c.is_ascii_digit()));
        let (digits_a, digits_b) =
            (take(&mut rest_a, |c| c.is_ascii_digit()), take(&mut rest_b, |c| c.is_ascii_digit()));
        // A name that ends in text sorts by that text alone: `a` < `a1` < `ab`.
        let order = text_a.cmp(text_b).then_with(|| by_value(digits_a, digits_b));
        if order != Ordering::Equal {
            return order;
        }
        if rest_a.is_empty() || rest_b.is_empty() {
            return rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b));
        }
    }
}

/// Compares digits by their value, however many they are.
fn by_value(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Cuts off the beginning whose characters all satisfy `belongs`.
fn take<'a>(rest: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_orders() {
        let cases: [(&str, &[&str]); 6] = [
            ("plain numbers", &["1", "2", "10", "100"]),
            ("numbers after text", &["class 1", "class 2", "class 10"]),
            ("leading zeros are equal in value", &["01", "1", "002", "2"]),
            ("longer than a machine word", &["9", "10", "99999999999999999998", "99999999999999999999"]),
            ("two numbers", &["a1b2", "a1b10", "a2b1"]),
            ("Unicode", &["Äpfel 2", "Äpfel 10", "猫"]),
        ];
        for (name, sorted) in cases {
            let mut names = sorted.to_vec();
            names.reverse();
            names.sort_by(|a, b| natural_order(a, b));
            assert_eq!(names, sorted, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_is_a_total_order(names in proptest::collection::vec("[a0-2 ]{0,5}", 3)) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            assert_eq!(natural_order(a, b), natural_order(b, a).reverse());
            assert_eq!(natural_order(a, b) == Ordering::Equal, a == b);
            if natural_order(a, b).is_le() && natural_order(b, c).is_le() {
                assert!(natural_order(a, c).is_le(), "{a:?} <= {b:?} <= {c:?}");
            }
        }
    }
}

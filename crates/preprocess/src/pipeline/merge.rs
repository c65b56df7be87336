//! YAML's merge keys: `<<: *base` takes over the keys of `base` that the section does not set itself.
//!
//! serde_yaml's own `apply_merge` reorders the section's keys (and models are trained in the order of the file) and
//! stops at the first level.

use super::problem::{KeyPath, Problem};
use serde_yaml::{Mapping, Value};

/// Replaces every `<<` in the document. What cannot be merged is left out and told.
pub(crate) fn apply(document: &mut Value, at: &KeyPath, problems: &mut Vec<Problem>) {
    match document {
        Value::Mapping(section) => {
            for (key, value) in section.iter_mut() {
                let name = key.as_str().unwrap_or("?").to_owned();
                apply(value, &at.join(&name), problems);
            }
            match section.shift_remove("<<") {
                None => {}
                Some(Value::Mapping(base)) => take_over(section, base),
                Some(Value::Sequence(bases)) if bases.iter().all(Value::is_mapping) => {
                    for base in bases {
                        if let Value::Mapping(base) = base {
                            take_over(section, base);
                        }
                    }
                }
                Some(_) => problems.push(Problem {
                    what: format!("`{}` must be an alias to a section, or a list of such", at.join("<<")),
                    at: at.clone(),
                    hint: Some("mark a section with `&name`, and merge it with `<<: *name`".to_owned()),
                }),
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                apply(item, &at.join(&format!("[{index}]")), problems);
            }
        }
        _ => {}
    }
}

fn take_over(section: &mut Mapping, base: Mapping) {
    for (key, value) in base {
        section.entry(key).or_insert(value);
    }
}

//! On which line of the pipeline file a key is: serde_yaml no longer knows once the text has become values.

use super::problem::{KeyPath, Problem};
use saphyr_parser::{Event, Parser};
use std::collections::HashMap;
use std::rc::Rc;

/// Sections within sections, as many as serde_yaml takes: no pipeline file has them, and a tree must not outgrow the
/// stack.
const MAXIMUM_DEPTH: usize = 128;

/// Keys and values of a file, those that aliases repeat counted each time: a hundred times what a large pipeline has.
/// A few kilobytes of aliases can stand for more values than a machine has memory for.
const MAXIMUM_NODES: usize = 10_000;

/// The tree of the file's keys with their lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    root: Node,
    /// Keys that a section has twice.
    pub duplicates: Vec<Problem>,
    /// Why the text must not be read, and the line; in the words of YAML's errors.
    pub refusal: Option<(String, usize)>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// From 1.
    line: usize,
    /// Nodes of the tree below and itself, aliases followed.
    size: usize,
    /// Shared between an anchor and its aliases.
    children: Rc<Vec<(String, Node)>>,
}

impl Node {
    fn child(&self, key: &str) -> Option<&Node> {
        self.children.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }
}

/// A section or list whose end has not been seen.
struct Open {
    is_list: bool,
    line: usize,
    anchor: usize,
    /// The key whose value comes next, and its line.
    key: Option<(String, usize)>,
    children: Vec<(String, Node)>,
    /// Sections that `<<` merges into this one.
    merged: Vec<Node>,
}

impl Lines {
    /// Reads the keys of the text, up to what is no YAML or too much.
    pub(crate) fn index(text: &str) -> Self {
        let mut builder = Builder::default();
        let mut refusal = None;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    refusal = Some((error.info().to_owned(), error.marker().line()));
                    break;
                }
            };
            let line = span.start.line();
            if let Err(reason) = builder.event(event, line) {
                refusal = Some((reason, line));
                break;
            }
        }
        Self { root: builder.root.unwrap_or_default(), duplicates: builder.duplicates, refusal }
    }

    /// The line of the key, from 1; none if the file does not have it.
    pub(crate) fn line(&self, key: &KeyPath) -> Option<usize> {
        self.node(key).map(|node| node.line).filter(|&line| line > 0 && !key.0.is_empty())
    }

    /// The keys of a section, in the order of the file.
    pub(crate) fn keys(&self, section: &KeyPath) -> Vec<String> {
        let children = self.node(section).map(|node| Rc::clone(&node.children)).unwrap_or_default();
        children.iter().map(|(name, _)| name.clone()).collect()
    }

    fn node(&self, key: &KeyPath) -> Option<&Node> {
        key.0.iter().try_fold(&self.root, |node, part| node.child(part))
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    duplicates: Vec<Problem>,
    /// All nodes so far.
    size: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::MappingStart(anchor, _) => {
                self.count(1)?;
                self.open.push(Open::new(false, line, anchor));
            }
            Event::SequenceStart(anchor, _) => {
                self.count(1)?;
                self.open.push(Open::new(true, line, anchor));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    self.value(open.close(), anchor, None);
                }
            }
            Event::Scalar(text, _, anchor, _) => {
                self.count(1)?;
                self.value(Node { line, size: 1, children: Rc::default() }, anchor, Some(&text));
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or("an alias stands inside the very section that it repeats")?;
                self.count(node.size)?;
                self.value(Node { line, ..node }, 0, None);
            }
            _ => {}
        }
        if self.open.len() > MAXIMUM_DEPTH {
            return Err(format!("sections and lists lie in one another, more than {MAXIMUM_DEPTH} deep"));
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.size = self.size.saturating_add(nodes);
        if self.size > MAXIMUM_NODES {
            return Err(format!("it has more than {MAXIMUM_NODES} keys and values, those that aliases repeat counted"));
        }
        Ok(())
    }

    /// Puts a finished value, or key, where it belongs.
    fn value(&mut self, node: Node, anchor: usize, text: Option<&str>) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        if open.is_list {
            open.children.push((format!("[{}]", open.children.len()), node));
            return;
        }
        match open.key.take() {
            None => open.key = Some((text.unwrap_or("?").to_owned(), node.line)),
            Some((key, _)) if key == "<<" => {
                // Either a section, or a list of them.
                open.merged
                    .extend(node.children.iter().filter(|(name, _)| name.starts_with('[')).map(|(_, n)| n.clone()));
                open.merged.push(node);
            }
            Some((key, line)) => self.entry(key, Node { line, ..node }),
        }
    }

    fn entry(&mut self, key: String, node: Node) {
        let sections = self.open.iter().filter_map(|open| Some(open.key.as_ref()?.0.clone()));
        let path = KeyPath(sections.chain([key.clone()]).collect());
        let Some(open) = self.open.last_mut() else { return };
        if let Some((_, first)) = open.children.iter().find(|(name, _)| *name == key) {
            self.duplicates.push(Problem {
                what: format!("`{path}` is given twice, on lines {} and {}", first.line, node.line),
                at: path,
                hint: Some("keep one of the two".to_owned()),
            });
        }
        open.children.push((key, node));
    }
}

impl Open {
    fn new(is_list: bool, line: usize, anchor: usize) -> Self {
        Self { is_list, line, anchor, key: None, children: Vec::new(), merged: Vec::new() }
    }

    /// The finished node. Sizes are bounded: each child was counted.
    fn close(mut self) -> Node {
        for (key, node) in self.merged.iter().flat_map(|section| section.children.iter()) {
            if !self.children.iter().any(|(name, _)| name == key) {
                self.children.push((key.clone(), node.clone()));
            }
        }
        let size = self.children.iter().map(|(_, node)| node.size + 1).fold(1, usize::saturating_add);
        Node { line: self.line, size, children: Rc::new(self.children) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_lines_in_every_style() {
        let text = "\
# a comment
a: 1

b:
  c: [x,
      y]
  'd e': {f: 1,
          g: {h: 2}}
list:
- i: 1
  j: 2
base: &base
  k: 1
  l: 2
same: *base
more:
  <<: *base
  l: 3
several:
  <<: [*base, {m: 1}]
";
        let lines = Lines::index(text);
        for (path, expected) in [
            (&["a"][..], Some(2)),
            (&["b"], Some(4)),
            (&["b", "c"], Some(5)),
            (&["b", "c", "[1]"], Some(6)),
            (&["b", "d e", "f"], Some(7)),
            (&["b", "d e", "g", "h"], Some(8)),
            (&["list", "[0]", "j"], Some(11)),
            (&["same"], Some(15)),
            (&["same", "k"], Some(13)),
            (&["more", "k"], Some(13)),
            (&["more", "l"], Some(18)),
            (&["several", "l"], Some(14)),
            (&["several", "m"], Some(20)),
            (&["more", "<<"], None),
            (&["b", "z"], None),
            (&[], None),
        ] {
            assert_eq!(lines.line(&KeyPath::of(path)), expected, "{path:?}");
        }
        assert_eq!(lines.keys(&KeyPath::of(&["more"])), ["l", "k"]);
        assert!(lines.duplicates.is_empty());
    }
}

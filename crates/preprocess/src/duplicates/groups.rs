//! Disjoint sets.

/// A partition of `0..n` that grows coarser.
#[derive(Debug, Clone)]
pub struct Groups {
    parent: Vec<usize>,
}

impl Groups {
    /// Every item by itself.
    pub(crate) fn new(items: usize) -> Self {
        Self { parent: (0..items).collect() }
    }

    /// Makes one group of the groups of `a` and `b`; its root is the lower one.
    pub(crate) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }

    fn root(&mut self, mut item: usize) -> usize {
        while self.parent[item] != item {
            self.parent[item] = self.parent[self.parent[item]];
            item = self.parent[item];
        }
        item
    }

    /// Each item's root: equal for the items of one group.
    pub(crate) fn roots(&mut self) -> Vec<usize> {
        (0..self.parent.len()).map(|item| self.root(item)).collect()
    }

    /// Each item's group, numbered in the order of their first items.
    pub(crate) fn numbered(mut self) -> Vec<usize> {
        let mut number = vec![usize::MAX; self.parent.len()];
        let mut next = 0;
        (0..self.parent.len())
            .map(|item| {
                let root = self.root(item);
                if number[root] == usize::MAX {
                    number[root] = next;
                    next += 1;
                }
                number[root]
            })
            .collect()
    }
}

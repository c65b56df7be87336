pub struct FoldItem<'a> {
    pub label: usize,
    pub group: usize,
    pub content: &'a str,
}
pub fn folds(items: &[FoldItem<'_>], folds: usize, seed: u64) -> Vec<usize> {
    items
        .iter()
        .map(|item| {
            (crate::stage::random::stream(seed, "fold", &[&item.group.to_le_bytes()]).bits() % folds as u64) as usize
        })
        .collect()
}

//! Divides rows among shards and names them.

use crate::pipeline::ImageSettings;
use crate::pipeline::Split;
use std::collections::BTreeMap;

/// The most bytes of a shard's images. A reader can hold a whole shard in memory.
pub(crate) const MAX_SHARD_BYTES: usize = 64 << 20;

/// One shard to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedShard {
    /// Path relative to the manifest's directory: `data/train-00000-of-00009.parquet`.
    pub file: String,
    /// The split of all its rows.
    pub split: Split,
    /// The copy of all its rows.
    pub copy: usize,
    /// The images, as indices, in the order of the rows.
    pub images: Vec<usize>,
}

/// Plans the shards of all splits: `images` lists each split's images in the order of their rows, and copies 1 to
/// `copies` repeat the training split's. Shards are numbered through all copies of a split. How many rows fit is
/// decided by the largest size that a PNG can have, so that names are known before anything is encoded.
pub(crate) fn plan(images: &BTreeMap<Split, Vec<usize>>, copies: usize, settings: &ImageSettings) -> Vec<PlannedShard> {
    // Pixels, one filter byte a row, and what PNG and the other columns add.
    let row_bytes = settings.height * (settings.width * 3 + 1) + 1024;
    let most_rows = (MAX_SHARD_BYTES / row_bytes).max(1);
    let mut shards = Vec::new();
    for (&split, images) in images.iter().filter(|(_, images)| !images.is_empty()) {
        let copies = if split == Split::Train { copies } else { 0 };
        let parts = images.len().div_ceil(most_rows);
        let total = parts * (copies + 1);
        for number in 0..total {
            let (copy, part) = (number / parts, number % parts);
            let bounds = [part, part + 1].map(|part| images.len() * part / parts);
            let file = format!("data/{}-{number:05}-of-{total:05}.parquet", split.name());
            shards.push(PlannedShard { file, split, copy, images: images[bounds[0]..bounds[1]].to_vec() });
        }
    }
    shards
}

/// The split that a shard's name tells; none where no plan gives that name. A name from a file is held against this
/// before it becomes a path.
pub(crate) fn split_of_name(file: &str) -> Option<Split> {
    let name = file.strip_prefix("data/")?.strip_suffix(".parquet")?;
    let (split, numbers) = name.split_once('-')?;
    let (number, total) = numbers.split_once("-of-")?;
    let parse = |digits: &str| {
        let plain = digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok())?
    };
    let split = Split::ALL.into_iter().find(|known| known.name() == split)?;
    (parse(number)? < parse(total)?).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_planned_names_are_names() {
        assert_eq!(split_of_name("data/train-00000-of-00009.parquet"), Some(Split::Train));
        assert_eq!(split_of_name("data/test-123456-of-123457.parquet"), Some(Split::Test));
        for name in [
            "",
            "data/train-00009-of-00009.parquet",
            "data/other-00000-of-00009.parquet",
            "data/train-0-of-9.parquet",
            "data/train-00000-of-00009.csv",
            "data/../train-00000-of-00009.parquet",
            "data/train-../00-of-00009.parquet",
            "/data/train-00000-of-00009.parquet",
            "../data/train-00000-of-00009.parquet",
            "data/train-99999999999-of-99999999999.parquet",
            "data/train-+0000-of-00009.parquet",
        ] {
            assert_eq!(split_of_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_image_has_one_row_a_copy_and_names_count_through() {
        let images =
            BTreeMap::from([(Split::Train, (0..3000).collect()), (Split::Test, vec![7]), (Split::Validation, vec![])]);
        let shards = plan(&images, 2, &ImageSettings::default());
        let names: Vec<_> = shards.iter().map(|shard| (shard.file.as_str(), shard.copy, shard.images.len())).collect();
        assert_eq!(names[0], ("data/train-00000-of-00009.parquet", 0, 1000));
        assert_eq!(names[8], ("data/train-00008-of-00009.parquet", 2, 1000));
        assert_eq!(names[9], ("data/test-00000-of-00001.parquet", 0, 1));
        assert_eq!(names.len(), 10);
        for copy in 0..3 {
            let rows: Vec<_> = shards
                .iter()
                .filter(|s| s.split == Split::Train && s.copy == copy)
                .flat_map(|s| s.images.clone())
                .collect();
            assert_eq!(rows, (0..3000).collect::<Vec<_>>());
        }
    }
}

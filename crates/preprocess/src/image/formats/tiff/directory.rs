//! The first directory of a TIFF or BigTIFF: tags and their values (TIFF 6.0, section 2; the BigTIFF design).

use crate::image::error::ImageError;
use std::collections::BTreeMap;

/// Tags that are looked at, by their names in the specification.
pub mod tag {
    pub(crate) const IMAGE_WIDTH: u16 = 256;
    pub(crate) const IMAGE_LENGTH: u16 = 257;
    pub(crate) const BITS_PER_SAMPLE: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_LENGTH: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
    pub(crate) const SUB_IFDS: u16 = 330;
    pub(crate) const INK_SET: u16 = 332;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const DNG_VERSION: u16 = 50706;
}

/// The most values of one tag that are read: a strip for each of so many rows.
const MOST_VALUES: u64 = 1 << 20;

/// Where a tag's values lie.
struct Entry {
    kind: u16,
    count: u64,
    /// Position in the file.
    start: u64,
}

/// A directory: the description of one picture.
pub(crate) struct Directory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    big_tiff: bool,
    entries: BTreeMap<u16, Entry>,
}

impl<'a> Directory<'a> {
    /// Reads the header and the first directory.
    ///
    /// # Errors
    /// The file ends before them.
    pub(crate) fn first(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let big_endian = bytes.starts_with(b"MM");
        let mut directory = Self { bytes, big_endian, big_tiff: false, entries: BTreeMap::new() };
        directory.big_tiff = directory.number_at(2, 2)? == 43;
        let start = if directory.big_tiff { directory.number_at(8, 8)? } else { directory.number_at(4, 4)? };
        directory.entries = directory.entries_at(start)?;
        Ok(directory)
    }

    /// Another directory of the same file.
    pub(crate) fn at(&self, start: u64) -> Result<Directory<'a>, ImageError> {
        let (bytes, big_endian, big_tiff) = (self.bytes, self.big_endian, self.big_tiff);
        Ok(Directory { bytes, big_endian, big_tiff, entries: self.entries_at(start)? })
    }

    /// Whether numbers have their most significant byte first.
    pub(crate) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Whether the tag is there.
    pub(crate) fn has(&self, tag: u16) -> bool {
        self.entries.contains_key(&tag)
    }

    /// The tag's first value.
    pub(crate) fn number(&self, tag: u16) -> Result<Option<u64>, ImageError> {
        Ok(self.numbers(tag)?.and_then(|numbers| numbers.first().copied()))
    }

    /// All whole numbers of a tag; none if the tag is missing.
    ///
    /// # Errors
    /// They lie beyond the end of the file, are too many, or no whole numbers.
    pub(crate) fn numbers(&self, tag: u16) -> Result<Option<Vec<u64>>, ImageError> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        let size = match entry.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 13 => 4,
            16..=18 => 8,
            _ => return Err(ImageError::new(format_args!("corrupt TIFF: tag {tag} holds no whole numbers"))),
        };
        if entry.count > MOST_VALUES {
            return Err(ImageError::new(format_args!("corrupt TIFF: tag {tag} claims {} values", entry.count)));
        }
        (0..entry.count)
            .map(|index| self.number_at(entry.start.saturating_add(index * size), size))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A tag's bytes as they are.
    pub(crate) fn data(&self, tag: u16) -> Result<Option<&'a [u8]>, ImageError> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        self.slice(entry.start, entry.count).map(Some)
    }

    /// `length` bytes of the file.
    ///
    /// # Errors
    /// The file ends before.
    pub(crate) fn slice(&self, start: u64, length: u64) -> Result<&'a [u8], ImageError> {
        let range =
            usize::try_from(start).ok().zip(start.checked_add(length).and_then(|end| usize::try_from(end).ok()));
        range.and_then(|(start, end)| self.bytes.get(start..end)).ok_or_else(|| self.cut_short())
    }

    /// All bytes from `start` on.
    pub(crate) fn rest(&self, start: u64) -> Result<&'a [u8], ImageError> {
        usize::try_from(start).ok().and_then(|start| self.bytes.get(start..)).ok_or_else(|| self.cut_short())
    }

    fn cut_short(&self) -> ImageError {
        let length = self.bytes.len();
        ImageError::new(format_args!(
            "the TIFF is cut short or corrupt: it refers to data beyond its end, {length} bytes"
        ))
    }

    fn number_at(&self, start: u64, size: u64) -> Result<u64, ImageError> {
        let bytes = self.slice(start, size)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    fn entries_at(&self, start: u64) -> Result<BTreeMap<u16, Entry>, ImageError> {
        // Widths of the number of entries, of an entry's count, and the place of its value.
        let (head, wide, value) = if self.big_tiff { (8, 8, 12) } else { (2, 4, 8) };
        let count = self.number_at(start, head)?;
        if count > 4096 {
            return Err(ImageError::new(format_args!("corrupt TIFF: a directory of {count} entries")));
        }
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let at = start + head + index * (value + wide);
            let (tag, kind) = (self.number_at(at, 2)? as u16, self.number_at(at + 2, 2)? as u16);
            let count = self.number_at(at + 4, wide)?;
            let size = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16..=18 => 8,
                // A type of the future.
                _ => continue,
            };
            let inline = count.checked_mul(size).is_some_and(|bytes| bytes <= wide);
            let start = if inline { at + value } else { self.number_at(at + value, wide)? };
            entries.entry(tag).or_insert(Entry { kind, count, start });
        }
        Ok(entries)
    }
}

//! An image as its luma on a small square, whatever its size and aspect ratio.

/// Luma on `side` x `side` cells, 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thumbnail {
    pub side: usize,
    /// Row after row.
    pub luma: Vec<f32>,
}

impl Thumbnail {
    /// Of 8-bit RGB pixels `[height, width, 3]`. Each cell is the mean of all that it covers, parts of pixels counted as
    /// parts.
    pub(super) fn of(pixels: &[u8], [width, height]: [usize; 2], side: usize) -> Self {
        let luma: Vec<f32> = pixels.chunks_exact(3).map(luma).collect();
        let across: Vec<f32> = luma.chunks_exact(width).flat_map(|row| means(row, side)).collect();
        let mut columns = vec![0.0; side * side];
        for x in 0..side {
            let column: Vec<f32> = (0..height).map(|y| across[y * side + x]).collect();
            means(&column, side).enumerate().for_each(|(y, value)| columns[y * side + x] = value);
        }
        Self { side, luma: columns }
    }

    /// The same on half as many cells a side.
    pub(super) fn halved(&self) -> Self {
        let side = self.side / 2;
        let at = |x: usize, y: usize| self.luma[y * self.side + x];
        let cell = |cell: usize| {
            let (x, y) = (2 * (cell % side), 2 * (cell / side));
            (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
        };
        Self { side, luma: (0..side * side).map(cell).collect() }
    }

    /// Left and right exchanged.
    pub(super) fn mirrored(&self) -> Self {
        let luma = self.luma.chunks_exact(self.side).flat_map(|row| row.iter().rev().copied()).collect();
        Self { side: self.side, luma }
    }

    /// The value between cells, bilinear; the border goes on outside. `x` and `y` count cells from the corner.
    fn between(&self, x: f32, y: f32) -> f32 {
        let last = self.side - 1;
        let place = |position: f32| {
            let position = (position - 0.5).clamp(0.0, last as f32);
            let cell = (position as usize).min(last);
            (cell, (cell + 1).min(last), position - cell as f32)
        };
        let ((left, right, x), (top, bottom, y)) = (place(x), place(y));
        let row = |row: usize| {
            let (a, b) = (self.luma[row * self.side + left], self.luma[row * self.side + right]);
            a + x * (b - a)
        };
        let (above, below) = (row(top), row(bottom));
        above + y * (below - above)
    }

    /// A part of it on half as many cells a side, each the mean of four places: the square that begins at the fraction
    /// `from` of either side and is the fraction `scale` of it long.
    pub(super) fn view(&self, scale: f32, from: [f32; 2]) -> Self {
        let (side, all) = (self.side / 2, self.side as f32);
        let place = |cell: usize, from: f32, quarter: f32| (from + scale * (cell as f32 + quarter) / side as f32) * all;
        let cell = |cell: usize| {
            let (x, y) = (cell % side, cell / side);
            let quarters = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
            let values = quarters.map(|(right, down)| self.between(place(x, from[0], right), place(y, from[1], down)));
            values.iter().sum::<f32>() / 4.0
        };
        Self { side, luma: (0..side * side).map(cell).collect() }
    }
}

/// Of red, green and blue: Rec. 601, as JPEG has it.
pub(super) fn luma(pixel: &[u8]) -> f32 {
    0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
}

/// A line of values as the means of `cells` equal parts of it.
fn means(line: &[f32], cells: usize) -> impl Iterator<Item = f32> {
    let width = line.len() as f32 / cells as f32;
    (0..cells).map(move |cell| {
        let (from, to) = (cell as f32 * width, (cell + 1) as f32 * width);
        let last = line.len() - 1;
        let (first, end) = ((from as usize).min(last), (to.ceil() as usize).clamp(1, line.len()));
        let part = |at: usize| (to.min((at + 1) as f32) - from.max(at as f32)).max(0.0);
        let (sum, parts) =
            (first..end).fold((0.0, 0.0), |(sum, parts), at| (sum + part(at) * line[at], parts + part(at)));
        if parts > 0.0 { sum / parts } else { line[first] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&value| [value; 3]).collect()
    }

    fn is_near(found: &[f32], expected: &[f32]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3)
    }

    #[test]
    fn cells_are_the_means_of_what_they_cover() {
        let pixels = grey(&[0, 30, 60, 90, 120, 150]);
        for (size, side, expected) in [
            ([2, 3], 2, vec![20.0, 50.0, 100.0, 130.0]),
            ([3, 2], 2, vec![10.0, 50.0, 100.0, 140.0]),
            ([6, 1], 3, vec![15.0, 75.0, 135.0, 15.0, 75.0, 135.0, 15.0, 75.0, 135.0]),
        ] {
            let found = Thumbnail::of(&pixels, size, side);
            assert!(is_near(&found.luma, &expected), "{size:?}: {found:?}");
        }
        let one = Thumbnail::of(&[255, 0, 0], [1, 1], 2);
        assert!(is_near(&one.luma, &[76.245; 4]), "{one:?}");
    }

    #[test]
    fn a_view_of_all_is_the_halved_one() {
        let pixels: Vec<u8> = (0..8 * 8).map(|at| (at * 37 % 251) as u8).collect();
        let whole = Thumbnail::of(&grey(&pixels), [8, 8], 8);
        assert!(is_near(&whole.view(1.0, [0.0, 0.0]).luma, &whole.halved().luma));
        assert!(is_near(&whole.mirrored().mirrored().luma, &whole.luma));
        let quarter = whole.view(0.5, [0.5, 0.0]);
        let plain: Vec<f32> = (0..16).map(|at| between_plainly(&whole, 4.0, 0.0, at)).collect();
        assert!(is_near(&quarter.luma, &plain), "{quarter:?} {plain:?}");
    }

    /// The mean of four places, each between four cells.
    fn between_plainly(whole: &Thumbnail, left: f32, top: f32, cell: usize) -> f32 {
        let at = |x: i32, y: i32| whole.luma[(y.clamp(0, 7) * 8 + x.clamp(0, 7)) as usize];
        let mut sum = 0.0;
        for (right, down) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
            let (x, y) = (left + (cell % 4) as f32 + right - 0.5, top + (cell / 4) as f32 + down - 0.5);
            let (column, row) = (x.floor() as i32, y.floor() as i32);
            let (u, v) = (x - x.floor(), y - y.floor());
            sum += (1.0 - u) * (1.0 - v) * at(column, row) + u * (1.0 - v) * at(column + 1, row);
            sum += (1.0 - u) * v * at(column, row + 1) + u * v * at(column + 1, row + 1);
        }
        sum / 4.0
    }
}

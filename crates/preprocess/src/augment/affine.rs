//! Affine maps of (row, column) coordinates, as `keras.preprocessing.image.apply_affine_transform` builds them.

use std::ops::Mul;

/// `[r', c'] = [[m00, m01], [m10, m11]] [r, c] + [t0, t1]`: from coordinates of the result to coordinates of the
/// image, pixel centres at integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// The linear part.
    pub matrix: [[f64; 2]; 2],
    /// The translation, in pixels.
    pub translation: [f64; 2],
}

impl Affine {
    /// Every point stays.
    pub(crate) const IDENTITY: Self = Self { matrix: [[1.0, 0.0], [0.0, 1.0]], translation: [0.0, 0.0] };

    /// A linear map.
    pub(crate) fn linear(matrix: [[f64; 2]; 2]) -> Self {
        Self { matrix, translation: [0.0, 0.0] }
    }

    /// A translation by rows and columns.
    pub(crate) fn translation(rows: f64, columns: f64) -> Self {
        Self { translation: [rows, columns], ..Self::IDENTITY }
    }

    /// The same map with the image's centre for its origin: Keras' `transform_matrix_offset_center`.
    pub(crate) fn about_centre(self, width: usize, height: usize) -> Self {
        let (row, column) = (height as f64 / 2.0 - 0.5, width as f64 / 2.0 - 0.5);
        Self::translation(row, column) * self * Self::translation(-row, -column)
    }

    /// Where a point of the result comes from.
    pub(crate) fn apply(&self, [row, column]: [f64; 2]) -> [f64; 2] {
        let line = |i: usize| self.matrix[i][0] * row + self.matrix[i][1] * column + self.translation[i];
        [line(0), line(1)]
    }
}

/// `(a * b).apply(p) == a.apply(b.apply(p))`, as for matrices.
impl Mul for Affine {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product =
            |i: usize, j: usize| self.matrix[i][0] * other.matrix[0][j] + self.matrix[i][1] * other.matrix[1][j];
        Self {
            matrix: [[product(0, 0), product(0, 1)], [product(1, 0), product(1, 1)]],
            translation: self.apply(other.translation),
        }
    }
}

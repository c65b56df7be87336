//! The transforms of one tile: products with the constant matrices of F(4x4, 3x3).

use super::{IN, OUT};
use crate::device::cpu::layout::LANES;
use crate::device::cpu::simd::Vector;

/// `Bᵀ d B` of a tile whose rows are `stride` floats apart; the transformed points go `point` floats apart.
// Loops rather than `array::from_fn`: its closures are not inlined into the instruction set.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(super) unsafe fn transform_input<V: Vector>(source: *const f32, stride: usize, target: *mut f32, point: usize) {
    // SAFETY: the caller vouches for 6 rows of 6 pixels and 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); IN]; IN];
        for j in 0..IN {
            let mut column = [V::splat(0.0); IN];
            for i in 0..IN {
                column[i] = V::load(source.add(i * stride + j * LANES));
            }
            let column = b_transposed::<V>(column);
            for i in 0..IN {
                half[i][j] = column[i];
            }
        }
        for (i, &row) in half.iter().enumerate() {
            for (j, value) in b_transposed::<V>(row).into_iter().enumerate() {
                V::store(target.add((i * IN + j) * point), value);
            }
        }
    }
}

/// `Aᵀ m A` of a tile whose points are `point` floats apart.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(super) unsafe fn transform_output<V: Vector>(source: *const f32, point: usize) -> [[V::Block; OUT]; OUT] {
    // SAFETY: the caller vouches for 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); IN]; OUT];
        for j in 0..IN {
            let mut column = [V::splat(0.0); IN];
            for i in 0..IN {
                column[i] = V::load(source.add((i * IN + j) * point));
            }
            let column = a_transposed::<V>(column);
            for i in 0..OUT {
                half[i][j] = column[i];
            }
        }
        let mut tile = [[V::splat(0.0); OUT]; OUT];
        for i in 0..OUT {
            tile[i] = a_transposed::<V>(half[i]);
        }
        tile
    }
}

/// `A dY Aᵀ` of a tile whose rows are `stride` floats apart; the transformed points go `point` floats apart.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(super) unsafe fn transform_gradient<V: Vector>(source: *const f32, stride: usize, target: *mut f32, point: usize) {
    // SAFETY: the caller vouches for 4 rows of 4 pixels and 36 points.
    unsafe {
        let mut half = [[V::splat(0.0); OUT]; IN];
        for j in 0..OUT {
            let mut column = [V::splat(0.0); OUT];
            for i in 0..OUT {
                column[i] = V::load(source.add(i * stride + j * LANES));
            }
            let column = a::<V>(column);
            for i in 0..IN {
                half[i][j] = column[i];
            }
        }
        for (i, &row) in half.iter().enumerate() {
            for (j, value) in a::<V>(row).into_iter().enumerate() {
                V::store(target.add((i * IN + j) * point), value);
            }
        }
    }
}

/// `Bᵀ d` of one column.
#[inline(always)]
unsafe fn b_transposed<V: Vector>(d: [V::Block; IN]) -> [V::Block; IN] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (even, odd) = (times(-4.0, d[2], d[4]), times(-4.0, d[1], d[3]));
        let (near, far) = (V::subtract(d[4], d[2]), V::subtract(d[3], d[1]));
        [
            times(4.0, d[0], times(-5.0, d[2], d[4])),
            V::add(even, odd),
            V::subtract(even, odd),
            times(2.0, far, near),
            times(-2.0, far, near),
            times(4.0, d[1], times(-5.0, d[3], d[5])),
        ]
    }
}

/// `Aᵀ m` of one column.
#[inline(always)]
unsafe fn a_transposed<V: Vector>(m: [V::Block; IN]) -> [V::Block; OUT] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (sum1, difference1) = (V::add(m[1], m[2]), V::subtract(m[1], m[2]));
        let (sum2, difference2) = (V::add(m[3], m[4]), V::subtract(m[3], m[4]));
        [
            V::add(V::add(m[0], sum1), sum2),
            times(2.0, difference2, difference1),
            times(4.0, sum2, sum1),
            times(8.0, difference2, V::add(difference1, m[5])),
        ]
    }
}

/// `A y` of one column.
#[inline(always)]
unsafe fn a<V: Vector>(y: [V::Block; OUT]) -> [V::Block; IN] {
    // SAFETY: the caller's instruction set.
    unsafe {
        let times = |factor: f32, value, plus| V::multiply_add(V::splat(factor), value, plus);
        let (even1, odd1) = (V::add(y[0], y[2]), V::add(y[1], y[3]));
        let (even2, odd2) = (times(4.0, y[2], y[0]), times(4.0, y[3], y[1]));
        [y[0], V::add(even1, odd1), V::subtract(even1, odd1), times(2.0, odd2, even2), times(-2.0, odd2, even2), y[3]]
    }
}

/// `G g Gᵀ` of 16 kernels, given column by column; the transformed points go `point` floats apart.
#[inline(always)]
pub(super) fn transform_kernels(columns: &[[[f32; LANES]; 3]; 3], target: &mut [f32], point: usize) {
    let half: [[[f32; LANES]; 3]; IN] = transpose([g(&columns[0]), g(&columns[1]), g(&columns[2])]);
    for (i, row) in half.iter().enumerate() {
        for (j, lanes) in g(row).iter().enumerate() {
            target[(i * IN + j) * point..][..LANES].copy_from_slice(lanes);
        }
    }
}

/// `G g` of one column of 16 kernels.
#[inline(always)]
fn g(column: &[[f32; LANES]; 3]) -> [[f32; LANES]; IN] {
    let mut points = [[0.0; LANES]; IN];
    for lane in 0..LANES {
        let (a, b, c) = (column[0][lane], column[1][lane], column[2][lane]);
        let (outer, quarter) = (a + c, a / 24.0 + c / 6.0);
        points[0][lane] = a / 4.0;
        points[1][lane] = -(outer + b) / 6.0;
        points[2][lane] = -(outer - b) / 6.0;
        points[3][lane] = quarter + b / 12.0;
        points[4][lane] = quarter - b / 12.0;
        points[5][lane] = c;
    }
    points
}

/// `Gᵀ u` of one column of 16 kernels.
#[inline(always)]
pub(super) fn g_transposed(u: [[f32; LANES]; IN]) -> [[f32; LANES]; 3] {
    let mut columns = [[0.0; LANES]; 3];
    for lane in 0..LANES {
        let [u0, u1, u2, u3, u4, u5] = std::array::from_fn(|i| u[i][lane]);
        let (sum1, sum2) = (u1 + u2, u3 + u4);
        columns[0][lane] = u0 / 4.0 - sum1 / 6.0 + sum2 / 24.0;
        columns[1][lane] = (u2 - u1) / 6.0 + (u3 - u4) / 12.0;
        columns[2][lane] = (sum2 - sum1) / 6.0 + u5;
    }
    columns
}

#[inline(always)]
pub(super) fn transpose<T: Copy, const R: usize, const C: usize>(rows: [[T; C]; R]) -> [[T; R]; C] {
    std::array::from_fn(|c| std::array::from_fn(|r| rows[r][c]))
}

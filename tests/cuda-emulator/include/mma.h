// Tensor cores: nvcuda::wmma with TF32 operands, tiles of 16x16x8. The first thread of a warp holds and computes whole tiles; the
// other 31 hold nothing, and do nothing. So elementwise loops over `x` up to `num_elements` see every element once.
//
// As on the hardware, operands lose the 13 low bits of their mantissa in the product, whether or not a kernel has rounded them
// with __float_to_tf32 before. Sums are float32 in order of k; the hardware's order is its own.
#pragma once

#include "emulator.h"

namespace nvcuda {
namespace wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32 {};
} // namespace precision

inline bool emulator_first_lane() { return emulator::thread_in_block() % 32 == 0; }

// An element that no one has set is NaN.
template <class Use, int ROWS, int COLUMNS> struct emulator_tile {
    static constexpr int rows = ROWS, columns = COLUMNS;
    const int num_elements;
    float x[ROWS * COLUMNS]; // row by row
    emulator_tile() : num_elements(emulator_first_lane() ? ROWS * COLUMNS : 0) {
        for (int i = 0; i < num_elements; i++) x[i] = NAN;
    }
    emulator_tile(const emulator_tile &other) : num_elements(other.num_elements) { *this = other; }
    emulator_tile &operator=(const emulator_tile &other) {
        memcpy(x, other.x, sizeof(float) * num_elements);
        return *this;
    }
};

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment;
template <class Layout> struct fragment<matrix_a, 16, 16, 8, precision::tf32, Layout> : emulator_tile<matrix_a, 16, 8> {};
template <class Layout> struct fragment<matrix_b, 16, 16, 8, precision::tf32, Layout> : emulator_tile<matrix_b, 8, 16> {};
template <> struct fragment<accumulator, 16, 16, 8, float, void> : emulator_tile<accumulator, 16, 16> {};

using Accumulator = fragment<accumulator, 16, 16, 8, float, void>;

// To nearest, halves away from zero (cvt.rna.tf32.f32).
inline float __float_to_tf32(float value) {
    unsigned bits = __float_as_uint(value);
    if (std::isfinite(value)) bits += 0x1000;
    return __uint_as_float(bits & ~0x1fffu);
}

inline void emulator_check(const float *p, unsigned stride) {
    if (reinterpret_cast<uintptr_t>(p) % 32 || stride % 4)
        emulator::fail("a tile of a matrix must begin at a multiple of 32 bytes and have rows of a multiple of 16 bytes (stride %u)", stride);
}

template <class Tile> inline void emulator_load(Tile &tile, const float *p, unsigned stride, bool row_major) {
    if (!tile.num_elements) return;
    emulator_check(p, stride);
    for (int row = 0; row < Tile::rows; row++)
        for (int column = 0; column < Tile::columns; column++)
            tile.x[row * Tile::columns + column] = p[row_major ? row * stride + column : column * stride + row];
}

template <class Use, class Layout>
inline void load_matrix_sync(fragment<Use, 16, 16, 8, precision::tf32, Layout> &tile, const float *p, unsigned stride) {
    emulator_load(tile, p, stride, std::is_same_v<Layout, row_major>);
}

inline void load_matrix_sync(Accumulator &tile, const float *p, unsigned stride, layout_t layout) {
    emulator_load(tile, p, stride, layout == mem_row_major);
}

inline void store_matrix_sync(float *p, const Accumulator &tile, unsigned stride, layout_t layout) {
    if (!tile.num_elements) return;
    emulator_check(p, stride);
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++)
            p[layout == mem_row_major ? row * stride + column : column * stride + row] = tile.x[row * 16 + column];
}

template <class Tile> inline void fill_fragment(Tile &tile, float value) {
    for (int i = 0; i < tile.num_elements; i++) tile.x[i] = value;
}

inline float emulator_truncated(float value) { return __uint_as_float(__float_as_uint(value) & ~0x1fffu); }

// d = a b + c
template <class LayoutA, class LayoutB>
inline void mma_sync(Accumulator &d, const fragment<matrix_a, 16, 16, 8, precision::tf32, LayoutA> &a,
                     const fragment<matrix_b, 16, 16, 8, precision::tf32, LayoutB> &b, const Accumulator &c) {
    if (!d.num_elements) return;
    float right[8 * 16];
    for (int i = 0; i < 8 * 16; i++) right[i] = emulator_truncated(b.x[i]);
    for (int row = 0; row < 16; row++) {
        float sum[16];
        for (int column = 0; column < 16; column++) sum[column] = c.x[row * 16 + column];
        for (int k = 0; k < 8; k++) {
            const float left = emulator_truncated(a.x[row * 8 + k]);
            for (int column = 0; column < 16; column++) sum[column] += left * right[k * 16 + column];
        }
        for (int column = 0; column < 16; column++) d.x[row * 16 + column] = sum[column];
    }
}

} // namespace wmma
} // namespace nvcuda

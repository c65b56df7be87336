// A matrix product computed by one block: C[n][m] = Σ_k A[m][k] · B[n][k] for a tile of M x N results.
//
// A kernel brings two loaders, one for each operand, that know where an element comes from, and takes the tile of
// results from shared memory. Tiles of K elements pass through two buffers in shared memory; while one is multiplied,
// the loaders' next elements are under way from global memory to registers, so that a block waits once for each tile.
//
// Two kinds of arithmetic share everything else: `Tf32` on tensor cores (operands rounded to 10 bits of mantissa, sums
// in single precision) and `Fp32` (fused multiply-add). Sums run over k in order, so that a result does not depend on
// the tile's size.
#pragma once
#include <mma.h>

namespace gemm {

// The larger of both, or what is not a number: a diverging network must not look like a sound one.
__device__ __forceinline__ float at_least(float floor, float value) { return value < floor ? floor : value; }

// Which index of an operand's tile is contiguous in shared memory: the one that is contiguous in global memory, so
// that a warp reads neighbours and writes neighbours.
enum class Contiguous { OUTER, K };

// Sizes of a tile. A thread owns `RESULTS` of its M x N results.
template <int M_, int N_, int K_, Contiguous A_, Contiguous B_, int RESULTS_ = 32>
struct Tile {
    static constexpr int M = M_, N = N_, K = K_, RESULTS = RESULTS_;
    static constexpr Contiguous A = A_, B = B_;
    static constexpr int THREADS = M * N / RESULTS;
    // Results lie in shared memory as [n][m]. Rows of M + 4: the fragments' rows then fall on different banks.
    static constexpr int RESULT_STRIDE = M + 4;
};

// Sixteen bytes at once.
struct alignas(16) Quad {
    float v[4];
};

// Tensor cores: each warp owns 32 x 32 results in fragments of 16 x 16.
template <class T>
struct Tf32 {
    using Shape = T;
    static_assert(T::RESULTS == 32 && T::M % 32 == 0 && T::N % 32 == 0 && T::K % 8 == 0, "a warp owns 32 x 32 results");

    static constexpr bool A_OUTER = T::A == Contiguous::OUTER, B_OUTER = T::B == Contiguous::OUTER;
    // A fragment's lane (g, t) reads element (g, t) of 8 x 4: 8 mod 32 for rows of k, 4 mod 32 for rows along k spread
    // these over all banks.
    static constexpr int A_STRIDE = A_OUTER ? T::M + 8 : T::K + 4;
    static constexpr int B_STRIDE = B_OUTER ? T::N + 8 : T::K + 4;
    static constexpr int A_FLOATS = A_STRIDE * (A_OUTER ? T::K : T::M);
    static constexpr int B_FLOATS = B_STRIDE * (B_OUTER ? T::K : T::N);

    template <bool OUTER, class Use, class IfOuter, class IfK>
    struct Choose {
        using Fragment = nvcuda::wmma::fragment<Use, 16, 16, 8, nvcuda::wmma::precision::tf32, IfOuter>;
    };
    template <class Use, class IfOuter, class IfK>
    struct Choose<false, Use, IfOuter, IfK> {
        using Fragment = nvcuda::wmma::fragment<Use, 16, 16, 8, nvcuda::wmma::precision::tf32, IfK>;
    };
    using FragmentA =
        typename Choose<A_OUTER, nvcuda::wmma::matrix_a, nvcuda::wmma::col_major, nvcuda::wmma::row_major>::Fragment;
    using FragmentB =
        typename Choose<B_OUTER, nvcuda::wmma::matrix_b, nvcuda::wmma::row_major, nvcuda::wmma::col_major>::Fragment;
    using Sums = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 8, float>;

    Sums sums[2][2];
    int warp_m, warp_n;

    __device__ Tf32() {
        const int warp = threadIdx.x / 32;
        warp_m = warp % (T::M / 32) * 32;
        warp_n = warp / (T::M / 32) * 32;
        for (int i = 0; i < 2; ++i) {
            for (int j = 0; j < 2; ++j) nvcuda::wmma::fill_fragment(sums[i][j], 0.0f);
        }
    }

    static __device__ int index_a(int m, int k) { return A_OUTER ? k * A_STRIDE + m : m * A_STRIDE + k; }
    static __device__ int index_b(int n, int k) { return B_OUTER ? k * B_STRIDE + n : n * B_STRIDE + k; }
    static __device__ float rounded(float value) { return nvcuda::wmma::__float_to_tf32(value); }

    __device__ void multiply(const float *a, const float *b) {
#pragma unroll
        for (int k = 0; k < T::K; k += 8) {
            FragmentA fa[2];
            FragmentB fb[2];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                nvcuda::wmma::load_matrix_sync(fa[i], a + index_a(warp_m + 16 * i, k), A_STRIDE);
                nvcuda::wmma::load_matrix_sync(fb[i], b + index_b(warp_n + 16 * i, k), B_STRIDE);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i) {
#pragma unroll
                for (int j = 0; j < 2; ++j) nvcuda::wmma::mma_sync(sums[i][j], fa[i], fb[j], sums[i][j]);
            }
        }
    }

    // Puts the results into shared memory as [n][m].
    __device__ void put(float *results) const {
        for (int i = 0; i < 2; ++i) {
            for (int j = 0; j < 2; ++j) {
                float *at = results + (warp_n + 16 * j) * T::RESULT_STRIDE + warp_m + 16 * i;
                nvcuda::wmma::store_matrix_sync(at, sums[i][j], T::RESULT_STRIDE, nvcuda::wmma::mem_col_major);
            }
        }
    }
};

// Single precision: each thread owns RESULTS / 4 x 4 results, in quads of m.
template <class T>
struct Fp32 {
    using Shape = T;
    static constexpr int QUADS = T::RESULTS / 16, COLUMNS = T::M / (4 * QUADS);
    static constexpr int A_STRIDE = T::M + 4, B_STRIDE = T::N + 4;
    static constexpr int A_FLOATS = A_STRIDE * T::K, B_FLOATS = B_STRIDE * T::K;

    float sums[QUADS][4][4];
    int thread_m, thread_n;

    __device__ Fp32() {
        thread_m = threadIdx.x % COLUMNS * 4;
        thread_n = threadIdx.x / COLUMNS * 4;
#pragma unroll
        for (int q = 0; q < QUADS; ++q) {
#pragma unroll
            for (int i = 0; i < 16; ++i) sums[q][i / 4][i % 4] = 0.0f;
        }
    }

    // Always [k][outer], for a thread reads quads along m and n. Within each quad, elements are rotated by one place
    // every eight k: so a warp that writes along k meets every bank once, and the reader only has to name the elements
    // otherwise.
    static __device__ int rotated(int outer, int k) { return (outer & ~3) | ((outer + k / 8) & 3); }
    static __device__ int index_a(int m, int k) { return k * A_STRIDE + rotated(m, k); }
    static __device__ int index_b(int n, int k) { return k * B_STRIDE + rotated(n, k); }
    static __device__ float rounded(float value) { return value; }

    __device__ void multiply(const float *a, const float *b) {
#pragma unroll
        for (int k = 0; k < T::K; ++k) {
            const Quad n = *reinterpret_cast<const Quad *>(b + k * B_STRIDE + thread_n);
#pragma unroll
            for (int q = 0; q < QUADS; ++q) {
                const Quad m = *reinterpret_cast<const Quad *>(a + k * A_STRIDE + q * 4 * COLUMNS + thread_m);
#pragma unroll
                for (int i = 0; i < 4; ++i) {
#pragma unroll
                    for (int j = 0; j < 4; ++j) {
                        sums[q][i][j] = fmaf(m.v[(i + k / 8) & 3], n.v[(j + k / 8) & 3], sums[q][i][j]);
                    }
                }
            }
        }
    }

    __device__ void put(float *results) const {
#pragma unroll
        for (int q = 0; q < QUADS; ++q) {
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const Quad m = {{sums[q][0][j], sums[q][1][j], sums[q][2][j], sums[q][3][j]}};
                const int at = (thread_n + j) * T::RESULT_STRIDE + q * 4 * COLUMNS + thread_m;
                *reinterpret_cast<Quad *>(results + at) = m;
            }
        }
    }
};

// Shared memory that a product needs: two buffers for each operand, and afterwards the results.
template <class Math>
struct Shared {
    static constexpr int OPERANDS = 2 * (Math::A_FLOATS + Math::B_FLOATS);
    static constexpr int RESULTS = Math::Shape::N * Math::Shape::RESULT_STRIDE;
    static constexpr int FLOATS = OPERANDS > RESULTS ? OPERANDS : RESULTS;
};

// Multiplies `tiles` (at least one) tiles of K elements, and leaves the results in `shared` for the whole block.
//
// A loader's work on a tile comes in four steps: `prepare` computes what describes the tile's elements, `publish`
// shares that with the block, `fetch` begins to load the elements, `store` puts them into shared memory. There is one
// barrier a tile: `prepare` and `publish` run a tile ahead of `fetch`, and what they write is kept twice.
template <class Math, class A, class B>
__device__ void product(float *shared, A &a, B &b, int tiles) {
    float *const a_tiles = shared, *const b_tiles = shared + 2 * Math::A_FLOATS;
    Math math;
    a.prepare(0);
    a.publish(0);
    __syncthreads();
    a.fetch(0);
    b.fetch(0);
    a.prepare(1);
    a.template store<Math>(0, a_tiles);
    b.template store<Math>(0, b_tiles);
    a.publish(1);
    for (int tile = 0; tile < tiles; ++tile) {
        __syncthreads();
        const int now = tile % 2, next = 1 - now;
        if (tile + 1 < tiles) {
            a.fetch(tile + 1);
            b.fetch(tile + 1);
            a.prepare(tile + 2);
        }
        math.multiply(a_tiles + now * Math::A_FLOATS, b_tiles + now * Math::B_FLOATS);
        if (tile + 1 < tiles) {
            a.template store<Math>(tile + 1, a_tiles + next * Math::A_FLOATS);
            b.template store<Math>(tile + 1, b_tiles + next * Math::B_FLOATS);
            a.publish(tile + 2);
        }
    }
    __syncthreads();
    math.put(shared);
    __syncthreads();
}

enum class Operand { A, B };

template <class Math, Operand WHICH>
__device__ void put(float *tile, int outer, int k, float value) {
    tile[WHICH == Operand::A ? Math::index_a(outer, k) : Math::index_b(outer, k)] = Math::rounded(value);
}

// Loads an operand from a matrix [outer][k] whose rows are `stride` apart.
template <class T, Operand WHICH>
struct Rows {
    static constexpr int OUTER = WHICH == Operand::A ? T::M : T::N;
    static constexpr int STEP = T::THREADS / T::K, COUNT = OUTER / STEP;
    static_assert(T::THREADS % T::K == 0 && OUTER % STEP == 0, "threads divide the tile");

    const float *matrix;
    size_t stride;
    int outer, outers, k, ks;
    float values[COUNT];

    // Rows from `first` of `outers`, elements [k_begin, k_end) of each.
    __device__ Rows(const float *matrix, size_t stride, int first, int outers, int k_begin, int k_end)
        : matrix(matrix), stride(stride), outer(first + int(threadIdx.x) / T::K), outers(outers),
          k(k_begin + int(threadIdx.x) % T::K), ks(k_end) {}

    __device__ void prepare(int) {}
    __device__ void publish(int) {}

    __device__ void fetch(int tile) {
        const int at = k + tile * T::K;
        const float *const row = matrix + outer * stride + at;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            values[i] = at < ks && outer + i * STEP < outers ? __ldg(row + i * STEP * stride) : 0.0f;
        }
    }

    template <class Math>
    __device__ void store(int, float *shared) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            put<Math, WHICH>(shared, threadIdx.x / T::K + i * STEP, threadIdx.x % T::K, values[i]);
        }
    }
};

// Loads an operand from a matrix [k][outer] whose rows are `stride` apart.
template <class T, Operand WHICH>
struct Columns {
    static constexpr int OUTER = WHICH == Operand::A ? T::M : T::N;
    static constexpr int STEP = T::THREADS / OUTER, COUNT = T::K / STEP;
    static_assert(T::THREADS % OUTER == 0 && T::K % STEP == 0, "threads divide the tile");

    const float *matrix;
    size_t stride;
    int outer, outers, ks;
    float values[COUNT];

    // Columns from `first` of `outers`, `ks` elements of each.
    __device__ Columns(const float *matrix, size_t stride, int first, int outers, int ks)
        : matrix(matrix), stride(stride), outer(first + int(threadIdx.x) % OUTER), outers(outers), ks(ks) {}

    __device__ void prepare(int) {}
    __device__ void publish(int) {}

    __device__ void fetch(int tile) {
        const int k = tile * T::K + threadIdx.x / OUTER;
        const float *const column = matrix + k * stride + outer;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            values[i] = outer < outers && k + i * STEP < ks ? __ldg(column + i * STEP * stride) : 0.0f;
        }
    }

    template <class Math>
    __device__ void store(int, float *shared) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            put<Math, WHICH>(shared, threadIdx.x % OUTER, threadIdx.x / OUTER + i * STEP, values[i]);
        }
    }
};

// Threads of a block that adds slices, and the elements that it takes.
constexpr int SLICE_THREADS = 256, SLICE_ELEMENTS = 32;

// Adds partial sums [slices][len] in a fixed order. Each of eight rows of threads adds every eighth slice, the first
// row then the eight sums: that of element `SLICE_ELEMENTS * blockIdx.x + threadIdx.x` for threads below
// SLICE_ELEMENTS.
__device__ inline float sum_of_slices(const float *partial, int slices, int len) {
    constexpr int ROWS = SLICE_THREADS / SLICE_ELEMENTS;
    __shared__ float sums[ROWS][SLICE_ELEMENTS];
    const int column = threadIdx.x % SLICE_ELEMENTS, row = threadIdx.x / SLICE_ELEMENTS;
    const int at = blockIdx.x * SLICE_ELEMENTS + column;
    float sum = 0.0f;
    if (at < len) {
#pragma unroll 8
        for (int slice = row; slice < slices; slice += ROWS) sum += __ldg(partial + (size_t)slice * len + at);
    }
    sums[row][column] = sum;
    __syncthreads();
    if (row == 0) {
        for (int i = 1; i < ROWS; ++i) sum += sums[i][column];
    }
    return sum;
}

}  // namespace gemm

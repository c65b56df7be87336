// The convolution on NVIDIA GPUs: implicit matrix products over activations in [n][c][h][w].
//
// Each direction is a product C[n][m] = Σ_k A[m][k] · B[n][k] of which neither the im2col matrix nor its gradient is
// ever written:
//
//                      m                   n                 k                    A            B
//   forward            output pixels       output channels   taps (c, u, v)       x            w
//   gradient by x      input pixels        input channels    taps (o, u, v)       d            w
//   gradient by w      taps (c, u, v)      output channels   output pixels        x            d
//
// pixels being those of all images. An element of the im2col matrix lies at `pixel.offset + tap.offset`, if it lies in
// the image: a pixel has a bit for each kernel row and each kernel column that is inside the image there, a tap one of
// each. So an element costs one test and one addition, and all divisions are made once for each pixel and tap. Kernels
// may therefore have at most 31 rows and columns together.
//
// The gradient by w is split over pixels into slices whose partial sums a second kernel adds in order: no atomics, the
// same bits in every run. How many depends on the shape alone.
#include "gemm.cuh"

using gemm::at_least;
using gemm::Contiguous;
using gemm::Operand;

namespace {

// Division of a number below 2^31 by multiplication (Granlund and Montgomery 1994).
struct Divisor {
    unsigned value, multiplier, shift;

    __device__ int divide(int number) const {
        const unsigned high = unsigned((unsigned long long)unsigned(number) * multiplier >> 32);
        return int((high + unsigned(number)) >> shift);
    }
};

struct Geometry {
    int n, c, h, w, o, kernel_h, kernel_w, stride, pad_top, pad_left, out_h, out_w;
    // By kernel_h · kernel_w, kernel_w, stride, out_h · out_w, out_w.
    Divisor by_taps, by_kernel_w, by_stride, by_out_plane, by_out_w;
};

// f(scale · x + shift) of the input's channels, f nothing or ReLU; null: as it is.
struct Affine {
    const float *scale, *shift;
    int activation;
};

struct Pixel {
    int offset;
    unsigned inside;
};

struct alignas(16) Tap {
    int offset;
    unsigned bits;
    float scale, shift;
};

// Beyond the last tap: outside of every pixel's image.
__device__ __forceinline__ Tap no_tap() { return Tap{0, 1u << 31, 0.0f, 0.0f}; }

__device__ __forceinline__ bool is_inside(const Pixel &pixel, unsigned bits) { return (pixel.inside & bits) == bits; }

// Bits of the kernel's positions that lie inside an axis of `size`, from `start` (negative: before the axis).
__device__ __forceinline__ unsigned inside_bits(int start, int kernel, int size) {
    // Where the kernel lies outside as a whole, nothing is left between the two.
    const int first = start >= 0 ? 0 : -start < kernel ? -start : kernel;
    const int end = size <= start ? 0 : size - start < kernel ? size - start : kernel;
    return ((1u << end) - 1u) & ~((1u << first) - 1u);
}

// An output pixel's place in the input; the tap at its first row and column, were these inside.
__device__ __forceinline__ Pixel input_pixel(const Geometry &g, int index) {
    const int n = g.by_out_plane.divide(index), rest = index - n * g.out_h * g.out_w;
    const int i = g.by_out_w.divide(rest), j = rest - i * g.out_w;
    const int top = i * g.stride - g.pad_top, left = j * g.stride - g.pad_left;
    const unsigned inside =
        inside_bits(top, g.kernel_h, g.h) | inside_bits(left, g.kernel_w, g.w) << g.kernel_h;
    return Pixel{(n * g.c * g.h + top) * g.w + left, inside};
}

// Tap (c, u, v) of the input.
__device__ __forceinline__ Tap input_tap(const Geometry &g, const Affine &affine, int index) {
    const int taps = g.kernel_h * g.kernel_w;
    if (index >= g.c * taps) return no_tap();
    const int c = g.by_taps.divide(index), rest = index - c * taps;
    const int u = g.by_kernel_w.divide(rest), v = rest - u * g.kernel_w;
    const float scale = affine.scale ? __ldg(affine.scale + c) : 1.0f;
    const float shift = affine.scale ? __ldg(affine.shift + c) : 0.0f;
    return Tap{(c * g.h + u) * g.w + v, 1u << u | 1u << (g.kernel_h + v), scale, shift};
}

// Bits of the kernel's positions u for which (position - u) / stride is an output's index.
__device__ inline unsigned output_bits(const Geometry &g, int position, int kernel, int outputs) {
    unsigned bits = 0;
    const int last = position / g.stride;
    for (int u = position - last * g.stride, output = last; u < kernel; u += g.stride, --output) {
        if (output >= 0 && output < outputs) bits |= 1u << u;
    }
    return bits;
}

// An input pixel's place in the output: that which the kernel's first positions of the pixel's phase reach.
__device__ inline Pixel output_pixel(const Geometry &g, int index) {
    const int plane = g.h * g.w, n = index / plane, rest = index - n * plane;
    const int row = rest / g.w + g.pad_top, column = rest % g.w + g.pad_left;
    const unsigned inside =
        output_bits(g, row, g.kernel_h, g.out_h) | output_bits(g, column, g.kernel_w, g.out_w) << g.kernel_h;
    return Pixel{(n * g.o * g.out_h + row / g.stride) * g.out_w + column / g.stride, inside};
}

// Tap (o, u, v) of the output's gradient.
__device__ __forceinline__ Tap output_tap(const Geometry &g, int index) {
    const int taps = g.kernel_h * g.kernel_w;
    if (index >= g.o * taps) return no_tap();
    const int o = g.by_taps.divide(index), rest = index - o * taps;
    const int u = g.by_kernel_w.divide(rest), v = rest - u * g.kernel_w;
    const int offset = (o * g.out_h - g.by_stride.divide(u)) * g.out_w - g.by_stride.divide(v);
    return Tap{offset, 1u << u | 1u << (g.kernel_h + v), 1.0f, 0.0f};
}

// The activations that a product reads: a map and, if that is a gradient, perhaps the output that says where it counts.
template <bool CLAMPED>
struct Source {
    const float *map, *output;

    struct Element {
        float value, output;
    };
    __device__ void load(Element &element, int at) const {
        element.value = __ldg(map + at);
        element.output = __ldg(output + at);
    }
    static __device__ float value(const Element &element) { return element.output > 0.0f ? element.value : 0.0f; }
};

template <>
struct Source<false> {
    const float *map, *output;

    struct Element {
        float value;
    };
    __device__ void load(Element &element, int at) const { element.value = __ldg(map + at); }
    static __device__ float value(const Element &element) { return element.value; }
};

// A of the forward pass and of the gradient by x: each thread has one pixel, and the taps of a tile are in shared
// memory.
template <class T, class Source, class Taps>
struct PixelRows {
    static constexpr int STEP = T::THREADS / T::M, COUNT = T::K / STEP;

    Source source;
    Taps taps;
    Pixel pixel;
    float floor;
    Tap *table;  // [2][K]
    Tap next;
    typename Source::Element elements[COUNT];

    __device__ PixelRows(Source source, Taps taps, Pixel pixel, float floor, Tap *table)
        : source(source), taps(taps), pixel(pixel), floor(floor), table(table) {}

    __device__ void prepare(int tile) {
        if (threadIdx.x < T::K) next = taps(tile * T::K + int(threadIdx.x));
    }

    __device__ void publish(int tile) {
        if (threadIdx.x < T::K) table[tile % 2 * T::K + threadIdx.x] = next;
    }

    __device__ void fetch(int tile) {
        const Tap *const at = table + tile % 2 * T::K + threadIdx.x / T::M;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const int offset = at[i * STEP].offset;
            if (is_inside(pixel, at[i * STEP].bits)) source.load(elements[i], pixel.offset + offset);
        }
    }

    template <class Math>
    __device__ void store(int tile, float *shared) const {
        const Tap *const at = table + tile % 2 * T::K + threadIdx.x / T::M;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const Tap tap = at[i * STEP];
            const float value = at_least(floor, fmaf(tap.scale, Source::value(elements[i]), tap.shift));
            const int k = threadIdx.x / T::M + i * STEP;
            gemm::put<Math, Operand::A>(shared, threadIdx.x % T::M, k, is_inside(pixel, tap.bits) ? value : 0.0f);
        }
    }
};

// A of the gradient by w: the taps stay, and each thread has another pixel in each tile.
template <class T>
struct TapRows {
    static constexpr int STEP = T::THREADS / T::K, COUNT = T::M / STEP;

    const Geometry &g;
    const float *x;
    float floor;
    const Tap *table;  // [M]
    int pixels, end;
    Pixel pixel;
    float values[COUNT];

    __device__ TapRows(const Geometry &g, const float *x, float floor, const Tap *table, int begin, int end)
        : g(g), x(x), floor(floor), table(table), pixels(begin + int(threadIdx.x) % T::K), end(end) {}

    __device__ void prepare(int) {}
    __device__ void publish(int) {}

    __device__ void fetch(int tile) {
        const int index = pixels + tile * T::K;
        pixel = index < end ? input_pixel(g, index) : Pixel{0, 0u};
        const Tap *const at = table + threadIdx.x / T::K;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const int offset = at[i * STEP].offset;
            if (is_inside(pixel, at[i * STEP].bits)) values[i] = __ldg(x + (pixel.offset + offset));
        }
    }

    template <class Math>
    __device__ void store(int, float *shared) const {
        const Tap *const at = table + threadIdx.x / T::K;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const Tap tap = at[i * STEP];
            const float value = at_least(floor, fmaf(tap.scale, values[i], tap.shift));
            const int m = threadIdx.x / T::K + i * STEP;
            gemm::put<Math, Operand::A>(shared, m, threadIdx.x % T::K, is_inside(pixel, tap.bits) ? value : 0.0f);
        }
    }
};

// B of the gradient by x: the weights [o][c][taps] with c as rows and (o, taps) as columns.
template <class T>
struct TransposedWeights {
    static constexpr int STEP = T::THREADS / T::K, COUNT = T::N / STEP;

    const Geometry &g;
    const float *weight;
    int c;
    float values[COUNT];

    __device__ TransposedWeights(const Geometry &g, const float *weight, int first)
        : g(g), weight(weight), c(first + int(threadIdx.x) / T::K) {}

    __device__ void fetch(int tile) {
        const int taps = g.kernel_h * g.kernel_w, k = tile * T::K + int(threadIdx.x) % T::K;
        const int at = k + g.by_taps.divide(k) * (g.c - 1) * taps + c * taps;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const bool exists = k < g.o * taps && c + i * STEP < g.c;
            values[i] = exists ? __ldg(weight + (at + i * STEP * taps)) : 0.0f;
        }
    }

    template <class Math>
    __device__ void store(int, float *shared) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            gemm::put<Math, Operand::B>(shared, threadIdx.x / T::K + i * STEP, threadIdx.x % T::K, values[i]);
        }
    }
};

// B of the gradient by w: the output's gradient with channels as rows and pixels as columns. Sums it on the way, in
// single precision: the gradient by the bias.
template <class T, class Source>
struct OutputRows {
    static constexpr int STEP = T::THREADS / T::K, COUNT = T::N / STEP;

    const Geometry &g;
    Source source;
    int o, pixels, end;
    typename Source::Element elements[COUNT];
    float sums[COUNT];

    __device__ OutputRows(const Geometry &g, Source source, int first, int begin, int end)
        : g(g), source(source), o(first + int(threadIdx.x) / T::K), pixels(begin + int(threadIdx.x) % T::K), end(end) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) sums[i] = 0.0f;
    }

    __device__ bool exists(int tile, int i) const { return pixels + tile * T::K < end && o + i * STEP < g.o; }

    __device__ void fetch(int tile) {
        const int index = pixels + tile * T::K, plane = g.out_h * g.out_w;
        const int at = index + (g.by_out_plane.divide(index) * (g.o - 1) + o) * plane;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (exists(tile, i)) source.load(elements[i], at + i * STEP * plane);
        }
    }

    template <class Math>
    __device__ void store(int tile, float *shared) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const float value = exists(tile, i) ? Source::value(elements[i]) : 0.0f;
            sums[i] += value;
            gemm::put<Math, Operand::B>(shared, threadIdx.x / T::K + i * STEP, threadIdx.x % T::K, value);
        }
    }
};

struct InputTaps {
    const Geometry &g;
    const Affine &affine;
    __device__ Tap operator()(int index) const { return input_tap(g, affine, index); }
};

struct OutputTaps {
    const Geometry &g;
    __device__ Tap operator()(int index) const { return output_tap(g, index); }
};

__device__ __forceinline__ int tiles(int size, int tile) { return (size + tile - 1) / tile; }

// y = f(b + r + w * x).
template <class Math>
__device__ void forward(const Geometry &g, const float *x, const Affine &affine, const float *weight, const float *bias,
                        const float *residual, int activation, float *y) {
    using T = typename Math::Shape;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    __shared__ Tap table[2 * T::K];
    const int plane = g.out_h * g.out_w, ks = g.c * g.kernel_h * g.kernel_w;
    const int index = blockIdx.x * T::M + threadIdx.x % T::M, first = blockIdx.y * T::N;
    const Pixel pixel = index < g.n * plane ? input_pixel(g, index) : Pixel{0, 0u};
    PixelRows<T, Source<false>, InputTaps> a({x, nullptr}, {g, affine}, pixel, affine.activation ? 0.0f : -INFINITY, table);
    gemm::Rows<T, Operand::B> b(weight, ks, first, g.o, 0, ks);
    gemm::product<Math>(shared, a, b, tiles(ks, T::K));

    if (index >= g.n * plane) return;
    const int start = index + g.by_out_plane.divide(index) * (g.o - 1) * plane;
    for (int n = threadIdx.x / T::M; n < T::N && first + n < g.o; n += T::THREADS / T::M) {
        const int at = start + (first + n) * plane;
        float sum = shared[n * T::RESULT_STRIDE + threadIdx.x % T::M];
        if (bias) sum += __ldg(bias + first + n);
        if (residual) sum += __ldg(residual + at);
        if (activation) sum = at_least(0.0f, sum);
        y[at] = activation == 2 && sum > 6.0f ? 6.0f : sum;
    }
}

// dx = w * d, or added to dx.
template <class Math, bool CLAMPED>
__device__ void input_gradient(const Geometry &g, const float *dy, const float *y, const float *weight, int add, float *dx) {
    using T = typename Math::Shape;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    __shared__ Tap table[2 * T::K];
    const int plane = g.h * g.w, ks = g.o * g.kernel_h * g.kernel_w;
    const int index = blockIdx.x * T::M + threadIdx.x % T::M, first = blockIdx.y * T::N;
    const Pixel pixel = index < g.n * plane ? output_pixel(g, index) : Pixel{0, 0u};
    PixelRows<T, Source<CLAMPED>, OutputTaps> a({dy, y}, {g}, pixel, -INFINITY, table);
    TransposedWeights<T> b(g, weight, first);
    gemm::product<Math>(shared, a, b, tiles(ks, T::K));

    if (index >= g.n * plane) return;
    const int start = index + index / plane * (g.c - 1) * plane;
    for (int n = threadIdx.x / T::M; n < T::N && first + n < g.c; n += T::THREADS / T::M) {
        const int at = start + (first + n) * plane;
        const float sum = shared[n * T::RESULT_STRIDE + threadIdx.x % T::M];
        dx[at] = add ? dx[at] + sum : sum;
    }
}

// Partial sums of dw and, as one more column, of db, over `slice` pixels for each block in z: [slices][o][c · taps +
// 1].
template <class Math, bool CLAMPED>
__device__ void weight_gradient(const Geometry &g, const float *x, const Affine &affine, const float *dy, const float *y,
                                int slice, float *partial) {
    using T = typename Math::Shape;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    __shared__ Tap table[T::M];
    const int pixels = g.n * g.out_h * g.out_w, taps = g.c * g.kernel_h * g.kernel_w;
    const int begin = blockIdx.z * slice, end = begin + slice < pixels ? begin + slice : pixels;
    const int first_tap = blockIdx.x * T::M, first = blockIdx.y * T::N;
    for (int m = threadIdx.x; m < T::M; m += T::THREADS) table[m] = input_tap(g, affine, first_tap + m);
    TapRows<T> a(g, x, affine.activation ? 0.0f : -INFINITY, table, begin, end);
    OutputRows<T, Source<CLAMPED>> b(g, {dy, y}, first, begin, end);
    gemm::product<Math>(shared, a, b, tiles(end - begin, T::K));

    partial += ((size_t)blockIdx.z * g.o + first) * (taps + 1);
    for (int at = threadIdx.x; at < T::M * T::N; at += T::THREADS) {
        const int m = at % T::M, n = at / T::M;
        if (first_tap + m < taps && first + n < g.o) {
            partial[(size_t)n * (taps + 1) + first_tap + m] = shared[n * T::RESULT_STRIDE + m];
        }
    }
    if (blockIdx.x != 0) return;
    __syncthreads();
    for (int i = 0; i < b.COUNT; ++i) {
        shared[(threadIdx.x / T::K + i * b.STEP) * (T::K + 1) + threadIdx.x % T::K] = b.sums[i];
    }
    __syncthreads();
    for (int n = threadIdx.x; n < T::N && first + n < g.o; n += T::THREADS) {
        float sum = 0.0f;
        for (int k = 0; k < T::K; ++k) sum += shared[n * (T::K + 1) + k];
        partial[(size_t)n * (taps + 1) + taps] = sum;
    }
}

// Tiles of m x n. Pixels are rows of m in the first two directions, taps in the third.
template <int M, int N>
using PixelTile = gemm::Tile<M, N, 16, Contiguous::OUTER, Contiguous::K>;
template <int M, int N>
using TapTile = gemm::Tile<M, N, 32, Contiguous::K, Contiguous::K>;

}  // namespace

#define CONV2D_PIXEL_KERNELS(MATH, ARITHMETIC, M, N)                                                                          \
    extern "C" __global__ __launch_bounds__(M *N / 32) void conv2d_forward_##MATH##_##M##x##N(                                \
        Geometry g, const float *x, Affine affine, const float *weight, const float *bias, const float *residual,             \
        int activation, float *y) {                                                                                           \
        forward<gemm::ARITHMETIC<PixelTile<M, N>>>(g, x, affine, weight, bias, residual, activation, y);                      \
    }                                                                                                                         \
    extern "C" __global__ __launch_bounds__(M *N / 32) void conv2d_input_gradient_##MATH##_##M##x##N(                         \
        Geometry g, const float *dy, const float *y, const float *weight, int add, float *dx) {                               \
        input_gradient<gemm::ARITHMETIC<PixelTile<M, N>>, false>(g, dy, y, weight, add, dx);                                  \
    }                                                                                                                         \
    extern "C" __global__ __launch_bounds__(M *N / 32) void conv2d_clamped_input_gradient_##MATH##_##M##x##N(                 \
        Geometry g, const float *dy, const float *y, const float *weight, int add, float *dx) {                               \
        input_gradient<gemm::ARITHMETIC<PixelTile<M, N>>, true>(g, dy, y, weight, add, dx);                                   \
    }

#define CONV2D_TAP_KERNELS(MATH, ARITHMETIC, M, N)                                                                            \
    extern "C" __global__ __launch_bounds__(M *N / 32) void conv2d_weight_gradient_##MATH##_##M##x##N(                        \
        Geometry g, const float *x, Affine affine, const float *dy, const float *y, int slice, float *partial) {              \
        weight_gradient<gemm::ARITHMETIC<TapTile<M, N>>, false>(g, x, affine, dy, y, slice, partial);                         \
    }                                                                                                                         \
    extern "C" __global__ __launch_bounds__(M *N / 32) void conv2d_clamped_weight_gradient_##MATH##_##M##x##N(                \
        Geometry g, const float *x, Affine affine, const float *dy, const float *y, int slice, float *partial) {              \
        weight_gradient<gemm::ARITHMETIC<TapTile<M, N>>, true>(g, x, affine, dy, y, slice, partial);                          \
    }

CONV2D_PIXEL_KERNELS(tf32, Tf32, 128, 64)
CONV2D_PIXEL_KERNELS(tf32, Tf32, 128, 32)
CONV2D_PIXEL_KERNELS(tf32, Tf32, 64, 32)
CONV2D_TAP_KERNELS(tf32, Tf32, 64, 64)
CONV2D_TAP_KERNELS(tf32, Tf32, 64, 32)
CONV2D_PIXEL_KERNELS(fp32, Fp32, 128, 64)
CONV2D_PIXEL_KERNELS(fp32, Fp32, 128, 32)
CONV2D_PIXEL_KERNELS(fp32, Fp32, 64, 32)
CONV2D_TAP_KERNELS(fp32, Fp32, 64, 64)
CONV2D_TAP_KERNELS(fp32, Fp32, 64, 32)

// Adds the slices' partial sums to the gradients of weight [o][taps] and, if there is one, bias [o].
extern "C" __global__ __launch_bounds__(gemm::SLICE_THREADS) void conv2d_add_slices(const float *partial, int slices, int o,
                                                                                    int taps, float *dw, float *db) {
    const float sum = gemm::sum_of_slices(partial, slices, o * (taps + 1));
    const int at = blockIdx.x * gemm::SLICE_ELEMENTS + threadIdx.x;
    if (threadIdx.x >= gemm::SLICE_ELEMENTS || at >= o * (taps + 1)) return;
    const int channel = at / (taps + 1), tap = at % (taps + 1);
    if (tap == taps && !db) return;
    float *const gradient = tap < taps ? dw + ((size_t)channel * taps + tap) : db + channel;
    *gradient += sum;
}

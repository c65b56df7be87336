// The dense layer on NVIDIA GPUs: products C[n][m] = Σ_k A[m][k] · B[n][k].
//
//                      m           n           k           A                B
//   forward            outputs     images      inputs      w [m][k]         x [n][k]
//   gradient by x      inputs      images      outputs     w [k][m]         d [n][k]
//   gradient by w      inputs      outputs     images      x [k][m]         d [k][n]
//
// The forward pass has few results and many inputs: it is split over these into slices whose partial sums a second
// kernel adds in order. How many depends on the shape alone.
//
// Always single precision. At a batch of 32 the time is that of reading the weights once (25088 x 128: 13 MB),
// whatever the arithmetic, and sums over up to 57600 inputs keep their precision.
#include "gemm.cuh"

using gemm::Contiguous;
using gemm::Operand;

namespace {

constexpr int M = 64, N = 32, RESULTS = 16;
using ForwardTile = gemm::Tile<M, N, 32, Contiguous::K, Contiguous::K, RESULTS>;
using InputTile = gemm::Tile<M, N, 16, Contiguous::OUTER, Contiguous::K, RESULTS>;
using WeightTile = gemm::Tile<M, N, 16, Contiguous::OUTER, Contiguous::OUTER, RESULTS>;
constexpr int THREADS = ForwardTile::THREADS;

__device__ __forceinline__ int tiles(int size, int tile) { return (size + tile - 1) / tile; }

// Stores the tile of results, [n][m], into or onto rows of `width`.
__device__ __forceinline__ void put_results(const float *results, int ms, int ns, int width, int add, float *to) {
    for (int i = threadIdx.x; i < M * N; i += THREADS) {
        const int m = i % M, n = i / M;
        if (m >= ms || n >= ns) continue;
        float *const at = to + ((size_t)n * width + m);
        const float sum = results[n * ForwardTile::RESULT_STRIDE + m];
        *at = add ? *at + sum : sum;
    }
}

}  // namespace

// Partial sums [slices][images][outputs], each over `slice` inputs; blocks are [outputs, images, slices].
extern "C" __global__ __launch_bounds__(THREADS) void dense_forward(int images, int inputs, int outputs, const float *x,
                                                                    const float *weight, int slice, float *partial) {
    using Math = gemm::Fp32<ForwardTile>;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    const int m = blockIdx.x * M, n = blockIdx.y * N;
    const int begin = blockIdx.z * slice, end = begin + slice < inputs ? begin + slice : inputs;
    gemm::Rows<ForwardTile, Operand::A> a(weight, inputs, m, outputs, begin, end);
    gemm::Rows<ForwardTile, Operand::B> b(x, inputs, n, images, begin, end);
    gemm::product<Math>(shared, a, b, tiles(end - begin, ForwardTile::K));
    partial += ((size_t)blockIdx.z * images + n) * outputs + m;
    put_results(shared, outputs - m, images - n, outputs, 0, partial);
}

// y = relu(b + the slices' sums).
extern "C" __global__ __launch_bounds__(gemm::SLICE_THREADS) void dense_add_slices(const float *partial, int slices, int images,
                                                                                   int outputs, const float *bias, int relu,
                                                                                   float *y) {
    const int len = images * outputs, at = blockIdx.x * gemm::SLICE_ELEMENTS + threadIdx.x;
    float sum = gemm::sum_of_slices(partial, slices, len);
    if (threadIdx.x >= gemm::SLICE_ELEMENTS || at >= len) return;
    sum += __ldg(bias + at % outputs);
    y[at] = relu ? gemm::at_least(0.0f, sum) : sum;
}

// dx, or added to dx; blocks are [inputs, images].
extern "C" __global__ __launch_bounds__(THREADS) void dense_input_gradient(int images, int inputs, int outputs, const float *dy,
                                                                           const float *weight, int add, float *dx) {
    using Math = gemm::Fp32<InputTile>;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    const int m = blockIdx.x * M, n = blockIdx.y * N;
    gemm::Columns<InputTile, Operand::A> a(weight, inputs, m, inputs, outputs);
    gemm::Rows<InputTile, Operand::B> b(dy, outputs, n, images, 0, outputs);
    gemm::product<Math>(shared, a, b, tiles(outputs, InputTile::K));
    put_results(shared, inputs - m, images - n, inputs, add, dx + ((size_t)n * inputs + m));
}

// Added to dw and db; blocks are [inputs, outputs].
extern "C" __global__ __launch_bounds__(THREADS) void dense_weight_gradient(int images, int inputs, int outputs, const float *x,
                                                                            const float *dy, float *dw, float *db) {
    using Math = gemm::Fp32<WeightTile>;
    alignas(128) __shared__ float shared[gemm::Shared<Math>::FLOATS];
    const int m = blockIdx.x * M, n = blockIdx.y * N;
    gemm::Columns<WeightTile, Operand::A> a(x, inputs, m, inputs, images);
    gemm::Columns<WeightTile, Operand::B> b(dy, outputs, n, outputs, images);
    gemm::product<Math>(shared, a, b, tiles(images, WeightTile::K));
    put_results(shared, inputs - m, outputs - n, inputs, 1, dw + ((size_t)n * inputs + m));

    const int output = n + threadIdx.x;
    if (blockIdx.x != 0 || threadIdx.x >= N || output >= outputs) return;
    float sum = 0.0f;
#pragma unroll 8
    for (int image = 0; image < images; ++image) sum += __ldg(dy + ((size_t)image * outputs + output));
    db[output] += sum;
}

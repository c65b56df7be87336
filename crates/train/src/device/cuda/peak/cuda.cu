// Nothing of a network: the most arithmetic that kernels of this kind can ask of a device, as the ceiling that
// benchmarks hold the ops against. Chains of multiply-adds in registers, each waiting for its own last result only.
#include <mma.h>

constexpr int CHAINS = 16;

// Multiply-adds in single precision: `CHAINS` a thread and step.
extern "C" __global__ void peak_fp32(float *out, float factor, float term, unsigned steps) {
    float sums[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sums[i] = float(threadIdx.x + i);
    for (unsigned step = 0; step < steps; step++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) sums[i] = fmaf(sums[i], factor, term);
    }
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < CHAINS; i++) total += sums[i];
    out[size_t(blockIdx.x) * blockDim.x + threadIdx.x] = total;
}

constexpr int TILES = 8;
constexpr int MOST_WARPS = 8;

// Products of TF32 tiles on tensor cores: `TILES` products of 16x8 by 8x16 a warp and step.
extern "C" __global__ void peak_tf32(float *out, float factor, float term, unsigned steps) {
    using namespace nvcuda::wmma;
    alignas(32) __shared__ float result[MOST_WARPS * 256];
    fragment<matrix_a, 16, 16, 8, precision::tf32, row_major> a;
    fragment<matrix_b, 16, 16, 8, precision::tf32, col_major> b;
    fragment<accumulator, 16, 16, 8, float> sums[TILES];
    fill_fragment(a, __float_to_tf32(factor));
    fill_fragment(b, __float_to_tf32(term));
#pragma unroll
    for (int i = 0; i < TILES; i++) fill_fragment(sums[i], float(i));
    for (unsigned step = 0; step < steps; step++) {
#pragma unroll
        for (int i = 0; i < TILES; i++) mma_sync(sums[i], a, b, sums[i]);
    }
#pragma unroll
    for (int i = 1; i < TILES; i++) {
        for (int at = 0; at < sums[0].num_elements; at++) sums[0].x[at] += sums[i].x[at];
    }
    store_matrix_sync(result + threadIdx.x / 32 * 256, sums[0], 16, mem_row_major);
    __syncthreads();
    out[size_t(blockIdx.x) * blockDim.x + threadIdx.x] = result[threadIdx.x];
}

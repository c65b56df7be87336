// Kernels that are right, and kernels with the mistakes that the emulator must show.
#include <mma.h>

// Sums each block's 96 values; a barrier after each step of the tree.
extern "C" __global__ void block_sums(const float *x, float *sums, int n) {
    __shared__ float part[96];
    const int t = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
    const int i = blockIdx.x * threads + t;
    part[t] = i < n ? x[i] : 0.f;
    __syncthreads();
    for (int width = 64; width > 0; width /= 2) {
        if (t < width && t + width < threads) part[t] += part[t + width];
        __syncthreads();
    }
    if (t == 0) sums[blockIdx.x] = part[0];
}

// c[m][n] = a[m][k] b[k][n] for multiples of 16, 16, 8, one warp a tile; `round` rounds to TF32, otherwise the product cuts off.
extern "C" __global__ void __launch_bounds__(32) product_tf32(const float *a, const float *b, float *c, int m, int n, int k, bool round) {
    using namespace nvcuda;
    __shared__ __align__(32) float left[16 * 8], right[8 * 16], out[16 * 16];
    wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum;
    wmma::fill_fragment(sum, 0.f);
    for (int k0 = 0; k0 < k; k0 += 8) {
        for (int i = threadIdx.x; i < 128; i += 32) {
            left[i] = a[(blockIdx.y * 16 + i / 8) * k + k0 + i % 8];
            right[i] = b[(k0 + i % 8) * n + blockIdx.x * 16 + i / 8]; // column by column
        }
        __syncthreads();
        wmma::load_matrix_sync(fa, left, 8);
        wmma::load_matrix_sync(fb, right, 8);
        if (round) {
            for (int i = 0; i < fa.num_elements; i++) fa.x[i] = wmma::__float_to_tf32(fa.x[i]);
            for (int i = 0; i < fb.num_elements; i++) fb.x[i] = wmma::__float_to_tf32(fb.x[i]);
        }
        wmma::mma_sync(sum, fa, fb, sum);
        __syncthreads();
    }
    wmma::store_matrix_sync(out, sum, 16, wmma::mem_row_major);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += 32) c[(blockIdx.y * 16 + i / 16) * n + blockIdx.x * 16 + i % 16] = out[i];
}

// Only what lies behind a missing barrier shows whether threads run forwards or backwards.
extern "C" __global__ void missing_barrier(float *out) {
    __shared__ float value[64];
    value[threadIdx.x] = float(threadIdx.x + 1);
    out[threadIdx.x] = value[63 - threadIdx.x];
}

extern "C" __global__ void some_threads_end(float *out) {
    if (threadIdx.x >= 10) return;
    __syncthreads();
    out[threadIdx.x] = 0;
}

extern "C" __global__ void two_barriers(float *out) {
    if (threadIdx.x < 10) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[threadIdx.x] = 0;
}

extern "C" __global__ void writes_at(float *out, int i) { out[i] = 1; }

extern "C" __global__ void reads_unwritten_shared(float *out) {
    __shared__ float value[64];
    if (threadIdx.x > 0) value[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = value[threadIdx.x];
}

extern "C" __global__ void misaligned_tile(float *out) {
    using namespace nvcuda;
    __shared__ __align__(32) float tile[17 * 16];
    wmma::fragment<wmma::accumulator, 16, 16, 8, float> sum;
    wmma::fill_fragment(sum, 0.f);
    wmma::store_matrix_sync(tile + 1, sum, 16, wmma::mem_row_major);
    out[threadIdx.x] = 0;
}

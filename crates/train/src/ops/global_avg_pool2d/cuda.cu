// Means of planes of `[n, c, h, w]`, a block a plane; formulas are in mod.rs.
#include "pending.cuh"
#include "reduction.cuh"

#define THREADS 128

extern "C" __global__ void global_avg_pool2d_forward(
    const float *__restrict__ x, Pending pending, unsigned c, unsigned plane, float *__restrict__ y) {
    const float *from = x + (size_t)blockIdx.x * plane;
    float sum = 0.0f;
    for (unsigned at = threadIdx.x; at < plane; at += THREADS) sum += pending.of(from[at], blockIdx.x % c);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = sum / plane;
}

extern "C" __global__ void global_avg_pool2d_gradient(
    const float *__restrict__ dy, unsigned plane, int add, float *__restrict__ dx) {
    float share = dy[blockIdx.x] / plane;
    float *to = dx + (size_t)blockIdx.x * plane;
    for (unsigned at = threadIdx.x; at < plane; at += THREADS) to[at] = add ? to[at] + share : share;
}

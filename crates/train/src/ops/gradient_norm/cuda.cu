// Squares of many gradients, and their scaling, in one launch each; see mod.rs.
#include "reduction.cuh"

// Gradients of one launch, values that a block works on, threads of a block. As in cuda.rs.
#define TENSORS 128
#define CHUNK 4096
#define THREADS 256

struct GradientTensor {
    float *gradient;
    unsigned len;
    // The first block that works on it.
    unsigned block;
};

struct GradientTensors {
    GradientTensor of[TENSORS];
    unsigned count;
    float factor;
};

__device__ GradientTensor tensor_of(const GradientTensors &all) {
    unsigned tensor = 0;
    while (tensor + 1 < all.count && all.of[tensor + 1].block <= blockIdx.x) tensor++;
    return all.of[tensor];
}

// sums [blocks]: of each block's squares.
extern "C" __global__ void gradient_squares(const GradientTensors all, float *__restrict__ sums) {
    const GradientTensor of = tensor_of(all);
    unsigned first = (blockIdx.x - of.block) * CHUNK;
    double sum = 0.0;
    for (unsigned step = threadIdx.x; step < CHUNK && first + step < of.len; step += THREADS) {
        double gradient = of.gradient[first + step];
        sum += gradient * gradient;
    }
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = (float)sum;
}

extern "C" __global__ void scale_gradients(const GradientTensors all) {
    const GradientTensor of = tensor_of(all);
    unsigned first = (blockIdx.x - of.block) * CHUNK;
    for (unsigned step = threadIdx.x; step < CHUNK && first + step < of.len; step += THREADS) {
        of.gradient[first + step] *= all.factor;
    }
}

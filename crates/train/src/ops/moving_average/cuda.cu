// The moving average of many parameters in one launch; the formula is in mod.rs.

// Parameters of one launch and values of a block. As in cuda.rs.
#define TENSORS 64
#define CHUNK 1024

struct AveragedTensor {
    float *average;
    const float *parameter;
    unsigned len;
    // The first block that works on this parameter.
    unsigned block;
};

struct AveragedTensors {
    AveragedTensor of[TENSORS];
    unsigned count;
    float kept, share;
};

extern "C" __global__ void moving_average_step(const AveragedTensors all) {
    unsigned tensor = 0;
    while (tensor + 1 < all.count && all.of[tensor + 1].block <= blockIdx.x) tensor++;
    const AveragedTensor of = all.of[tensor];
    unsigned first = (blockIdx.x - of.block) * CHUNK;
    for (unsigned step = threadIdx.x; step < CHUNK && first + step < of.len; step += blockDim.x) {
        unsigned at = first + step;
        of.average[at] = of.average[at] * all.kept + of.parameter[at] * all.share;
    }
}

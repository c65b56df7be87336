// A step of SGD with Nesterov's momentum over many parameters in one launch; formulas are in mod.rs.

// Parameters of one launch, and values that a block works on. As in cuda.rs.
#define TENSORS 64
#define CHUNK 1024

struct SgdTensor {
    float *parameter;
    const float *gradient;
    float *momentum;
    // What a step takes away of each weight: learning rate times weight decay.
    float decay;
    unsigned len;
    // The first block that works on this parameter.
    unsigned block;
    // Its learning rate, as a fraction of the step's.
    float rate;
};

struct SgdTensors {
    SgdTensor of[TENSORS];
    unsigned count;
    float learning_rate, momentum;
    unsigned unused;
};

extern "C" __global__ void sgd_step(const SgdTensors all) {
    unsigned tensor = 0;
    while (tensor + 1 < all.count && all.of[tensor + 1].block <= blockIdx.x) tensor++;
    const SgdTensor of = all.of[tensor];
    unsigned first = (blockIdx.x - of.block) * CHUNK;
    for (unsigned step = threadIdx.x; step < CHUNK && first + step < of.len; step += blockDim.x) {
        unsigned at = first + step;
        float gradient = of.gradient[at], weight = of.parameter[at];
        float m = of.momentum[at] * all.momentum + gradient;
        of.momentum[at] = m;
        of.parameter[at] = weight - (all.learning_rate * of.rate * (gradient + all.momentum * m) + of.decay * weight);
    }
}

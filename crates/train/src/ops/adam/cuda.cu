// A step of Adam over many parameters in one launch; formulas are in mod.rs.

// Parameters of one launch; as many as fit into a kernel's 4 KB of arguments with room to spare. As in cuda.rs.
#define TENSORS 64
// Values that a block works on. As in cuda.rs.
#define CHUNK 1024

struct AdamTensor {
    float *parameter;
    const float *gradient;
    float *first, *second;
    // What a step takes away of each weight: learning rate times weight decay.
    float decay;
    unsigned len;
    // The first block that works on this parameter.
    unsigned block;
    // Its learning rate, as a fraction of the step's.
    float rate;
};

struct AdamTensors {
    AdamTensor of[TENSORS];
    unsigned count;
    float learning_rate, beta1, beta2, epsilon;
    // 1 / (1 - β^t) of both moments.
    float correction1, correction2;
};

extern "C" __global__ void adam_step(const AdamTensors all) {
    unsigned tensor = 0;
    while (tensor + 1 < all.count && all.of[tensor + 1].block <= blockIdx.x) tensor++;
    const AdamTensor of = all.of[tensor];
    unsigned first = (blockIdx.x - of.block) * CHUNK;
    for (unsigned step = threadIdx.x; step < CHUNK && first + step < of.len; step += blockDim.x) {
        unsigned at = first + step;
        float gradient = of.gradient[at], weight = of.parameter[at];
        float m = of.first[at] * all.beta1 + gradient * (1.0f - all.beta1);
        float v = of.second[at] * all.beta2 + gradient * gradient * (1.0f - all.beta2);
        float change = all.learning_rate * of.rate * (m * all.correction1) / (sqrtf(v * all.correction2) + all.epsilon);
        change += of.decay * weight;
        of.first[at] = m;
        of.second[at] = v;
        of.parameter[at] = weight - change;
    }
}

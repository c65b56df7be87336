// Images of a batch made of one another; formulas are in mod.rs.

// `Rectangle` in mod.rs.
struct Rectangle {
    unsigned top, left, bottom, right;

    __device__ bool has(unsigned row, unsigned column) const {
        return row >= top && row < bottom && column >= left && column < right;
    }
};

// `OnDevice` in cuda.rs.
struct Mix {
    Rectangle patch, erased;
    unsigned other;
    float share;
    unsigned mirrored, unused;
};

struct Fill {
    float of[3];
};

// x, y [n, 3, h, w]; a thread a value, in steps of the grid.
extern "C" __global__ void mix_images(const float *__restrict__ x, const Mix *__restrict__ mixes, unsigned n,
                                      unsigned h, unsigned w, const Fill fill, float *__restrict__ y) {
    size_t count = (size_t)n * 3 * h * w, pixels = (size_t)h * w;
    for (size_t at = blockIdx.x * (size_t)blockDim.x + threadIdx.x; at < count; at += (size_t)gridDim.x * blockDim.x) {
        unsigned plane = (unsigned)(at / pixels), pixel = (unsigned)(at % pixels);
        unsigned image = plane / 3, channel = plane % 3, row = pixel / w, column = pixel % w;
        const Mix &mix = mixes[image];
        float other = x[((size_t)mix.other * 3 + channel) * pixels + pixel];
        float value;
        if (mix.erased.has(row, column)) {
            value = fill.of[channel];
        } else if (mix.patch.has(row, column)) {
            value = other;
        } else {
            float own = x[(size_t)plane * pixels + (size_t)row * w + (mix.mirrored ? w - 1 - column : column)];
            // What is not mixed stays what it is, to the bit.
            value = mix.share == 1.0f ? own : mix.share * own + (1.0f - mix.share) * other;
        }
        y[at] = value;
    }
}

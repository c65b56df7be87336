// Additions, a thread an element.
#include "activation.cuh"
#include "each.cuh"

// sum += term
extern "C" __global__ void add_assign(float *__restrict__ sum, const float *__restrict__ term, size_t len) {
    EACH(at, len) sum[at] += term[at];
}

// f(scale · x + shift) of a map's channels; null: the map as it is.
struct Term {
    const float *map, *scale, *shift;
    int activation;

    __device__ float at(size_t index, unsigned channel) const {
        float value = map[index];
        return scale ? activate(activation, fmaf(value, scale[channel], shift[channel])) : value;
    }
};

// y = f(a + b), maps [n, c, plane].
extern "C" __global__ void sum_maps(
    Term a, Term b, unsigned plane, unsigned c, int activation, size_t len, float *__restrict__ y) {
    EACH(at, len) {
        unsigned channel = (unsigned)(at / plane % c);
        y[at] = activate(activation, a.at(at, channel) + b.at(at, channel));
    }
}

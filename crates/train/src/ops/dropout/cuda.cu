// Dropout, a thread a value: the same values are dropped as on the CPU.
#include "each.cuh"

// One step of SplitMix64, as `mix` in mod.rs.
static __device__ unsigned long long mix(unsigned long long input) {
    unsigned long long z = input + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// to = or += from times `kept` where a number from `key` and the position is at least `rate`, and times zero elsewhere.
extern "C" __global__ void dropout_scale(
    const float *__restrict__ from, unsigned long long key, float rate, float kept, int add, float *__restrict__ to,
    size_t len) {
    EACH(at, len) {
        float uniform = (float)(mix(key + at) >> 40) / 16777216.0f;
        // A product rather than a choice: what is not finite stays visible.
        float value = from[at] * (uniform >= rate ? kept : 0.0f);
        to[at] = add ? to[at] + value : value;
    }
}

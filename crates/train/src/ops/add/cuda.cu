// Addition in place, a thread an element.
#include "each.cuh"

// sum += term
extern "C" __global__ void add_assign(float *__restrict__ sum, const float *__restrict__ term, size_t len) {
    EACH(at, len) sum[at] += term[at];
}

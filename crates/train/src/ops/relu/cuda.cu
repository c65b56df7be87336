// The rectifier's gradient, a thread an element.
#include "each.cuh"

// Zeroes `gradient` where the output `y` is not positive.
extern "C" __global__ void relu_gradient(const float *__restrict__ y, float *__restrict__ gradient, size_t len) {
    EACH(at, len) {
        if (!(y[at] > 0.0f)) gradient[at] = 0.0f;
    }
}

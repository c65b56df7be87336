// The activations' gradient, a thread an element.
#include "activation.cuh"
#include "each.cuh"

// Zeroes `gradient` where the output `y` says that none goes through.
extern "C" __global__ void activation_gradient(
    int activation, const float *__restrict__ y, float *__restrict__ gradient, size_t len) {
    EACH(at, len) {
        if (!passes(activation, y[at])) gradient[at] = 0.0f;
    }
}

// Cross-entropy of a softmax and its gradient, one block an image; formulas are in mod.rs.
#include "reduction.cuh"

#define THREADS 128

// The largest logit so far and where it is, the first of equals.
struct Largest {
    float value;
    unsigned at;

    __device__ Largest &operator+=(const Largest &other) {
        if (other.value > value || (other.value == value && other.at < at)) *this = other;
        return *this;
    }
};

// logits, gradient [n, classes]; scores [n][2]: loss and predicted class, exact below 2^24. The target is `share` for
// every class and `rest` more for the label.
extern "C" __global__ void cross_entropy_gradient(
    const float *__restrict__ logits, const unsigned *__restrict__ labels, unsigned n, unsigned classes, double share,
    double rest, float *__restrict__ scores, float *__restrict__ gradient) {
    const float *row = logits + (size_t)blockIdx.x * classes;
    unsigned label = labels[blockIdx.x];
    // Where no logit is larger than minus infinity, or all are NaN, the first class is predicted.
    Largest largest = {-INFINITY, 0};
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) largest += Largest{row[at], at};
    largest = block_sum<THREADS>(largest);
    double powers = 0.0;
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) powers += exp((double)row[at] - largest.value);
    powers = block_sum<THREADS>(powers);
    if (threadIdx.x == 0) {
        scores[2 * (size_t)blockIdx.x] = (float)((double)largest.value - row[label] + log(powers));
        scores[2 * (size_t)blockIdx.x + 1] = (float)largest.at;
    }
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) {
        double target = at == label ? share + rest : share;
        double probability = exp((double)row[at] - largest.value) / powers;
        gradient[(size_t)blockIdx.x * classes + at] = (float)((probability - target) / n);
    }
}

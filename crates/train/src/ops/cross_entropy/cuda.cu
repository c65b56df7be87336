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

// logits, gradient [n, classes]; scores [n][3]: loss, predicted class, exact below
// 2^24, and the label's logit less the largest other one (0 of a single class). The target is `even` for
// every class, and `rest` more for the label; of mixed images the label has a share of it, `others` what is left.
// `numbers`: the labels' shares [n], the images' weights [n], what is added to the logits [classes]. Both are null where
// shares and weights are 1 and nothing is added.
extern "C" __global__ void cross_entropy_gradient(
    const float *__restrict__ logits, const unsigned *__restrict__ labels, const unsigned *__restrict__ others,
    const float *__restrict__ numbers, unsigned n, unsigned classes, double even, double rest,
    float *__restrict__ scores, float *__restrict__ gradient) {
    const float *row = logits + (size_t)blockIdx.x * classes;
    unsigned label = labels[blockIdx.x];
    // Where no logit is larger than minus infinity, or all are NaN, the first class is predicted.
    Largest largest = {-INFINITY, 0};
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) largest += Largest{row[at], at};
    largest = block_sum<THREADS>(largest);
    double powers = 0.0;
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) powers += exp((double)row[at] - largest.value);
    powers = block_sum<THREADS>(powers);
    Largest beside = {-INFINITY, 0};
    for (unsigned at = threadIdx.x; at < classes; at += THREADS)
        if (at != label) beside += Largest{row[at], at};
    beside = block_sum<THREADS>(beside);
    if (threadIdx.x == 0) {
        float *score = scores + 3 * (size_t)blockIdx.x;
        score[0] = (float)((double)largest.value - row[label] + log(powers));
        score[1] = (float)largest.at;
        score[2] = beside.value == -INFINITY ? 0.0f : row[label] - beside.value;
    }
    unsigned other = label;
    double share = 1.0, weight = 1.0, most = largest.value;
    const float *offsets = nullptr;
    if (numbers != nullptr) {
        other = others[blockIdx.x];
        share = numbers[blockIdx.x];
        weight = numbers[n + blockIdx.x];
        offsets = numbers + 2 * (size_t)n;
        Largest adjusted = {-INFINITY, 0};
        for (unsigned at = threadIdx.x; at < classes; at += THREADS) adjusted += Largest{row[at] + offsets[at], at};
        most = block_sum<THREADS>(adjusted).value;
        powers = 0.0;
        for (unsigned at = threadIdx.x; at < classes; at += THREADS)
            powers += exp((double)(row[at] + offsets[at]) - most);
        powers = block_sum<THREADS>(powers);
    }
    for (unsigned at = threadIdx.x; at < classes; at += THREADS) {
        double hot = (at == label ? share : 0.0) + (at == other ? 1.0 - share : 0.0);
        float logit = offsets == nullptr ? row[at] : row[at] + offsets[at];
        double probability = exp((double)logit - most) / powers;
        gradient[(size_t)blockIdx.x * classes + at] = (float)(weight * (probability - (even + rest * hot)) / n);
    }
}

// Convolution in groups, depthwise ones above all, over `[n, c, h, w]`; formulas are in mod.rs. A value is read about
// as often as it is used, so there is nothing to gain from tiles: a thread an element, a block a weight.
#include "activation.cuh"
#include "each.cuh"
#include "pending.cuh"
#include "reduction.cuh"

#define THREADS 128

// As in grouped.rs.
struct Grouped {
    int n, c, h, w, o, groups, kernel_h, kernel_w, stride, pad_top, pad_left, out_h, out_w;
};

// The gradient by the output: `dy`, where `y` is positive if there is one.
struct OutputGradient {
    const float *dy, *y;

    __device__ float at(size_t index) const { return !y || y[index] > 0.0f ? dy[index] : 0.0f; }
};

// y = f(b + r + w * x)
extern "C" __global__ void conv2d_grouped_forward(
    Grouped g, const float *__restrict__ x, Pending pending, const float *__restrict__ weight,
    const float *__restrict__ bias, const float *__restrict__ residual, int activation, size_t len, float *__restrict__ y) {
    int inputs = g.c / g.groups, outputs = g.o / g.groups;
    EACH(at, len) {
        int j = (int)(at % g.out_w), i = (int)(at / g.out_w % g.out_h);
        int o = (int)(at / ((size_t)g.out_w * g.out_h) % g.o);
        size_t n = at / ((size_t)g.out_w * g.out_h * g.o);
        int top = i * g.stride - g.pad_top, left = j * g.stride - g.pad_left;
        const float *w = weight + (size_t)o * inputs * g.kernel_h * g.kernel_w;
        float sum = bias ? bias[o] : 0.0f;
        for (int c = 0; c < inputs; c++) {
            int channel = o / outputs * inputs + c;
            for (int u = 0; u < g.kernel_h; u++) {
                for (int v = 0; v < g.kernel_w; v++) {
                    int row = top + u, column = left + v;
                    if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
                    float value = pending.of(x[((n * g.c + channel) * g.h + row) * g.w + column], channel);
                    sum = fmaf(w[(c * g.kernel_h + u) * g.kernel_w + v], value, sum);
                }
            }
        }
        if (residual) sum += residual[at];
        y[at] = activate(activation, sum);
    }
}

// dx = w * d, or added to dx.
extern "C" __global__ void conv2d_grouped_input_gradient(
    Grouped g, OutputGradient d, const float *__restrict__ weight, int add, size_t len, float *__restrict__ dx) {
    int inputs = g.c / g.groups, outputs = g.o / g.groups;
    EACH(at, len) {
        int l = (int)(at % g.w), k = (int)(at / g.w % g.h), channel = (int)(at / ((size_t)g.w * g.h) % g.c);
        size_t n = at / ((size_t)g.w * g.h * g.c);
        float sum = 0.0f;
        for (int other = 0; other < outputs; other++) {
            int o = channel / inputs * outputs + other;
            const float *w = weight + ((size_t)o * inputs + channel % inputs) * g.kernel_h * g.kernel_w;
            for (int u = 0; u < g.kernel_h; u++) {
                int row = k + g.pad_top - u;
                if (row < 0 || row % g.stride || row / g.stride >= g.out_h) continue;
                for (int v = 0; v < g.kernel_w; v++) {
                    int column = l + g.pad_left - v;
                    if (column < 0 || column % g.stride || column / g.stride >= g.out_w) continue;
                    size_t from = ((n * g.o + o) * g.out_h + row / g.stride) * g.out_w + column / g.stride;
                    sum = fmaf(w[u * g.kernel_w + v], d.at(from), sum);
                }
            }
        }
        dx[at] = add ? dx[at] + sum : sum;
    }
}

// Adds to dw, a block a weight, and, in the blocks behind them, to db, a block a channel.
extern "C" __global__ void conv2d_grouped_weight_gradient(
    Grouped g, const float *__restrict__ x, Pending pending, OutputGradient d, int weights, float *__restrict__ dw,
    float *__restrict__ db) {
    int inputs = g.c / g.groups, outputs = g.o / g.groups, at = blockIdx.x, plane = g.out_h * g.out_w;
    bool is_bias = at >= weights;
    int v = at % g.kernel_w, u = at / g.kernel_w % g.kernel_h, c = at / (g.kernel_w * g.kernel_h) % inputs;
    int o = is_bias ? at - weights : at / (g.kernel_w * g.kernel_h * inputs), channel = o / outputs * inputs + c;
    float sum = 0.0f;
    for (int pixel = threadIdx.x; pixel < g.n * plane; pixel += THREADS) {
        int n = pixel / plane, i = pixel % plane / g.out_w, j = pixel % g.out_w;
        float gradient = d.at(((size_t)n * g.o + o) * plane + pixel % plane);
        int row = i * g.stride - g.pad_top + u, column = j * g.stride - g.pad_left + v;
        if (is_bias) {
            sum += gradient;
        } else if (row >= 0 && row < g.h && column >= 0 && column < g.w) {
            size_t from = (((size_t)n * g.c + channel) * g.h + row) * g.w + column;
            sum = fmaf(pending.of(x[from], channel), gradient, sum);
        }
    }
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) *(is_bias ? db + o : dw + at) += sum;
}

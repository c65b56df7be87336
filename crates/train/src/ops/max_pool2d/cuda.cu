// Maxima over windows of planes of `[n, c, h, w]`, a block a plane; formulas are in mod.rs.
#include "pending.cuh"

// y [n, c, h/2, w/2]; `largest`, of the same shape, says of each window which of the four it was, in row order.
extern "C" __global__ void max_pool2d_forward(
    const float *__restrict__ x, Pending pending, unsigned c, unsigned h, unsigned w, float *__restrict__ y,
    unsigned char *__restrict__ largest) {
    unsigned columns = w / 2, windows = h / 2 * columns, channel = blockIdx.x % c;
    const float *from = x + (size_t)blockIdx.x * h * w;
    size_t to = (size_t)blockIdx.x * windows;
    for (unsigned at = threadIdx.x; at < windows; at += blockDim.x) {
        const float *top = from + at / columns * 2 * w + at % columns * 2, *bottom = top + w;
        float best = pending.of(top[0], channel);
        float others[3] = {
            pending.of(top[1], channel), pending.of(bottom[0], channel), pending.of(bottom[1], channel)};
        unsigned char which = 0;
        // Not fmaxf: of equals the first wins, and NaN wins over numbers.
        for (int other = 0; other < 3; other++) {
            if (others[other] > best || others[other] != others[other]) {
                best = others[other];
                which = other + 1;
            }
        }
        y[to + at] = best;
        largest[to + at] = which;
    }
}

// An element of dx [n, c, h, w] takes its window's gradient if it was the largest, and zero otherwise or where no
// window reaches.
extern "C" __global__ void max_pool2d_gradient(
    const unsigned char *__restrict__ largest, const float *__restrict__ dy, unsigned h, unsigned w, int add,
    float *__restrict__ dx) {
    unsigned rows = h / 2, columns = w / 2;
    size_t first_window = (size_t)blockIdx.x * rows * columns;
    float *to = dx + (size_t)blockIdx.x * h * w;
    for (unsigned at = threadIdx.x; at < h * w; at += blockDim.x) {
        unsigned r = at / w, s = at % w;
        float share = 0.0f;
        if (r / 2 < rows && s / 2 < columns) {
            size_t window = first_window + r / 2 * columns + s / 2;
            if (largest[window] == r % 2 * 2 + s % 2) share = dy[window];
        }
        to[at] = add ? to[at] + share : share;
    }
}

// As in cuda.rs.
struct Windows {
    int size, stride, padding, h, w, out_h, out_w;
};

// The same for any windows: `largest` says which of a window's pixels it was, in row order, those around the image
// counted.
extern "C" __global__ void max_pool2d_windows_forward(
    const float *__restrict__ x, Pending pending, unsigned c, Windows of, float *__restrict__ y,
    unsigned char *__restrict__ largest) {
    unsigned channel = blockIdx.x % c;
    const float *from = x + (size_t)blockIdx.x * of.h * of.w;
    int windows = of.out_h * of.out_w;
    size_t to = (size_t)blockIdx.x * windows;
    for (int at = threadIdx.x; at < windows; at += blockDim.x) {
        int top = at / of.out_w * of.stride - of.padding, left = at % of.out_w * of.stride - of.padding, which = -1;
        float best = -INFINITY;
        for (int u = 0; u < of.size; u++) {
            for (int v = 0; v < of.size; v++) {
                int row = top + u, column = left + v;
                if (row < 0 || row >= of.h || column < 0 || column >= of.w) continue;
                float value = pending.of(from[row * of.w + column], channel);
                if (which < 0 || value > best || value != value) {
                    best = value;
                    which = u * of.size + v;
                }
            }
        }
        y[to + at] = best;
        largest[to + at] = (unsigned char)which;
    }
}

// An element of dx takes, window by window in their order, the gradients of those whose largest it was.
extern "C" __global__ void max_pool2d_windows_gradient(
    const unsigned char *__restrict__ largest, const float *__restrict__ dy, Windows of, int add,
    float *__restrict__ dx) {
    size_t first_window = (size_t)blockIdx.x * of.out_h * of.out_w;
    float *to = dx + (size_t)blockIdx.x * of.h * of.w;
    for (int at = threadIdx.x; at < of.h * of.w; at += blockDim.x) {
        int row = at / of.w + of.padding, column = at % of.w + of.padding;
        float sum = 0.0f;
        // The first window that reaches so far, to the last that begins no later.
        int first_i = row < of.size ? 0 : (row - of.size) / of.stride + 1;
        int first_j = column < of.size ? 0 : (column - of.size) / of.stride + 1;
        for (int i = first_i; i < of.out_h && i * of.stride <= row; i++) {
            for (int j = first_j; j < of.out_w && j * of.stride <= column; j++) {
                size_t window = first_window + (size_t)i * of.out_w + j;
                if (largest[window] == (row - i * of.stride) * of.size + column - j * of.stride) sum += dy[window];
            }
        }
        to[at] = add ? to[at] + sum : sum;
    }
}

// 2x2 maxima over planes of `[n, c, h, w]`, a block a plane; formulas are in mod.rs.

// y [n, c, h/2, w/2]; `largest`, of the same shape, says of each window which of the four it was, in row order.
extern "C" __global__ void max_pool2d_forward(
    const float *__restrict__ x, unsigned h, unsigned w, float *__restrict__ y, unsigned char *__restrict__ largest) {
    unsigned columns = w / 2, windows = h / 2 * columns;
    const float *from = x + (size_t)blockIdx.x * h * w;
    size_t to = (size_t)blockIdx.x * windows;
    for (unsigned at = threadIdx.x; at < windows; at += blockDim.x) {
        const float *top = from + at / columns * 2 * w + at % columns * 2, *bottom = top + w;
        float best = top[0], others[3] = {top[1], bottom[0], bottom[1]};
        unsigned char which = 0;
        // Not fmaxf: of equals the first wins, and NaN stays if it is first but is never taken later, as on the CPU.
        for (int other = 0; other < 3; other++) {
            if (others[other] > best) {
                best = others[other];
                which = other + 1;
            }
        }
        y[to + at] = best;
        largest[to + at] = which;
    }
}

// An element of dx [n, c, h, w] takes its window's gradient if it was the largest, and zero otherwise or where no window reaches.
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

// Batch normalisation over planes of `[n, c, h, w]`; formulas are in mod.rs.
//
// A plane, h*w values of one channel of one image, is a block's work: its coefficients are read once, its values side
// by side. What belongs to a channel is merged over the images in double precision, one block a channel.
#include "activation.cuh"
#include "reduction.cuh"

#define PLANE_THREADS 256
#define CHANNEL_THREADS 64

// Statistics and affine parameters, a value a channel each. As in cuda.rs.
struct Channels {
    const float *mean, *variance, *weight, *bias;
};

// What a training pass finds out about a batch. Scale and shift may be missing.
struct Found {
    float *mean, *variance, *scale, *shift;
};

// The moving statistics, which may be missing, and how far they go towards the batch's.
struct Moving {
    float *mean, *variance;
    float kept, mean_share, variance_share;
};

// What the gradient by the input comes to.
struct Gradient {
    float *scale, *shift, *factor, *constant;
};

// The normalisation of a channel as a factor and a summand.
struct Coefficients {
    float inverse, scale, shift;
};

static __device__ Coefficients coefficients(float mean, float variance, float weight, float bias, float epsilon) {
    Coefficients of;
    of.inverse = 1.0f / sqrtf(variance + epsilon);
    of.scale = weight * of.inverse;
    of.shift = bias - mean * of.scale;
    return of;
}

static __device__ Coefficients coefficients(const Channels &of, unsigned channel, float epsilon) {
    return coefficients(of.mean[channel], of.variance[channel], of.weight[channel], of.bias[channel], epsilon);
}

// The gradient inside the activation.
static __device__ float masked(float scale, float shift, int activation, float dy, float x) {
    return passes(activation, fmaf(x, scale, shift)) ? dy : 0.0f;
}

// moments[n][c][2]: mean of each plane, and mean squared deviation from that.
extern "C" __global__ void batch_norm2d_moments(
    const float *__restrict__ x, unsigned plane, float *__restrict__ moments) {
    const float *from = x + (size_t)blockIdx.x * plane;
    float sum = 0.0f;
    for (unsigned at = threadIdx.x; at < plane; at += PLANE_THREADS) sum += from[at];
    float mean = block_sum<PLANE_THREADS>(sum) / plane;
    // The second pass finds the plane in the cache. Σx² - mean² would lose the digits that a mean far from zero takes.
    float squares = 0.0f;
    for (unsigned at = threadIdx.x; at < plane; at += PLANE_THREADS) {
        float difference = from[at] - mean;
        squares = fmaf(difference, difference, squares);
    }
    squares = block_sum<PLANE_THREADS>(squares);
    if (threadIdx.x == 0) {
        moments[2 * (size_t)blockIdx.x] = mean;
        moments[2 * (size_t)blockIdx.x + 1] = squares / plane;
    }
}

// Mean and variance of a channel from the moments of its planes, which all have as many values (Chan, Golub and
// LeVeque 1979); the moving statistics follow.
extern "C" __global__ void batch_norm2d_statistics(
    const float *__restrict__ moments, unsigned n, unsigned c, float epsilon, const float *__restrict__ weight,
    const float *__restrict__ bias, Found found, Moving moving) {
    unsigned channel = blockIdx.x;
    double sum = 0.0;
    for (unsigned image = threadIdx.x; image < n; image += CHANNEL_THREADS)
        sum += moments[2 * ((size_t)image * c + channel)];
    double total = block_sum<CHANNEL_THREADS>(sum) / n;
    double squares = 0.0;
    for (unsigned image = threadIdx.x; image < n; image += CHANNEL_THREADS) {
        const float *of = moments + 2 * ((size_t)image * c + channel);
        double between = of[0] - total;
        squares += of[1] + between * between;
    }
    float spread = (float)(block_sum<CHANNEL_THREADS>(squares) / n);
    if (threadIdx.x != 0) return;
    found.mean[channel] = (float)total;
    found.variance[channel] = spread;
    if (found.scale) {
        Coefficients of = coefficients((float)total, spread, weight[channel], bias[channel], epsilon);
        found.scale[channel] = of.scale;
        found.shift[channel] = of.shift;
    }
    if (moving.mean) {
        moving.mean[channel] = moving.mean[channel] * moving.kept + (float)total * moving.mean_share;
        moving.variance[channel] = moving.variance[channel] * moving.kept + spread * moving.variance_share;
    }
}

// Scale and shift from statistics that are given; one thread a channel.
extern "C" __global__ void batch_norm2d_affine(
    unsigned c, float epsilon, Channels channels, float *__restrict__ scale, float *__restrict__ shift) {
    unsigned channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    Coefficients of = coefficients(channels, channel, epsilon);
    scale[channel] = of.scale;
    shift[channel] = of.shift;
}

// y = f(scale x + shift)
extern "C" __global__ void batch_norm2d_apply_affine(
    const float *__restrict__ x, unsigned plane, unsigned c, const float *__restrict__ scale,
    const float *__restrict__ shift, int activation, float *__restrict__ y) {
    unsigned channel = blockIdx.x % c;
    float factor = scale[channel], summand = shift[channel];
    size_t first = (size_t)blockIdx.x * plane;
    for (unsigned at = threadIdx.x; at < plane; at += blockDim.x) {
        float value = fmaf(x[first + at], factor, summand);
        y[first + at] = activate(activation, value);
    }
}

// sums[n][c][2]: Σ d and Σ d (x - mean) of each plane, d being the gradient inside the ReLU.
extern "C" __global__ void batch_norm2d_sums(
    const float *__restrict__ x, const float *__restrict__ dy, unsigned plane, unsigned c, float epsilon,
    int activation, Channels channels, float *__restrict__ sums) {
    unsigned channel = blockIdx.x % c;
    float centre = channels.mean[channel];
    Coefficients of = coefficients(channels, channel, epsilon);
    size_t first = (size_t)blockIdx.x * plane;
    Pair<float> sum = {0.0f, 0.0f};
    for (unsigned at = threadIdx.x; at < plane; at += PLANE_THREADS) {
        float value = x[first + at];
        float d = masked(of.scale, of.shift, activation, dy[first + at], value);
        sum.first += d;
        sum.second = fmaf(d, value - centre, sum.second);
    }
    sum = block_sum<PLANE_THREADS>(sum);
    if (threadIdx.x == 0) {
        sums[2 * (size_t)blockIdx.x] = sum.first;
        sums[2 * (size_t)blockIdx.x + 1] = sum.second;
    }
}

// Adds to dγ and dβ of a channel, and gives what `dx` comes to: scale d + factor (x - mean) + constant. `count` is
// n*h*w.
extern "C" __global__ void batch_norm2d_gradient(
    const float *__restrict__ sums, unsigned n, unsigned c, double count, float epsilon, Channels channels,
    float *__restrict__ dweight, float *__restrict__ dbias, Gradient gradient) {
    unsigned channel = blockIdx.x;
    Pair<double> sum = {0.0, 0.0};
    for (unsigned image = threadIdx.x; image < n; image += CHANNEL_THREADS) {
        const float *of = sums + 2 * ((size_t)image * c + channel);
        sum.first += of[0];
        sum.second += of[1];
    }
    sum = block_sum<CHANNEL_THREADS>(sum);
    if (threadIdx.x != 0) return;
    Coefficients of = coefficients(channels, channel, epsilon);
    double by_weight = sum.second * of.inverse;
    dbias[channel] += (float)sum.first;
    dweight[channel] += (float)by_weight;
    gradient.scale[channel] = of.scale;
    gradient.shift[channel] = of.shift;
    gradient.factor[channel] = -of.scale * of.inverse * (float)(by_weight / count);
    gradient.constant[channel] = -of.scale * (float)(sum.first / count);
}

// dx = or += scale d + factor (x - mean) + constant
extern "C" __global__ void batch_norm2d_apply_share(
    const float *__restrict__ x, const float *__restrict__ dy, unsigned plane, unsigned c,
    const float *__restrict__ mean, Gradient gradient, int activation, int add, float *__restrict__ dx) {
    unsigned channel = blockIdx.x % c;
    float centre = mean[channel], scale = gradient.scale[channel], shift = gradient.shift[channel];
    float factor = gradient.factor[channel], constant = gradient.constant[channel];
    size_t first = (size_t)blockIdx.x * plane;
    for (unsigned at = threadIdx.x; at < plane; at += blockDim.x) {
        float value = x[first + at];
        float d = masked(scale, shift, activation, dy[first + at], value);
        float share = fmaf(scale, d, fmaf(factor, value - centre, constant));
        dx[first + at] = add ? dx[first + at] + share : share;
    }
}

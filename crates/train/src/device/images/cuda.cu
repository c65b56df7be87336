// Images from 8-bit `[n, h, w, 3]` to single precision `[n, 3, h, w]`, a thread a pixel; formulas are in mod.rs.
#include "each.cuh"

// What makes numbers of a channel's bytes.
struct Factors {
    float scale[3], shift[3];
};

// Image `indices[i]` of `bytes` becomes image i of `out`; without `indices`, image i does. `pixels` is h*w.
extern "C" __global__ void images_gather(
    const unsigned char *__restrict__ bytes, const unsigned *__restrict__ indices, unsigned n, unsigned pixels,
    Factors factors, float *__restrict__ out) {
    EACH(at, n * pixels) {
        // The launcher sees to it that 32 bits do.
        unsigned image = (unsigned)at / pixels, pixel = (unsigned)at % pixels;
        size_t source = indices ? indices[image] : image;
        const unsigned char *from = bytes + (source * pixels + pixel) * 3;
        float *to = out + (size_t)image * 3 * pixels + pixel;
        for (int channel = 0; channel < 3; channel++) {
            to[(size_t)channel * pixels] = fmaf(from[channel], factors.scale[channel], factors.shift[channel]);
        }
    }
}

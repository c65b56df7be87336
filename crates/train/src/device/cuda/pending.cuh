// What is still to be done to a map's values (tensor/pending.rs). As in pending.rs.
#pragma once
#include "activation.cuh"

// f(scale · x + shift) of each channel; null: as it is.
struct Pending {
    const float *scale, *shift;
    int activation;

    __device__ float of(float value, int channel) const {
        return scale ? activate(activation, fmaf(value, scale[channel], shift[channel])) : value;
    }
};

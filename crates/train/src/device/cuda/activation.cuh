// Activations by their code (tensor/activation.rs): 0 nothing, 1 ReLU, 2 ReLU6.
#pragma once

static __device__ float activate(int activation, float value) {
    if (activation == 0) return value;
    value = fmaxf(value, 0.0f);
    return activation == 1 ? value : fminf(value, 6.0f);
}

// Whether the gradient goes through, by the value before the activation or after it.
static __device__ bool passes(int activation, float value) {
    return activation == 0 || (value > 0.0f && (activation == 1 || value < 6.0f));
}

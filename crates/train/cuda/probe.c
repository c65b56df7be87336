/* Succeeds where the NVIDIA driver finds a GPU: decides whether tests run on it or on the emulator. Linked with libcuda.a. */
#include <cuda.h>

int main(void) {
    int count = 0;
    return !(cuInit(0) == CUDA_SUCCESS && cuDeviceGetCount(&count) == CUDA_SUCCESS && count > 0);
}

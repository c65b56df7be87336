// A loop over elements that all threads of a grid share, whatever its size: neighbouring threads take neighbouring
// elements.
#pragma once

#define EACH(at, count) \
    for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; at < (count); at += (size_t)gridDim.x * blockDim.x)

// Sums over the threads of a block, always in the same order: two runs give the same bytes.
#pragma once

// Sum of every thread's `value`, given to every thread. T needs `+=`; THREADS is a power of two and the size of the
// block, all of whose threads must arrive.
template <int THREADS, typename T>
__device__ T block_sum(T value) {
    __shared__ T partial[THREADS];
    partial[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    T sum = partial[0];
    // The next sum overwrites what some thread may not have read yet.
    __syncthreads();
    return sum;
}

// Two sums taken together.
template <typename T>
struct Pair {
    T first, second;

    __device__ Pair &operator+=(const Pair &other) {
        first += other.first;
        second += other.second;
        return *this;
    }
};

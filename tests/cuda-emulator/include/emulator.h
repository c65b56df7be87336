// What a kernel sees instead of CUDA's language: included before every .cu file that the emulator compiles for the host.
#pragma once

#include <cassert>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "vector_types.h"

#define EMULATOR_HIDDEN __attribute__((visibility("hidden")))

// `extern "C" __global__` itself is replaced by `static` in the preprocessed text (see the Makefile).
#define __CUDA_ARCH__ 800
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// One copy for each host thread, which runs one block at a time. AddressSanitizer guards plain variables only, so there is one
// host thread then.
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static
#else
#define __shared__ static __thread
#endif

// ---- The thread that runs ----

extern __thread uint3 threadIdx EMULATOR_HIDDEN, blockIdx EMULATOR_HIDDEN;
extern __thread dim3 blockDim EMULATOR_HIDDEN, gridDim EMULATOR_HIDDEN;
constexpr int warpSize = 32;

namespace emulator {

// Runs the block's other threads until all of them wait at the barrier of this line.
EMULATOR_HIDDEN void barrier(int line);

// Ends the program with what is wrong, in which kernel, block and thread.
[[noreturn]] EMULATOR_HIDDEN void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

inline unsigned thread_in_block() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

} // namespace emulator

#define __syncthreads() ::emulator::barrier(__LINE__)

// ---- Arithmetic ----

template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) {
    if constexpr (std::is_floating_point_v<std::common_type_t<A, B>>) return std::fmax(a, b);
    else return std::common_type_t<A, B>(a) > std::common_type_t<A, B>(b) ? a : b;
}
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) {
    if constexpr (std::is_floating_point_v<std::common_type_t<A, B>>) return std::fmin(a, b);
    else return std::common_type_t<A, B>(a) < std::common_type_t<A, B>(b) ? a : b;
}
using std::isinf;
using std::isnan;
using std::signbit;

template <class To, class From> inline To emulator_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline float __uint_as_float(unsigned x) { return emulator_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return emulator_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator_bits<float>(x); }
inline int __float_as_int(float x) { return emulator_bits<int>(x); }
inline double __longlong_as_double(long long x) { return emulator_bits<double>(x); }
inline long long __double_as_longlong(double x) { return emulator_bits<long long>(x); }

template <class T> inline T __ldg(const T *p) { return *p; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __expf(float a) { return expf(a); }
inline float __logf(float a) { return logf(a); }
inline float rsqrtf(float a) { return 1 / sqrtf(a); }
inline float normcdff(float a) { return 0.5f * erfcf(-a * 0.70710678f); }
inline double normcdf(double a) { return 0.5 * erfc(-a * 0.7071067811865476); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }

// ---- Atomics: only dfdx's kernels use them ----

template <class T, class F> inline T emulator_atomic(T *p, F next) {
    T old, replaced;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do replaced = next(old);
    while (!__atomic_compare_exchange(p, &old, &replaced, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
template <class T, class U> inline T atomicAdd(T *p, U v) { return emulator_atomic(p, [=](T old) { return T(old + v); }); }
template <class T, class U> inline T atomicMax(T *p, U v) { return emulator_atomic(p, [=](T old) { return T(v) > old ? T(v) : old; }); }
template <class T, class U> inline T atomicMin(T *p, U v) { return emulator_atomic(p, [=](T old) { return T(v) < old ? T(v) : old; }); }
template <class T, class U, class V> inline T atomicCAS(T *p, U expected, V v) {
    return emulator_atomic(p, [=](T old) { return old == T(expected) ? T(v) : old; });
}

// ---- Kernels: what the driver must know to start one ----

namespace emulator {

struct Parameter {
    size_t bytes;
    bool pointer;
};

struct Kernel {
    const char *name;
    // Calls the kernel for one thread; the pointers are those of cuLaunchKernel.
    void (*run)(void **parameters);
    const Parameter *parameters;
    size_t parameter_count;
    // One of dfdx's: its threads may end before a barrier that others reach, and its atomics are not reordered.
    bool foreign;
};

EMULATOR_HIDDEN void add(const Kernel &kernel);

template <class... A, size_t... I> inline void call(void (*kernel)(A...), void **p, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<A> *>(p[I])...);
}
template <class... A> inline void call(void (*kernel)(A...), void **p) { call(kernel, p, std::index_sequence_for<A...>{}); }

template <class... A> inline Kernel describe(const char *name, void (*run)(void **), void (*)(A...), bool foreign) {
    static const Parameter parameters[] = {{sizeof(A), std::is_pointer_v<A>}..., {0, false}};
    return {name, run, parameters, sizeof...(A), foreign};
}

struct Registration {
    explicit Registration(const Kernel &kernel) { add(kernel); }
};

} // namespace emulator

// CUDA's small vectors, with the alignment that they have there: a misaligned access faults on a GPU.
#pragma once

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

#define EMULATOR_VECTORS(T, NAME)                                                                     \
    struct alignas(2 * sizeof(T)) NAME##2 { T x, y; };                                                \
    struct NAME##3 { T x, y, z; };                                                                    \
    struct alignas(sizeof(T) < 8 ? 4 * sizeof(T) : 16) NAME##4 { T x, y, z, w; };                     \
    inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                        \
    inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }                                \
    inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(unsigned char, uchar)
#undef EMULATOR_VECTORS

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

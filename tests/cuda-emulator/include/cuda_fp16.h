// dfdx's kernels exist for half floats too. Nothing of ours runs those, and the emulator leaves them out; their text must compile.
#pragma once

struct __half {
    unsigned short bits;
    __half() = default;
    template <class T> __half(T) {}
    operator float() const { return NAN; }
};

#define EMULATOR_HALF(OP)                                                                                                       \
    inline __half operator OP(__half a, __half) { return a; }                                                                   \
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> inline __half operator OP(__half a, T) { return a; }   \
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> inline __half operator OP(T, __half a) { return a; }   \
    inline __half &operator OP##=(__half &a, __half) { return a; }
EMULATOR_HALF(+)
EMULATOR_HALF(-)
EMULATOR_HALF(*)
EMULATOR_HALF(/)
#undef EMULATOR_HALF

#define EMULATOR_HALF(OP)                                                                                                      \
    inline bool operator OP(__half, __half) { return false; }                                                                  \
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> inline bool operator OP(__half, T) { return false; } \
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> inline bool operator OP(T, __half) { return false; }
EMULATOR_HALF(<)
EMULATOR_HALF(>)
EMULATOR_HALF(<=)
EMULATOR_HALF(>=)
EMULATOR_HALF(==)
EMULATOR_HALF(!=)
#undef EMULATOR_HALF

inline __half operator-(__half a) { return a; }
inline bool __hisnan(__half) { return false; }
inline float __half2float(__half) { return NAN; }
inline __half __float2half(float) { return {}; }
inline unsigned short __half_as_ushort(__half) { return 0; }
inline __half __ushort_as_half(unsigned short) { return {}; }
inline __half __hmax_nan(__half a, __half) { return a; }
inline __half __hmin_nan(__half a, __half) { return a; }
inline __half hcos(__half a) { return a; }
inline __half hsin(__half a) { return a; }
inline __half hsqrt(__half a) { return a; }
inline __half hlog(__half a) { return a; }
inline __half hexp(__half a) { return a; }
inline __half __habs(__half a) { return a; }
inline __half atomicAdd(__half *, __half a) { return a; }

/* What a program that uses CUDA links with instead of NVIDIA's libraries (toolkit.sh makes four static libraries of this file).
 *
 * libcuda.a      forwards every call to the driver, libcuda.so.1, which is opened at the first call. Where there is none, the
 *                program still starts, and calls answer CUDA_ERROR_NO_DEVICE. TRAIN_CUDA_DRIVER names another file to open.
 * libcublas.a    cuBLAS handles can be made and destroyed, which dfdx does for each device; every product is refused.
 * libcublasLt.a, libnvrtc.a   everything is refused.
 *
 * The functions are those that the crate cudarc binds, and those that `train` calls itself. */

#if defined(LIBRARY_CUDA)

#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *driver;
static char missing[512] = "the NVIDIA driver is missing";

static void open_driver(void) {
    const char *file = getenv("TRAIN_CUDA_DRIVER");
    driver = dlopen(file && *file ? file : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) {
        const char *why = dlerror();
        snprintf(missing, sizeof missing, "no NVIDIA driver: %s", why ? why : "libcuda.so.1 cannot be opened");
    }
}

/* The driver's function of that name, or null. `known` remembers it; threads that race write the same value. */
static void *find(const char *name, void **known) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    void *function = __atomic_load_n(known, __ATOMIC_ACQUIRE);
    if (!function) {
        pthread_once(&once, open_driver);
        function = driver ? dlsym(driver, name) : NULL;
        __atomic_store_n(known, function, __ATOMIC_RELEASE);
    }
    return function;
}

/* cudarc keeps results in an enumeration of the codes that its version knows, and any other number in it is undefined behaviour. */
static CUresult known_result(CUresult result) {
    static const struct { unsigned first, last; } known[] = {
        {0, 8}, {34, 34}, {46, 46}, {100, 102}, {200, 202}, {205, 224}, {300, 304}, {400, 401}, {500, 500},
        {600, 600}, {700, 705}, {708, 720}, {800, 810}, {900, 912}, {999, 999},
    };
    for (size_t at = 0; at < sizeof known / sizeof known[0]; at++) {
        if ((unsigned)result >= known[at].first && (unsigned)result <= known[at].last) return result;
    }
    return CUDA_ERROR_UNKNOWN;
}

/* A function with the driver's own name and parameters that calls the driver's. `SYMBOL` is a string, because cuda.h renames some
 * functions to their newest version by macros, and cudarc binds older ones. */
#define FORWARD(SYMBOL, PARAMETERS, ARGUMENTS) FORWARD_AS(SYMBOL, __LINE__, PARAMETERS, ARGUMENTS)
#define FORWARD_AS(SYMBOL, LINE, PARAMETERS, ARGUMENTS) FORWARD_IN(SYMBOL, LINE, PARAMETERS, ARGUMENTS)
#define FORWARD_IN(SYMBOL, LINE, PARAMETERS, ARGUMENTS)                     \
    CUresult forward_##LINE PARAMETERS __asm__(SYMBOL);                     \
    CUresult forward_##LINE PARAMETERS {                                    \
        static void *known;                                                 \
        CUresult (*function) PARAMETERS;                                    \
        *(void **)&function = find(SYMBOL, &known);                         \
        return function ? known_result(function ARGUMENTS)                  \
                        : driver ? CUDA_ERROR_SYSTEM_DRIVER_MISMATCH : CUDA_ERROR_NO_DEVICE; \
    }

/* Start, errors, devices, contexts. */
FORWARD("cuInit", (unsigned flags), (flags))
FORWARD("cuDriverGetVersion", (int *version), (version))
FORWARD("cuDeviceGet", (CUdevice *device, int ordinal), (device, ordinal))
FORWARD("cuDeviceGetCount", (int *count), (count))
FORWARD("cuDeviceGetName", (char *name, int size, CUdevice device), (name, size, device))
FORWARD("cuDeviceGetAttribute", (int *value, CUdevice_attribute attribute, CUdevice device), (value, attribute, device))
FORWARD("cuDeviceTotalMem_v2", (size_t *bytes, CUdevice device), (bytes, device))
FORWARD("cuDevicePrimaryCtxRetain", (CUcontext *context, CUdevice device), (context, device))
FORWARD("cuDevicePrimaryCtxRelease_v2", (CUdevice device), (device))
FORWARD("cuCtxGetCurrent", (CUcontext *context), (context))
FORWARD("cuCtxSetCurrent", (CUcontext context), (context))
FORWARD("cuCtxSynchronize", (void), ())

/* Memory. */
FORWARD("cuMemGetInfo_v2", (size_t *unused, size_t *total), (unused, total))
FORWARD("cuMemFree_v2", (CUdeviceptr pointer), (pointer))
FORWARD("cuMemFreeAsync", (CUdeviceptr pointer, CUstream stream), (pointer, stream))
FORWARD("cuMemHostAlloc", (void **pointer, size_t bytes, unsigned flags), (pointer, bytes, flags))
FORWARD("cuMemFreeHost", (void *pointer), (pointer))
FORWARD("cuMemcpyHtoD_v2", (CUdeviceptr to, const void *from, size_t bytes), (to, from, bytes))
FORWARD("cuMemcpyHtoDAsync_v2", (CUdeviceptr to, const void *from, size_t bytes, CUstream stream), (to, from, bytes, stream))
FORWARD("cuMemcpyDtoH_v2", (void *to, CUdeviceptr from, size_t bytes), (to, from, bytes))
FORWARD("cuMemcpyDtoHAsync_v2", (void *to, CUdeviceptr from, size_t bytes, CUstream stream), (to, from, bytes, stream))
FORWARD("cuMemcpyDtoD_v2", (CUdeviceptr to, CUdeviceptr from, size_t bytes), (to, from, bytes))
FORWARD("cuMemcpyDtoDAsync_v2", (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), (to, from, bytes, stream))
FORWARD("cuMemsetD8_v2", (CUdeviceptr to, unsigned char value, size_t bytes), (to, value, bytes))
FORWARD("cuMemsetD8Async", (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream), (to, value, bytes, stream))
FORWARD("cuMemsetD32_v2", (CUdeviceptr to, unsigned value, size_t words), (to, value, words))
FORWARD("cuMemsetD32Async", (CUdeviceptr to, unsigned value, size_t words, CUstream stream), (to, value, words, stream))
FORWARD("cuImportExternalMemory", (CUexternalMemory *memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *handle), (memory, handle))
FORWARD("cuExternalMemoryGetMappedBuffer",
        (CUdeviceptr *pointer, CUexternalMemory memory, const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *buffer), (pointer, memory, buffer))
FORWARD("cuDestroyExternalMemory", (CUexternalMemory memory), (memory))

/* The driver refuses 0 bytes, which dfdx asks for (an empty workspace, tensors without elements): one byte then. */
FORWARD("cuMemAlloc_v2", (CUdeviceptr *pointer, size_t bytes), (pointer, bytes ? bytes : 1))
FORWARD("cuMemAllocAsync", (CUdeviceptr *pointer, size_t bytes, CUstream stream), (pointer, bytes ? bytes : 1, stream))

/* Streams and events. */
FORWARD("cuStreamCreate", (CUstream *stream, unsigned flags), (stream, flags))
FORWARD("cuStreamDestroy_v2", (CUstream stream), (stream))
FORWARD("cuStreamQuery", (CUstream stream), (stream))
FORWARD("cuStreamSynchronize", (CUstream stream), (stream))
FORWARD("cuStreamWaitEvent", (CUstream stream, CUevent event, unsigned flags), (stream, event, flags))
FORWARD("cuEventCreate", (CUevent *event, unsigned flags), (event, flags))
FORWARD("cuEventRecord", (CUevent event, CUstream stream), (event, stream))
FORWARD("cuEventQuery", (CUevent event), (event))
FORWARD("cuEventSynchronize", (CUevent event), (event))
FORWARD("cuEventElapsedTime", (float *milliseconds, CUevent start, CUevent end), (milliseconds, start, end))
FORWARD("cuEventDestroy_v2", (CUevent event), (event))

/* Kernels. */
FORWARD("cuModuleLoad", (CUmodule *module, const char *file), (module, file))
FORWARD("cuModuleLoadData", (CUmodule *module, const void *image), (module, image))
FORWARD("cuModuleUnload", (CUmodule module), (module))
FORWARD("cuModuleGetFunction", (CUfunction *function_, CUmodule module, const char *name), (function_, module, name))
FORWARD("cuFuncSetAttribute", (CUfunction function_, CUfunction_attribute attribute, int value), (function_, attribute, value))
FORWARD("cuLaunchKernel",
        (CUfunction kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
         unsigned shared_bytes, CUstream stream, void **parameters, void **extra),
        (kernel, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters, extra))
FORWARD("cuOccupancyAvailableDynamicSMemPerBlock", (size_t *bytes, CUfunction kernel, int blocks, int block_size),
        (bytes, kernel, blocks, block_size))
FORWARD("cuOccupancyMaxActiveBlocksPerMultiprocessor", (int *blocks, CUfunction kernel, int block_size, size_t shared_bytes),
        (blocks, kernel, block_size, shared_bytes))
FORWARD("cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags",
        (int *blocks, CUfunction kernel, int block_size, size_t shared_bytes, unsigned flags),
        (blocks, kernel, block_size, shared_bytes, flags))
FORWARD("cuOccupancyMaxPotentialBlockSize",
        (int *min_grid, int *block_size, CUfunction kernel, CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit),
        (min_grid, block_size, kernel, shared_of, shared_bytes, limit))
FORWARD("cuOccupancyMaxActiveClusters", (int *clusters, CUfunction kernel, const CUlaunchConfig *config), (clusters, kernel, config))
FORWARD("cuOccupancyMaxPotentialClusterSize", (int *size, CUfunction kernel, const CUlaunchConfig *config), (size, kernel, config))
FORWARD("cuOccupancyMaxPotentialBlockSizeWithFlags",
        (int *min_grid, int *block_size, CUfunction kernel, CUoccupancyB2DSize shared_of, size_t shared_bytes, int limit,
         unsigned flags),
        (min_grid, block_size, kernel, shared_of, shared_bytes, limit, flags))

/* The text of an error must exist without a driver too: that is the error which says so. */
static CUresult describe(const char *symbol, void **known, CUresult error, const char **text, const char *without_driver) {
    CUresult (*function)(CUresult, const char **);
    *(void **)&function = find(symbol, known);
    if (function) return function(error, text);
    *text = without_driver;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **text) {
    static void *known;
    return describe("cuGetErrorName", &known, error, text, "CUDA_ERROR_NO_DEVICE");
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    static void *known;
    return describe("cuGetErrorString", &known, error, text, missing);
}

#else

/* A function that takes whatever it is called with (the caller removes arguments) and answers STATUS. */
#define REFUSE(NAME) int NAME(void) { return STATUS; }

#if defined(LIBRARY_CUBLAS)
enum { SUCCESS = 0, STATUS = 15 /* CUBLAS_STATUS_NOT_SUPPORTED */ };

int cublasCreate_v2(void **handle) {
    static char any;
    *handle = &any;
    return SUCCESS;
}
int cublasDestroy_v2(void *handle) { (void)handle; return SUCCESS; }
int cublasSetStream_v2(void *handle, void *stream) { (void)handle; (void)stream; return SUCCESS; }

REFUSE(cublasSgemv_v2)
REFUSE(cublasDgemv_v2)
REFUSE(cublasSgemm_v2)
REFUSE(cublasDgemm_v2)
REFUSE(cublasHgemm)
REFUSE(cublasGemmEx)
REFUSE(cublasSgemmStridedBatched)
REFUSE(cublasDgemmStridedBatched)
REFUSE(cublasHgemmStridedBatched)
REFUSE(cublasGemmStridedBatchedEx)

#elif defined(LIBRARY_CUBLASLT)
enum { STATUS = 15 /* CUBLAS_STATUS_NOT_SUPPORTED */ };

REFUSE(cublasLtCreate)
REFUSE(cublasLtDestroy)
REFUSE(cublasLtMatmul)
REFUSE(cublasLtMatmulAlgoGetHeuristic)
REFUSE(cublasLtMatmulDescCreate)
REFUSE(cublasLtMatmulDescDestroy)
REFUSE(cublasLtMatmulDescSetAttribute)
REFUSE(cublasLtMatmulPreferenceCreate)
REFUSE(cublasLtMatmulPreferenceDestroy)
REFUSE(cublasLtMatmulPreferenceSetAttribute)
REFUSE(cublasLtMatrixLayoutCreate)
REFUSE(cublasLtMatrixLayoutDestroy)

#elif defined(LIBRARY_NVRTC)
enum { STATUS = 11 /* NVRTC_ERROR_INTERNAL_ERROR */ };

REFUSE(nvrtcCreateProgram)
REFUSE(nvrtcCompileProgram)
REFUSE(nvrtcDestroyProgram)
REFUSE(nvrtcGetPTX)
REFUSE(nvrtcGetPTXSize)
REFUSE(nvrtcGetProgramLog)
REFUSE(nvrtcGetProgramLogSize)

#else
#error "name one library: -DLIBRARY_CUDA, -DLIBRARY_CUBLAS, -DLIBRARY_CUBLASLT or -DLIBRARY_NVRTC"
#endif
#endif

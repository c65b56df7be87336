// The two halves of the emulator: runtime.cpp runs kernels, driver.cpp answers the calls of the CUDA driver's interface.
#pragma once

#include "include/emulator.h"

namespace emulator {

struct Worker;

// A host thread's variables, all that the emulator has but for those that kernels see: what is thread-local besides is some
// kernel's shared memory.
struct Own {
    Worker *worker;
    void *context; // of the driver's interface
    char *thread_locals;
    size_t thread_local_bytes;
};
extern __thread Own own EMULATOR_HIDDEN;

// Null where no kernel of that name was compiled for the host.
const Kernel *find(const char *name);

// Runs every thread of every block, on all host threads that help (EMULATOR_THREADS); returns when all have ended.
void launch(const Kernel &kernel, dim3 grid, dim3 block, void **parameters);

} // namespace emulator

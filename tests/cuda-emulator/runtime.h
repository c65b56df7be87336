// The two halves of the emulator: runtime.cpp runs kernels, driver.cpp answers the calls of the CUDA driver's interface.
#pragma once

#include "include/emulator.h"

namespace emulator {

// Null where no kernel of that name was compiled for the host.
const Kernel *find(const char *name);

// Runs every thread of every block, on all host threads that help (EMULATOR_THREADS); returns when all have ended.
void launch(const Kernel &kernel, dim3 grid, dim3 block, void **parameters);

} // namespace emulator

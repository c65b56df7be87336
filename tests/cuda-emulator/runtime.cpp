// Runs a kernel's blocks on host threads, and the threads of a block on fibers: a fiber runs one thread of the block after the
// other until one reaches a barrier; the next fiber goes on with the threads that have not begun. So a kernel without barriers
// costs no switches, and one with barriers a switch a thread and barrier.

#include "runtime.h"

#include <atomic>
#include <condition_variable>
#include <cstdarg>
#include <link.h>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

namespace emulator {

// Not in the namespace without a name: `poison_shared_memory` overwrites and restores it, which the compiler must believe.
__thread Own own;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK_BYTES = 256 << 10;
#else
constexpr size_t STACK_BYTES = 64 << 10;
#endif

// ---- Contexts: the registers of a suspended fiber ----

#ifdef __x86_64__

struct Context {
    void *stack_pointer;
};

// Saves what a function must preserve on this stack, and continues where the other one was saved.
extern "C" void emulator_switch(void **save, void *load);
__asm__(".text\n.type emulator_switch,@function\nemulator_switch:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
        ".size emulator_switch, .-emulator_switch\n");

void switch_to(Context &from, Context &to) { emulator_switch(&from.stack_pointer, to.stack_pointer); }

void prepare(Context &context, char *stack, void (*entry)()) {
    void **top = reinterpret_cast<void **>(stack + STACK_BYTES);
    *--top = nullptr; // the entry's return address, aligned as a call leaves it
    *--top = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    context.stack_pointer = top;
}

#else

struct Context {
    ucontext_t registers;
};

void switch_to(Context &from, Context &to) { swapcontext(&from.registers, &to.registers); }

void prepare(Context &context, char *stack, void (*entry)()) {
    getcontext(&context.registers);
    context.registers.uc_stack.ss_sp = stack;
    context.registers.uc_stack.ss_size = STACK_BYTES;
    context.registers.uc_link = nullptr;
    makecontext(&context.registers, entry, 0);
}

#endif

// ---- Fibers ----

struct Fiber {
    Context context;
    char *stack;
    uint3 thread;      // of the block, while it waits
    int barrier_line;  // where it waits; 0: its threads have ended
    bool begun;
};

struct Launch {
    const Kernel &kernel;
    dim3 grid, block;
    void **parameters;
    std::atomic<size_t> next_block{0};
    size_t blocks() const { return size_t(grid.x) * grid.y * grid.z; }
    unsigned threads() const { return block.x * block.y * block.z; }
};

// EMULATOR_ORDER=reverse runs the last block and the last thread first.
bool reversed() {
    static const bool reverse = [] {
        const char *order = getenv("EMULATOR_ORDER");
        return order && !strcmp(order, "reverse");
    }();
    return reverse;
}

} // namespace

// A host thread's fibers.
struct Worker {
    Context scheduler;
    std::vector<std::unique_ptr<Fiber>> all;
    std::vector<Fiber *> idle, waiting, resumed;
    Fiber *running = nullptr;
    const Launch *launch = nullptr;
    unsigned begun = 0; // threads of the block
#ifdef __SANITIZE_ADDRESS__
    const void *scheduler_stack = nullptr;
    size_t scheduler_stack_bytes = 0;
#endif

    void run_blocks(Launch &launch);
    void run_block();
    void resume(Fiber *fiber);
    void check_barrier();
    Fiber *take();
};

namespace {

#ifdef __SANITIZE_ADDRESS__
void enter_stack(void **own, const void *stack, size_t bytes) { __sanitizer_start_switch_fiber(own, stack, bytes); }
void entered_stack(void *own, const void **from, size_t *bytes) { __sanitizer_finish_switch_fiber(own, from, bytes); }
#endif

void suspend() {
    Worker *here = own.worker;
    Fiber *fiber = here->running;
#ifdef __SANITIZE_ADDRESS__
    void *own;
    enter_stack(&own, here->scheduler_stack, here->scheduler_stack_bytes);
    switch_to(fiber->context, here->scheduler);
    entered_stack(own, &here->scheduler_stack, &here->scheduler_stack_bytes);
#else
    switch_to(fiber->context, here->scheduler);
#endif
}

// What a fiber does: one thread of the block after the other; idle when there are no more.
void fiber_entry() {
#ifdef __SANITIZE_ADDRESS__
    entered_stack(nullptr, &own.worker->scheduler_stack, &own.worker->scheduler_stack_bytes);
#endif
    for (;;) {
        const Launch &launch = *own.worker->launch;
        const unsigned threads = launch.threads();
        while (own.worker->begun < threads) {
            unsigned i = own.worker->begun++;
            if (reversed() && !launch.kernel.foreign) i = threads - 1 - i;
            threadIdx = {i % launch.block.x, i / launch.block.x % launch.block.y, i / launch.block.x / launch.block.y};
            launch.kernel.run(launch.parameters);
        }
        own.worker->running->barrier_line = 0;
        suspend();
    }
}

} // namespace

void Worker::resume(Fiber *fiber) {
    running = fiber;
    threadIdx = fiber->thread;
#ifdef __SANITIZE_ADDRESS__
    void *own;
    enter_stack(&own, fiber->stack, STACK_BYTES);
    switch_to(scheduler, fiber->context);
    entered_stack(own, nullptr, nullptr);
#else
    switch_to(scheduler, fiber->context);
#endif
    (fiber->barrier_line ? waiting : idle).push_back(fiber);
}

Fiber *Worker::take() {
    if (idle.empty()) {
        // The lowest page stays out of reach: a stack that overflows faults.
        const size_t page = 4096;
        void *memory = mmap(nullptr, page + STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED || mprotect(static_cast<char *>(memory) + page, STACK_BYTES, PROT_READ | PROT_WRITE))
            fail("no memory for the stacks of a block's threads");
        all.push_back(std::make_unique<Fiber>());
        Fiber *fiber = all.back().get();
        fiber->stack = static_cast<char *>(memory) + page;
        prepare(fiber->context, fiber->stack, fiber_entry);
        return fiber;
    }
    Fiber *fiber = idle.back();
    idle.pop_back();
    return fiber;
}

// A barrier must be reached by all threads of the block, and the same one by all.
void Worker::check_barrier() {
    if (launch->kernel.foreign) return;
    const Fiber *first = waiting.front();
    for (const Fiber *other : waiting)
        if (other->barrier_line != first->barrier_line)
            fail("thread (%u,%u,%u) waits at the __syncthreads() of line %d, thread (%u,%u,%u) at that of line %d", first->thread.x,
                 first->thread.y, first->thread.z, first->barrier_line, other->thread.x, other->thread.y, other->thread.z,
                 other->barrier_line);
    if (waiting.size() != launch->threads())
        fail("%zu of the block's %u threads wait at the __syncthreads() of line %d, the others have ended", waiting.size(),
             launch->threads(), first->barrier_line);
}

void Worker::run_block() {
    begun = 0;
    while (begun < launch->threads()) resume(take());
    while (!waiting.empty()) {
        check_barrier();
        resumed.swap(waiting);
        for (Fiber *fiber : resumed) resume(fiber);
        resumed.clear();
    }
}

// ---- Shared memory ----

namespace {

#ifndef __SANITIZE_ADDRESS__
// Shared variables are this library's thread-local ones. All of them become NaN, so that a kernel that reads what it has not
// written shows; the emulator's own survive.
void poison_shared_memory() {
    if (!own.thread_locals) {
        // The module whose thread-local block holds this variable.
        dl_iterate_phdr(
            [](dl_phdr_info *module, size_t, void *) {
                char *data = static_cast<char *>(module->dlpi_tls_data), *here = reinterpret_cast<char *>(&own);
                for (int i = 0; data && i < module->dlpi_phnum; i++) {
                    const size_t bytes = module->dlpi_phdr[i].p_memsz;
                    if (module->dlpi_phdr[i].p_type != PT_TLS || here < data || here >= data + bytes) continue;
                    own.thread_locals = data;
                    own.thread_local_bytes = bytes;
                }
                return 0;
            },
            nullptr);
        if (!own.thread_locals) fail("cannot find the thread-local variables");
    }
    const Own saved = own;
    const uint3 thread = threadIdx, block = blockIdx;
    const dim3 threads = blockDim, blocks = gridDim;
    memset(saved.thread_locals, 0xff, saved.thread_local_bytes);
    own = saved;
    threadIdx = thread, blockIdx = block, blockDim = threads, gridDim = blocks;
}
#else
void poison_shared_memory() {}
#endif

} // namespace

void Worker::run_blocks(Launch &work) {
    launch = &work;
    blockDim = work.block;
    gridDim = work.grid;
    if (!work.kernel.foreign) poison_shared_memory();
    const size_t blocks = work.blocks();
    for (size_t next; (next = work.next_block.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
        const size_t i = reversed() && !work.kernel.foreign ? blocks - 1 - next : next;
        blockIdx = {unsigned(i % work.grid.x), unsigned(i / work.grid.x % work.grid.y), unsigned(i / work.grid.x / work.grid.y)};
        run_block();
    }
    launch = nullptr;
}

namespace {

Worker &this_worker() {
    // Never freed: fibers of an ended host thread are few, and the library is never unloaded.
    if (!own.worker) own.worker = new Worker;
    return *own.worker;
}

// ---- Host threads ----

unsigned host_threads() {
#ifdef __SANITIZE_ADDRESS__
    return 1; // shared variables are plain ones then
#else
    const char *count = getenv("EMULATOR_THREADS");
    const int wanted = count ? atoi(count) : int(std::thread::hardware_concurrency());
    return wanted > 0 ? wanted : 1;
#endif
}

// Threads that help with one launch at a time.
struct Pool {
    std::mutex mutex;
    std::condition_variable changed;
    Launch *work = nullptr;
    unsigned wanted = 0, helping = 0; // helpers that may still join `work`, and that have joined
    unsigned started = 0;

    // `helpers` of the pool's threads and the caller.
    void run(Launch &launch, unsigned helpers) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            for (; started < helpers; started++) std::thread([this] { help(); }).detach();
            work = &launch;
            wanted = helpers;
        }
        changed.notify_all();
        this_worker().run_blocks(launch);
        std::unique_lock<std::mutex> lock(mutex);
        wanted = 0;
        changed.wait(lock, [this] { return helping == 0; });
        work = nullptr;
    }

    void help() {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return wanted > 0; });
            wanted--;
            helping++;
            Launch *launch = work;
            lock.unlock();
            this_worker().run_blocks(*launch);
            lock.lock();
            helping--;
            changed.notify_all();
        }
    }
};

std::map<std::string, Kernel> &kernels() {
    static auto *all = new std::map<std::string, Kernel>;
    return *all;
}

} // namespace

void add(const Kernel &kernel) { kernels().emplace(kernel.name, kernel); }

const Kernel *find(const char *name) {
    auto found = kernels().find(name);
    return found == kernels().end() ? nullptr : &found->second;
}

void barrier(int line) {
    Fiber *fiber = own.worker->running;
    fiber->thread = threadIdx;
    fiber->barrier_line = line;
    suspend();
}

void fail(const char *format, ...) {
    fputs("CUDA emulator: ", stderr);
    if (own.worker && own.worker->launch)
        fprintf(stderr, "kernel %s, block (%u,%u,%u), thread (%u,%u,%u): ", own.worker->launch->kernel.name, blockIdx.x, blockIdx.y, blockIdx.z,
                threadIdx.x, threadIdx.y, threadIdx.z);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void launch(const Kernel &kernel, dim3 grid, dim3 block, void **parameters) {
    static auto *pool = new Pool;
    static std::mutex one_at_a_time;
    static const unsigned threads = host_threads();
    Launch work{kernel, grid, block, parameters};
    std::lock_guard<std::mutex> lock(one_at_a_time);
    // Waking a helper costs more than a few small blocks. dfdx's atomic sums keep one order.
    const bool small = work.blocks() < 2 || work.blocks() * work.threads() < 4096;
    if (threads == 1 || small || kernel.foreign) this_worker().run_blocks(work);
    else pool->run(work, threads - 1);
}

} // namespace emulator

// The emulator's own tests: what it computes, and that it stops at the mistakes it promises to find.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using Address = unsigned long long;
extern "C" {
int cuMemAlloc_v2(Address *, size_t);
int cuMemFree_v2(Address);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemcpyHtoD_v2(Address, const void *, size_t);
int cuMemcpyDtoH_v2(void *, Address, size_t);
int cuMemcpyDtoD_v2(Address, Address, size_t);
int cuModuleLoadData(void **, const void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
}

static const char *PTX = R"(
.visible .entry block_sums(.param .u64 .ptr .align 1 block_sums_param_0, .param .u64 block_sums_param_1, .param .u32 block_sums_param_2)
{ }
.visible .entry product_tf32(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u32 p3, .param .u32 p4, .param .u32 p5, .param .u8 p6)
.maxntid 32 { }
.visible .entry missing_barrier(.param .u64 p0) { }
.visible .entry some_threads_end(.param .u64 p0) { }
.visible .entry two_barriers(.param .u64 p0) { }
.visible .entry writes_at(.param .u64 p0, .param .u32 p1) { }
.visible .entry reads_unwritten_shared(.param .u64 p0) { }
.visible .entry misaligned_tile(.param .align 8 .b8 p0[8]) { }
)";

static int failures = 0;
static void expect(bool right, const std::string &what) {
    printf("%s %s\n", right ? "ok    " : "FAILED", what.c_str());
    failures += !right;
}

static void *kernel(const char *name, const char *ptx = PTX) {
    void *module = nullptr, *function = nullptr;
    if (cuModuleLoadData(&module, ptx) || cuModuleGetFunction(&function, module, name)) return nullptr;
    return function;
}

template <class... A> static int launch(const char *name, unsigned grid_x, unsigned grid_y, unsigned block_x, unsigned block_y, A... arguments) {
    void *parameters[] = {&arguments...};
    return cuLaunchKernel(kernel(name), grid_x, grid_y, 1, block_x, block_y, 1, 0, nullptr, parameters, nullptr);
}

static Address allocate(size_t floats) {
    Address pointer = 0;
    if (cuMemAlloc_v2(&pointer, floats * 4)) abort();
    return pointer;
}
static Address upload(const std::vector<float> &values) {
    Address pointer = allocate(values.size());
    cuMemcpyHtoD_v2(pointer, values.data(), values.size() * 4);
    return pointer;
}
static std::vector<float> download(Address pointer, size_t floats) {
    std::vector<float> values(floats);
    cuMemcpyDtoH_v2(values.data(), pointer, floats * 4);
    return values;
}

// Runs `work` in a process of its own: its messages if it was aborted, empty if it ended.
static std::string aborted(const std::function<void()> &work) {
    int ends[2];
    if (pipe(ends)) abort();
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        work();
        _exit(0);
    }
    close(ends[1]);
    std::string said;
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, got);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : said;
}
// AddressSanitizer, where it is on, finds a write out of bounds before the emulator does.
static void expect_abort(const std::string &message, const std::string &what, const std::function<void()> &work) {
    const std::string said = aborted(work);
    const bool right = said.find(message) != std::string::npos || said.find("AddressSanitizer: heap") != std::string::npos;
    expect(right, what);
    if (!right) printf("       expected `%s`, got `%s`\n", message.c_str(), said.c_str());
}

static void computes() {
    for (size_t n : {1, 95, 96, 97, 5000}) {
        std::vector<float> x(n);
        for (size_t i = 0; i < n; i++) x[i] = float(i % 17);
        const unsigned blocks = unsigned(n + 95) / 96;
        Address in = upload(x), out = allocate(blocks);
        launch("block_sums", blocks, 1, 32, 3, in, out, int(n));
        std::vector<float> want(blocks);
        for (size_t i = 0; i < n; i++) want[i / 96] += x[i];
        expect(download(out, blocks) == want, "sums of blocks of " + std::to_string(n) + " values");
        cuMemFree_v2(in);
        cuMemFree_v2(out);
    }
    const int m = 48, n = 32, k = 40;
    std::vector<float> a(m * k), b(k * n), want(m * n);
    for (int i = 0; i < m * k; i++) a[i] = float(i * 7 % 13 - 6);
    for (int i = 0; i < k * n; i++) b[i] = float(i * 5 % 11 - 5);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int l = 0; l < k; l++) want[i * n + j] += a[i * k + l] * b[l * n + j];
    Address da = upload(a), db = upload(b), dc = allocate(m * n);
    launch("product_tf32", n / 16, m / 16, 32, 1, da, db, dc, m, n, k, true);
    expect(download(dc, m * n) == want, "a product by tensor cores of numbers that TF32 holds");

    // 1 + 2^-11 lies in the middle of two TF32 numbers.
    std::vector<float> ones(16 * 8), unit(8 * 16);
    ones[0] = 1 + 1.f / 2048;
    unit[0] = 1;
    da = upload(ones), db = upload(unit);
    launch("product_tf32", 1, 1, 32, 1, da, db, dc, 16, 16, 8, true);
    expect(download(dc, 1)[0] == 1 + 1.f / 1024, "__float_to_tf32 rounds halves away from zero");
    launch("product_tf32", 1, 1, 32, 1, da, db, dc, 16, 16, 8, false);
    expect(download(dc, 1)[0] == 1, "without it, a product cuts off");
}

static void shows_mistakes() {
    Address out = allocate(64);
    expect(std::isnan(download(out, 64)[63]), "fresh memory is NaN");
    expect_abort("10 of the block's 64 threads wait", "threads that end before a barrier", [&] { launch("some_threads_end", 1, 1, 64, 1, out); });
    expect_abort("waits at the __syncthreads() of line", "two barriers at once", [&] { launch("two_barriers", 1, 1, 64, 1, out); });
    expect_abort("were overwritten by kernel writes_at", "a write behind an allocation", [&] { launch("writes_at", 1, 1, 1, 1, out, 64); });
    expect_abort("were overwritten by kernel writes_at", "a write before an allocation", [&] { launch("writes_at", 1, 1, 1, 1, out, -1); });
    expect_abort("multiple of 32 bytes", "a tile at an odd address", [&] { launch("misaligned_tile", 1, 1, 32, 1, out); });
    expect_abort("points outside of every allocation", "a kernel on freed memory", [&] {
        cuMemFree_v2(out);
        launch("writes_at", 1, 1, 1, 1, out, 0);
    });
    expect_abort("not the beginning of an allocation", "memory freed twice", [&] {
        cuMemFree_v2(out);
        cuMemFree_v2(out);
    });
    expect_abort("a copy from the device of 260 bytes", "a copy that is too long", [&] { download(out, 65); });
    expect_abort("overlaps itself", "a copy onto itself", [&] { cuMemcpyDtoD_v2(out, out + 4, 64); });
    expect_abort("other parameters in the program's PTX", "PTX with other parameters",
                 [&] { kernel("writes_at", ".entry writes_at(.param .u64 p0, .param .u64 p1) { }"); });
    expect(kernel("no_such_kernel") == nullptr, "a kernel that the PTX lacks");
    expect(launch("writes_at", 1, 65536, 1, 1, out, 0) == 1 && launch("writes_at", 1, 1, 1025, 1, out, 0) == 1, "grids and blocks that are too large");
#ifndef __SANITIZE_ADDRESS__
    launch("reads_unwritten_shared", 1, 1, 64, 1, out);
    expect(std::isnan(download(out, 64)[0]) && download(out, 64)[1] == 1, "shared memory that no one wrote is NaN");
#endif
    launch("missing_barrier", 1, 1, 64, 1, out);
    const bool reverse = getenv("EMULATOR_ORDER") && !strcmp(getenv("EMULATOR_ORDER"), "reverse");
    expect((download(out, 64)[63] == 1) != reverse, "a missing barrier shows in one of the two orders");
}

static void limits_memory() {
    size_t unused = 0, total = 0, left = 0;
    cuMemGetInfo_v2(&unused, &total);
    Address pointer = 0;
    expect(cuMemAlloc_v2(&pointer, unused + 1) == 2, "more memory than there is");
    expect(cuMemAlloc_v2(&pointer, 0) == 1, "no memory");
    expect(cuMemAlloc_v2(&pointer, 1000) == 0 && !cuMemGetInfo_v2(&left, &total) && left == unused - 1000, "memory that is left");
    cuMemFree_v2(pointer);
}

int main() {
    computes();
    shows_mistakes();
    limits_memory();
    return failures != 0;
}

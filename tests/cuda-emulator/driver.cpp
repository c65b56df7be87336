// The part of the CUDA driver's interface that `train`, dfdx and cudarc call, on the host's memory. Every call is done when it
// returns, unless EMULATOR_STREAMS says otherwise.

#include "runtime.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

// Values of CUresult.
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    FILE_NOT_FOUND = 301,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    LAUNCH_OUT_OF_RESOURCES = 701,
};

using Address = unsigned long long;
using Lock = std::lock_guard<std::recursive_mutex>;

size_t number_from(const char *variable, size_t otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, nullptr, 10) : otherwise;
}

// ---- Device memory ----

// Around every allocation lie bytes of 0xff, which read as NaN; one that has changed was written out of bounds. AddressSanitizer
// has redzones of its own.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t GUARD = 0;
#else
constexpr size_t GUARD = 256;
#endif
constexpr size_t ALIGNMENT = 256;
constexpr unsigned char POISON = 0xff;

struct Memory {
    std::recursive_mutex mutex;
    std::map<char *, size_t> live; // bytes asked for, by address
    std::map<void *, size_t> host;
    size_t total = number_from("EMULATOR_MEMORY", size_t(8) << 30);
    size_t used = 0, peak = 0, allocations = 0;

    Result allocate(Address *pointer, size_t bytes) {
        Lock lock(mutex);
        if (!pointer || !bytes) return INVALID_VALUE;
        if (bytes > total - used) return OUT_OF_MEMORY;
        void *memory = nullptr;
        if (posix_memalign(&memory, ALIGNMENT, bytes + 2 * GUARD)) return OUT_OF_MEMORY;
        memset(memory, POISON, bytes + 2 * GUARD);
        char *begin = static_cast<char *>(memory) + GUARD;
        live[begin] = bytes;
        used += bytes;
        peak = std::max(peak, used);
        allocations++;
        *pointer = reinterpret_cast<Address>(begin);
        return SUCCESS;
    }

    Result release(Address pointer) {
        Lock lock(mutex);
        auto found = live.find(reinterpret_cast<char *>(pointer));
        if (found == live.end()) emulator::fail("freed %#llx, which is not the beginning of an allocation", pointer);
        check_guards(found->first, found->second, "by a kernel or a copy");
        memset(found->first, POISON, found->second);
        used -= found->second;
        free(found->first - GUARD);
        live.erase(found);
        return SUCCESS;
    }

    // Whether [pointer, pointer + bytes) lies within one allocation; with 0 bytes its end counts.
    bool holds(Address pointer, size_t bytes) {
        char *begin = reinterpret_cast<char *>(pointer);
        auto after = live.upper_bound(begin);
        if (after == live.begin()) return false;
        auto [start, length] = *--after;
        const size_t offset = begin - start;
        return offset <= length && bytes <= length - offset;
    }

    bool is_pinned(const void *pointer, size_t bytes) {
        Lock lock(mutex);
        char *begin = static_cast<char *>(const_cast<void *>(pointer));
        auto after = host.upper_bound(begin);
        if (after == host.begin()) return false;
        auto [start, length] = *--after;
        return begin + bytes <= static_cast<char *>(start) + length;
    }

    void check(Address pointer, size_t bytes, const char *what) {
        if (bytes && !holds(pointer, bytes)) emulator::fail("%s of %zu bytes at %#llx is outside of every allocation", what, bytes, pointer);
    }

    void check_guards(const char *begin, size_t bytes, const std::string &when) {
        // Not destroyed: the report comes after what is.
        static const std::string &clean = *new std::string(GUARD, char(POISON));
        if (memcmp(begin - GUARD, clean.data(), GUARD) || memcmp(begin + bytes, clean.data(), GUARD))
            emulator::fail("the bytes around an allocation of %zu bytes were overwritten %s", bytes, when.c_str());
    }

    void check_all_guards(const std::string &when) {
        for (auto [begin, bytes] : live) check_guards(begin, bytes, when);
    }
};

Memory &memory() {
    static auto *all = new Memory;
    return *all;
}

Result to_device(Address to, const void *from, size_t bytes) {
    Lock lock(memory().mutex);
    memory().check(to, bytes, "a copy to the device");
    memcpy(reinterpret_cast<void *>(to), from, bytes);
    return SUCCESS;
}

Result to_host(void *to, Address from, size_t bytes) {
    Lock lock(memory().mutex);
    memory().check(from, bytes, "a copy from the device");
    memcpy(to, reinterpret_cast<void *>(from), bytes);
    return SUCCESS;
}

Result on_device(Address to, Address from, size_t bytes) {
    Lock lock(memory().mutex);
    memory().check(to, bytes, "the target of a copy");
    memory().check(from, bytes, "the source of a copy");
    if (to < from + bytes && from < to + bytes) emulator::fail("a copy of %zu bytes overlaps itself", bytes);
    memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
    return SUCCESS;
}

Result set(Address to, size_t bytes, const void *pattern, size_t pattern_bytes) {
    Lock lock(memory().mutex);
    memory().check(to, bytes, "a memset");
    for (size_t i = 0; i < bytes; i += pattern_bytes) memcpy(reinterpret_cast<char *>(to) + i, pattern, pattern_bytes);
    return SUCCESS;
}

// ---- Modules ----

// The kernels of a PTX text, with the sizes of their parameters.
using Entries = std::map<std::string, std::vector<size_t>>;

struct Module {
    Entries entries;
};

struct Function {
    std::string name;
    const emulator::Kernel *kernel;
};

// `.param .u64 .ptr .align 1 name`, `.param .align 8 .b8 name[48]`: the bytes of a parameter.
size_t parameter_bytes(const std::string &declaration) {
    size_t bits = 0;
    for (size_t dot = 0; !bits && (dot = declaration.find('.', dot)) != std::string::npos; dot++)
        if (dot + 2 < declaration.size() && strchr("usbf", declaration[dot + 1])) bits = strtoull(&declaration[dot + 2], nullptr, 10);
    const size_t bracket = declaration.find('[');
    return bits / 8 * (bracket == std::string::npos ? 1 : strtoull(&declaration[bracket + 1], nullptr, 10));
}

Entries entries_of(const std::string &ptx) {
    const std::string keyword = ".entry ";
    Entries entries;
    for (size_t at = 0; (at = ptx.find(keyword, at)) != std::string::npos;) {
        at += keyword.size();
        const size_t open = ptx.find('(', at), body = ptx.find('{', at);
        if (open == std::string::npos) break;
        std::string name = ptx.substr(at, std::min(open, body) - at);
        name.erase(name.find_last_not_of(" \t\r\n") + 1);
        std::vector<size_t> &parameters = entries[name];
        const size_t close = ptx.find(')', open);
        for (size_t next = open; (next = ptx.find(".param", next)) < close;) {
            const size_t end = ptx.find_first_of(",)", next);
            parameters.push_back(parameter_bytes(ptx.substr(next, end - next)));
            next = end;
        }
    }
    return entries;
}

void check_parameters(const std::vector<size_t> &ptx, const emulator::Kernel &kernel) {
    bool same = ptx.size() == kernel.parameter_count;
    for (size_t i = 0; same && i < ptx.size(); i++) same = ptx[i] == kernel.parameters[i].bytes;
    if (!same)
        emulator::fail("kernel %s has other parameters in the program's PTX than here: one of the two is out of date, run `make cuda-emulator`",
                       kernel.name);
}

// ---- Streams and events ----

using Clock = std::chrono::steady_clock;

struct Event {
    Clock::time_point recorded;
    // How often it was to be recorded, and was.
    size_t asked = 0, done = 0;
    // Where it was to be recorded last.
    void *stream = nullptr;
};

// With EMULATOR_STREAMS=late or =early, what may be done later than it is asked for is done when something waits for it. With
// `early`, streams other than the default one do their work at once, unless they wait for an event. A program that forgets to make
// one stream wait for the other, or the host for either, computes with wrong bytes in one of the two ways.
struct Streams {
    enum class Mode { AT_ONCE, LATE, EARLY };

    // Something to do, or an event to wait for or to record.
    struct Work {
        std::function<void()> run;
        Event *waits_for = nullptr, *records = nullptr;
        size_t count = 0;
    };

    std::recursive_mutex mutex;
    std::map<void *, std::deque<Work>> queues;
    Mode mode = chosen();

    static Mode chosen() {
        const char *text = getenv("EMULATOR_STREAMS");
        const std::string name = text ? text : "";
        return name == "late" ? Mode::LATE : name == "early" ? Mode::EARLY : Mode::AT_ONCE;
    }

    void put(void *stream, Work work) {
        if (mode == Mode::AT_ONCE) return finish(work);
        Lock lock(mutex);
        queues[stream].push_back(std::move(work));
        if (mode == Mode::EARLY && stream) advance(stream, [] { return false; }, false);
    }

    // Does a stream's work in its order until `enough`. Where it waits for an event, it sees to the event or (not `forced`) stops.
    void advance(void *stream, const std::function<bool()> &enough, bool forced) {
        Lock lock(mutex);
        std::deque<Work> &queue = queues[stream];
        while (!queue.empty() && !enough()) {
            if (Event *event = queue.front().waits_for; event && event->done < queue.front().count) {
                if (!forced) return;
                wait(event, queue.front().count);
                continue;
            }
            Work work = std::move(queue.front());
            queue.pop_front();
            finish(work);
            if (!work.records || mode != Mode::EARLY) continue;
            for (auto &[other, _] : queues)
                if (other && other != stream) advance(other, [] { return false; }, false);
        }
    }

    void finish(Work &work) {
        if (work.run) work.run();
        if (work.records) work.records->done = work.count, work.records->recorded = Clock::now();
    }

    void wait(Event *event, size_t count) {
        Lock lock(mutex);
        advance(event->stream, [&] { return event->done >= count; }, true);
    }

    void drain(void *stream) {
        advance(stream, [] { return false; }, true);
    }

    void drain() {
        Lock lock(mutex);
        for (auto &[stream, _] : queues) drain(stream);
    }

    bool is_idle(void *stream) {
        Lock lock(mutex);
        return queues[stream].empty();
    }
};

Streams &streams() {
    static auto *all = new Streams;
    return *all;
}

// ---- The report ----

struct Counts {
    std::map<std::string, size_t> launches;
    size_t launched = 0;
};

Counts &counts() {
    static auto *all = new Counts;
    return *all;
}

__attribute__((destructor)) void report() {
    const char *file = getenv("EMULATOR_REPORT");
    FILE *out = file && *file ? fopen(file, "w") : nullptr;
    if (!out) return;
    streams().drain();
    Memory &all = memory();
    fprintf(out, "launches %zu\nallocations %zu\npeak_bytes %zu\nlive_allocations %zu\nlive_bytes %zu\nlive_host_allocations %zu\n",
            counts().launched, all.allocations, all.peak, all.live.size(), all.used, all.host.size());
    for (const auto &[name, launches] : counts().launches) fprintf(out, "kernel %s %zu\n", name.c_str(), launches);
    fclose(out);
}

int devices() { return int(number_from("EMULATOR_DEVICES", 1)); }

} // namespace

#define API extern "C" __attribute__((visibility("default"))) int

// ---- Start, errors, devices, contexts ----

API cuInit(unsigned) { return devices() ? SUCCESS : NO_DEVICE; }
API cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
API cuDeviceGetCount(int *count) { return *count = devices(), SUCCESS; }
API cuDeviceGet(int *device, int ordinal) {
    if (ordinal < 0 || ordinal >= devices()) return INVALID_DEVICE;
    return *device = ordinal, SUCCESS;
}
API cuDeviceGetName(char *name, int size, int) { return snprintf(name, size, "Emulated GPU"), SUCCESS; }
API cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = memory().total, SUCCESS; }

API cuDeviceGetAttribute(int *value, int attribute, int) {
    static const std::map<int, int> known = {
        {1, 1024},         // threads a block
        {2, 1024},         // block x
        {3, 1024},         // block y
        {4, 64},           // block z
        {5, 0x7fffffff},   // grid x
        {6, 65535},        // grid y
        {7, 65535},        // grid z
        {8, 48 << 10},     // shared memory a block
        {10, 32},          // threads a warp
        {16, 132},         // multiprocessors
        {39, 2048},        // threads a multiprocessor
        {75, 9},           // compute capability
        {76, 0},
        {115, 1},          // cuMemAllocAsync
    };
    auto found = known.find(attribute);
    return *value = found == known.end() ? 0 : found->second, SUCCESS;
}

static char primary_context;
API cuDevicePrimaryCtxRetain(void **context, int) { return *context = &primary_context, SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
API cuCtxSetCurrent(void *context) { return emulator::own.context = context, SUCCESS; }
API cuCtxGetCurrent(void **context) { return *context = emulator::own.context, SUCCESS; }
API cuCtxSynchronize() { return streams().drain(), SUCCESS; }

static const char *const *error_texts(int error) {
    static const std::map<int, std::array<const char *, 2>> known = {
        {SUCCESS, {"CUDA_SUCCESS", "no error"}},
        {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
        {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
        {NO_DEVICE, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
        {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
        {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
        {FILE_NOT_FOUND, {"CUDA_ERROR_FILE_NOT_FOUND", "file not found"}},
        {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
        {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
        {LAUNCH_OUT_OF_RESOURCES, {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"}},
    };
    auto found = known.find(error);
    return found == known.end() ? nullptr : found->second.data();
}
API cuGetErrorName(int error, const char **text) {
    auto texts = error_texts(error);
    return texts ? (*text = texts[0], SUCCESS) : INVALID_VALUE;
}
API cuGetErrorString(int error, const char **text) {
    auto texts = error_texts(error);
    return texts ? (*text = texts[1], SUCCESS) : INVALID_VALUE;
}

// ---- Memory ----

API cuMemGetInfo_v2(size_t *unused, size_t *total) {
    streams().drain();
    Lock lock(memory().mutex);
    *total = memory().total;
    *unused = memory().total - memory().used;
    return SUCCESS;
}
API cuMemAlloc_v2(Address *pointer, size_t bytes) { return streams().drain(), memory().allocate(pointer, bytes); }
API cuMemAllocAsync(Address *pointer, size_t bytes, void *stream) {
    const Result result = memory().allocate(pointer, bytes);
    if (result != OUT_OF_MEMORY) return result;
    return streams().drain(stream), memory().allocate(pointer, bytes);
}
API cuMemFree_v2(Address pointer) { return streams().drain(), memory().release(pointer); }
API cuMemFreeAsync(Address pointer, void *stream) {
    return streams().put(stream, {[=] { memory().release(pointer); }}), SUCCESS;
}

API cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
    Lock lock(memory().mutex);
    if (!bytes || posix_memalign(pointer, 4096, bytes)) return bytes ? OUT_OF_MEMORY : INVALID_VALUE;
    memset(*pointer, POISON, bytes);
    memory().host[*pointer] = bytes;
    return SUCCESS;
}
API cuMemFreeHost(void *pointer) {
    Lock lock(memory().mutex);
    if (!memory().host.erase(pointer)) emulator::fail("freed %p, which is no pinned memory of the host", pointer);
    free(pointer);
    return SUCCESS;
}

API cuMemcpyHtoD_v2(Address to, const void *from, size_t bytes) { return streams().drain(nullptr), to_device(to, from, bytes); }
API cuMemcpyDtoH_v2(void *to, Address from, size_t bytes) { return streams().drain(nullptr), to_host(to, from, bytes); }
API cuMemcpyDtoD_v2(Address to, Address from, size_t bytes) { return streams().drain(nullptr), on_device(to, from, bytes); }

API cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
    if (memory().is_pinned(from, bytes))
        return streams().put(stream, {[=] {
                                 if (!memory().is_pinned(from, bytes)) emulator::fail("a copy reads pinned memory at %p that was freed", from);
                                 to_device(to, from, bytes);
                             }}), SUCCESS;
    // The driver takes what is not pinned at once.
    const std::string taken(static_cast<const char *>(from), bytes);
    return streams().put(stream, {[=] { to_device(to, taken.data(), bytes); }}), SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
    return streams().put(stream, {[=] { to_host(to, from, bytes); }}), SUCCESS;
}
API cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void *stream) {
    return streams().put(stream, {[=] { on_device(to, from, bytes); }}), SUCCESS;
}

API cuMemsetD8_v2(Address to, unsigned char value, size_t bytes) { return streams().drain(nullptr), set(to, bytes, &value, 1); }
API cuMemsetD8Async(Address to, unsigned char value, size_t bytes, void *stream) {
    return streams().put(stream, {[=] { set(to, bytes, &value, 1); }}), SUCCESS;
}
API cuMemsetD32_v2(Address to, unsigned value, size_t words) { return streams().drain(nullptr), set(to, 4 * words, &value, 4); }
API cuMemsetD32Async(Address to, unsigned value, size_t words, void *stream) {
    return streams().put(stream, {[=] { set(to, 4 * words, &value, 4); }}), SUCCESS;
}

// ---- Streams and events ----

API cuStreamCreate(void **stream, unsigned) { return *stream = new char, SUCCESS; }
API cuStreamDestroy_v2(void *stream) {
    streams().drain(stream);
    return delete static_cast<char *>(stream), SUCCESS;
}
API cuStreamQuery(void *stream) { return streams().is_idle(stream) ? SUCCESS : NOT_READY; }
API cuStreamSynchronize(void *stream) { return streams().drain(stream), SUCCESS; }
API cuStreamWaitEvent(void *stream, void *name, unsigned) {
    Event *event = static_cast<Event *>(name);
    return streams().put(stream, {nullptr, event, nullptr, event->asked}), SUCCESS;
}
API cuEventCreate(void **event, unsigned) { return *event = new Event, SUCCESS; }
API cuEventDestroy_v2(void *event) {
    streams().drain();
    return delete static_cast<Event *>(event), SUCCESS;
}
API cuEventRecord(void *name, void *stream) {
    Event *event = static_cast<Event *>(name);
    event->stream = stream;
    event->asked++;
    return streams().put(stream, {nullptr, nullptr, event, event->asked}), SUCCESS;
}
API cuEventQuery(void *name) {
    const Event *event = static_cast<Event *>(name);
    return event->done == event->asked ? SUCCESS : NOT_READY;
}
API cuEventSynchronize(void *event) { return streams().wait(static_cast<Event *>(event), static_cast<Event *>(event)->asked), SUCCESS; }
API cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    const Event *from = static_cast<Event *>(start), *to = static_cast<Event *>(end);
    if (!from->asked || !to->asked) return INVALID_HANDLE;
    if (from->done < from->asked || to->done < to->asked) return NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(to->recorded - from->recorded).count();
    return SUCCESS;
}

// ---- Kernels ----

API cuModuleLoadData(void **module, const void *image) {
    Entries entries = entries_of(static_cast<const char *>(image));
    if (entries.empty()) return INVALID_IMAGE;
    return *module = new Module{std::move(entries)}, SUCCESS;
}
API cuModuleUnload(void *module) { return delete static_cast<Module *>(module), SUCCESS; }

// The functions of a module live as long as the program; there are few.
API cuModuleGetFunction(void **function, void *module, const char *name) {
    const Entries &entries = static_cast<Module *>(module)->entries;
    auto entry = entries.find(name);
    if (entry == entries.end()) return NOT_FOUND;
    const emulator::Kernel *kernel = emulator::find(name);
    if (kernel) check_parameters(entry->second, *kernel);
    return *function = new Function{name, kernel}, SUCCESS;
}

API cuFuncSetAttribute(void *, int, int) { return SUCCESS; }

API cuLaunchKernel(void *handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared_bytes, void *stream, void **parameters, void **extra) {
    const Function &function = *static_cast<Function *>(handle);
    if (!function.kernel)
        emulator::fail("kernel %s is not in the emulator: run `make cuda-emulator`", function.name.c_str());
    if (shared_bytes || extra) emulator::fail("kernel %s: dynamic shared memory is not emulated", function.name.c_str());
    if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z) return INVALID_VALUE;
    if (grid_x > 0x7fffffff || grid_y > 65535 || grid_z > 65535) return INVALID_VALUE;
    if (block_z > 64 || size_t(block_x) * block_y * block_z > 1024) return INVALID_VALUE;
    {
        Lock lock(memory().mutex);
        counts().launched++;
        counts().launches[function.name]++;
        for (size_t i = 0; i < function.kernel->parameter_count; i++) {
            if (!function.kernel->parameters[i].pointer) continue;
            const Address pointer = *static_cast<Address *>(parameters[i]);
            if (pointer && !memory().holds(pointer, 0))
                emulator::fail("kernel %s: parameter %zu, %#llx, points outside of every allocation", function.name.c_str(), i, pointer);
        }
    }
    std::vector<std::string> values;
    for (size_t i = 0; i < function.kernel->parameter_count; i++)
        values.emplace_back(static_cast<const char *>(parameters[i]), function.kernel->parameters[i].bytes);
    streams().put(stream, {[=]() mutable {
                      std::vector<void *> pointers;
                      for (std::string &value : values) pointers.push_back(value.data());
                      emulator::launch(*function.kernel, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, pointers.data());
                      Lock lock(memory().mutex);
                      memory().check_all_guards("by kernel " + function.name);
                  }});
    return SUCCESS;
}

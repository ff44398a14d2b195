#include "dispatch.hpp"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace dejalog {

std::vector<const Kernels*> runnable_kernels() {
    std::vector<const Kernels*> kernels;
#if defined(__x86_64__)
    // These also ask whether the system saves the registers (XGETBV).
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        kernels.push_back(&kVnni);
    if (__builtin_cpu_supports("avx2")) kernels.push_back(&kAvx2);
#elif defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) kernels.push_back(&kNeon);
#endif
    kernels.push_back(&kPortable);
    return kernels;
}

const Kernels* find_kernels(std::string_view name) {
    for (const Kernels* kernels : runnable_kernels())
        if (kernels->name == name) return kernels;
    return nullptr;
}

std::size_t block_rows_of(std::size_t rows) {
    if (rows == 8 || rows == 16) return rows;
    return rows % kQueryRows ? 0 : kQueryRows;
}

}  // namespace dejalog

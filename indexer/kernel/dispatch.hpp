// Which instruction sets this build has and this machine can run.
#pragma once

#include <string_view>
#include <vector>

#include "score.hpp"

namespace dejalog {

// The kernels that can run here, best first; the portable one is always among them.
std::vector<const Kernels*> runnable_kernels();

// The kernels of that name, or null if they cannot run here.
const Kernels* find_kernels(std::string_view name);

}  // namespace dejalog

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

// The rows of a block of a query that has `rows` of them, padding included: one block of 8 or 16,
// or any number of kQueryRows; 0 where these are not whole blocks.
std::size_t block_rows_of(std::size_t rows);

}  // namespace dejalog

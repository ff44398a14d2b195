// Binds the scoring kernels to the native module.
#pragma once

#include <nanobind/nanobind.h>

namespace dejalog {

void bind_scorer(nanobind::module_& m);

}  // namespace dejalog

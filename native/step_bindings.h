// What bindings.cpp registers of the step.
#pragma once

#include <nanobind/nanobind.h>

namespace fastlstm {

void bind_step(nanobind::module_& m);

}  // namespace fastlstm

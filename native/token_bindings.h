// What bindings.cpp registers of tokens.
#pragma once

#include <nanobind/nanobind.h>

namespace fastlstm {

void bind_tokens(nanobind::module_& m);

}  // namespace fastlstm

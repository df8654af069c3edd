// Whole calls of floats whose products gather what they multiply.
#pragma once

#include "backward_separate.h"
#include "cell_choice.h"
#include "forward.h"
#include "gemm_gathered.h"

namespace fastlstm::FASTLSTM_ISA {

// Whether a call is rounded: the caller allows it, and layer normalisation stays in float.
inline bool rounds(const Sizes& sizes) { return sizes.rounded && !sizes.layer_norm; }

template <class Product>
void forward_gathered(const Forward<float>& call) {
  Arena& arena = fresh_arena();
  with_cell<float>(call.sizes.cell, [&](auto cell) {
    run_forward<ForwardPass<float, decltype(cell), float, GatheringOperand<Product>>>(call, arena);
  });
}

template <class Product>
void backward_gathered(const Backward<float>& call) {
  Arena& arena = fresh_arena();
  with_cell<float>(call.forward.sizes.cell, [&](auto cell) {
    run_backward<float, decltype(cell), GatheringOperand<Product>>(call, arena);
  });
}

}  // namespace fastlstm::FASTLSTM_ISA

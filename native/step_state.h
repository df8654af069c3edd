// The state that a step hands to the next: h and c, which Python sees as a sequence of two arrays. They are
// made when Python asks for them, and share the state's memory: what is written into them counts.
#pragma once

#include "arrays.h"

namespace fastlstm {

struct StepState {
  PyObject base;
  ArrayKind kind;
  Element element;
  int dimensions;
  int64_t shapes[2][ArrayView::kMostDimensions];
  TensorMemory* memory;
  PyObject* arrays[2];  // null until asked for

  static bool is(nanobind::handle object);
  static nanobind::object create(ArrayKind kind, Element element, int dimensions, const int64_t* h_shape,
                                 const int64_t* c_shape);

  // h (0) or c (1), as they are now: an array that Python has may have been given other memory.
  bool view(int index, ArrayView& view) const;
  void* data(int index) const { return memory->data(index); }
};

void bind_step_state(nanobind::module_& m);

}  // namespace fastlstm

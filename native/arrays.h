// Torch tensors and numpy arrays seen from C, and new ones: at a cost that a step of a microsecond can bear.
// The GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <cstdint>

#include "dlpack.h"

namespace fastlstm {

enum class ArrayKind { kTensor, kNumpy };
enum class Element { kFloat, kDouble, kBool };

template <class Real>
constexpr Element kElement = sizeof(Real) == sizeof(double) ? Element::kDouble : Element::kFloat;
constexpr size_t bytes_of(Element element) {
  return element == Element::kDouble ? sizeof(double) : element == Element::kFloat ? sizeof(float) : 1;
}

// An array on the CPU, of up to three dimensions. Valid as long as the object that it shows.
struct ArrayView {
  static constexpr int kMostDimensions = 3;

  ArrayKind kind;
  Element element;
  int dimensions;
  int64_t shape[kMostDimensions], strides[kMostDimensions];  // in values
  void* data;

  bool dense() const;  // row-major and without gaps
  bool has_shape(const int64_t* expected, int count) const;
};

// False, with no exception set, for what is no plain torch.Tensor, torch.nn.Parameter or numpy.ndarray, or
// has other elements, more dimensions, or memory elsewhere or none, as torch's wrappers have.
bool view_array(nanobind::handle object, ArrayView& view);

// A new array's shape, and the array.
struct NewArray {
  int dimensions;
  const int64_t* shape;
  nanobind::object object;
  void* data;
};
void new_arrays(ArrayKind kind, Element element, NewArray* arrays, int count);

// Memory for up to two tensors, which are made when they are wanted: a tensor costs as much as a small step.
// It goes with the last that uses it, on whatever thread that is.
class TensorMemory {
 public:
  static bool available();  // whether torch has what it takes
  static TensorMemory* create(Element element, const int* dimensions, const int64_t* const* shapes,
                              int count);
  void release();  // for who created it

  void* data(int index) const { return data_[index]; }
  nanobind::object tensor(int index);

 private:
  static void let_go(dlpack::ManagedTensor* managed);

  static constexpr int kMost = 2;
  std::atomic<int> users_;
  Element element_;
  int dimensions_[kMost];
  int64_t shapes_[kMost][ArrayView::kMostDimensions], strides_[kMost][ArrayView::kMostDimensions];
  void* data_[kMost];
};

bool is_parameter(nanobind::handle array);
// Whether it is a tensor that asks for a gradient, while gradients are being recorded.
bool records_gradient(nanobind::handle array, const ArrayView& view);
// Whether it is a tensor that only notes that the signs of what lies in memory are turned, as the imaginary
// part of a conjugate does.
bool turns_signs(nanobind::handle array, const ArrayView& view);
int64_t version_of(nanobind::handle tensor);  // counts changes in place; -1 where torch does not count
int torch_threads();
bool gradients_enabled();
bool traces();  // whether torch.jit records what a module does

// Whether torch's C interface is used where it has one, else the way that older versions have to take; said
// back. For tests.
bool use_exchange(bool use);

}  // namespace fastlstm

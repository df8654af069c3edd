// A layer's parameters, looked up by name at every step: what Python changed since the last one counts.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "step.h"

namespace fastlstm {

// A reduced copy of a matrix, and how to tell that it is out of date: by torch's count of changes, and,
// because `weight.data` can be written past that count, by values here and there.
class ReducedMatrix {
 public:
  StepMatrix of(StepWeights kind, const void* source, int64_t version, int64_t N, int64_t K);
  const std::shared_ptr<void>& memory() const { return memory_; }

 private:
  std::shared_ptr<void> memory_;
  StepMatrix matrix_{};
  const void* source_ = nullptr;
  int64_t version_ = -1;
  uint64_t sample_ = 0;
};

class StepParameters {
 public:
  // names: for each layer, those of w_ih, w_hh, b_ih, b_hh, w_hr, the peepholes, gain_ih, gain_hh, gain_c and
  // bias_c, None where the cell has no such weight.
  StepParameters(CellKind cell, int64_t inputs, int64_t hidden, int64_t outputs, nanobind::tuple names);

  int layers() const { return layers_; }
  // Puts the weights into `layers`, and the bytes of those that are read whole; false where one is not there,
  // or not what the kernel takes.
  template <class Real>
  bool read(nanobind::handle parameters, StepWeights kind, StepLayer<Real>* layers, int64_t& bytes);
  // What must outlive a call during which others may change the parameters.
  std::vector<std::shared_ptr<void>> reduced_memory(StepWeights kind) const;

 private:
  enum Slot { kWih, kWhh, kBih, kBhh, kWhr, kPeephole, kGainIh, kGainHh, kGainC, kBiasC, kSlots };
  static constexpr int kMatrices = 3;

  int shape_of(int slot, int layer, int64_t* shape) const;
  template <class Real>
  const Real* find(nanobind::handle parameters, int layer, int slot, nanobind::handle& object) const;

  CellKind cell_;
  int64_t inputs_, hidden_, outputs_;
  int layers_;
  std::vector<nanobind::object> names_;    // kSlots a layer
  std::vector<ReducedMatrix> reduced_[2];  // of bfloat16 and int8, kMatrices a layer
};

}  // namespace fastlstm

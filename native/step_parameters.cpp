#include "step_parameters.h"

#include <cstdlib>

#include "arrays.h"
#include "memory.h"

namespace nb = nanobind;

namespace fastlstm {
namespace {

uint64_t sample_of(const float* values, int64_t count) {
  constexpr int64_t kSamples = 32;
  const int64_t step = count > kSamples ? count / kSamples : 1;
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i += step) {
    uint32_t bits;
    __builtin_memcpy(&bits, values + i, sizeof bits);
    sum = (sum ^ bits) * 0x9E3779B97F4A7C15u;
  }
  return sum;
}

}  // namespace

StepMatrix ReducedMatrix::of(StepWeights kind, const void* source, int64_t version, int64_t N, int64_t K) {
  const float* values = static_cast<const float*>(source);
  const uint64_t sample = sample_of(values, N * K);
  if (source != source_ || version != version_ || version < 0 || sample != sample_) {
    memory_ = std::shared_ptr<void>(allocate(reduced_bytes(kind, N, K)), std::free);
    matrix_ = reduce(kind, values, N, K, memory_.get());
    source_ = source;
    version_ = version;
    sample_ = sample;
  }
  return matrix_;
}

StepParameters::StepParameters(CellKind cell, int64_t inputs, int64_t hidden, int64_t outputs,
                               nb::tuple names)
    : cell_(cell), inputs_(inputs), hidden_(hidden), outputs_(outputs), layers_((int)names.size()) {
  for (nb::handle layer : names)
    for (int slot = 0; slot < kSlots; ++slot) {
      PyObject* name = nb::object(layer[slot]).release().ptr();
      if (name != Py_None) PyUnicode_InternInPlace(&name);
      names_.push_back(nb::steal(name));
    }
  for (auto& kind : reduced_) kind.resize(layers_ * kMatrices);
}

// The shape of a weight; how many dimensions it has.
int StepParameters::shape_of(int slot, int layer, int64_t* shape) const {
  const int64_t gates = gates_of(cell_);
  shape[0] = gates * hidden_;
  shape[1] = 0;
  switch (slot) {
    case kWih:
      shape[1] = layer == 0 ? inputs_ : outputs_;
      return 2;
    case kWhh:
      shape[1] = outputs_;
      return 2;
    case kWhr:
      shape[0] = outputs_;
      shape[1] = hidden_;
      return 2;
    case kPeephole:
      shape[0] = (gates - 1) * hidden_;
      return 1;
    case kGainC:
    case kBiasC:
      shape[0] = hidden_;
      return 1;
    default:
      return 1;
  }
}

template <class Real>
const Real* StepParameters::find(nb::handle parameters, int layer, int slot, nb::handle& object) const {
  object = PyDict_GetItemWithError(parameters.ptr(), names_[layer * kSlots + slot].ptr());
  ArrayView view;
  if (!object.is_valid() || !view_array(object, view) || view.element != kElement<Real> || !view.dense())
    return nullptr;
  // What stands in a parameter's place (torch.func.functional_call) is differentiated where it asks for it.
  if (!is_parameter(object) && records_gradient(object, view)) return nullptr;
  int64_t shape[2];
  const int dimensions = shape_of(slot, layer, shape);
  return view.has_shape(shape, dimensions) ? static_cast<const Real*>(view.data) : nullptr;
}

template <class Real>
bool StepParameters::read(nb::handle parameters, StepWeights kind, StepLayer<Real>* layers, int64_t& bytes) {
  for (int i = 0; i < layers_; ++i) {
    const Real* found[kSlots] = {};
    StepMatrix matrices[kSlots] = {};
    for (int slot = 0; slot < kSlots; ++slot) {
      if (names_[i * kSlots + slot].is_none()) continue;
      nb::handle object;
      found[slot] = find<Real>(parameters, i, slot, object);
      if (!found[slot]) return PyErr_Clear(), false;
      if (slot != kWih && slot != kWhh && slot != kWhr) continue;
      int64_t shape[2];
      shape_of(slot, i, shape);
      if (kind == StepWeights::kFull) {
        matrices[slot].data = found[slot];
        bytes += shape[0] * shape[1] * (int64_t)sizeof(Real);
      } else {
        ReducedMatrix& reduced = reduced_[(int)kind - 1][i * kMatrices + (slot == kWhr ? 2 : slot)];
        matrices[slot] = reduced.of(kind, found[slot], version_of(object), shape[0], shape[1]);
        bytes += (int64_t)reduced_bytes(kind, shape[0], shape[1]);
      }
    }
    StepLayer<Real>& layer = layers[i];
    layer.w_ih = matrices[kWih];
    layer.w_hh = matrices[kWhh];
    layer.w_hr = matrices[kWhr];
    layer.b_ih = found[kBih];
    layer.b_hh = found[kBhh];
    layer.peephole = found[kPeephole];
    layer.gain_ih = found[kGainIh];
    layer.gain_hh = found[kGainHh];
    layer.gain_c = found[kGainC];
    layer.bias_c = found[kBiasC];
  }
  return true;
}

template bool StepParameters::read(nb::handle, StepWeights, StepLayer<float>*, int64_t&);
template bool StepParameters::read(nb::handle, StepWeights, StepLayer<double>*, int64_t&);

std::vector<std::shared_ptr<void>> StepParameters::reduced_memory(StepWeights kind) const {
  std::vector<std::shared_ptr<void>> memory;
  if (kind != StepWeights::kFull)
    for (const ReducedMatrix& reduced : reduced_[(int)kind - 1]) memory.push_back(reduced.memory());
  return memory;
}

}  // namespace fastlstm

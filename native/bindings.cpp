// The kernels in Python, but for the step (step_bindings.cpp). Arrays come as addresses, 0 for none: the
// callers in fastlstm.ops own the tensors and have checked their types, shapes and layout.
// src/fastlstm/_native.pyi says what each function takes.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "lstm.h"
#include "memory.h"
#include "plan.h"
#include "step_bindings.h"
#include "token_bindings.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace fastlstm;

namespace {

using Address = uintptr_t;

template <class T>
T* at(nb::handle address) {
  return reinterpret_cast<T*>(nb::cast<Address>(address));
}

Sizes sizes_from(const nb::tuple& s) {
  const auto number = [&](int i) { return nb::cast<int64_t>(s[i]); };
  return {number(0),
          number(1),
          number(2),
          number(3),
          number(4),
          (int)number(5),
          static_cast<Layout>(number(6)),
          number(7),
          number(8) != 0,
          static_cast<CellKind>(number(9)),
          number(10) != 0,
          number(11) != 0,
          number(12) != 0};
}

constexpr int kWeights = 10;  // of a direction, in the order of Weights

// arrays: lengths, packed_offsets, x, h0, c0, y, hn, cn, reserve, reset, recurrent_mask, seed; zoneout: of h,
// of c.
template <class Real, class Value = Real>
Forward<Real, Value> forward_from(const nb::tuple& sizes, const nb::tuple& arrays, const nb::tuple& zoneout,
                                  const nb::tuple& weights, int threads) {
  Forward<Real, Value> call{};
  call.sizes = sizes_from(sizes);
  call.ragged = {at<const int64_t>(arrays[0]), at<const int64_t>(arrays[1])};
  call.x = at<const Value>(arrays[2]);
  call.h0 = at<const Value>(arrays[3]);
  call.c0 = at<const Real>(arrays[4]);
  call.y = at<Value>(arrays[5]);
  call.hn = at<Value>(arrays[6]);
  call.cn = at<Real>(arrays[7]);
  call.reserve = at<Real>(arrays[8]);
  call.extras = {at<const uint8_t>(arrays[9]), at<const Real>(arrays[10]), nb::cast<double>(zoneout[0]),
                 nb::cast<double>(zoneout[1]), at<const int64_t>(arrays[11])};
  for (int d = 0; d < call.sizes.directions; ++d) {
    const auto weight = [&](int i) { return at<const Real>(weights[kWeights * d + i]); };
    call.weights[d] = {weight(0), weight(1), weight(2), weight(3), weight(4),
                       weight(5), weight(6), weight(7), weight(8), weight(9)};
  }
  call.threads = threads;
  return call;
}

// gradients: dy, read_steps, dhn, dcn, dx, dh0, dc0; dweights as the weights.
template <class Real>
Backward<Real> backward_from(Forward<Real> forward, const nb::tuple& gradients, int64_t reads,
                             const nb::tuple& dweights) {
  Backward<Real> call{};
  call.forward = forward;
  call.dy = at<const Real>(gradients[0]);
  call.read_steps = at<const int64_t>(gradients[1]);
  call.reads = reads;
  call.dhn = at<const Real>(gradients[2]);
  call.dcn = at<const Real>(gradients[3]);
  call.dx = at<Real>(gradients[4]);
  call.dh0 = at<Real>(gradients[5]);
  call.dc0 = at<Real>(gradients[6]);
  for (int d = 0; d < forward.sizes.directions; ++d) {
    const auto gradient = [&](int i) { return at<Real>(dweights[kWeights * d + i]); };
    call.dweights[d] = {gradient(0), gradient(1), gradient(2), gradient(3), gradient(4),
                        gradient(5), gradient(6), gradient(7), gradient(8), gradient(9)};
  }
  return call;
}

// sizes: N, K, M; arrays: x, w, b, y; relu: of x, of y.
template <class Real>
Linear<Real> linear_from(const nb::tuple& sizes, const nb::tuple& arrays, const nb::tuple& relu, int threads,
                         bool rounded) {
  const auto size = [&](int i) { return nb::cast<int64_t>(sizes[i]); };
  return {size(0),
          size(1),
          size(2),
          at<const Real>(arrays[0]),
          at<const Real>(arrays[1]),
          at<const Real>(arrays[2]),
          at<Real>(arrays[3]),
          nb::cast<bool>(relu[0]),
          nb::cast<bool>(relu[1]),
          threads,
          rounded};
}
// gradients: dy, dx, dw, db.
template <class Real>
LinearGradient<Real> linear_gradient_from(Linear<Real> layer, const nb::tuple& gradients) {
  return {layer, at<const Real>(gradients[0]), at<Real>(gradients[1]), at<Real>(gradients[2]),
          at<Real>(gradients[3])};
}

// sizes: R, Q, N, median; arrays: raw, values, barred, target, weight, levels, loss, gradient.
template <class Real>
QuantileLoss<Real> quantile_loss_from(const nb::tuple& sizes, const nb::tuple& arrays, int threads) {
  const auto size = [&](int i) { return nb::cast<int64_t>(sizes[i]); };
  const auto array = [&](int i) { return at<const Real>(arrays[i]); };
  return {size(0),
          size(1),
          size(2),
          size(3),
          array(0),
          array(1),
          array(2),
          array(3),
          array(4),
          array(5),
          at<Real>(arrays[6]),
          at<Real>(arrays[7]),
          threads};
}

template <class Call>
void without_gil(void (*kernel)(const Call&), const Call& call) {
  nb::gil_scoped_release release;
  kernel(call);
}

// arrays: logits, targets, loss, gradient. False where a target is no class.
template <class Real>
bool run_smoothed_loss(void (*kernel)(const SmoothedLoss<Real>&), int64_t rows, int64_t classes,
                       const nb::tuple& arrays, double smoothing, int threads) {
  const auto* targets = at<const int64_t>(arrays[1]);
  if (std::any_of(targets, targets + rows, [=](int64_t target) { return target < 0 || target >= classes; }))
    return false;
  without_gil(kernel, SmoothedLoss<Real>{rows, classes, at<const Real>(arrays[0]), targets, smoothing,
                                         at<Real>(arrays[2]), at<Real>(arrays[3]), threads});
  return true;
}

// A torch tensor on memory that an earlier one may have left.
template <class Real>
nb::ndarray<nb::pytorch, Real, nb::ndim<1>> tensor_on_block(size_t values) {
  if (values > PTRDIFF_MAX / sizeof(Real))
    throw std::length_error("what a backward pass needs is more than can be addressed: use checkpoint_every");
  void* block = take_block(values * sizeof(Real));
  nb::capsule owner(block, [](void* data) noexcept { return_block(data); });
  return nb::ndarray<nb::pytorch, Real, nb::ndim<1>>(block, {values}, owner);
}

// layers: sizes, arrays and weights of each.
template <class Real>
void run_stack(void (*kernel)(const Forward<Real>*, int), const nb::list& layers, const nb::tuple& zoneout,
               int threads) {
  std::vector<Forward<Real>> calls;
  for (nb::handle layer : layers) {
    const nb::tuple parts = nb::cast<nb::tuple>(layer);
    const auto part = [&](int i) { return nb::cast<nb::tuple>(parts[i]); };
    calls.push_back(forward_from<Real>(part(0), part(1), zoneout, part(2), threads));
  }
  nb::gil_scoped_release release;
  kernel(calls.data(), (int)calls.size());
}

}  // namespace

NB_MODULE(_native, m) {
  // What a process holds when it ends, as workers do that are stopped, is no leak.
  nb::set_leak_warnings(false);
  m.doc() = "The kernels. Arrays are addresses; fastlstm.ops is the face that one calls.";
  m.def("reserve_values", [](bool is_double, int cell, bool layer_norm, int64_t hidden) {
    const Kernels& kernels = active_kernels();
    return (is_double ? kernels.reserve_values64 : kernels.reserve_values32)(static_cast<CellKind>(cell),
                                                                             layer_norm, hidden);
  });
  m.def("empty32", [](size_t values) { return tensor_on_block<float>(values); });
  m.def("empty64", [](size_t values) { return tensor_on_block<double>(values); });
  m.def("forward", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays,
                      const nb::tuple& zoneout, const nb::tuple& weights, int threads) {
    if (is_double)
      without_gil(active_kernels().forward64, forward_from<double>(sizes, arrays, zoneout, weights, threads));
    else
      without_gil(active_kernels().forward32, forward_from<float>(sizes, arrays, zoneout, weights, threads));
  });
  m.def("layers_at_once", [](const nb::tuple& sizes, int layers, int threads) {
    return layers_at_once(sizes_from(sizes), layers, threads);
  });
  m.def("forward_stack", [](bool is_double, const nb::list& layers, const nb::tuple& zoneout, int threads) {
    if (is_double)
      run_stack(active_kernels().stack64, layers, zoneout, threads);
    else
      run_stack(active_kernels().stack32, layers, zoneout, threads);
  });
  m.def("lengths_fit", [](Address lengths, int64_t batch, int64_t steps) {
    return lengths_fit(reinterpret_cast<const int64_t*>(lengths), batch, steps);
  });
  m.def("read_batch_sizes", [](Address batch_sizes, int64_t steps, int64_t batch, int64_t rows,
                               Address offsets, Address lengths) {
    return read_batch_sizes(reinterpret_cast<const int64_t*>(batch_sizes), steps, batch, rows,
                            reinterpret_cast<int64_t*>(offsets), reinterpret_cast<int64_t*>(lengths));
  });
  m.def("has_bfloat16", [] { return active_kernels().forward16 != nullptr; });
  m.def("forward16", [](const nb::tuple& sizes, const nb::tuple& arrays, const nb::tuple& weights,
                        int threads) {
    without_gil(active_kernels().forward16,
                forward_from<float, Bfloat16>(sizes, arrays, nb::make_tuple(0.0, 0.0), weights, threads));
  });
  m.def("backward", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays,
                       const nb::tuple& zoneout, const nb::tuple& weights, const nb::tuple& gradients,
                       int64_t reads, const nb::tuple& dweights) {
    if (is_double)
      without_gil(active_kernels().backward64,
                  backward_from(forward_from<double>(sizes, arrays, zoneout, weights, 0), gradients, reads,
                                dweights));
    else
      without_gil(
          active_kernels().backward32,
          backward_from(forward_from<float>(sizes, arrays, zoneout, weights, 0), gradients, reads, dweights));
  });
  m.def("linear", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays, const nb::tuple& relu,
                     int threads, bool rounded) {
    if (is_double)
      without_gil(active_kernels().linear64, linear_from<double>(sizes, arrays, relu, threads, rounded));
    else
      without_gil(active_kernels().linear32, linear_from<float>(sizes, arrays, relu, threads, rounded));
  });
  m.def("linear_gradient", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays,
                              const nb::tuple& relu, int threads, bool rounded, const nb::tuple& gradients) {
    if (is_double)
      without_gil(
          active_kernels().linear_gradient64,
          linear_gradient_from(linear_from<double>(sizes, arrays, relu, threads, rounded), gradients));
    else
      without_gil(active_kernels().linear_gradient32,
                  linear_gradient_from(linear_from<float>(sizes, arrays, relu, threads, rounded), gradients));
  });
  m.def("quantile_loss", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays, int threads) {
    if (is_double)
      without_gil(active_kernels().quantile_loss64, quantile_loss_from<double>(sizes, arrays, threads));
    else
      without_gil(active_kernels().quantile_loss32, quantile_loss_from<float>(sizes, arrays, threads));
  });
  m.def("smoothed_loss", [](bool is_double, int64_t rows, int64_t classes, const nb::tuple& arrays,
                            double smoothing, int threads) {
    if (is_double)
      return run_smoothed_loss(active_kernels().smoothed_loss64, rows, classes, arrays, smoothing, threads);
    return run_smoothed_loss(active_kernels().smoothed_loss32, rows, classes, arrays, smoothing, threads);
  });
  bind_step(m);
  bind_tokens(m);
  m.attr("RESERVE_HEADER") = kReserveHeader;
  m.attr("ROWS_TO_STACK") = kRowsToStack;
  m.def("instruction_set", [] { return active_kernels().name; });
  m.def("instruction_sets", [] {
    nb::list names;
    const KernelList all = compiled_kernels();
    for (int i = 0; i < all.count; ++i)
      if (all.data[i]->supported()) names.append(all.data[i]->name);
    return names;
  });
  m.def("use_instruction_set", [](const char* name) { return select_kernels(name); });
  m.def("fma_peak", [](int threads, double seconds) {
    nb::gil_scoped_release release;
    return active_kernels().fma_peak(threads, seconds);
  });
  m.def("read_rate", [](int64_t bytes, int threads, double seconds) {
    nb::gil_scoped_release release;
    return active_kernels().read_rate(bytes, threads, seconds);
  });
}

// The one file that knows Python. Arrays come as addresses, 0 for none: the callers in fastlstm.ops own the
// tensors and have checked their types, shapes and layout. src/fastlstm/_native.pyi says what each function
// takes.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "lstm.h"
#include "memory.h"

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
          number(8) != 0};
}

// arrays: lengths, packed_offsets, x, h0, c0, y, hn, cn, reserve; weights: w_ih, w_hh, b_ih, b_hh, w_hr a
// direction.
template <class Real>
Forward<Real> forward_from(const nb::tuple& sizes, const nb::tuple& arrays, const nb::tuple& weights,
                           int threads) {
  Forward<Real> call{};
  call.sizes = sizes_from(sizes);
  call.ragged = {at<const int64_t>(arrays[0]), at<const int64_t>(arrays[1])};
  call.x = at<const Real>(arrays[2]);
  call.h0 = at<const Real>(arrays[3]);
  call.c0 = at<const Real>(arrays[4]);
  call.y = at<Real>(arrays[5]);
  call.hn = at<Real>(arrays[6]);
  call.cn = at<Real>(arrays[7]);
  call.reserve = at<Real>(arrays[8]);
  for (int d = 0; d < call.sizes.directions; ++d)
    call.weights[d] = {at<const Real>(weights[5 * d]), at<const Real>(weights[5 * d + 1]),
                       at<const Real>(weights[5 * d + 2]), at<const Real>(weights[5 * d + 3]),
                       at<const Real>(weights[5 * d + 4])};
  call.threads = threads;
  return call;
}

// gradients: dy, dhn, dcn, dx, dh0, dc0; dweights: w_ih, w_hh, bias, w_hr a direction.
template <class Real>
Backward<Real> backward_from(Forward<Real> forward, const nb::tuple& gradients, const nb::tuple& dweights) {
  Backward<Real> call{};
  call.forward = forward;
  call.dy = at<const Real>(gradients[0]);
  call.dhn = at<const Real>(gradients[1]);
  call.dcn = at<const Real>(gradients[2]);
  call.dx = at<Real>(gradients[3]);
  call.dh0 = at<Real>(gradients[4]);
  call.dc0 = at<Real>(gradients[5]);
  for (int d = 0; d < forward.sizes.directions; ++d)
    call.dweights[d] = {at<Real>(dweights[4 * d]), at<Real>(dweights[4 * d + 1]),
                        at<Real>(dweights[4 * d + 2]), at<Real>(dweights[4 * d + 3])};
  return call;
}

// A torch tensor on memory that an earlier one may have left.
template <class Real>
nb::ndarray<nb::pytorch, Real, nb::ndim<1>> tensor_on_block(size_t values) {
  void* block = take_block(values * sizeof(Real));
  nb::capsule owner(block, [](void* data) noexcept { return_block(data); });
  return nb::ndarray<nb::pytorch, Real, nb::ndim<1>>(block, {values}, owner);
}

template <class Call>
void without_gil(void (*kernel)(const Call&), const Call& call) {
  nb::gil_scoped_release release;
  kernel(call);
}

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "The kernels. Arrays are addresses; fastlstm.ops is the face that one calls.";
  m.def("reserve_values", [](bool is_double, int64_t hidden) {
    const Kernels& kernels = active_kernels();
    return (is_double ? kernels.reserve_values64 : kernels.reserve_values32)(hidden);
  });
  m.def("empty32", [](size_t values) { return tensor_on_block<float>(values); });
  m.def("empty64", [](size_t values) { return tensor_on_block<double>(values); });
  m.def("lstm_forward", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays,
                           const nb::tuple& weights, int threads) {
    if (is_double)
      without_gil(active_kernels().forward64, forward_from<double>(sizes, arrays, weights, threads));
    else
      without_gil(active_kernels().forward32, forward_from<float>(sizes, arrays, weights, threads));
  });
  m.def("lstm_backward", [](bool is_double, const nb::tuple& sizes, const nb::tuple& arrays,
                            const nb::tuple& weights, const nb::tuple& gradients, const nb::tuple& dweights) {
    if (is_double)
      without_gil(active_kernels().backward64,
                  backward_from(forward_from<double>(sizes, arrays, weights, 0), gradients, dweights));
    else
      without_gil(active_kernels().backward32,
                  backward_from(forward_from<float>(sizes, arrays, weights, 0), gradients, dweights));
  });
  m.attr("RESERVE_HEADER") = kReserveHeader;
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
}

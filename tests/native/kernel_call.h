// A problem as a kernel gets it: every array in a heap block of exactly the size that native/lstm.h says, so
// that the address sanitizer sees the first value past its end.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "checks.h"
#include "reference.h"

namespace native_tests {

using fastlstm::Backward;
using fastlstm::Forward;
using fastlstm::Kernels;

// It begins `misalignment` values past an aligned address: callers' arrays may lie anywhere.
template <class Real>
class Buffer {
 public:
  Buffer() = default;
  Buffer(size_t size, int misalignment) : size_(size), offset_(misalignment) {
    block_ = static_cast<Real*>(std::malloc((size_ + offset_) * sizeof(Real) + (size_ + offset_ == 0)));
    if (!block_) throw std::bad_alloc();
    std::fill(block_, block_ + offset_ + size_, std::numeric_limits<Real>::quiet_NaN());
  }
  Buffer(const Values& values, int misalignment) : Buffer(values.size(), misalignment) {
    std::transform(values.begin(), values.end(), data(), [](double value) { return (Real)value; });
  }
  Buffer(Buffer&& other) noexcept : Buffer() { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(size_, other.size_);
    std::swap(offset_, other.offset_);
    return *this;
  }
  ~Buffer() { std::free(block_); }

  Real* data() const { return block_ ? block_ + offset_ : nullptr; }
  size_t size() const { return size_; }
  bool same_bits(const Buffer& other) const {
    return size_ == other.size_ &&
           (size_ == 0 || std::memcmp(data(), other.data(), size_ * sizeof(Real)) == 0);
  }

 private:
  Real* block_ = nullptr;
  size_t size_ = 0;
  int offset_ = 0;
};

struct Options {
  int threads = 1;
  int misalignment = 0;
  bool keep = true;  // what the backward pass needs
  bool wants_dx = true, wants_dh0 = true, wants_dc0 = true, wants_dweights = true;
};

template <class Real>
class KernelCall {
 public:
  KernelCall(const Kernels& kernels, const Problem& problem, const Options& options)
      : kernels_(kernels), problem_(problem), options_(options) {
    const int64_t states = problem.directions * problem.batch, rows = problem.rows();
    x_ = copy(problem.x);
    h0_ = given(problem.h0);
    c0_ = given(problem.c0);
    dy_ = given(problem.dy);
    dhn_ = given(problem.dhn);
    dcn_ = given(problem.dcn);
    y_ = unwritten(rows * problem.directions * problem.outputs);
    hn_ = unwritten(states * problem.outputs);
    cn_ = unwritten(states * problem.hidden);
    const int64_t row = sizeof(Real) == 4 ? kernels.reserve_values32(kCell, problem.hidden)
                                          : kernels.reserve_values64(kCell, problem.hidden);
    if (options.keep) reserve_ = unwritten(fastlstm::kReserveHeader + problem.directions * rows * row);
    if (options.wants_dx) dx_ = unwritten(rows * problem.inputs);
    if (options.wants_dh0) dh0_ = unwritten(states * problem.outputs);
    if (options.wants_dc0) dc0_ = unwritten(states * problem.hidden);
    for (int d = 0; d < problem.directions; ++d) {
      const WeightValues& from = problem.weights[d];
      weights_[d] = {copy(from.w_ih), copy(from.w_hh), given(from.b_ih), given(from.b_hh), given(from.w_hr)};
      if (!options.wants_dweights) continue;
      dweights_[d] = {unwritten(from.w_ih.size()),
                      unwritten(from.w_hh.size()),
                      unwritten_like(from.b_ih),
                      {},
                      unwritten_like(from.w_hr)};
    }
  }

  void run_forward() {
    const Forward<Real> call = forward_call();
    if constexpr (sizeof(Real) == 4)
      kernels_.forward32(call);
    else
      kernels_.forward64(call);
  }

  void run_backward() {
    Backward<Real> call{};
    call.forward = forward_call();
    call.forward.hn = call.forward.cn = nullptr;  // not read, says the contract
    call.forward.threads = 0;
    call.dy = dy_.data();
    call.dhn = dhn_.data();
    call.dcn = dcn_.data();
    call.dx = dx_.data();
    call.dh0 = dh0_.data();
    call.dc0 = dc0_.data();
    for (int d = 0; d < problem_.directions; ++d) {
      call.dweights[d].w_ih = dweights_[d].w_ih.data();
      call.dweights[d].w_hh = dweights_[d].w_hh.data();
      call.dweights[d].b_ih = dweights_[d].b_ih.data();
      call.dweights[d].w_hr = dweights_[d].w_hr.data();
    }
    if constexpr (sizeof(Real) == 4)
      kernels_.backward32(call);
    else
      kernels_.backward64(call);
  }

  void check_forward(const Results& expected) const {
    check_close("y", y_.data(), expected.y);
    check_close("hn", hn_.data(), expected.hn);
    check_close("cn", cn_.data(), expected.cn);
  }
  void check_backward(const Results& expected) const {
    if (options_.wants_dx) check_close("dx", dx_.data(), expected.dx);
    if (options_.wants_dh0) check_close("dh0", dh0_.data(), expected.dh0);
    if (options_.wants_dc0) check_close("dc0", dc0_.data(), expected.dc0);
    if (!options_.wants_dweights) return;
    for (int d = 0; d < problem_.directions; ++d) {
      check_close("dw_ih", dweights_[d].w_ih.data(), expected.dweights[d].w_ih);
      check_close("dw_hh", dweights_[d].w_hh.data(), expected.dweights[d].w_hh);
      check_close("db_ih", dweights_[d].b_ih.data(), expected.dweights[d].b_ih);
      check_close("dw_hr", dweights_[d].w_hr.data(), expected.dweights[d].w_hr);
    }
  }
  void run_and_check(const Results& expected) {
    run_forward();
    check_forward(expected);
    if (!options_.keep) return;
    run_backward();
    check_backward(expected);
  }

  bool same_bits(const KernelCall& other) const {
    bool same = y_.same_bits(other.y_) && hn_.same_bits(other.hn_) && cn_.same_bits(other.cn_) &&
                dx_.same_bits(other.dx_) && dh0_.same_bits(other.dh0_) && dc0_.same_bits(other.dc0_);
    for (int d = 0; d < problem_.directions; ++d) {
      const Arrays &own = dweights_[d], &others = other.dweights_[d];
      same = same && own.w_ih.same_bits(others.w_ih) && own.w_hh.same_bits(others.w_hh) &&
             own.b_ih.same_bits(others.b_ih) && own.w_hr.same_bits(others.w_hr);
    }
    return same;
  }

  const Real* y() const { return y_.data(); }
  const Real* cn() const { return cn_.data(); }
  const Real* dx() const { return dx_.data(); }

 private:
  struct Arrays {
    Buffer<Real> w_ih, w_hh, b_ih, b_hh, w_hr;
  };

  static constexpr auto kCell = fastlstm::CellKind::kLstm;

  Buffer<Real> copy(const Values& values) const { return Buffer<Real>(values, options_.misalignment); }
  Buffer<Real> given(const Values& values) const { return values.empty() ? Buffer<Real>() : copy(values); }
  Buffer<Real> unwritten(size_t size) const { return Buffer<Real>(size, options_.misalignment); }
  Buffer<Real> unwritten_like(const Values& values) const {
    return values.empty() ? Buffer<Real>() : unwritten(values.size());
  }

  Forward<Real> forward_call() {
    Forward<Real> call{};
    call.sizes.steps = problem_.steps;
    call.sizes.batch = problem_.batch;
    call.sizes.inputs = problem_.inputs;
    call.sizes.hidden = problem_.hidden;
    call.sizes.outputs = problem_.outputs;
    call.sizes.directions = problem_.directions;
    call.sizes.layout = problem_.layout;
    call.sizes.rows = problem_.rows();
    call.sizes.projected = problem_.projected;
    if (!problem_.lengths.empty()) call.ragged.lengths = problem_.lengths.data();
    if (problem_.layout == fastlstm::Layout::kPacked)
      call.ragged.packed_offsets = problem_.packed_offsets.data();
    call.x = x_.data();
    call.h0 = h0_.data();
    call.c0 = c0_.data();
    for (int d = 0; d < problem_.directions; ++d) {
      call.weights[d].w_ih = weights_[d].w_ih.data();
      call.weights[d].w_hh = weights_[d].w_hh.data();
      call.weights[d].b_ih = weights_[d].b_ih.data();
      call.weights[d].b_hh = weights_[d].b_hh.data();
      call.weights[d].w_hr = weights_[d].w_hr.data();
    }
    call.y = y_.data();
    call.hn = hn_.data();
    call.cn = cn_.data();
    call.reserve = reserve_.data();
    call.threads = options_.threads;
    return call;
  }

  const Kernels& kernels_;
  const Problem& problem_;
  const Options options_;
  Buffer<Real> x_, h0_, c0_, dy_, dhn_, dcn_;
  Buffer<Real> y_, hn_, cn_, reserve_, dx_, dh0_, dc0_;
  Arrays weights_[2], dweights_[2];
};

}  // namespace native_tests

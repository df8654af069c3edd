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
  bool keep = true;      // what the backward pass needs
  bool rounded = false;  // whether products may be of bfloat16
  bool wants_dx = true, wants_dh0 = true, wants_dc0 = true, wants_dweights = true;
};

template <class Real>
class KernelCall {
 public:
  KernelCall(const Kernels& kernels, const Problem& problem, const Options& options)
      : kernels_(kernels), problem_(problem), options_(options) {
    const int64_t states = problem.directions * problem.batch, rows = problem.rows();
    const int64_t cells = problem.is_lstm() ? states * problem.hidden : 0;
    reset_.assign(problem.reset.begin(), problem.reset.end());
    mask_ = given(problem.recurrent_mask);
    x_ = copy(problem.x);
    h0_ = given(problem.h0);
    c0_ = given(problem.c0);
    dy_ = given(problem.dy);
    dhn_ = given(problem.dhn);
    dcn_ = given(problem.dcn);
    y_ = unwritten(rows * problem.directions * problem.outputs);
    hn_ = unwritten(states * problem.outputs);
    if (problem.is_lstm()) cn_ = unwritten(cells);
    const auto reserve_values = sizeof(Real) == 4 ? kernels.reserve_values32 : kernels.reserve_values64;
    const int64_t row = reserve_values(problem.cell, problem.layer_norm, problem.hidden);
    if (options.keep) reserve_ = unwritten(fastlstm::kReserveHeader + problem.directions * rows * row);
    if (options.wants_dx) dx_ = unwritten(rows * problem.inputs);
    if (options.wants_dh0) dh0_ = unwritten(states * problem.outputs);
    if (wants_dc0()) dc0_ = unwritten(cells);
    for (int d = 0; d < problem.directions; ++d)
      for (int w = 0; w < kWeights; ++w) {
        weights_[d][w] = given(problem.weights[d][w]);
        if (has_gradient(d, w)) dweights_[d][w] = unwritten(problem.weights[d][w].size());
      }
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
    call.sizes.cell = problem_.cell;
    call.sizes.layer_norm = problem_.layer_norm;
    call.sizes.reverse = problem_.reverse;
    call.sizes.rounded = options_.rounded;
    if (!problem_.lengths.empty()) call.ragged.lengths = problem_.lengths.data();
    if (problem_.layout == fastlstm::Layout::kPacked)
      call.ragged.packed_offsets = problem_.packed_offsets.data();
    if (!reset_.empty()) call.extras.reset = reset_.data();
    call.extras.recurrent_mask = mask_.data();
    call.extras.zoneout_h = problem_.zoneout_h;
    call.extras.zoneout_c = problem_.zoneout_c;
    if (!problem_.seed.empty()) call.extras.seed = problem_.seed.data();
    call.x = x_.data();
    call.h0 = h0_.data();
    call.c0 = c0_.data();
    for (int d = 0; d < problem_.directions; ++d) {
      auto& to = call.weights[d];
      const Real** const places[] = {&to.w_ih,     &to.w_hh,    &to.b_ih,    &to.b_hh,   &to.w_hr,
                                     &to.peephole, &to.gain_ih, &to.gain_hh, &to.gain_c, &to.bias_c};
      for (int w = 0; w < kWeights; ++w) *places[w] = weights_[d][w].data();
    }
    call.y = y_.data();
    call.hn = hn_.data();
    call.cn = cn_.data();
    call.reserve = reserve_.data();
    call.threads = options_.threads;
    return call;
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
    if (!problem_.read_steps.empty()) call.read_steps = problem_.read_steps.data();
    call.reads = (int64_t)problem_.read_steps.size();
    call.dhn = dhn_.data();
    call.dcn = dcn_.data();
    call.dx = dx_.data();
    call.dh0 = dh0_.data();
    call.dc0 = dc0_.data();
    for (int d = 0; d < problem_.directions; ++d) {
      auto& to = call.dweights[d];
      Real** const places[] = {&to.w_ih,     &to.w_hh,    &to.b_ih,    &to.b_hh,   &to.w_hr,
                               &to.peephole, &to.gain_ih, &to.gain_hh, &to.gain_c, &to.bias_c};
      for (int w = 0; w < kWeights; ++w) *places[w] = dweights_[d][w].data();
    }
    if constexpr (sizeof(Real) == 4)
      kernels_.backward32(call);
    else
      kernels_.backward64(call);
  }

  void check_forward(const Results& expected) const {
    near("y", y_, expected.y);
    near("hn", hn_, expected.hn);
    near("cn", cn_, expected.cn);
  }
  void check_backward(const Results& expected) const {
    if (options_.wants_dx) near("dx", dx_, expected.dx);
    if (options_.wants_dh0) near("dh0", dh0_, expected.dh0);
    if (wants_dc0()) near("dc0", dc0_, expected.dc0);
    for (int d = 0; d < problem_.directions; ++d)
      for (int w = 0; w < kWeights; ++w)
        if (has_gradient(d, w)) near(kWeightNames[w], dweights_[d][w], expected.dweights[d][w]);
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
    for (int d = 0; d < problem_.directions; ++d)
      for (int w = 0; w < kWeights; ++w) same = same && dweights_[d][w].same_bits(other.dweights_[d][w]);
    return same;
  }

  const Real* y() const { return y_.data(); }
  const Real* cn() const { return cn_.data(); }
  const Real* dx() const { return dx_.data(); }

 private:
  Buffer<Real> copy(const Values& values) const { return Buffer<Real>(values, options_.misalignment); }
  Buffer<Real> given(const Values& values) const { return values.empty() ? Buffer<Real>() : copy(values); }
  Buffer<Real> unwritten(size_t size) const { return Buffer<Real>(size, options_.misalignment); }

  // Rounded to 8 bits, a product is off by 2^-8 of itself, and what hangs on many of them by some times that.
  void near(const char* name, const Buffer<Real>& got, const Values& expected) const {
    check_close(name, got.data(), expected, options_.rounded ? 0x1p-4 : kTolerance<Real>);
  }
  bool wants_dc0() const { return options_.wants_dc0 && problem_.is_lstm(); }
  // The gradient of b_hh is that of b_ih, but for a GRU.
  bool has_gradient(int direction, int weight) const {
    if (weight == kBhh && problem_.cell != fastlstm::CellKind::kGru) return false;
    return options_.wants_dweights && !problem_.weights[direction][weight].empty();
  }

  const Kernels& kernels_;
  const Problem& problem_;
  const Options options_;
  std::vector<uint8_t> reset_;
  Buffer<Real> mask_, x_, h0_, c0_, dy_, dhn_, dcn_;
  Buffer<Real> y_, hn_, cn_, reserve_, dx_, dh0_, dc0_;
  Buffer<Real> weights_[2][kWeights], dweights_[2][kWeights];
};

}  // namespace native_tests

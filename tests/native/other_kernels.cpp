// The kernels beside the recurrent ones of float32 and float64: bfloat16 forward passes, and dense layers.
#include "native_tests.h"

namespace native_tests {
namespace {

using fastlstm::Bfloat16;
using fastlstm::Linear;
using fastlstm::LinearGradient;

Bfloat16 to_bfloat16(double value) {  // of a value that is one
  const float single = (float)value;
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  return {(uint16_t)(bits >> 16)};
}
double from_bfloat16(Bfloat16 value) {
  const uint32_t bits = (uint32_t)value.bits << 16;
  float single;
  std::memcpy(&single, &bits, sizeof single);
  return single;
}
void make_bfloat16(Values& values) {
  for (double& value : values) value = from_bfloat16(to_bfloat16(value));
}

// Exactly as many as there are values; unwritten ones are NaN.
struct Bfloat16Buffer {
  explicit Bfloat16Buffer(size_t size) : values(size, Bfloat16{0x7fc0}) {}
  explicit Bfloat16Buffer(const Values& from) {
    values.reserve(from.size());
    for (double value : from) values.push_back(to_bfloat16(value));
  }
  // Each step rounds h to 8 bits, by at most 2^-9 of it; some of that goes on to the next steps.
  void check_near(const char* name, const Values& expected) const {
    bool near = true;
    for (size_t i = 0; i < expected.size(); ++i)
      near = near && std::fabs(from_bfloat16(values[i]) - expected[i]) <= 0x1p-6;
    check(near, name);
  }
  std::vector<Bfloat16> values;
};

// What the kernel takes, says the contract: even I and P, and no projection, layer normalisation or mask.
Shape random_bfloat16_shape(Random& random) {
  Shape shape = random_shape(random);
  shape.inputs = (shape.inputs + 1) / 2 * 2;
  shape.hidden = (shape.hidden + 1) / 2 * 2;
  shape.projection = 0;
  shape.layer_norm = shape.mask = false;
  shape.scale = 1;
  return shape;
}

void check_bfloat16(const Kernels& kernels, const Shape& shape, uint64_t seed, int threads) {
  Problem problem = make_problem(shape, seed);
  make_bfloat16(problem.x);
  make_bfloat16(problem.h0);
  for (WeightValues& weights : problem.weights)
    for (int w : {kWih, kWhh}) make_bfloat16(weights[w]);
  const Results expected = reference(problem);
  Options options;
  options.threads = threads;
  options.keep = false;
  KernelCall<float> floats(kernels, problem, options);  // owns what stays in float32
  const Forward<float> from = floats.forward_call();
  Bfloat16Buffer x(problem.x), h0(problem.h0), y(expected.y.size()), hn(expected.hn.size());
  Forward<float, Bfloat16> call{};
  call.sizes = from.sizes;
  call.ragged = from.ragged;
  call.extras = from.extras;
  call.x = x.values.data();
  call.h0 = problem.h0.empty() ? nullptr : h0.values.data();
  call.c0 = from.c0;
  for (int d = 0; d < problem.directions; ++d) call.weights[d] = from.weights[d];
  call.y = y.values.data();
  call.hn = hn.values.data();
  call.cn = from.cn;
  call.threads = threads;
  kernels.forward16(call);
  y.check_near("y", expected.y);
  hn.check_near("hn", expected.hn);
  bool near = true;
  for (size_t i = 0; i < expected.cn.size(); ++i)
    near = near && std::fabs(call.cn[i] - expected.cn[i]) <= 0x1p-6 * std::fmax(1, std::fabs(expected.cn[i]));
  check(near, "cn");
}

Values draw(Random& random, int64_t count) {
  Values values(count);
  for (double& value : values) value = (float)((double)(random() >> 11) * 0x1p-52 - 1);
  return values;
}

struct LinearProblem {
  int64_t rows, inputs, outputs;
  bool relu, relu_x;
  Values x, w, b, dy;
  Values y, dx, dw, db;  // what must come

  LinearProblem(Random& random, bool biased, bool rectified = true) {
    rows = 1 + (int64_t)(random() % 70);
    inputs = 1 + (int64_t)(random() % 40);
    outputs = 1 + (int64_t)(random() % 70);
    relu = random() % 2 == 0 && rectified;
    relu_x = random() % 2 == 0 && rectified;
    if (random() % 6 == 0)
      rows = 200 + (int64_t)(random() % 400);  // more than a chunk, or by rows on two threads
    x = draw(random, rows * inputs);
    w = draw(random, outputs * inputs);
    b = draw(random, biased ? outputs : 0);
    dy = draw(random, rows * outputs);
    y.resize(dy.size());
    dx.resize(x.size());
    dw.resize(w.size());
    db.resize(b.size());
    for (int64_t n = 0; n < rows; ++n)
      for (int64_t m = 0; m < outputs; ++m) {
        double sum = biased ? b[m] : 0;
        const auto input = [&](int64_t k) {
          return relu_x ? std::fmax(x[n * inputs + k], 0) : x[n * inputs + k];
        };
        for (int64_t k = 0; k < inputs; ++k) sum += input(k) * w[m * inputs + k];
        y[n * outputs + m] = relu ? std::fmax(sum, 0) : sum;
        if (relu && sum <= 0) continue;
        const double gradient = dy[n * outputs + m];
        if (biased) db[m] += gradient;
        for (int64_t k = 0; k < inputs; ++k) {
          if (!relu_x || x[n * inputs + k] > 0) dx[n * inputs + k] += gradient * w[m * inputs + k];
          dw[m * inputs + k] += gradient * input(k);
        }
      }
  }
};

template <class Real>
void check_linear(const Kernels& kernels, const LinearProblem& problem, int threads, bool wants_dx,
                  bool wants_dw, bool rounded = false) {
  const int misalignment = threads % 3;
  const auto given = [&](const Values& values) {
    return values.empty() ? Buffer<Real>() : Buffer<Real>(values, misalignment);
  };
  const auto unwritten = [&](const Values& values, bool wanted) {
    return wanted && !values.empty() ? Buffer<Real>(values.size(), misalignment) : Buffer<Real>();
  };
  const Buffer<Real> x = given(problem.x), w = given(problem.w), b = given(problem.b), dy = given(problem.dy);
  const Buffer<Real> y = unwritten(problem.y, true), dx = unwritten(problem.dx, wants_dx);
  const Buffer<Real> dw = unwritten(problem.dw, wants_dw), db = unwritten(problem.db, wants_dw);
  Linear<Real> layer{};
  layer.rows = problem.rows;
  layer.inputs = problem.inputs;
  layer.outputs = problem.outputs;
  layer.x = x.data();
  layer.w = w.data();
  layer.b = b.data();
  layer.y = y.data();
  layer.relu_x = problem.relu_x;
  layer.relu = problem.relu;
  layer.threads = threads;
  layer.rounded = rounded;
  LinearGradient<Real> gradient{};
  gradient.dy = dy.data();
  gradient.dx = dx.data();
  gradient.dw = dw.data();
  gradient.db = db.data();
  if constexpr (sizeof(Real) == 4) {
    kernels.linear32(layer);
    gradient.layer = layer;
    kernels.linear_gradient32(gradient);
  } else {
    kernels.linear64(layer);
    gradient.layer = layer;
    kernels.linear_gradient64(gradient);
  }
  const double tolerance = rounded ? 0x1p-4 : kTolerance<Real>;
  check_close("y", y.data(), problem.y, tolerance);
  if (wants_dx) check_close("dx", dx.data(), problem.dx, tolerance);
  if (wants_dw) check_close("dw", dw.data(), problem.dw, tolerance);
  if (wants_dw) check_close("db", db.data(), problem.db, tolerance);
}

}  // namespace

void test_bfloat16() {
  for (const Kernels* kernels : supported_kernels()) {
    if (!kernels->forward16) continue;
    Random random(5);
    for (int i = 0; i < 60; ++i) {
      const int threads = 1 + i % 3;
      Shape shape = random_bfloat16_shape(random);
      if (i % 10 == 0) shape = {20, 12, 14, 38};  // enough work for all threads
      if (i == 1) shape = {3, 3, 6, 326};         // hidden slices
      context = std::string(kernels->name) + " bfloat16, " + describe(shape) + ", threads " +
                std::to_string(threads);
      check_bfloat16(*kernels, shape, 300 + i, threads);
    }
  }
}

void test_linear() {
  Random random(6);
  for (int i = 0; i < 60; ++i) {
    const LinearProblem problem(random, i % 3 != 0);
    const int threads = 1 + i % 3;
    const std::string about = "linear, N " + std::to_string(problem.rows) + ", K " +
                              std::to_string(problem.inputs) + ", M " + std::to_string(problem.outputs) +
                              (problem.relu ? ", relu" : "");
    for_each_kernel(about, [&](auto& kernels, auto real) {
      check_linear<decltype(real)>(kernels, problem, threads, i % 4 != 1, i % 4 != 2);
    });
    const LinearProblem plain(random, i % 3 != 0, false);
    for (const Kernels* kernels : supported_kernels()) {
      if (!kernels->forward16) continue;
      context = std::string(kernels->name) + " rounded linear, N " + std::to_string(plain.rows) + ", K " +
                std::to_string(plain.inputs) + ", M " + std::to_string(plain.outputs);
      check_linear<float>(*kernels, plain, threads, i % 4 != 1, i % 4 != 2, true);
    }
  }
}

// Layers that run at once against the same ones, one after the other.
void test_stacks() {
  Random random(11);
  for (int i = 0; i < 60; ++i) {
    Shape shape = random_shape(random);
    shape.directions = 1;
    shape.reverse = false;
    shape.scale = 1;
    if (shape.projection) shape.projection = shape.inputs;
    shape.inputs = shape.projection ? shape.projection : shape.hidden;
    const Problem problem = make_problem(shape, 700 + i);
    const int threads = 1 + i % 4;
    for_each_kernel(describe(shape) + ", threads " + std::to_string(threads), [&](const Kernels& kernels,
                                                                                  auto real) {
      using Real = decltype(real);
      constexpr int kLayers = 3;
      Options options;
      options.threads = threads;
      options.keep = false;
      options.misalignment = i % 3;
      std::vector<KernelCall<Real>> one_by_one, at_once;
      std::vector<Forward<Real>> calls;
      one_by_one.reserve(kLayers);
      at_once.reserve(kLayers);
      for (int layer = 0; layer < kLayers; ++layer) {
        one_by_one.emplace_back(kernels, problem, options);
        at_once.emplace_back(kernels, problem, options);
        Forward<Real> call = one_by_one.back().forward_call();
        if (layer > 0) call.x = one_by_one[layer - 1].y();
        calls.push_back(at_once.back().forward_call());
        if (layer > 0) calls.back().x = at_once[layer - 1].y();
        if constexpr (sizeof(Real) == sizeof(float))
          kernels.forward32(call);
        else
          kernels.forward64(call);
      }
      if constexpr (sizeof(Real) == sizeof(float))
        kernels.stack32(calls.data(), kLayers);
      else
        kernels.stack64(calls.data(), kLayers);
      for (int layer = 0; layer < kLayers; ++layer) {
        const auto values = [&](const Real* from, int64_t count) { return Values(from, from + count); };
        const int64_t rows = problem.rows(), cells = problem.is_lstm() ? problem.batch * problem.hidden : 0;
        check_close("y", at_once[layer].y(), values(one_by_one[layer].y(), rows * problem.outputs));
        if (cells) check_close("cn", at_once[layer].cn(), values(one_by_one[layer].cn(), cells));
      }
    });
  }
}

}  // namespace native_tests

// What the kernels compute, against plain loops.
#include <iterator>

#include "native_tests.h"

namespace native_tests {
namespace {

using fastlstm::Layout;

void check_shape(const Shape& shape, uint64_t seed, const Options& options) {
  const Problem problem = make_problem(shape, seed);
  const Results expected = reference(problem);
  for_each_kernel(describe(shape) + ", threads " + std::to_string(options.threads),
                  [&](auto& kernels, auto real) {
                    KernelCall<decltype(real)>(kernels, problem, options).run_and_check(expected);
                  });
}

// What a caller may ask for, something else each time.
Options varied_options(int i) {
  Options options;
  options.threads = kFewestThreads + i % (4 - kFewestThreads);
  options.misalignment = i % 4;
  options.keep = i % 5 != 0;
  options.wants_dx = i % 4 != 1;
  options.wants_dh0 = i % 3 != 1;
  options.wants_dc0 = i % 3 != 2;
  options.wants_dweights = i % 4 != 3;
  return options;
}

// The reference itself: its gradients against central differences of the loss Σ y·dy + Σ hn·dhn + Σ cn·dcn,
// for every cell with all that may go with it.
void check_reference(const Shape& shape) {
  context = "reference, " + describe(shape);
  Problem problem = make_problem(shape, 1);
  const Results found = reference(problem);
  const auto loss = [&] {
    const Results r = reference(problem);
    double sum = 0;
    for (size_t i = 0; i < r.y.size(); ++i) sum += r.y[i] * problem.dy[i];
    for (size_t i = 0; i < r.hn.size(); ++i) sum += r.hn[i] * problem.dhn[i];
    for (size_t i = 0; i < r.cn.size(); ++i) sum += r.cn[i] * problem.dcn[i];
    return sum;
  };
  // With a step of 1e-5 the third derivatives leave about 1e-10, and the roundings of the loss about 1e-11.
  const auto check_gradient = [&](const char* name, Values& values, const Values& gradient) {
    constexpr double kStep = 1e-5;
    for (size_t i = 0; i < values.size(); ++i) {
      const double before = values[i];
      values[i] = before + kStep;
      const double above = loss();
      values[i] = before - kStep;
      const double below = loss();
      values[i] = before;
      check(std::fabs((above - below) / (2 * kStep) - gradient[i]) < 1e-7, name);
    }
  };
  check_gradient("x", problem.x, found.dx);
  check_gradient("h0", problem.h0, found.dh0);
  check_gradient("c0", problem.c0, found.dc0);
  for (int d = 0; d < shape.directions; ++d)
    for (int w = 0; w < kWeights; ++w)
      check_gradient(kWeightNames[w], problem.weights[d][w], found.dweights[d][w]);
}
// Shapes that take ways of their own through the kernels.
const Shape kSpecial[] = {
    {1, 1, 1, 1},     // the smallest
    {300, 1, 3, 5},   // several chunks of both passes
    {40, 9, 21, 19},  // enough work for threads, and chunks of the input product that end within a step
    {33, 50, 6, 17},  // many rows: the input product is part of the step
    {4, 270, 9, 18},  // more rows a step than a chunk is long
};
constexpr int64_t kWide = 323;  // hidden units whose weights outgrow a cache, so that threads share the units

std::vector<Shape> special_shapes() {
  std::vector<Shape> shapes(std::begin(kSpecial), std::end(kSpecial));
  int variant = 0;
  for (const Shape& plain : kSpecial) {
    Shape shape = plain;
    shape.lengths = Lengths::kRagged;
    shape.directions = 2;
    shape.layout = static_cast<Layout>(++variant % 3);
    shapes.push_back(shape);
    shape.layout = static_cast<Layout>(++variant % 3);
    shape.h0 = shape.dhn = false;
    shape.cell = kCells[variant % 2];
    shape.peephole = true;
    if (shape.hidden > 1) shape.projection = shape.hidden - 1;
    shapes.push_back(shape);
    shape.projection = 0;
    shape.layer_norm = shape.reset = true;
    shapes.push_back(shape);
    shape.cell = kCells[2 + variant % 3];
    shape.layer_norm = shape.peephole = false;
    shape.mask = shape.seeded = true;
    shape.zoneout = 0.25;
    shapes.push_back(shape);
  }
  for (CellKind cell : kCells) {
    Shape shape{3, 3, 5, kWide};
    shape.cell = cell;
    if (cell != CellKind::kLstm) {
      shape.layout = Layout::kBatchFirst;
      shape.lengths = Lengths::kRagged;
      shape.peephole = cell == CellKind::kCoupledLstm;
      shape.mask = shape.reset = true;
      shape.zoneout = 0.25;
      shape.seeded = cell == CellKind::kGru;
    }
    shapes.push_back(shape);
  }
  return shapes;
}

}  // namespace

void test_reference() {
  for (CellKind cell : kCells) {
    Shape shape{4, 3, 2, 3};
    shape.cell = cell;
    shape.directions = 2;
    shape.lengths = Lengths::kRagged;
    shape.reset = shape.mask = shape.seeded = true;
    shape.zoneout = 0.375;
    const bool is_lstm = cell == CellKind::kLstm || cell == CellKind::kCoupledLstm;
    shape.layer_norm = shape.peephole = is_lstm;
    check_reference(shape);
    shape.seeded = shape.layer_norm = false;
    check_reference(shape);
    if (!is_lstm) continue;
    shape.zoneout = 0;
    shape.projection = 2;
    check_reference(shape);
  }
}

void test_random_shapes() {
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    const Shape shape = random_shape(random);
    check_shape(shape, 100 + i, varied_options(i));
  }
}

void test_special_shapes() {
  uint64_t seed = 1000;
  for (const Shape& shape : special_shapes()) {
    const Problem problem = make_problem(shape, ++seed);
    const Results expected = reference(problem);
    for (int threads = shape.hidden == kWide ? 2 : kFewestThreads; threads <= 3; ++threads) {
      Options options;
      options.threads = threads;
      for_each_kernel(describe(shape) + ", threads " + std::to_string(threads),
                      [&](auto& kernels, auto real) {
                        using Call = KernelCall<decltype(real)>;
                        Call once(kernels, problem, options);
                        once.run_and_check(expected);
                        if (threads == 2) return;
                        Call again(kernels, problem, options);
                        again.run_and_check(expected);
                        check(once.same_bits(again), "a second call with as many threads gave other bits");
                      });
    }
  }
}

// Batches and layers so large that some instruction sets multiply otherwise.
void test_large_products() {
  Random random(4);
  for (int i = 0; i < 24; ++i) {
    Options options = varied_options(i);
    Shape shape = random_shape(random);
    shape.hidden = 192 + i;
    if (i % 3 != 0) shape.layer_norm = false, shape.projection = 0;
    shape.batch = 48 * (i % 2 ? options.threads : 1) + i % 5 * 7;  // sequences shared out, or units
    shape.steps = 1 + i % 4;
    shape.reads = 0;
    const Problem problem = make_problem(shape, 700 + i);
    const Results expected = reference(problem);
    for_each_kernel("large, " + describe(shape), [&](auto& kernels, auto real) {
      using Call = KernelCall<decltype(real)>;
      Call once(kernels, problem, options), again(kernels, problem, options);
      once.run_and_check(expected);
      again.run_and_check(expected);
      check(once.same_bits(again), "a second call gave other bits");
    });
  }
}

// Products of values that are rounded to bfloat16, where there are such.
void test_rounded_products() {
  const auto run = [](Shape shape, uint64_t seed, Options options) {
    shape.scale = 1;  // a rounding of large sums is a large part of a gate
    if (shape.cell == CellKind::kRnnRelu) shape.cell = CellKind::kRnnTanh;  // whose slope does not jump
    options.rounded = true;
    const Problem problem = make_problem(shape, seed);
    const Results expected = reference(problem);
    for (const Kernels* kernels : supported_kernels()) {
      if (!kernels->forward16) continue;
      context = std::string(kernels->name) + " rounded, " + describe(shape) + ", threads " +
                std::to_string(options.threads);
      KernelCall<float> once(*kernels, problem, options), again(*kernels, problem, options);
      once.run_and_check(expected);
      again.run_and_check(expected);
      check(once.same_bits(again), "a second call gave other bits");
    }
  };
  Random random(3);
  for (int i = 0; i < 100; ++i) {
    Options options = varied_options(i);
    options.wants_dh0 = options.wants_dc0 = true;
    run(random_shape(random), 500 + i, options);
  }
  uint64_t seed = 2000;
  for (const Shape& shape : special_shapes())
    for (int threads = shape.hidden == kWide ? 2 : kFewestThreads; threads <= 3; ++threads) {
      Options options;
      options.threads = threads;
      run(shape, ++seed, options);
    }
}

// Every sequence empty: the states pass through, and so do their gradients.
void test_empty_sequences() {
  for (Layout layout : {Layout::kTimeMajor, Layout::kBatchFirst, Layout::kPacked})
    for (bool states : {false, true}) {
      Shape shape{5, 4, 3, 7};
      shape.layout = layout;
      shape.lengths = Lengths::kZero;
      shape.directions = 2;
      shape.h0 = shape.c0 = states;
      for (CellKind cell : kCells) {
        shape.cell = cell;
        check_shape(shape, 7, {});
      }
    }
}

}  // namespace native_tests

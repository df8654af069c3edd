// The kernels without Python, so that sanitizers see nothing else: every instruction set that this machine
// has, both precisions, against plain loops. `make sanitize` builds and runs it under address,
// undefined-behaviour and thread sanitizers.
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <thread>

#include "kernel_call.h"
#include "memory.h"
#include "problems.h"

// What the sanitizers' runtimes ask. Fresh memory is filled with NaN, so that scratch which is read before it
// is written shows in the results; a forked child of a process with threads may have threads of its own.
extern "C" const char* __asan_default_options() {  // NOLINT
  return "max_malloc_fill_size=1073741824:malloc_fill_byte=255:detect_stack_use_after_return=1";
}
extern "C" const char* __tsan_default_options() { return "die_after_fork=0:halt_on_error=1"; }  // NOLINT
extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1"; }               // NOLINT

namespace native_tests {
namespace {

using fastlstm::Layout;

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> found;
  const fastlstm::KernelList all = fastlstm::compiled_kernels();
  for (int i = 0; i < all.count; ++i)
    if (all.data[i]->supported()) found.push_back(all.data[i]);
  return found;
}

// Calls test(kernels, Real{}) for every instruction set and both precisions.
template <class Test>
void for_each_kernel(const std::string& about, Test&& test) {
  for (const Kernels* kernels : supported_kernels()) {
    context = std::string(kernels->name) + " float32, " + about;
    test(*kernels, float{});
    context = std::string(kernels->name) + " float64, " + about;
    test(*kernels, double{});
  }
}

void check_shape(const Shape& shape, uint64_t seed, const Options& options) {
  const Problem problem = make_problem(shape, seed);
  const Results expected = reference(problem);
  for_each_kernel(describe(shape) + ", threads " + std::to_string(options.threads),
                  [&](auto& kernels, auto real) {
                    KernelCall<decltype(real)>(kernels, problem, options).run_and_check(expected);
                  });
}

// The reference itself: its gradients against central differences of the loss Σ y·dy + Σ hn·dhn + Σ cn·dcn.
void test_reference() {
  context = "reference";
  Shape shape{4, 3, 2, 3};
  shape.projection = 2;
  shape.directions = 2;
  shape.lengths = Lengths::kRagged;
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
      check(std::fabs((above - below) / (2 * kStep) - gradient[i]) < 1e-8, name);
    }
  };
  check_gradient("dx", problem.x, found.dx);
  check_gradient("dh0", problem.h0, found.dh0);
  check_gradient("dc0", problem.c0, found.dc0);
  for (int d = 0; d < 2; ++d) {
    WeightValues& weights = problem.weights[d];
    check_gradient("dw_ih", weights.w_ih, found.dweights[d].w_ih);
    check_gradient("dw_hh", weights.w_hh, found.dweights[d].w_hh);
    check_gradient("db_ih", weights.b_ih, found.dweights[d].b_ih);
    check_gradient("db_hh", weights.b_hh, found.dweights[d].b_hh);
    check_gradient("dw_hr", weights.w_hr, found.dweights[d].w_hr);
  }
}

void test_random_shapes() {
  Random random(2);
  for (int i = 0; i < 150; ++i) {
    const Shape shape = random_shape(random);
    Options options;
    options.threads = 1 + i % 3;
    options.misalignment = i % 4;
    options.keep = i % 5 != 0;
    options.wants_dx = i % 4 != 1;
    options.wants_dh0 = i % 3 != 1;
    options.wants_dc0 = i % 3 != 2;
    options.wants_dweights = i % 4 != 3;
    check_shape(shape, 100 + i, options);
  }
}

// Shapes that take ways of their own through the kernels.
std::vector<Shape> special_shapes() {
  std::vector<Shape> shapes = {
      {1, 1, 1, 1},     // the smallest
      {300, 1, 3, 5},   // several chunks of both passes
      {40, 9, 21, 19},  // enough work for threads, and chunks of the input product that end within a step
      {33, 50, 6, 17},  // many rows: the input product is part of the step
      {4, 270, 9, 18},  // more rows a step than a chunk is long
      {3, 3, 5, 323},   // weights that outgrow a cache: hidden slices
  };
  for (size_t i = 2, plain = shapes.size(); i < plain; ++i) {
    Shape shape = shapes[i];
    shape.layout = static_cast<Layout>(i % 3);
    shape.lengths = Lengths::kRagged;
    shape.directions = 2;
    shapes.push_back(shape);
    shape.layout = static_cast<Layout>((i + 1) % 3);
    shape.h0 = shape.dhn = false;
    if (shape.hidden < 300) shape.projection = shape.hidden - 1;
    shapes.push_back(shape);
  }
  return shapes;
}

void test_special_shapes() {
  uint64_t seed = 1000;
  for (const Shape& shape : special_shapes()) {
    const Problem problem = make_problem(shape, ++seed);
    const Results expected = reference(problem);
    for (int threads = 1; threads <= 3; ++threads) {
      Options options;
      options.threads = threads;
      for_each_kernel(describe(shape) + ", threads " + std::to_string(threads),
                      [&](auto& kernels, auto real) {
                        using Call = KernelCall<decltype(real)>;
                        Call once(kernels, problem, options), again(kernels, problem, options);
                        once.run_and_check(expected);
                        again.run_and_check(expected);
                        check(once.same_bits(again), "a second call with as many threads gave other bits");
                      });
    }
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
      check_shape(shape, 7, {});
    }
}

const Shape kBusy = {20, 12, 13, 37};  // enough work for three threads

void test_callers_at_once() {
  constexpr int kCallers = 4, kCalls = 3;
  Shape shape = kBusy;
  shape.lengths = Lengths::kRagged;
  const Problem problem = make_problem(shape, 11);
  const Results expected = reference(problem);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller)
    callers.emplace_back([&, caller] {
      Options options;
      options.threads = 1 + caller % 3;
      for (int i = 0; i < kCalls; ++i)
        for_each_kernel("caller " + std::to_string(caller), [&](auto& kernels, auto real) {
          KernelCall<decltype(real)>(kernels, problem, options).run_and_check(expected);
        });
    });
  for (std::thread& caller : callers) caller.join();
}

// A child has none of its parent's threads, and computes all the same.
void test_fork() {
  const Problem problem = make_problem(kBusy, 12);
  const Results expected = reference(problem);
  const auto compute = [&] {
    for (int threads = 1; threads <= 3; ++threads)
      for_each_kernel("forked, threads " + std::to_string(threads), [&](auto& kernels, auto real) {
        Options options;
        options.threads = threads;
        KernelCall<decltype(real)>(kernels, problem, options).run_and_check(expected);
      });
  };
  compute();
  const pid_t child = fork();
  if (child == 0) {
    alarm(120);  // rather than hang
    compute();
    _exit(checks_failed == 0 ? 0 : 1);
  }
  int status = -1;
  context = "fork";
  check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
        "the child did not compute what its parent did");
  compute();
}

// c = σ(0) tanh(w x) with a denormal w x: zero where denormals are flushed.
void test_denormals() {
#if defined(__x86_64__)
  constexpr unsigned kModes = ~0x3fu;  // without the flags that arithmetic leaves
  Shape shape = kBusy;
  shape.biases = shape.h0 = shape.c0 = false;
  Problem problem = make_problem(shape, 13);
  for (unsigned mode : {0x1f80u, 0x9fc0u}) {  // the default, and a caller who flushes denormals too
    for_each_kernel("denormals", [&](auto& kernels, auto real) {
      using Real = decltype(real);
      for (double& x : problem.x) x = 1;
      for (double& w : problem.weights[0].w_ih) w = std::numeric_limits<Real>::min() / 64;
      Options options;
      options.threads = 3;
      KernelCall<Real> call(kernels, problem, options);
      const unsigned before = _mm_getcsr();
      _mm_setcsr(mode);
      call.run_forward();
      call.run_backward();
      const unsigned after = _mm_getcsr();
      _mm_setcsr(before);
      check((after & kModes) == (mode & kModes), "the caller's floating-point mode was changed");
      bool flushed = true;
      for (int64_t i = 0; i < problem.batch * problem.hidden; ++i) flushed = flushed && call.cn()[i] == 0;
      check(flushed, "a denormal was not flushed to zero");
    });
  }
#endif
}

// What a NaN in one sequence may reach: its own outputs from then on, and its own gradients.
void test_nan() {
  constexpr int64_t kRow = 5, kTime = 7;
  const Problem clean = make_problem(kBusy, 14);
  Problem spoilt = clean;
  spoilt.x[clean.row(kRow, kTime) * clean.inputs] = std::numeric_limits<double>::quiet_NaN();
  for (int threads = 1; threads <= 3; ++threads)
    for_each_kernel("NaN, threads " + std::to_string(threads), [&](auto& kernels, auto real) {
      using Call = KernelCall<decltype(real)>;
      Options options;
      options.threads = threads;
      Call good(kernels, clean, options), bad(kernels, spoilt, options);
      for (Call* call : {&good, &bad}) {
        call->run_forward();
        call->run_backward();
      }
      bool spread = false, kept = true;
      const auto compare = [&](const auto* a, const auto* b, int64_t values, bool tainted) {
        for (int64_t i = 0; i < values; ++i) {
          spread = spread || (!tainted && std::memcmp(a + i, b + i, sizeof a[i]) != 0);
          kept = kept && (!tainted || std::isnan(b[i]));
        }
      };
      for (int64_t t = 0; t < clean.steps; ++t)
        for (int64_t b = 0; b < clean.batch; ++b) {
          const int64_t row = clean.row(b, t);
          compare(good.y() + row * clean.outputs, bad.y() + row * clean.outputs, clean.outputs,
                  b == kRow && t >= kTime);
          compare(good.dx() + row * clean.inputs, bad.dx() + row * clean.inputs, clean.inputs, b == kRow);
        }
      check(!spread, "a NaN spread to other sequences, or to times before it");
      check(kept, "a NaN was lost");
    });
}

// Blocks are aligned, never given to two at once, and have room for what was asked.
void test_blocks() {
  context = "blocks";
  std::vector<std::thread> takers;
  for (int taker = 0; taker < 4; ++taker)
    takers.emplace_back([taker] {
      context = "blocks";
      for (int i = 0; i < 50; ++i) {
        const size_t bytes = 1 + (size_t)(i * 7919 + taker) % 100000;
        auto* block = static_cast<unsigned char*>(fastlstm::take_block(bytes));
        check(reinterpret_cast<uintptr_t>(block) % fastlstm::kAlignment == 0, "a block is not aligned");
        std::memset(block, taker, bytes);
        std::this_thread::yield();
        bool own = true;
        for (size_t k = 0; k < bytes; ++k) own = own && block[k] == taker;
        check(own, "a block was given to two at once");
        fastlstm::return_block(block);
      }
    });
  for (std::thread& taker : takers) taker.join();
}

void test_dispatch() {
  context = "dispatch";
  const char* const before = fastlstm::active_kernels().name;
  check(!fastlstm::select_kernels("abacus"), "an unknown instruction set was chosen");
  check(fastlstm::active_kernels().name == before, "an unknown instruction set changed the choice");
  for (const Kernels* kernels : supported_kernels()) {
    check(fastlstm::select_kernels(kernels->name), "a supported instruction set was refused");
    check(&fastlstm::active_kernels() == kernels, "another instruction set was chosen");
    check(kernels->fma_peak(2, 0.01) > 0, "no multiply-add rate was measured");
  }
  fastlstm::select_kernels(before);
}

}  // namespace
}  // namespace native_tests

int main() {
  using namespace native_tests;
  struct {
    const char* name;
    void (*run)();
  } const tests[] = {
      {"reference against differences", test_reference},
      {"random shapes", test_random_shapes},
      {"special shapes", test_special_shapes},
      {"empty sequences", test_empty_sequences},
      {"several callers at once", test_callers_at_once},
      {"fork", test_fork},
      {"denormals", test_denormals},
      {"NaN", test_nan},
      {"blocks of memory", test_blocks},
      {"dispatch", test_dispatch},
  };
  const fastlstm::KernelList all = fastlstm::compiled_kernels();
  for (int i = 0; i < all.count; ++i)
    std::printf("%s%s%s", i ? ", " : "", all.data[i]->name,
                all.data[i]->supported() ? "" : " (not on this CPU)");
  std::printf("\n");
  for (const auto& test : tests) {
    const int64_t made = checks_made, failed = checks_failed;
    test.run();
    std::printf("%-32s%8lld checks, %lld failed\n", test.name, (long long)(checks_made - made),
                (long long)(checks_failed - failed));
    std::fflush(stdout);
  }
  return checks_failed == 0 ? 0 : 1;
}

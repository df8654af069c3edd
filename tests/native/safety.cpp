// What the kernels leave alone: other callers, forked children, floating-point modes, other rows, other
// blocks.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <system_error>
#include <thread>

#include "memory.h"
#include "native_tests.h"

namespace native_tests {
namespace {

const Shape kBusy = {20, 12, 13, 37};  // enough work for three threads

}  // namespace

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

namespace {

// Calls test in a forked child, and says whether it came to its end there without a failed check.
template <class Test>
bool passes_in_a_child(Test&& test) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(120);  // rather than hang
    test();
    _exit(checks_failed == 0 ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void compute_busy(const char* about, const Problem& problem, const Results& expected) {
  for (int threads = 1; threads <= 3; ++threads)
    for_each_kernel(about + (", threads " + std::to_string(threads)), [&](auto& kernels, auto real) {
      Options options;
      options.threads = threads;
      KernelCall<decltype(real)>(kernels, problem, options).run_and_check(expected);
    });
}

}  // namespace

// A child has none of its parent's threads, and computes all the same.
void test_fork() {
  const Problem problem = make_problem(kBusy, 12);
  const Results expected = reference(problem);
  compute_busy("before a fork", problem, expected);
  const bool passes = passes_in_a_child([&] { compute_busy("forked", problem, expected); });
  context = "fork";
  check(passes, "the child did not compute what its parent did");
  compute_busy("after a fork", problem, expected);
}

// Where the system has no thread to give, the call fails and a later one does not wait for it.
void test_failing_threads() {
#if defined(__GLIBC__)
  const Problem problem = make_problem(kBusy, 15);
  const Results expected = reference(problem);
  const bool passes = passes_in_a_child([&] {  // whose pool has no threads yet
    context = "no threads";
    pthread_attr_t before, impossible;
    pthread_getattr_default_np(&before);
    pthread_getattr_default_np(&impossible);
    pthread_attr_setstacksize(&impossible, size_t(1) << 46);  // more than there are addresses
    Options options;
    options.threads = 3;
    bool thrown = false;
    pthread_setattr_default_np(&impossible);
    try {
      KernelCall<float>(*supported_kernels()[0], problem, options).run_forward();
    } catch (const std::system_error&) {
      thrown = true;
    }
    pthread_setattr_default_np(&before);
    check(thrown, "a thread that could not be started went unnoticed");
    compute_busy("threads after none", problem, expected);
  });
  context = "no threads";
  check(passes, "a call after one without threads failed");
#endif
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
      for (double& w : problem.weights[0][kWih]) w = std::numeric_limits<Real>::min() / 64;
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

namespace {

// What a NaN in one sequence may reach: its own outputs from then on, and its own gradients.
void check_nan(const Shape& shape) {
  constexpr int64_t kRow = 5, kTime = 7;
  const Problem clean = make_problem(shape, 14);
  Problem spoilt = clean;
  spoilt.x[clean.row(kRow, kTime) * clean.inputs] = std::numeric_limits<double>::quiet_NaN();
  for (int threads = 1; threads <= 3; ++threads)
    for_each_kernel(
        "NaN, " + describe(shape) + ", threads " + std::to_string(threads), [&](auto& kernels, auto real) {
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
              // The derivative of ReLU is 0 or 1, also at NaN.
              if (b == kRow && clean.cell == CellKind::kRnnRelu) continue;
              compare(good.dx() + row * clean.inputs, bad.dx() + row * clean.inputs, clean.inputs, b == kRow);
            }
          check(!spread, "a NaN spread to other sequences, or to times before it");
          check(kept, "a NaN was lost");
        });
}

}  // namespace

void test_nan() {
  for (CellKind cell : kCells)
    for (bool layer_norm : {false, true}) {
      Shape shape = kBusy;
      shape.cell = cell;
      shape.layer_norm = layer_norm;
      if (!layer_norm || cell == CellKind::kLstm || cell == CellKind::kCoupledLstm) check_nan(shape);
    }
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

// What was given back serves who asks for nearly as much; of too much, what was not asked for for longest
// goes.
void test_blocks_again() {
  context = "blocks again";
  constexpr size_t kMega = size_t(1) << 20;
  void* const large = fastlstm::take_block(400 * kMega);
  void* const small = fastlstm::take_block(200 * kMega);
  fastlstm::return_block(large);
  fastlstm::return_block(small);  // 512 MB are kept
  void* const again = fastlstm::take_block(170 * kMega);
  check(again == small, "a block that is nearly as large was not used again");
  void* const half = fastlstm::take_block(90 * kMega);
  fastlstm::return_block(again);
  void* const other = fastlstm::take_block(90 * kMega);
  check(other != again, "a block of twice the size was used up");
  for (void* block : {half, other}) fastlstm::return_block(block);
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
    check(kernels->read_rate(100'000, 2, 0.01) > 0, "no rate of reading was measured");
  }
  fastlstm::select_kernels(before);
}

}  // namespace native_tests

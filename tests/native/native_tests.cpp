// The kernels without Python, so that sanitizers see nothing else: every instruction set that this machine
// has, both precisions, against plain loops. `make sanitize` builds and runs it under address,
// undefined-behaviour and thread sanitizers.
#include "native_tests.h"

// What the sanitizers' runtimes ask. Fresh memory is filled with NaN, so that scratch which is read before it
// is written shows in the results; a forked child of a process with threads may have threads of its own.
extern "C" const char* __asan_default_options() {  // NOLINT
  return "max_malloc_fill_size=1073741824:malloc_fill_byte=255:detect_stack_use_after_return=1";
}
extern "C" const char* __tsan_default_options() { return "die_after_fork=0:halt_on_error=1"; }  // NOLINT
extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1"; }               // NOLINT

int main() {
  using namespace native_tests;
  struct {
    const char* name;
    void (*run)();
  } const tests[] = {
      {"reference against differences", test_reference},
      {"random shapes", test_random_shapes},
      {"special shapes", test_special_shapes},
      {"large products", test_large_products},
      {"rounded products", test_rounded_products},
      {"empty sequences", test_empty_sequences},
      {"bfloat16", test_bfloat16},
      {"dense layers", test_linear},
      {"layers at once", test_stacks},
      {"several callers at once", test_callers_at_once},
      {"fork", test_fork},
      {"threads that cannot start", test_failing_threads},
      {"denormals", test_denormals},
      {"NaN", test_nan},
      {"blocks of memory", test_blocks},
      {"blocks of memory again", test_blocks_again},
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

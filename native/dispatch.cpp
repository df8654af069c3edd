// Chooses the kernels of one instruction set.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "lstm.h"

namespace fastlstm {

namespace generic {
extern const Kernels kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx512bf16 {
extern const Kernels kernels;
}
#endif
#if defined(FASTLSTM_KNOWS_AMX)
namespace amx {
extern const Kernels kernels;
}
#endif

namespace {

const Kernels* const kCompiled[] = {
    &generic::kernels,
#if defined(__x86_64__)
    &avx2::kernels,    &avx512::kernels, &avx512bf16::kernels,
#endif
#if defined(FASTLSTM_KNOWS_AMX)
    &amx::kernels,
#endif
};
constexpr int kCount = sizeof kCompiled / sizeof kCompiled[0];

const Kernels* find(const char* name) {
  for (const Kernels* kernels : kCompiled)
    if (std::strcmp(kernels->name, name) == 0 && kernels->supported()) return kernels;
  return nullptr;
}

// Whether kernels are faster than those before them: of Intel's processors, vectors of bfloat16 take two
// micro-operations an instruction and are slower than floats, so that only tiles pay.
bool pays([[maybe_unused]] const Kernels* kernels) {
#if defined(__x86_64__)
  return kernels != &avx512bf16::kernels || __builtin_cpu_is("amd");
#else
  return true;
#endif
}

const Kernels* choose() {
  if (const char* wanted = std::getenv("FASTLSTM_ISA")) {
    if (const Kernels* kernels = find(wanted)) return kernels;
    std::fprintf(stderr,
                 "fastlstm: FASTLSTM_ISA=%s is not an instruction set of this build and CPU; ignored\n",
                 wanted);
  }
  for (int i = kCount - 1; i > 0; --i)
    if (kCompiled[i]->supported() && pays(kCompiled[i])) return kCompiled[i];
  return kCompiled[0];
}

// Not before it is asked for: the kernels of other files must be there first.
const Kernels*& active() {
  static const Kernels* chosen = choose();
  return chosen;
}

}  // namespace

const Kernels& active_kernels() { return *active(); }

bool select_kernels(const char* name) {
  const Kernels* kernels = find(name);
  if (kernels) active() = kernels;
  return kernels != nullptr;
}

KernelList compiled_kernels() { return {kCompiled, kCount}; }

}  // namespace fastlstm

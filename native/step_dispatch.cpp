// Chooses the step kernels that go with the active instruction set.
#include <cstring>

#include "lstm.h"
#include "step.h"

namespace fastlstm {

namespace generic {
extern const StepKernels step_kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const StepKernels step_kernels;
}
namespace avx512 {
extern const StepKernels step_kernels;
}
namespace avx512bf16 {
extern const StepKernels step_kernels;
}
#endif

const StepKernels& active_step_kernels() {
#if defined(__x86_64__)
  const char* name = active_kernels().name;
  if (std::strcmp(name, "amx") == 0 || std::strcmp(name, "avx512bf16") == 0) return avx512bf16::step_kernels;
  if (std::strcmp(name, "avx512") == 0) return avx512::step_kernels;
  if (std::strcmp(name, "avx2") == 0) return avx2::step_kernels;
#endif
  return generic::step_kernels;
}

}  // namespace fastlstm

// The kernels of avx512, but for products of bfloat16. CMake compiles this file twice: for AVX512-BF16's, and
// for those of Intel's matrix extension, which multiplies the floats of large layers too.
#include "gathered.h"
#include "linear_rounded.h"
#if defined(__AMX_BF16__)
#include "gemm_split.h"
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace fastlstm {
namespace avx512 {
extern const Kernels kernels;
}

namespace FASTLSTM_ISA {
namespace {

#if defined(__AMX_BF16__)
constexpr const char* kName = "amx";
using WholeOperand = MatrixOperand;    // of sequences of bfloat16
using RoundedOperand = MatrixOperand;  // of floats that are rounded on their way in

// Linux hands out the registers on request, once a process.
bool registers_granted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
bool multiplies() {
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && registers_granted();
}

void forward_floats(const Forward<float>& call) {
  SplitOperand::pays(call.sizes, call.threads) ? forward_gathered<SplitOperand>(call)
                                               : avx512::kernels.forward32(call);
}
void backward_floats(const Backward<float>& call) {
  SplitOperand::pays(call.forward.sizes, kept_threads(call.forward.reserve))
      ? backward_gathered<SplitOperand>(call)
      : avx512::kernels.backward32(call);
}
#else
constexpr const char* kName = "avx512bf16";
using WholeOperand = Operand<float, Bfloat16>;
using RoundedOperand = ApartOperand;

bool multiplies() { return true; }

void forward_floats(const Forward<float>& call) { avx512::kernels.forward32(call); }
void backward_floats(const Backward<float>& call) { avx512::kernels.backward32(call); }
#endif

bool supported() {
  return avx512::kernels.supported() && __builtin_cpu_supports("avx512bf16") && multiplies();
}

void forward16(const Forward<float, Bfloat16>& call) {
  Arena& arena = fresh_arena();
  with_cell<float>(call.sizes.cell, [&](auto cell) {
    run_forward<ForwardPass<float, decltype(cell), Bfloat16, WholeOperand>>(call, arena);
  });
}

void forward32(const Forward<float>& call) {
  rounds(call.sizes) ? forward_gathered<RoundedOperand>(call) : forward_floats(call);
}
void backward32(const Backward<float>& call) {
  rounds(call.forward.sizes) ? backward_gathered<RoundedOperand>(call) : backward_floats(call);
}

void linear32(const Linear<float>& call) {
  call.rounded ? linear_rounded<RoundedOperand>(call) : avx512::kernels.linear32(call);
}
void linear_gradient32(const LinearGradient<float>& call) {
  call.layer.rounded ? linear_gradient_rounded<RoundedOperand>(call)
                     : avx512::kernels.linear_gradient32(call);
}

Kernels with_rounded_products() {
  Kernels kernels = avx512::kernels;
  kernels.name = kName;
  kernels.supported = supported;
  kernels.forward32 = forward32;
  kernels.backward32 = backward32;
  kernels.forward16 = forward16;
  kernels.linear32 = linear32;
  kernels.linear_gradient32 = linear_gradient32;
  return kernels;
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = with_rounded_products();

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

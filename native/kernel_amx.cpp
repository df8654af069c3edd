// The kernels of avx512bf16, but for products of bfloat16 and of floats in large layers: those are the matrix
// extension's.
#include "gathered.h"
#include "gemm_split.h"
#include "linear_rounded.h"
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fastlstm {
namespace avx512bf16 {
extern const Kernels kernels;
}

namespace FASTLSTM_ISA {
namespace {

// Linux hands out the registers on request, once a process.
bool registers_granted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
bool supported() {
  return avx512bf16::kernels.supported() && __builtin_cpu_supports("amx-tile") &&
         __builtin_cpu_supports("amx-bf16") && registers_granted();
}

void forward16(const Forward<float, Bfloat16>& call) {
  Arena& arena = fresh_arena();
  with_cell<float>(call.sizes.cell, [&](auto cell) {
    run_forward<ForwardPass<float, decltype(cell), Bfloat16, MatrixOperand>>(call, arena);
  });
}

void forward32(const Forward<float>& call) {
  if (rounds(call.sizes)) return forward_gathered<MatrixOperand>(call);
  SplitOperand::pays(call.sizes, call.threads) ? forward_gathered<SplitOperand>(call)
                                               : avx512bf16::kernels.forward32(call);
}
void backward32(const Backward<float>& call) {
  if (rounds(call.forward.sizes)) return backward_gathered<MatrixOperand>(call);
  SplitOperand::pays(call.forward.sizes, kept_threads(call.forward.reserve))
      ? backward_gathered<SplitOperand>(call)
      : avx512bf16::kernels.backward32(call);
}

void linear32(const Linear<float>& call) {
  call.rounded ? linear_rounded<MatrixOperand>(call) : avx512bf16::kernels.linear32(call);
}
void linear_gradient32(const LinearGradient<float>& call) {
  call.layer.rounded ? linear_gradient_rounded<MatrixOperand>(call)
                     : avx512bf16::kernels.linear_gradient32(call);
}

Kernels with_matrix_products() {
  Kernels kernels = avx512bf16::kernels;
  kernels.name = "amx";
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
const Kernels kernels = with_matrix_products();

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

// The kernels of avx512bf16, but for products of bfloat16: those are the matrix extension's.
#include "backward_separate.h"
#include "cell_choice.h"
#include "forward.h"
#include "gemm_amx.h"
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

template <class Value, class Product>
void forward(const Forward<float, Value>& call) {
  Arena& arena = thread_arena();
  arena.reset();
  with_cell<float>(call.sizes.cell, [&](auto cell) {
    run_forward<ForwardPass<float, decltype(cell), Value, Product>>(call, arena);
  });
}

void forward32(const Forward<float>& call) {
  call.sizes.rounded && !call.sizes.layer_norm ? forward<float, RoundingOperand>(call)
                                               : avx512bf16::kernels.forward32(call);
}

void backward32(const Backward<float>& call) {
  const Sizes& sizes = call.forward.sizes;
  if (!sizes.rounded || sizes.layer_norm) return avx512bf16::kernels.backward32(call);
  Arena& arena = thread_arena();
  arena.reset();
  with_cell<float>(sizes.cell,
                   [&](auto cell) { run_backward<float, decltype(cell), RoundingOperand>(call, arena); });
}

Kernels with_matrix_products() {
  Kernels kernels = avx512bf16::kernels;
  kernels.name = "amx";
  kernels.supported = supported;
  kernels.forward32 = forward32;
  kernels.backward32 = backward32;
  kernels.forward16 = forward<Bfloat16, MatrixOperand>;
  return kernels;
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = with_matrix_products();

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

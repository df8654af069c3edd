// The kernels of avx512bf16, but for the product in bfloat16: that is the matrix extension's.
#include "cell_gru.h"
#include "cell_lstm.h"
#include "cell_rnn.h"
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

template <class Cell>
void forward_cell(const Forward<float, Bfloat16>& call) {
  Arena& arena = thread_arena();
  arena.reset();
  run_forward<ForwardPass<float, Cell, Bfloat16, MatrixOperand>>(call, arena);
}
void forward(const Forward<float, Bfloat16>& call) {
  switch (call.sizes.cell) {
    case CellKind::kCoupledLstm:
      return forward_cell<LstmCell<float, true>>(call);
    case CellKind::kGru:
      return forward_cell<GruCell<float>>(call);
    case CellKind::kRnnTanh:
      return forward_cell<RnnCell<float, false>>(call);
    case CellKind::kRnnRelu:
      return forward_cell<RnnCell<float, true>>(call);
    default:
      return forward_cell<LstmCell<float, false>>(call);
  }
}

Kernels with_matrix_products() {
  Kernels kernels = avx512bf16::kernels;
  kernels.name = "amx";
  kernels.supported = supported;
  kernels.forward16 = forward;
  return kernels;
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = with_matrix_products();

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

// One instruction set's step kernels. CMake compiles this file once for each of them.
#include "step.h"

#include "crew.h"
#include "denormals.h"
#include "step_bf16.h"
#include "step_cells.h"
#include "step_int8.h"
#include "step_products.h"
#include "token_kernels.h"

namespace fastlstm::FASTLSTM_ISA {
namespace {

template <class Form>
class StepPass {
  using Real = typename Form::Number;
  using Operand = typename Form::Operand;
  static constexpr int kBlockRows = Form::kBlockRows;

 public:
  explicit StepPass(const Step<Real>& step)
      : step_(step), arena_(fresh_arena()), rows_(gates_of(step.cell) * step.hidden) {
    stride_ = multiple(rows_, kBlockRows);
    sums_ = arena_.take<Real>(step.batch * stride_);
    // Apart where the cell, or the normalisation, needs them so; the GRU's state before is among its terms.
    separate_ = step.cell == CellKind::kGru || step.layers[0].gain_ih;
    if (separate_) recurrent_sums_ = arena_.take<Real>(step.batch * stride_);
    projected_ = step.layers[0].w_hr.data != nullptr;
    if (projected_) {
      hidden_stride_ = multiple(step.hidden, kLanes<Real>);
      hidden_ = arena_.take<Real>(step.batch * hidden_stride_);
      output_stride_ = multiple(step.outputs, kBlockRows);
      outputs_ = arena_.take<Real>(step.batch * output_stride_);
    }
  }

  void run() {
    FlushDenormals flush;
    if (step_.threads > 1) crew_ = Crew::join(step_.threads);
    const Real* x = step_.x;
    int64_t x_stride = step_.x_stride, x_values = step_.inputs;
    for (int i = 0; i < step_.layer_count; ++i) {
      const StepLayer<Real>& layer = step_.layers[i];
      multiply_gates(layer, x, x_stride, x_values);
      run_cells(layer);
      if (projected_) project(layer);
      x = layer.h;
      x_stride = x_values = step_.outputs;
    }
    if (crew_) crew_->leave();
  }

 private:
  // Threads share the rows of every product; what comes between is little.
  void multiply_shared(Product<Form>& product) {
    const int64_t blocks = multiple(product.rows, kBlockRows) / kBlockRows;
    product.blocks = {0, blocks};
    product.backwards = step_.backwards;
    product.batch = step_.batch;
    int64_t row_bytes = 0;
    for (int f = 0; f < product.factor_count; ++f)
      row_bytes += Form::row_values(product.factors[f]) * (int64_t)sizeof(typename Form::Weight);
    const int64_t chunks = crew_ ? row_bytes * product.rows / kChunkBytes : 0;
    if (chunks < 2) return multiply(product);
    auto body = [&](int64_t chunk) {
      FlushDenormals flush;
      Product<Form> part = product;
      part.blocks = share(blocks, chunk, chunks);
      multiply(part);
    };
    crew_->run(chunks, step_.backwards, body);
  }

  void multiply_gates(const StepLayer<Real>& layer, const Real* x, int64_t x_stride, int64_t x_values) {
    const int64_t B = step_.batch, P = step_.outputs;
    Factor<Form> factors[2] = {{layer.w_ih, x_values, Form::prepare(x, x_stride, x_values, B, arena_)}, {}};
    if (layer.h0) factors[1] = {layer.w_hh, P, Form::prepare(layer.h0, P, P, B, arena_)};
    const bool biased = layer.gain_ih == nullptr;
    Product<Form> product{};
    product.rows = rows_;
    product.out_stride = stride_;
    product.bias = biased ? layer.b_ih : nullptr;
    product.out = sums_;
    product.factors = factors;
    product.factor_count = separate_ || !layer.h0 ? 1 : 2;
    if (!separate_ && biased) product.second_bias = layer.b_hh;
    multiply_shared(product);
    if (!separate_) return;
    product.factors = factors + 1;
    product.factor_count = layer.h0 ? 1 : 0;
    product.bias = biased ? layer.b_hh : nullptr;
    product.out = recurrent_sums_;
    multiply_shared(product);
  }

  void run_cells(const StepLayer<Real>& layer) {
    const int64_t H = step_.hidden, P = step_.outputs;
    const StepCells<Real> cells(step_, layer);
    for (int64_t b = 0; b < step_.batch; ++b) {
      CellState<Real> state{};
      state.h0 = layer.h0 ? layer.h0 + b * P : nullptr;
      state.c0 = layer.c0 ? layer.c0 + b * H : nullptr;
      state.h = projected_ ? hidden_ + b * hidden_stride_ : layer.h + b * P;
      state.c = layer.c ? layer.c + b * H : nullptr;
      cells.run({sums_ + b * stride_, separate_ ? recurrent_sums_ + b * stride_ : nullptr}, state);
    }
  }

  void project(const StepLayer<Real>& layer) {
    const int64_t B = step_.batch, H = step_.hidden, P = step_.outputs;
    const Factor<Form> factor{layer.w_hr, H, Form::prepare(hidden_, hidden_stride_, H, B, arena_)};
    Product<Form> product{};
    product.factors = &factor;
    product.factor_count = 1;
    product.rows = P;
    product.out = outputs_;
    product.out_stride = output_stride_;
    multiply_shared(product);
    for (int64_t b = 0; b < B; ++b)
      __builtin_memcpy(layer.h + b * P, outputs_ + b * output_stride_, P * sizeof(Real));
  }

  static constexpr int64_t kChunkBytes = 1 << 16;  // of weights: about half a microsecond

  const Step<Real>& step_;
  Arena& arena_;
  Crew* crew_ = nullptr;
  int64_t rows_, stride_, hidden_stride_ = 0, output_stride_ = 0;
  bool separate_, projected_;
  Real *sums_, *recurrent_sums_ = nullptr, *hidden_ = nullptr, *outputs_ = nullptr;
};

void step32(const Step<float>& step) {
  switch (step.weights) {
    case StepWeights::kFull:
      return StepPass<FullForm<float>>(step).run();
    case StepWeights::kBfloat16:
      return StepPass<Bfloat16Form>(step).run();
    case StepWeights::kInt8:
      return StepPass<Int8Form>(step).run();
  }
}
void step64(const Step<double>& step) { StepPass<FullForm<double>>(step).run(); }

}  // namespace

extern const StepKernels step_kernels;
const StepKernels step_kernels = {step32, step64, token_output, token_draw};

}  // namespace fastlstm::FASTLSTM_ISA

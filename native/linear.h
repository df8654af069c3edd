// A dense layer on the kernels' own matrix products: y = act(x Wᵀ + b), act the identity or relu.
//
//   N rows   K inputs   M outputs
#pragma once

#include "denormals.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real>
class LinearForward {
  static constexpr int L = kLanes<Real>;

 public:
  LinearForward(const Linear<Real>& call, Arena& arena) : call_(call), barrier_(call.threads) {
    vectors_ = vectors_for(call.outputs, L);
    weights_ = arena.take<Real>(vectors_ * L * call.inputs);
    bias_ = arena.take<Real>(vectors_ * L);
    rows_ = arena.take<const Real*>(call.rows);
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      pack(index);
      barrier_.wait();
      multiply(share(call_.rows, index, call_.threads));
    };
    run_parallel(call_.threads, body);
  }

 private:
  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, vectors_}, [&](int64_t first, int width) {
      if (turn++ % call_.threads != index) return;
      pack_plain_rows(call_.w, call_.outputs, call_.inputs, first, width,
                      weights_ + first * L * call_.inputs);
      for (int64_t v = first; v < first + width; ++v)
        store(bias_ + v * L,
              call_.b ? load_first(call_.b + v * L, live_lanes(call_.outputs, v, L)) : Vec<Real>{});
    });
    const Range own = share(call_.rows, index, call_.threads);
    for (int64_t row = own.begin; row < own.end; ++row) rows_[row] = call_.x + row * call_.inputs;
  }

  void multiply(Range own) {
    alignas(64) Real tile[kMaxTile];
    for_column_panels({0, vectors_}, [&](int64_t first_vector, int width) {
      for_row_blocks(own.end - own.begin, tile_rows(width), [&](int64_t block, int rows) {
        const int64_t first = own.begin + block;
        const Part<Real> part{rows_ + first, 0, call_.inputs};
        tile_function<Real>(rows, width)(&part, 1, weights_ + first_vector * L * call_.inputs,
                                         {bias_ + first_vector * L, 0}, {tile, width * L});
        for (int row = 0; row < rows; ++row)
          for (int v = 0; v < width; ++v) {
            Vec<Real> value = load(tile + (row * width + v) * L);
            if (call_.relu) value = value < Vec<Real>{} ? Vec<Real>{} : value;  // NaN stays NaN
            store_first(call_.y + (first + row) * call_.outputs + (first_vector + v) * L, value,
                        live_lanes(call_.outputs, first_vector + v, L));
          }
      });
    });
  }

  const Linear<Real>& call_;
  Barrier barrier_;
  int64_t vectors_;
  Real *weights_, *bias_;  // [column panel][input][lanes], [output]
  const Real** rows_;
};

template <class Real>
class LinearBackward {
  static constexpr int L = kLanes<Real>, R = tile_rows(kMaxVectors);
  static constexpr int64_t kChunkRows = 512,
                           kStretch = 512;  // summed up from zero: longer sums would lose digits

 public:
  LinearBackward(const LinearGradient<Real>& call, Arena& arena)
      : call_(call), layer_(call.layer), barrier_(layer_.threads) {
    input_vectors_ = vectors_for(layer_.inputs, L);
    gradient_rows_ = arena.take<const Real*>(layer_.rows);
    if (layer_.relu) gradient_ = arena.take<Real>(layer_.rows * layer_.outputs);
    if (call.dx) weights_ = arena.take<Real>(input_vectors_ * L * layer_.outputs);
    if (!call.dw) return;
    input_rows_ = arena.take<Real>(layer_.rows * input_vectors_ * L);
    left_ = arena.take<Real>(kChunkRows * layer_.outputs);
    dw_ = arena.take<Real>(layer_.outputs * input_vectors_ * L);
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      prepare(index);
      barrier_.wait();
      if (call_.dx) input_gradient(share(layer_.rows, index, layer_.threads));
      if (call_.dw) weight_gradient(share(layer_.outputs, index, layer_.threads));
    };
    run_parallel(layer_.threads, body);
  }

 private:
  // Column panels of w; the rows of the gradient before relu, and of x in column panels.
  void prepare(int index) {
    const int64_t M = layer_.outputs, K = layer_.inputs;
    const Range own = share(layer_.rows, index, layer_.threads);
    for (int64_t row = own.begin; row < own.end; ++row) {
      const Real* dy = call_.dy + row * M;
      gradient_rows_[row] = layer_.relu ? gradient_ + row * M : dy;
      for (int64_t m = 0; layer_.relu && m < M; m += L) {
        const int live = live_lanes(M, m / L, L);
        store_first(
            gradient_ + row * M + m,
            load_first(layer_.y + row * M + m, live) <= Vec<Real>{} ? Vec<Real>{} : load_first(dy + m, live),
            live);
      }
    }
    int64_t turn = 0;
    for_column_panels({0, input_vectors_}, [&](int64_t first, int width) {
      if (call_.dx && turn++ % layer_.threads == index)
        pack_plain_columns(layer_.w, M, K, first, width, weights_ + first * L * M);
      for (int64_t row = own.begin; call_.dw && row < own.end; ++row)
        for (int v = 0; v < width; ++v)
          store(input_rows_ + (first * layer_.rows + row * width + v) * L,
                load_first(layer_.x + row * K + (first + v) * L, live_lanes(K, first + v, L)));
    });
  }

  // In stretches of the outputs, whose weights stay in the cache while all rows pass.
  void input_gradient(Range own) {
    const int64_t M = layer_.outputs, K = layer_.inputs;
    alignas(64) Real tile[kMaxTile];
    for (int64_t begin = 0; begin < M; begin += kStretch) {
      const int64_t length = M - begin < kStretch ? M - begin : kStretch;
      for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
        const Real* right = weights_ + (first_vector * M + begin * width) * L;
        for_row_blocks(own.end - own.begin, tile_rows(width), [&](int64_t block, int rows) {
          const int64_t first = own.begin + block;
          const Part<Real> part{gradient_rows_ + first, begin, length};
          tile_function<Real>(rows, width)(&part, 1, right, {kZeros<Real>, 0}, {tile, width * L});
          for (int row = 0; row < rows; ++row)
            for (int v = 0; v < width; ++v) {
              const int live = live_lanes(K, first_vector + v, L);
              Real* to = call_.dx + (first + row) * K + (first_vector + v) * L;
              Vec<Real> value = load(tile + (row * width + v) * L);
              if (begin) value += load_first(to, live);
              store_first(to, value, live);
            }
        });
      });
    }
  }

  // For the thread's share of the outputs.
  void weight_gradient(Range own) {
    const int64_t M = layer_.outputs, K = layer_.inputs, N = layer_.rows;
    Real* left = left_ + own.begin * kChunkRows;
    for (int64_t m = own.begin; call_.db && m < own.end; m += L)
      bias_gradient(m, (int)(own.end - m < L ? own.end - m : L));
    for (int64_t begin = 0; begin < N; begin += kChunkRows) {
      const int64_t count = N - begin < kChunkRows ? N - begin : kChunkRows;
      for_row_blocks(own.end - own.begin, R, [&](int64_t block, int columns) {
        gather_columns<Real, R>(gradient_rows_ + begin, count, own.begin + block, columns,
                                left + block * count);
      });
      for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
        const Real* right = input_rows_ + (first_vector * N + begin * width) * L;
        for_row_blocks(own.end - own.begin, R, [&](int64_t block, int columns) {
          const Real* starts[kMaxRows];
          for (int i = 0; i < columns; ++i) starts[i] = left + block * count + i;
          const Part<Real> part{starts, 0, count};
          Real* to = dw_ + first_vector * L * M + (own.begin + block) * width * L;
          const Rows<const Real> in =
              begin ? Rows<const Real>{to, width * L} : Rows<const Real>{kZeros<Real>, 0};
          tile_function<Real, true>(columns, width)(&part, 1, right, in, {to, width * L});
        });
      });
    }
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      for (int64_t m = own.begin; m < own.end; ++m)
        for (int v = 0; v < width; ++v)
          store_first(call_.dw + m * K + (first_vector + v) * L,
                      load(dw_ + first_vector * L * M + (m * width + v) * L),
                      live_lanes(K, first_vector + v, L));
    });
  }
  void bias_gradient(int64_t first, int live) {
    Vec<Real> total{};
    for (int64_t begin = 0; begin < layer_.rows; begin += kChunkRows) {
      Vec<Real> sum{};
      for (int64_t row = begin; row < layer_.rows && row < begin + kChunkRows; ++row)
        sum += load_first(gradient_rows_[row] + first, live);
      total += sum;
    }
    store_first(call_.db + first, total, live);
  }

  const LinearGradient<Real>& call_;
  const Linear<Real>& layer_;
  Barrier barrier_;
  int64_t input_vectors_;
  const Real** gradient_rows_;
  Real *gradient_ = nullptr, *weights_ = nullptr;  // before relu; w in column panels
  Real *input_rows_ = nullptr, *left_ = nullptr,
       *dw_ = nullptr;  // x and dw in column panels, columns of the gradient
};

}  // namespace fastlstm::FASTLSTM_ISA

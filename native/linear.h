// A dense layer on the kernels' own matrix products: y = act(act(x) Wᵀ + b), each act the identity or relu.
//
//   N rows   K inputs   M outputs
#pragma once

#include "denormals.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

// Rows at once: what is prepared of them is still in the second cache when it is read. Longer sums over rows
// than this are taken in stretches: they would lose digits.
constexpr int64_t kLinearChunk = 256;

template <class Body>
FASTLSTM_INLINE void for_row_chunks(Range rows, Body&& body) {
  for (int64_t first = rows.begin; first < rows.end; first += kLinearChunk)
    body(first, rows.end - first < kLinearChunk ? rows.end - first : kLinearChunk);
}

template <class Real>
FASTLSTM_INLINE Vec<Real> relu(Vec<Real> value) {
  return value < Vec<Real>{} ? Vec<Real>{} : value;  // NaN stays NaN
}
// What relu lets through of a gradient, by its argument or its result.
template <class Real>
FASTLSTM_INLINE Vec<Real> relu_gradient(Vec<Real> gradient, Vec<Real> at) {
  return at <= Vec<Real>{} ? Vec<Real>{} : gradient;
}

template <class Real>
class LinearForward {
  static constexpr int L = kLanes<Real>;

 public:
  LinearForward(const Linear<Real>& call, Arena& arena) : call_(call), barrier_(call.threads) {
    vectors_ = vectors_for(call.outputs, L);
    weights_ = arena.take<Real>(vectors_ * L * call.inputs);
    bias_ = arena.take<Real>(vectors_ * L);
    if (call.relu_x) rectified_ = arena.take<Real>(call.threads * kLinearChunk * call.inputs);
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      pack(index);
      barrier_.wait();
      for_row_chunks(share(call_.rows, index, call_.threads),
                     [&](int64_t first, int64_t count) { multiply(index, first, count); });
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
  }

  void multiply(int index, int64_t chunk, int64_t count) {
    alignas(64) Real tile[kMaxTile];
    const Real* starts[kLinearChunk];
    const Real* x = call_.x + chunk * call_.inputs;
    if (call_.relu_x) {
      const int64_t values = count * call_.inputs;
      Real* to = rectified_ + index * kLinearChunk * call_.inputs;
      for (int64_t i = 0; i < values; i += L) {
        const int live = live_lanes(values, i / L, L);
        store_first(to + i, relu<Real>(load_first(x + i, live)), live);
      }
      x = to;
    }
    for (int64_t row = 0; row < count; ++row) starts[row] = x + row * call_.inputs;
    for_column_panels({0, vectors_}, [&](int64_t first_vector, int width) {
      for_row_blocks(count, tile_rows(width), [&](int64_t block, int rows) {
        const Part<Real> part{starts + block, 0, call_.inputs};
        tile_function<Real>(rows, width)(&part, 1, weights_ + first_vector * L * call_.inputs,
                                         {bias_ + first_vector * L, 0}, {tile, width * L});
        for (int row = 0; row < rows; ++row)
          for (int v = 0; v < width; ++v) {
            const Vec<Real> value = load(tile + (row * width + v) * L);
            store_first(call_.y + (chunk + block + row) * call_.outputs + (first_vector + v) * L,
                        call_.relu ? relu<Real>(value) : value,
                        live_lanes(call_.outputs, first_vector + v, L));
          }
      });
    });
  }

  const Linear<Real>& call_;
  Barrier barrier_;
  int64_t vectors_;
  Real *weights_, *bias_;      // [column panel][input][lanes], [output]
  Real* rectified_ = nullptr;  // [thread][row][input]
};

// Each thread takes its own rows once: the gradient before relu, that of x, and its part of the weights'. The
// parts are added up at the end; only where rows are few beside the threads does each thread take its own
// outputs of all rows instead.
template <class Real>
class LinearBackward {
  static constexpr int L = kLanes<Real>, R = tile_rows(kMaxVectors);
  static constexpr int64_t kStretch = 512;  // outputs, whose weights stay in the cache while rows pass

 public:
  LinearBackward(const LinearGradient<Real>& call, Arena& arena)
      : call_(call), layer_(call.layer), barrier_(layer_.threads) {
    const int64_t threads = layer_.threads, M = layer_.outputs, K = layer_.inputs;
    input_vectors_ = vectors_for(K, L);
    by_rows_ = threads == 1 || layer_.rows >= 32 * threads * threads;
    if (layer_.relu) gradient_ = arena.take<Real>(threads * kLinearChunk * M);
    if (call.dx) weights_ = arena.take<Real>(input_vectors_ * L * M);
    if (!call.dw) return;
    inputs_ = arena.take<Real>(threads * kLinearChunk * input_vectors_ * L);
    left_ = arena.take<Real>(threads * kLinearChunk * M);
    parts_ = by_rows_ ? threads : 1;
    dw_ = arena.take<Real>(parts_ * M * input_vectors_ * L);
    db_ = arena.take<Real>(parts_ * (M + L));
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      if (call_.dx) pack(index);
      barrier_.wait();
      const Range rows{0, layer_.rows}, outputs{0, layer_.outputs};
      const Range own = share(layer_.rows, index, layer_.threads);
      const Range own_outputs = share(layer_.outputs, index, layer_.threads);
      if (call_.dw) clear(by_rows_ ? index : 0, by_rows_ ? outputs : own_outputs);
      for_row_chunks(own, [&](int64_t first, int64_t count) {
        const Real* gradient = before_relu(index, first, count);
        if (call_.dx) input_gradient(gradient, first, count);
        if (call_.dw && by_rows_) weight_gradient(index, gradient, first, count, outputs);
      });
      if (!call_.dw) return;
      if (by_rows_)
        barrier_.wait();
      else
        for_row_chunks(rows, [&](int64_t first, int64_t count) {
          weight_gradient(index, before_relu(index, first, count), first, count, own_outputs);
        });
      finish(own_outputs);
    };
    run_parallel(layer_.threads, body);
  }

 private:
  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, input_vectors_}, [&](int64_t first, int width) {
      if (turn++ % layer_.threads == index)
        pack_plain_columns(layer_.w, layer_.outputs, layer_.inputs, first, width,
                           weights_ + first * L * layer_.outputs);
    });
  }

  // The gradient of the chunk's sums.
  const Real* before_relu(int index, int64_t chunk, int64_t count) {
    const int64_t M = layer_.outputs, values = count * M;
    const Real *dy = call_.dy + chunk * M, *y = layer_.y + chunk * M;
    if (!layer_.relu) return dy;
    Real* to = gradient_ + index * kLinearChunk * M;
    for (int64_t i = 0; i < values; i += L) {
      const int live = live_lanes(values, i / L, L);
      store_first(to + i, relu_gradient<Real>(load_first(dy + i, live), load_first(y + i, live)), live);
    }
    return to;
  }

  void input_gradient(const Real* gradient, int64_t chunk, int64_t count) {
    const int64_t M = layer_.outputs, K = layer_.inputs;
    alignas(64) Real tile[kMaxTile];
    const Real* starts[kLinearChunk];
    for (int64_t row = 0; row < count; ++row) starts[row] = gradient + row * M;
    for (int64_t begin = 0; begin < M; begin += kStretch) {
      const int64_t length = M - begin < kStretch ? M - begin : kStretch;
      for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
        const Real* right = weights_ + (first_vector * M + begin * width) * L;
        for_row_blocks(count, tile_rows(width), [&](int64_t block, int rows) {
          const Part<Real> part{starts + block, begin, length};
          tile_function<Real>(rows, width)(&part, 1, right, {kZeros<Real>, 0}, {tile, width * L});
          for (int row = 0; row < rows; ++row)
            for (int v = 0; v < width; ++v) {
              const int live = live_lanes(K, first_vector + v, L);
              const int64_t at = (chunk + block + row) * K + (first_vector + v) * L;
              Vec<Real> value = load(tile + (row * width + v) * L);
              if (layer_.relu_x) value = relu_gradient<Real>(value, load_first(layer_.x + at, live));
              if (begin) value += load_first(call_.dx + at, live);
              store_first(call_.dx + at, value, live);
            }
        });
      });
    }
  }

  // Adds a chunk to the gradient of some outputs' weights.
  void weight_gradient(int index, const Real* gradient, int64_t chunk, int64_t count, Range outputs) {
    const int64_t M = layer_.outputs, part_of = by_rows_ ? index : 0;
    const Real* starts[kLinearChunk];
    for (int64_t row = 0; row < count; ++row) starts[row] = gradient + row * M;
    if (call_.db) bias_gradient(db_ + part_of * (M + L), starts, count, outputs);
    Real* left = left_ + index * kLinearChunk * M;
    for_row_blocks(outputs.end - outputs.begin, R, [&](int64_t block, int columns) {
      gather_columns<Real, R>(starts, count, outputs.begin + block, columns, left + block * count);
    });
    Real* dw = dw_ + part_of * M * input_vectors_ * L;
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      const Real* right = input_panel(index, chunk, count, first_vector, width);
      for_row_blocks(outputs.end - outputs.begin, R, [&](int64_t block, int columns) {
        const Real* columns_of[kMaxRows];
        for (int i = 0; i < columns; ++i) columns_of[i] = left + block * count + i;
        const Part<Real> part{columns_of, 0, count};
        Real* to = dw + first_vector * L * M + (outputs.begin + block) * width * L;
        tile_function<Real, true>(columns, width)(&part, 1, right, {to, width * L}, {to, width * L});
      });
    });
  }

  // A column panel of a chunk of x: x itself where it is no wider.
  const Real* input_panel(int index, int64_t chunk, int64_t count, int64_t first_vector, int width) {
    const int64_t K = layer_.inputs;
    const Real* x = layer_.x + chunk * K + first_vector * L;
    if (!layer_.relu_x && K == width * L) return x;
    Real* panel = inputs_ + index * kLinearChunk * input_vectors_ * L;
    Real* to = panel;
    for (int64_t row = 0; row < count; ++row)
      for (int v = 0; v < width; ++v, to += L) {
        const Vec<Real> value = load_first(x + row * K + v * L, live_lanes(K, first_vector + v, L));
        store(to, layer_.relu_x ? relu<Real>(value) : value);
      }
    return panel;
  }

  void bias_gradient(Real* db, const Real* const* gradient, int64_t count, Range outputs) {
    for (int64_t m = outputs.begin; m < outputs.end; m += L) {
      const int live = live_lanes(outputs.end - m, 0, L);
      Vec<Real> sum{};
      for (int64_t row = 0; row < count; ++row) sum += load_first(gradient[row] + m, live);
      store_first(db + m, Vec<Real>(load_first(db + m, live) + sum), live);
    }
  }

  void clear(int part, Range outputs) {
    const int64_t M = layer_.outputs;
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      Real* to = dw_ + part * M * input_vectors_ * L + first_vector * L * M;
      for (int64_t i = outputs.begin * width; i < outputs.end * width; ++i) store(to + i * L, Vec<Real>{});
    });
    for (int64_t m = outputs.begin; m < outputs.end; ++m) db_[part * (M + L) + m] = 0;
  }

  // The sum of the threads' parts, for some outputs.
  void finish(Range outputs) {
    const int64_t M = layer_.outputs, K = layer_.inputs;
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      for (int64_t m = outputs.begin; m < outputs.end; ++m)
        for (int v = 0; v < width; ++v) {
          const Real* from = dw_ + first_vector * L * M + (m * width + v) * L;
          Vec<Real> sum = load(from);
          for (int part = 1; part < parts_; ++part) sum += load(from + part * M * input_vectors_ * L);
          store_first(call_.dw + m * K + (first_vector + v) * L, sum, live_lanes(K, first_vector + v, L));
        }
    });
    for (int64_t m = outputs.begin; call_.db && m < outputs.end; ++m) {
      Real sum = db_[m];
      for (int part = 1; part < parts_; ++part) sum += db_[part * (M + L) + m];
      call_.db[m] = sum;
    }
  }

  const LinearGradient<Real>& call_;
  const Linear<Real>& layer_;
  Barrier barrier_;
  int64_t input_vectors_;
  bool by_rows_;
  int parts_ = 0;
  Real *gradient_ = nullptr, *weights_ = nullptr;  // a chunk before relu; w in column panels
  Real *inputs_ = nullptr, *left_ = nullptr;       // a chunk of x in column panels, the gradient's columns
  Real *dw_ = nullptr, *db_ = nullptr;             // [part], dw in column panels
};

}  // namespace fastlstm::FASTLSTM_ISA

// A dense layer whose products are of floats rounded to bfloat16: y = x Wᵀ + b.
//
//   N rows   K inputs   M outputs
//
// Inner dimensions are taken in stretches, so that what is packed of them stays in the caches.
#pragma once

#include <algorithm>

#include "arena.h"
#include "denormals.h"
#include "gemm_rounded.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr int64_t kRoundedRows = 256;      // of x or dy at once
constexpr int64_t kRoundedStretch = 1024;  // of an inner dimension, a multiple of what a tile holds

// A right-hand matrix in stretches of its inner dimension, each of which is packed in column panels.
template <class Product>
class RightOperand {
 public:
  static constexpr int L = kLanes<float>;

  RightOperand(Arena& arena, int64_t length, int64_t vectors) : length_(length), vectors_(vectors) {
    packed_ = arena.take<Bfloat16>(stretches() * stretch_values());
  }
  int64_t stretches() const { return (length_ + kRoundedStretch - 1) / kRoundedStretch; }
  int64_t begin(int64_t stretch) const { return stretch * kRoundedStretch; }
  int64_t length(int64_t stretch) const {
    return length_ - begin(stretch) < kRoundedStretch ? length_ - begin(stretch) : kRoundedStretch;
  }
  Bfloat16* panel(int64_t stretch, int64_t first_vector) const {
    return packed_ + stretch * stretch_values() + first_vector * Product::right_values(length(stretch));
  }
  // From `width` vectors of columns, row by row.
  void pack(const float* from, int64_t first_vector, int width) const {
    for (int64_t s = 0; s < stretches(); ++s)
      Product::pack(from + begin(s) * width * L, width, length(s), panel(s, first_vector));
  }

 private:
  int64_t stretch_values() const {
    return vectors_ * Product::right_values(length_ < kRoundedStretch ? length_ : kRoundedStretch);
  }
  int64_t length_, vectors_;
  Bfloat16* packed_;
};

// Left-hand rows of one stretch, filled up with zeros.
template <class Product>
struct LeftOperand {
  Bfloat16* rows;
  LeftOperand(Arena& arena, int64_t count, int64_t length) {
    const int64_t values = (count + Product::kMostRows) * Product::stride(length);
    rows = arena.take<Bfloat16>(values);
    __builtin_memset(rows, 0, values * sizeof(Bfloat16));
  }
};

template <class Product>
class RoundedLinear {
  static constexpr int L = kLanes<float>;

 public:
  RoundedLinear(const Linear<float>& call, Arena& arena)
      : call_(call),
        barrier_(call.threads),
        vectors_(vectors_for(call.outputs, L)),
        weights_(arena, call.inputs, vectors_) {
    bias_ = arena.take<float>(vectors_ * L);
    threads_ = arena.take<Thread>(call.threads);
    for (int i = 0; i < call.threads; ++i)
      threads_[i] = {arena.take<float>(call.inputs * kMaxVectors * L),
                     LeftOperand<Product>(arena, std::min(kRoundedRows, call.rows), stretch()).rows};
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      const typename Product::Setting setting(Product::kMostRows);
      pack(index);
      barrier_.wait();
      const Range own = share(call_.rows, index, call_.threads);
      for (int64_t first = own.begin; first < own.end; first += kRoundedRows)
        multiply(threads_[index].left, first,
                 own.end - first < kRoundedRows ? own.end - first : kRoundedRows);
    };
    run_parallel(call_.threads, body);
  }

 private:
  struct Thread {
    float* columns;
    Bfloat16* left;
  };
  int64_t stretch() const { return call_.inputs < kRoundedStretch ? call_.inputs : kRoundedStretch; }

  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, vectors_}, [&](int64_t first, int width) {
      if (turn++ % call_.threads != index) return;
      float* columns = threads_[index].columns;
      pack_plain_rows(call_.w, call_.outputs, call_.inputs, first, width, columns);
      weights_.pack(columns, first, width);
      for (int64_t v = first; v < first + width; ++v)
        store(bias_ + v * L,
              call_.b ? load_first(call_.b + v * L, live_lanes(call_.outputs, v, L)) : Vec<float>{});
    });
  }

  void multiply(Bfloat16* left, int64_t first_row, int64_t count) {
    alignas(64) float tile[Product::kTileValues];
    const int64_t K = call_.inputs, M = call_.outputs;
    for (int64_t s = 0; s < weights_.stretches(); ++s) {
      const int64_t length = weights_.length(s), stride = Product::stride(length);
      gather(call_.x + first_row * K + weights_.begin(s), K, count, length, left);
      for_column_panels({0, vectors_}, [&](int64_t first, int width) {
        Product::for_blocks(count, Product::most_rows(width), [&](int64_t block, int rows) {
          Product::multiply(left + block * stride, weights_.panel(s, first), length, rows, width,
                            {s ? kZeros<float> : bias_ + first * L, 0}, {tile, width * L});
          put(tile, width, rows, call_.y + (first_row + block) * M + first * L, M, M - first * L, s > 0);
        });
      });
    }
  }

 public:
  // Rows of floats to rows of a left-hand matrix.
  static void gather(const float* from, int64_t stride, int64_t count, int64_t length, Bfloat16* left) {
    const int64_t to = Product::stride(length);
    for (int64_t row = 0; row < count; ++row) {
      // A shorter stretch than the one before leaves that one's values behind it.
      __builtin_memset(left + row * to + length / L * L, 0, (to - length / L * L) * sizeof(Bfloat16));
      Product::gather(from + row * stride, length, left + row * to);
    }
  }
  // A tile to its place, of whose columns so many are there.
  static void put(const float* tile, int width, int rows, float* to, int64_t stride, int64_t columns,
                  bool add) {
    for (int row = 0; row < rows; ++row)
      for (int v = 0; v < width; ++v) {
        const int live = live_lanes(columns, v, L);
        Vec<float> value = load(tile + (row * width + v) * L);
        if (add) value += load_first(to + row * stride + v * L, live);
        store_first(to + row * stride + v * L, value, live);
      }
  }

 private:
  const Linear<float>& call_;
  Barrier barrier_;
  int64_t vectors_;
  RightOperand<Product> weights_;
  float* bias_;
  Thread* threads_;
};

// dx = dy W, a thread its rows; then dW = dyᵀ x and db, a thread its outputs.
template <class Product>
class RoundedLinearGradient {
  static constexpr int L = kLanes<float>;

 public:
  RoundedLinearGradient(const LinearGradient<float>& call, Arena& arena)
      : call_(call),
        layer_(call.layer),
        barrier_(layer_.threads),
        vectors_(vectors_for(layer_.inputs, L)),
        weights_(arena, call.dx ? layer_.outputs : 0, vectors_),
        inputs_(arena, call.dw ? layer_.rows : 0, vectors_) {
    threads_ = arena.take<Thread>(layer_.threads);
    const int64_t outputs = shorter(layer_.outputs), rows = shorter(layer_.rows);
    for (int i = 0; i < layer_.threads; ++i) {
      threads_[i] = {};
      if (call.dx) {
        threads_[i].columns = arena.take<float>(layer_.outputs * kMaxVectors * L);
        threads_[i].left = LeftOperand<Product>(arena, std::min(kRoundedRows, layer_.rows), outputs).rows;
      }
      if (call.dw) threads_[i].strips = LeftOperand<Product>(arena, kStrips * L, rows).rows;
    }
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      const typename Product::Setting setting(Product::kMostRows);
      pack(index);
      barrier_.wait();
      if (call_.dx) {
        const Range own = share(layer_.rows, index, layer_.threads);
        for (int64_t first = own.begin; first < own.end; first += kRoundedRows)
          input_gradient(threads_[index].left, first,
                         own.end - first < kRoundedRows ? own.end - first : kRoundedRows);
      }
      if (!call_.dw) return;
      const Range strips = share(vectors_for(layer_.outputs, L), index, layer_.threads);
      for (int64_t first = strips.begin; first < strips.end; first += kStrips)
        weight_gradient(threads_[index].strips, first,
                        strips.end - first < kStrips ? strips.end - first : kStrips);
    };
    run_parallel(layer_.threads, body);
  }

 private:
  static constexpr int64_t kStrips = 2;  // vectors of outputs at once
  struct Thread {
    float* columns;
    Bfloat16 *left, *strips;
  };
  static int64_t shorter(int64_t length) { return length < kRoundedStretch ? length : kRoundedStretch; }

  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, vectors_}, [&](int64_t first, int width) {
      if (turn++ % layer_.threads != index) return;
      if (call_.dx) {
        float* columns = threads_[index].columns;
        pack_plain_columns(layer_.w, layer_.outputs, layer_.inputs, first, width, columns);
        weights_.pack(columns, first, width);
      }
      if (call_.dw) pack_inputs(first, width);
    });
  }
  // Vectors of columns of x, two rows side by side.
  void pack_inputs(int64_t first, int width) const {
    const int64_t K = layer_.inputs;
    for (int64_t s = 0; s < inputs_.stretches(); ++s) {
      const int64_t length = inputs_.length(s);
      Bfloat16* to = inputs_.panel(s, first);
      for (int64_t v = first; v < first + width; ++v, to += Product::right_values(length)) {
        const auto value = [&](int64_t row) {
          return row < length
                     ? load_first(layer_.x + (inputs_.begin(s) + row) * K + v * L, live_lanes(K, v, L))
                     : Vec<float>{};
        };
        for (int64_t row = 0; row < Product::padded(length); row += 2)
          Product::store_right(value(row), value(row + 1), to, row);
      }
    }
  }

  void input_gradient(Bfloat16* left, int64_t first_row, int64_t count) {
    alignas(64) float tile[Product::kTileValues];
    const int64_t K = layer_.inputs, M = layer_.outputs;
    for (int64_t s = 0; s < weights_.stretches(); ++s) {
      const int64_t length = weights_.length(s), stride = Product::stride(length);
      RoundedLinear<Product>::gather(call_.dy + first_row * M + weights_.begin(s), M, count, length, left);
      for_column_panels({0, vectors_}, [&](int64_t first, int width) {
        Product::for_blocks(count, Product::most_rows(width), [&](int64_t block, int rows) {
          Product::multiply(left + block * stride, weights_.panel(s, first), length, rows, width,
                            {kZeros<float>, 0}, {tile, width * L});
          RoundedLinear<Product>::put(tile, width, rows, call_.dx + (first_row + block) * K + first * L, K,
                                      K - first * L, s > 0);
        });
      });
    }
  }

  // Of some vectors of outputs.
  void weight_gradient(Bfloat16* left, int64_t first_strip, int64_t strips) {
    alignas(64) float tile[Product::kTileValues];
    const int64_t K = layer_.inputs, M = layer_.outputs, first_output = first_strip * L;
    const int64_t outputs = M - first_output < strips * L ? M - first_output : strips * L;
    double sums[kStrips][L] = {};
    for (int64_t s = 0; s < inputs_.stretches(); ++s) {
      const int64_t length = inputs_.length(s), stride = Product::stride(length);
      for (int64_t strip = 0; strip < strips; ++strip)
        gather_strip(inputs_.begin(s), length, first_strip + strip, left + strip * L * stride, sums[strip]);
      for_column_panels({0, vectors_}, [&](int64_t first, int width) {
        Product::for_blocks(outputs, Product::most_rows(width), [&](int64_t block, int rows) {
          Product::multiply(left + block * stride, inputs_.panel(s, first), length, rows, width,
                            {kZeros<float>, 0}, {tile, width * L});
          RoundedLinear<Product>::put(tile, width, rows, call_.dw + (first_output + block) * K + first * L, K,
                                      K - first * L, s > 0);
        });
      });
    }
    for (int64_t strip = 0; call_.db && strip < strips; ++strip)
      for (int lane = 0; lane < live_lanes(outputs, strip, L); ++lane)
        call_.db[first_output + strip * L + lane] = (float)sums[strip][lane];
  }
  // A vector of columns of dy, each as a row, and what they sum up to.
  void gather_strip(int64_t first_row, int64_t length, int64_t strip, Bfloat16* left, double* sums) const {
    Vec<float> sum{};
    const int64_t M = layer_.outputs, stride = Product::stride(length);
    const int live = live_lanes(M, strip, L);
    for (int64_t row = 0; row < Product::padded(length); row += L) {
      Vec<float> square[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        square[i] = row + i < length ? load_first(call_.dy + (first_row + row + i) * M + strip * L, live)
                                     : Vec<float>{};
        sum += square[i];
      }
      transpose<float>(square);
      for (int i = 0; i < live; ++i) Product::store_left(square[i], left + i * stride, row);
    }
    for (int lane = 0; lane < L; ++lane) sums[lane] += sum[lane];
  }

  const LinearGradient<float>& call_;
  const Linear<float>& layer_;
  Barrier barrier_;
  int64_t vectors_;
  RightOperand<Product> weights_, inputs_;
  Thread* threads_;
};

template <class Product>
void linear_rounded(const Linear<float>& call) {
  Arena& arena = thread_arena();
  arena.reset();
  RoundedLinear<RoundingOperand<Product>>(call, arena).run();
}
template <class Product>
void linear_gradient_rounded(const LinearGradient<float>& call) {
  Arena& arena = thread_arena();
  arena.reset();
  RoundedLinearGradient<RoundingOperand<Product>>(call, arena).run();
}

}  // namespace fastlstm::FASTLSTM_ISA

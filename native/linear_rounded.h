// A dense layer whose products are of floats rounded to bfloat16: y = x Wᵀ + b.
//
//   N rows   K inputs   M outputs
//
// Inner dimensions are taken in stretches, so that what is packed of them stays in the caches.
#pragma once

#include <algorithm>

#include "arena.h"
#include "denormals.h"
#include "gemm_gathered.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr int64_t kRoundedRows = 256;      // of x or dy at once
constexpr int64_t kRoundedStretch = 1024;  // of an inner dimension, a multiple of what a tile holds

// A right-hand matrix in stretches of its inner dimension, each of which is packed in column panels.
template <class Product>
class RightOperand {
  static constexpr int L = kLanes<float>;

 public:
  RightOperand(Arena& arena, int64_t length, int64_t columns)
      : length_(length), columns_(columns), vectors_(vectors_for(columns, L)) {
    packed_ = arena.take<Bfloat16>(stretches() * stretch_values());
  }
  int64_t stretches() const { return (length_ + kRoundedStretch - 1) / kRoundedStretch; }
  int64_t begin(int64_t stretch) const { return stretch * kRoundedStretch; }
  int64_t length(int64_t stretch) const { return std::min(length_ - begin(stretch), kRoundedStretch); }
  Bfloat16* panel(int64_t stretch, int64_t first_vector) const {
    return packed_ + stretch * stretch_values() + first_vector * Product::right_values(length(stretch));
  }
  // From `width` vectors of columns, row by row.
  void pack(const float* from, int64_t first_vector, int width) const {
    for (int64_t s = 0; s < stretches(); ++s)
      Product::pack(from + begin(s) * width * L, width, length(s), panel(s, first_vector));
  }
  // Room for left-hand rows of one stretch, filled up with zeros.
  Bfloat16* left(Arena& arena, int64_t rows) const {
    const int64_t values = (rows + Product::kMostRows) * Product::stride(length(0));
    Bfloat16* room = arena.take<Bfloat16>(values);
    __builtin_memset(room, 0, values * sizeof(Bfloat16));
    return room;
  }

  // to = from · this + bias (of whole vectors; null: none), for some rows.
  void multiply(const float* from, int64_t rows, Bfloat16* left, const float* bias, float* to) const {
    for (int64_t first = 0; first < rows; first += kRoundedRows)
      for (int64_t s = 0; s < stretches(); ++s) {
        const int64_t count = std::min(rows - first, kRoundedRows);
        gather(from + first * length_ + begin(s), count, length(s), left);
        multiply_stretch(s, left, count, bias, to + first * columns_);
      }
  }
  // The same of one stretch whose rows are gathered: what the first sets, those after it add to.
  void multiply_stretch(int64_t s, const Bfloat16* left, int64_t rows, const float* bias, float* to) const {
    alignas(64) float tile[Product::kTileValues];
    const int64_t stride = Product::stride(length(s));
    for_column_panels({0, vectors_}, [&](int64_t first, int width) {
      Product::for_blocks(rows, Product::most_rows(width), [&](int64_t block, int count) {
        Product::multiply(left + block * stride, panel(s, first), length(s), count, width,
                          {s || !bias ? kZeros<float> : bias + first * L, 0}, {tile, width * L});
        put(tile, width, count, first, to + block * columns_, s > 0);
      });
    });
  }

 private:
  int64_t stretch_values() const {
    return vectors_ * Product::right_values(std::min(length_, kRoundedStretch));
  }
  void gather(const float* from, int64_t rows, int64_t length, Bfloat16* left) const {
    const int64_t stride = Product::stride(length);
    for (int64_t row = 0; row < rows; ++row, left += stride) {
      // A shorter stretch than the one before leaves that one's values behind it.
      __builtin_memset(left + length / L * L, 0, (stride - length / L * L) * sizeof(Bfloat16));
      Product::gather(from + row * length_, length, left);
    }
  }
  void put(const float* tile, int width, int rows, int64_t first_vector, float* to, bool add) const {
    for (int row = 0; row < rows; ++row, to += columns_)
      for (int v = 0; v < width; ++v, tile += L) {
        float* at = to + (first_vector + v) * L;
        const int live = live_lanes(columns_, first_vector + v, L);
        Vec<float> value = load(tile);
        if (add) value += load_first(at, live);
        store_first(at, value, live);
      }
  }

  int64_t length_, columns_, vectors_;
  Bfloat16* packed_;
};

template <class Product>
class RoundedLinear {
  static constexpr int L = kLanes<float>;

 public:
  RoundedLinear(const Linear<float>& call, Arena& arena)
      : call_(call), barrier_(call.threads), weights_(arena, call.inputs, call.outputs) {
    bias_ = arena.take<float>(vectors_for(call.outputs, L) * L);
    threads_ = arena.take<Thread>(call.threads);
    for (int i = 0; i < call.threads; ++i)
      threads_[i] = {arena.take<float>(call.inputs * kMaxVectors * L),
                     weights_.left(arena, std::min(kRoundedRows, call.rows))};
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      const typename Product::Setting setting(Product::kMostRows);
      pack(index);
      barrier_.wait();
      const Range own = share(call_.rows, index, call_.threads);
      weights_.multiply(call_.x + own.begin * call_.inputs, own.end - own.begin, threads_[index].left, bias_,
                        call_.y + own.begin * call_.outputs);
    };
    run_parallel(call_.threads, body);
  }

 private:
  struct Thread {
    float* columns;
    Bfloat16* left;
  };

  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, vectors_for(call_.outputs, L)}, [&](int64_t first, int width) {
      if (turn++ % call_.threads != index) return;
      float* columns = threads_[index].columns;
      pack_plain_rows(call_.w, call_.outputs, call_.inputs, first, width, columns);
      weights_.pack(columns, first, width);
      for (int64_t v = first; v < first + width; ++v)
        store(bias_ + v * L,
              call_.b ? load_first(call_.b + v * L, live_lanes(call_.outputs, v, L)) : Vec<float>{});
    });
  }

  const Linear<float>& call_;
  Barrier barrier_;
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
        weights_(arena, call.dx ? layer_.outputs : 0, layer_.inputs),
        inputs_(arena, call.dw ? layer_.rows : 0, layer_.inputs) {
    threads_ = arena.take<Thread>(layer_.threads);
    for (int i = 0; i < layer_.threads; ++i) {
      threads_[i] = {};
      if (call.dx) {
        threads_[i].columns = arena.take<float>(layer_.outputs * kMaxVectors * L);
        threads_[i].left = weights_.left(arena, std::min(kRoundedRows, layer_.rows));
      }
      if (call.dw) threads_[i].strips = inputs_.left(arena, kStrips * L);
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
        weights_.multiply(call_.dy + own.begin * layer_.outputs, own.end - own.begin, threads_[index].left,
                          nullptr, call_.dx + own.begin * layer_.inputs);
      }
      if (!call_.dw) return;
      const Range strips = share(vectors_for(layer_.outputs, L), index, layer_.threads);
      for (int64_t first = strips.begin; first < strips.end; first += kStrips)
        weight_gradient(threads_[index].strips, first, std::min(strips.end - first, kStrips));
    };
    run_parallel(layer_.threads, body);
  }

 private:
  static constexpr int64_t kStrips = 2;  // vectors of outputs at once
  struct Thread {
    float* columns;
    Bfloat16 *left, *strips;
  };

  void pack(int index) {
    int64_t turn = 0;
    for_column_panels({0, vectors_for(layer_.inputs, L)}, [&](int64_t first, int width) {
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
      Bfloat16* to = inputs_.panel(s, first);
      for (int64_t v = first; v < first + width; ++v, to += Product::right_values(inputs_.length(s))) {
        const float* from = layer_.x + inputs_.begin(s) * K + v * L;
        Product::pack_columns(inputs_.length(s), to,
                              [&](int64_t row) { return load_first(from + row * K, live_lanes(K, v, L)); });
      }
    }
  }

  // Of some vectors of outputs.
  void weight_gradient(Bfloat16* left, int64_t first_strip, int64_t strips) {
    const int64_t M = layer_.outputs, first_output = first_strip * L;
    const int64_t outputs = std::min(M - first_output, strips * L);
    double sums[kStrips][L] = {};
    for (int64_t s = 0; s < inputs_.stretches(); ++s) {
      const int64_t length = inputs_.length(s);
      for (int64_t strip = 0; strip < strips; ++strip) {
        const float* from = call_.dy + inputs_.begin(s) * M + (first_strip + strip) * L;
        const int live = live_lanes(outputs, strip, L);
        const Vec<float> sum =
            Product::gather_columns(length, live, left + strip * L * Product::stride(length),
                                    [&](int64_t row) { return load_first(from + row * M, live); });
        for (int lane = 0; lane < L; ++lane) sums[strip][lane] += sum[lane];
      }
      inputs_.multiply_stretch(s, left, outputs, nullptr, call_.dw + first_output * layer_.inputs);
    }
    for (int64_t output = 0; call_.db && output < outputs; ++output)
      call_.db[first_output + output] = (float)sums[output / L][output % L];
  }

  const LinearGradient<float>& call_;
  const Linear<float>& layer_;
  Barrier barrier_;
  RightOperand<Product> weights_, inputs_;
  Thread* threads_;
};

template <class Product>
void linear_rounded(const Linear<float>& call) {
  Arena& arena = fresh_arena();
  RoundedLinear<GatheringOperand<Product>>(call, arena).run();
}
template <class Product>
void linear_gradient_rounded(const LinearGradient<float>& call) {
  Arena& arena = fresh_arena();
  RoundedLinearGradient<GatheringOperand<Product>>(call, arena).run();
}

}  // namespace fastlstm::FASTLSTM_ISA

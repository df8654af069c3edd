// What the backward pass makes of a chunk's gradients of the sums: those of the weights and of x.
#pragma once

#include "backward_step.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell, class Product>
class BackwardWeights : protected BackwardStep<Real, Cell, Product> {
 protected:
  using Base = BackwardStep<Real, Cell, Product>;
  using Base::Base;
  using Base::call_, Base::forward_, Base::sizes_, Base::plan_, Base::crew_, Base::panels_,
      Base::output_vectors_, Base::input_vectors_, Base::chunk_capacity_, Base::input_, Base::dsums_,
      Base::dinput_sums_, Base::vectors_, Base::masked_, Base::dh_, Base::h_, Base::dweights_,
      Base::dprojection_, Base::left_, Base::ones_, Base::rows_x_, Base::rows_h_, Base::rows_dx_,
      Base::threads_, Base::directions_, Base::backwards, Base::base, Base::wants_weights, Base::dsums,
      Base::state_before, Base::point_dsums, Base::multiply_dsums, Base::barrier_, Base::gathered_columns_,
      Base::packed_dsums_, Base::L, Base::G, Base::R;
  using typename Base::Chunk;
  using typename Base::Packed;
  using typename Base::Thread;

  // Which rows of x, h and dx belong to the rows of a chunk; each slice points out its own.
  void point_rows(Thread& thread, int direction, const Chunk& chunk) {
    if (thread.units.begin != 0 || !(wants_weights() || call_.dx)) return;
    for (int64_t step = chunk.begin; step < chunk.end; ++step) {
      const int64_t at = base(step, thread.slice) - chunk.first;
      for (int64_t i = 0; i < plan_.active(step, thread.slice); ++i) {
        const int64_t position = thread.own.begin + i, sequence = plan_.sequence(position);
        const int64_t row =
            plan_.row(sequence, plan_.time(position, step, backwards(direction))) * sizes_.inputs;
        if (call_.dx) rows_dx_[chunk.turn][at + i] = call_.dx + row;
        if (!wants_weights()) continue;
        rows_x_[chunk.turn][at + i] = forward_.x + row;
        const Real* h_before = state_before(position, step, direction);
        if (const Real* mask = forward_.extras.recurrent_mask)
          h_before = apply_mask(h_before, mask + (direction * sizes_.batch + sequence) * sizes_.outputs,
                                sizes_.outputs, masked_[chunk.turn] + (at + i) * sizes_.outputs);
        rows_h_[chunk.turn][at + i] = h_before;
      }
    }
  }

  // dweights[panel][k] += Σ over the chunk's rows of left[row][k] · dsums[panel][row], for the thread's share
  // of the k: columns of x, of h, and a column of ones whose product is the gradient of the bias.
  void accumulate_weights(Thread& thread, const Chunk& chunk) {
    if constexpr (Product::kGathers)
      accumulate_gathered(thread, chunk);
    else
      accumulate_rows(thread, chunk);
    if (dprojection_) accumulate_projection(thread, chunk);
  }
  void accumulate_rows(Thread& thread, const Chunk& chunk) {
    const int64_t I = sizes_.inputs, P = sizes_.outputs, values = I + P + 2;
    const Range x = share(I, thread.index, crew_), h = share(P, thread.index, crew_);
    const auto gather = [&](const Real* const* rows, Range columns, Real* left) {
      for_row_blocks(columns.end - columns.begin, R, [&](int64_t first, int width) {
        gather_columns<Real, R>(rows, chunk.count, columns.begin + first, width, left + first * chunk.count);
      });
    };
    Real* left_x = left_ + x.begin * chunk_capacity_;
    Real* left_h = left_ + (I + h.begin) * chunk_capacity_;
    gather(rows_x_[chunk.turn], x, left_x);
    gather(rows_h_[chunk.turn], h, left_h);
    for (int64_t panel = 0; panel < panels_; ++panel) {
      Real* out = dweights_ + panel * values * G * L;
      const Real *right_x = dsums(dinput_sums_, chunk, panel, 0), *right_h = dsums(dsums_, chunk, panel, 0);
      add_product<G>(left_x, x.end - x.begin, chunk.count, right_x, out + x.begin * G * L);
      add_product<G>(left_h, h.end - h.begin, chunk.count, right_h, out + (I + h.begin) * G * L);
      if (Cell::kNormalised || thread.index != 0) continue;  // there the bias is an elementwise weight
      add_product<G>(ones_, 1, chunk.count, right_x, out + (I + P) * G * L);
      if (Cell::kSeparate) add_product<G>(ones_, 1, chunk.count, right_h, out + (I + P + 1) * G * L);
    }
  }
  // The same where the product gathers: first both of its sides are packed, by all threads together.
  void accumulate_gathered(Thread& thread, const Chunk& chunk) {
    const int64_t I = sizes_.inputs, P = sizes_.outputs, values = I + P + 2, count = chunk.count;
    const int64_t stride = Product::stride(count), vector = Product::right_values(count);
    gather_strips(thread, rows_x_[chunk.turn], count, I, gathered_columns_);
    gather_strips(thread, rows_h_[chunk.turn], count, P, gathered_columns_ + I * stride);
    const Range panels = share(panels_, thread.index, crew_);
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      Real* ones = dweights_ + (panel * values + I + P) * G * L;  // whose product is the gradient of the bias
      pack_dsums(dsums(dinput_sums_, chunk, panel, 0), count, packed_dsums_[0] + panel * G * vector, ones);
      if (Cell::kSeparate)
        pack_dsums(dsums(dsums_, chunk, panel, 0), count, packed_dsums_[1] + panel * G * vector,
                   ones + G * L);
    }
    barrier_.wait();
    const auto add = [&](Range columns, const Packed* right) {
      const Range strips = share(vectors_for(columns.end - columns.begin, L), thread.index, crew_);
      const Range own{columns.begin + strips.begin * L,
                      std::min(columns.end, columns.begin + strips.end * L)};
      for (int64_t begin = own.begin; begin < own.end; begin += kColumnsAtOnce)
        for (int64_t panel = 0; panel < panels_; ++panel)
          Product::for_blocks(
              std::min(own.end - begin, kColumnsAtOnce), Product::most_rows(G), [&](int64_t first, int rows) {
                Real* to = dweights_ + (panel * values + begin + first) * G * L;
                Product::multiply(gathered_columns_ + (begin + first) * stride, right + panel * G * vector,
                                  count, rows, G, {to, G * L}, {to, G * L});
              });
    };
    if (Cell::kSeparate) {
      add({0, I}, packed_dsums_[0]);
      add({I, I + P}, packed_dsums_[1]);
    } else {
      add({0, I + P}, packed_dsums_[0]);
    }
  }
  static constexpr int64_t kColumnsAtOnce = 256;  // which stay in the second cache while panels pass

  // The thread's share of the columns of some rows, each column a row of the product.
  void gather_strips(const Thread& thread, const Real* const* rows, int64_t count, int64_t columns,
                     Packed* to) const {
    const int64_t stride = Product::stride(count);
    const Range strips = share(vectors_for(columns, L), thread.index, crew_);
    for (int64_t strip = strips.begin; strip < strips.end; ++strip) {
      const int live = live_lanes(columns, strip, L);
      Product::gather_columns(count, live, to + strip * L * stride,
                              [&](int64_t row) { return load_first(rows[row] + strip * L, live); });
    }
  }
  // A panel's gradients of sums as a right-hand side, and their own sum.
  void pack_dsums(const Real* from, int64_t count, Packed* to, Real* sum) const {
    for (int gate = 0; gate < G; ++gate, from += L, to += Product::right_values(count), sum += L) {
      const Vec<Real> total =
          Product::pack_columns(count, to, [&](int64_t row) { return load(from + row * G * L); });
      store(sum, Vec<Real>(load(sum) + total));
    }
  }

  // out[k] += Σ over rows of left[row][k] · right[row], NV vectors wide; left is packed in blocks of columns.
  template <int NV>
  void add_product(const Real* left, int64_t columns, int64_t rows, const Real* right, Real* out) {
    for_row_blocks(columns, tile_rows(NV), [&](int64_t first, int width) {
      const Real* starts[kMaxRows];
      for (int i = 0; i < width; ++i) starts[i] = left + first * rows + i;
      const Part<Real> part{starts, 0, rows};
      Real* to = out + first * NV * L;
      tile_function<Real, NV, true>(width)(&part, 1, right, {to, NV * L}, {to, NV * L});
    });
  }
  void accumulate_projection(Thread& thread, const Chunk& chunk) {
    const int64_t P = sizes_.outputs, stride = output_vectors_ * L;
    const Range columns = share(P, thread.index, crew_);
    Real* left = left_ + (sizes_.inputs + columns.begin) * chunk_capacity_;  // where the columns of h were
    for (int64_t row = 0; row < chunk.count; ++row) thread.rows[row] = dh_[chunk.turn] + row * stride;
    for_row_blocks(columns.end - columns.begin, tile_rows(1), [&](int64_t first, int width) {
      gather_columns<Real, tile_rows(1)>(thread.rows, chunk.count, columns.begin + first, width,
                                         left + first * chunk.count);
    });
    for (int64_t panel = 0; panel < panels_; ++panel)
      add_product<1>(left, columns.end - columns.begin, chunk.count, h_[chunk.turn] + panel * chunk.count * L,
                     dprojection_ + (panel * P + columns.begin) * L);
  }

  // dx = dsums · w_ih, for the thread's share of the chunk's rows. A second direction adds to the first's.
  void input_gradient(Thread& thread, int direction, const Chunk& chunk) {
    const Range own = share(chunk.count, thread.index, crew_);
    point_dsums(thread, dinput_sums_, chunk, own.begin, own.end - own.begin);
    Real** dx = rows_dx_[chunk.turn] + own.begin;
    alignas(64) Real tile[Product::kTileValues];
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      Product::for_blocks(own.end - own.begin, Product::most_rows(width), [&](int64_t first, int rows) {
        multiply_dsums(thread, first, rows, input_ + first_vector * Product::right_values(panels_ * G * L),
                       width, tile);
        for (int row = 0; row < rows; ++row)
          for (int v = 0; v < width; ++v) {
            const int live = live_lanes(sizes_.inputs, first_vector + v, L);
            Real* to = dx[first + row] + (first_vector + v) * L;
            Vec<Real> value = load(tile + (row * width + v) * L);
            if (direction > directions_.begin) value += load_first(to, live);
            store_first(to, value, live);
          }
      });
    });
  }

  // The gradients of the weights, where the caller wants them.
  void unpack_weights(const Thread& thread, int direction) const {
    const int64_t H = sizes_.hidden, I = sizes_.inputs, P = sizes_.outputs;
    const auto& gradients = call_.dweights[direction];
    const Range own = share(panels_, thread.index, crew_);
    for (int64_t panel = own.begin; panel < own.end; ++panel) {
      const Real* from = dweights_ + panel * (I + P + 2) * G * L;
      unpack_unit_panel<Real, G>(from, H, I, panel, gradients.w_ih);
      unpack_unit_panel<Real, G>(from + I * G * L, H, P, panel, gradients.w_hh);
      if (gradients.b_ih && !Cell::kNormalised)
        unpack_unit_panel<Real, G>(from + (I + P) * G * L, H, 1, panel, gradients.b_ih);
      if (gradients.b_hh) unpack_unit_panel<Real, G>(from + (I + P + 1) * G * L, H, 1, panel, gradients.b_hh);
      if (vectors_) finish_vectors(panel, gradients);
      if (!dprojection_) continue;
      for (int64_t p = 0; p < P; ++p)
        store_first(gradients.w_hr + p * H + panel * L, load(dprojection_ + (panel * P + p) * L),
                    live_lanes(H, panel, L));
    }
  }
  template <class Gradients>
  void finish_vectors(int64_t panel, const Gradients& gradients) const {
    for_vectors<Cell>(gradients, [&](Real* to, int first, int vectors) {
      for (int v = 0; to && v < vectors; ++v) {
        Vec<Real> sum{};
        for (int thread = 0; thread < crew_; ++thread)
          sum += load(threads_[thread].dvectors + (panel * Cell::kVectors + first + v) * L);
        store_first(to + v * sizes_.hidden + panel * L, sum, live_lanes(sizes_.hidden, panel, L));
      }
    });
  }
};

}  // namespace fastlstm::FASTLSTM_ISA

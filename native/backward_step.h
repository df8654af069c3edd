// The backward pass at one step: the gradient of the hidden state, and through the cells to that of the sums.
#pragma once

#include "backward_state.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell, class Product>
class BackwardStep : protected BackwardState<Real, Cell, Product> {
 protected:
  using Base = BackwardState<Real, Cell, Product>;
  using Base::Base;
  using Base::call_, Base::forward_, Base::sizes_, Base::plan_, Base::panels_, Base::output_vectors_,
      Base::recurrent_, Base::projection_, Base::cells0_, Base::dcells_, Base::dcarries_, Base::carries_,
      Base::dsums_, Base::dinput_sums_, Base::vectors_, Base::first_read_, Base::next_read_, Base::dh_,
      Base::h_, Base::dprojection_, Base::backwards, Base::base, Base::dsums, Base::output_row,
      Base::state_before, Base::gathered, Base::L, Base::G, Base::kMost;
  using typename Base::Chunk;
  using typename Base::Packed;
  using typename Base::SumGradients;
  using typename Base::Thread;

  // Row pointers and parts for a product with the dsums of the thread's own sequences at a step.
  void point_dsums(Thread& thread, const Chunk& chunk, int64_t step) const {
    if (step >= plan_.steps) return;
    point_dsums(thread, dsums_, chunk, base(step, thread.slice) - chunk.first,
                plan_.active(step, thread.slice));
  }
  void point_dsums(Thread& thread, const SumGradients& of, const Chunk& chunk, int64_t first,
                   int64_t rows) const {
    if constexpr (Product::kGathers) {
      thread.gathered = gathered(of, chunk, first);
      return;
    }
    for (int64_t row = 0; row < rows; ++row) thread.rows[row] = dsums(of, chunk, 0, first + row);
    for (int64_t panel = 0; panel < panels_; ++panel)
      thread.parts[panel] = {thread.rows, panel * chunk.count * G * L, G * L};
  }
  // rows[first …] of dsums · a right operand of `width` vectors. The inner dimension is taken in stretches,
  // each of which sums up from zero: long sums would lose digits.
  void multiply_dsums(Thread& thread, int64_t first, int rows, const Packed* right, int width,
                      Real* tile) const {
    if constexpr (Product::kGathers) {
      const int64_t values = panels_ * G * L;
      Product::multiply(thread.gathered + first * Product::stride(values), right, values, rows, width,
                        {kZeros<Real>, 0}, {tile, width * L});
    } else {
      multiply_rows(thread, first, rows, right, width, tile);
    }
  }
  void multiply_rows(Thread& thread, int64_t first, int rows, const Real* right, int width,
                     Real* tile) const {
    constexpr int64_t kStretch = 256 / (G * L);
    for (int64_t panel = 0; panel < panels_; ++panel) thread.parts[panel].rows = thread.rows + first;
    const auto function = tile_function<Real>(rows, width);
    Rows<const Real> in{kZeros<Real>, 0};
    for (int64_t panel = 0; panel < panels_; panel += kStretch) {
      const int64_t count = panel + kStretch < panels_ ? kStretch : panels_ - panel;
      function(thread.parts + panel, count, right + panel * G * L * width * L, in, {tile, width * L});
      in = {tile, width * L};
    }
  }

  // The gradient that reaches h of a step from outside and from the step after: dy, and dsums of the step
  // after · w_hh for the sequences that went on, dhn for those that ended here. Step -1 is the initial state.
  // body(first row, rows, tile) gets `width` vectors a row, from output vector `first_vector` on.
  template <class Body>
  void hidden_gradient(Thread& thread, int direction, int64_t step, int64_t first_vector, int width,
                       Body&& body) {
    const int64_t live = step < 0 ? thread.own.end - thread.own.begin : plan_.active(step, thread.slice);
    const int64_t going_on = step + 1 < plan_.steps ? plan_.active(step + 1, thread.slice) : 0;
    alignas(64) Real tile[Product::kTileValues];
    const int most = Product::most_rows(width);
    Product::for_blocks(going_on, most, [&](int64_t first, int rows) {
      multiply_dsums(thread, first, rows, recurrent_ + first_vector * Product::right_values(panels_ * G * L),
                     width, tile);
      if (changes_gradient()) change_gradient(thread, direction, first, rows, first_vector, width, tile);
      if (step >= 0 && call_.dy)
        add_output_gradient(thread, direction, step, first, rows, first_vector, width, tile);
      body(first, rows, tile);
    });
    Product::for_blocks(live - going_on, most, [&](int64_t block, int rows) {
      const int64_t first = going_on + block;
      for (int row = 0; row < rows; ++row) {
        const int64_t sequence = plan_.sequence(thread.own.begin + first + row);
        for (int v = 0; v < width; ++v) {
          const int64_t column = (first_vector + v) * L;
          store(tile + (row * width + v) * L,
                call_.dhn
                    ? load_first(call_.dhn + (direction * sizes_.batch + sequence) * sizes_.outputs + column,
                                 live_lanes(sizes_.outputs, first_vector + v, L))
                    : Vec<Real>{});
        }
      }
      if (step >= 0 && call_.dy)
        add_output_gradient(thread, direction, step, first, rows, first_vector, width, tile);
      body(first, rows, tile);
    });
  }
  void add_output_gradient(Thread& thread, int direction, int64_t step, int64_t first, int rows,
                           int64_t first_vector, int width, Real* tile) const {
    for (int row = 0; row < rows; ++row, tile += width * L) {
      const int64_t position = thread.own.begin + first + row;
      if (!call_.read_steps) {
        add_row(call_.dy + output_row(position, step, direction), first_vector, width, tile);
        continue;
      }
      const int64_t sequence = plan_.sequence(position), t = plan_.time(position, step, backwards(direction));
      for (int64_t read = first_read_[t]; read >= 0; read = next_read_[read]) {
        const int64_t at = sizes_.layout == Layout::kBatchFirst ? sequence * call_.reads + read
                                                                : read * sizes_.batch + sequence;
        add_row(call_.dy + (at * sizes_.directions + direction) * sizes_.outputs, first_vector, width, tile);
      }
    }
  }
  void add_row(const Real* from, int64_t first_vector, int width, Real* to) const {
    for (int v = 0; v < width; ++v)
      store(to + v * L,
            Vec<Real>(load(to + v * L) + load_first(from + (first_vector + v) * L,
                                                    live_lanes(sizes_.outputs, first_vector + v, L))));
  }

  // Between the recurrent product's gradient and that of h: nothing passes where the step after forgot, a
  // mask is a factor, and what the cell carried past the product is added.
  bool changes_gradient() const {
    return forward_.extras.reset || forward_.extras.recurrent_mask || carries_;
  }
  void change_gradient(Thread& thread, int direction, int64_t first, int rows, int64_t first_vector,
                       int width, Real* tile) const {
    const Real* mask = forward_.extras.recurrent_mask;
    for (int row = 0; row < rows; ++row)
      for (int v = 0; v < width; ++v, tile += L) {
        const int64_t position = thread.own.begin + first + row, column = (first_vector + v) * L;
        Vec<Real> gradient = load(tile);
        if (mask)
          gradient *= load_first(
              mask + (direction * sizes_.batch + plan_.sequence(position)) * sizes_.outputs + column,
              live_lanes(sizes_.outputs, first_vector + v, L));
        if (thread.forget[1] && thread.forget[1][first + row]) gradient = Vec<Real>{};
        if (carries_) gradient += load(dcarries_ + (position * panels_ + first_vector + v) * L);
        store(tile, gradient);
      }
  }

  // What the cells of a step look at besides gates and gradients.
  void point_states(Thread& thread, int direction, int64_t step) const {
    const Extras<Real>& extras = forward_.extras;
    if (extras.reset) std::swap(thread.forget[0], thread.forget[1]);
    for (int64_t row = 0; row < plan_.active(step, thread.slice); ++row) {
      const int64_t position = thread.own.begin + row;
      if (extras.reset)
        thread.forget[0][row] = plan_.forgets(extras.reset, position, step, backwards(direction));
      if (thread.h_before) thread.h_before[row] = state_before(position, step, direction);
      if (extras.seed)
        for (int which = 0; which < 2; ++which)
          thread.keys[which][row] =
              zoneout_key(*extras.seed, plan_.time(position, step, backwards(direction)), sizes_.batch,
                          plan_.sequence(position), backwards(direction), which);
    }
  }

  void run_cell(Thread& thread, const Chunk& chunk, int64_t step, int64_t panel, int64_t first, int rows,
                Rows<const Real> dh, const Reserve<Real, Cell>& reserve) {
    if constexpr (Cell::kNormalised) {  // all of a row must be there before its cells are run
      const int64_t live = plan_.active(step, thread.slice);
      for (int row = 0; row < rows; ++row)
        store(thread.dh + (panel * live + first + row) * L, load(dh.data + row * dh.stride));
      return;
    }
    const auto constant = [](Rows<Real> rows_) { return Rows<const Real>{rows_.data, rows_.stride}; };
    const int64_t chunk_row = base(step, thread.slice) - chunk.first + first;
    const int64_t state = ((thread.own.begin + first) * panels_ + panel) * L;
    BackwardTile<Real> tile{};
    tile.dh = dh;
    tile.gates = constant(reserve.gates_at(plan_, step, thread.slice, panel, first));
    if (Cell::kHasCell) {
      tile.cell = constant(reserve.cells_at(plan_, step, thread.slice, panel, first));
      tile.cell_before = step > 0 ? constant(reserve.cells_at(plan_, step - 1, thread.slice, panel, first))
                                  : Rows<const Real>{cells0_ + state, panels_ * L};
      tile.dcell = {dcells_ + state, panels_ * L};
    }
    if (carries_) tile.dcarry = {dcarries_ + state, panels_ * L};
    tile.dsums = {dsums(dsums_, chunk, panel, chunk_row), G * L};
    if (Cell::kSeparate) tile.dinput_sums = {dsums(dinput_sums_, chunk, panel, chunk_row), G * L};
    if (dprojection_) tile.h = {h_[chunk.turn] + (panel * chunk.count + chunk_row) * L, L};
    tile.h_offset = panel * L;
    tile.h_lanes = live_lanes(sizes_.hidden, panel, L);
    if (thread.h_before) tile.rows.h_before = thread.h_before + first;
    if (thread.forget[0]) tile.rows.forget = thread.forget[0] + first;
    if (vectors_) tile.rows.peephole = vectors_ + panel * Cell::kVectors * L;
    if (thread.dvectors) tile.dpeephole = thread.dvectors + panel * Cell::kVectors * L;
    tile.rows.set_zoneout(forward_.extras, thread.keys, first);
    if constexpr (!Cell::kNormalised) Cell::backward(tile, rows);
    if constexpr (Product::kGathers) {
      gather(tile.dsums, rows, gathered(dsums_, chunk, chunk_row), panel);
      if (Cell::kSeparate) gather(tile.dinput_sums, rows, gathered(dinput_sums_, chunk, chunk_row), panel);
    }
  }
  void gather(Rows<Real> from, int rows, Packed* to, int64_t panel) const {
    for (int row = 0; row < rows; ++row, to += Product::stride(panels_ * G * L))
      for (int gate = 0; gate < G; ++gate)
        Product::store_left(load(from.data + row * from.stride + gate * L), to, (panel * G + gate) * L);
  }

  // With layer normalisation: the step's rows, once all their gradients are there.
  void run_rows(Thread& thread, const Chunk& chunk, int64_t step, const Reserve<Real, Cell>& reserve) {
    const auto constant = [](PanelRow<Real> row) { return PanelRow<const Real>{row.data, row.stride}; };
    const int64_t live = plan_.active(step, thread.slice);
    for (int64_t i = 0; i < live; ++i) {
      const int64_t chunk_row = base(step, thread.slice) - chunk.first + i;
      const int64_t state = (thread.own.begin + i) * panels_ * L;
      BackwardRow<Real> row{};
      row.dh = {thread.dh + i * L, live * L};
      row.gates = constant(reserve.gates_of(plan_, step, thread.slice, i));
      row.cell = constant(reserve.cells_of(plan_, step, thread.slice, i));
      row.cell_before = step > 0 ? constant(reserve.cells_of(plan_, step - 1, thread.slice, i))
                                 : PanelRow<const Real>{cells0_ + state, L};
      row.sums = constant(reserve.sums_of(plan_, step, thread.slice, i));
      row.input = constant(reserve.input_sums_of(plan_, step, thread.slice, i));
      row.statistics = *reserve.statistics_of(plan_, step, thread.slice, i);
      row.dcell = {dcells_ + state, L};
      if (carries_) row.dcarry = {dcarries_ + state, L};
      row.dsums = {dsums(dsums_, chunk, 0, chunk_row), chunk.count * G * L};
      row.dinput_sums = {dsums(dinput_sums_, chunk, 0, chunk_row), chunk.count * G * L};
      if (dprojection_) row.h = {h_[chunk.turn] + chunk_row * L, chunk.count * L};
      row.weights = vectors_;
      row.dweights = thread.dvectors;
      row.fresh = thread.dh + live * panels_ * L;
      if (thread.forget[0]) row.rows.forget = thread.forget[0] + i;
      row.rows.set_zoneout(forward_.extras, thread.keys, i);
      Cell::backward(row, sizes_.hidden);
    }
  }

  void run_step(Thread& thread, int direction, const Chunk& chunk, int64_t step,
                const Reserve<Real, Cell>& reserve) {
    const auto run_panels = [&](int64_t first_panel, int width) {
      hidden_gradient(
          thread, direction, step, first_panel, width, [&](int64_t first, int rows, const Real* tile) {
            for (int v = 0; v < width; ++v)
              run_cell(thread, chunk, step, first_panel + v, first, rows, {tile + v * L, width * L}, reserve);
          });
    };
    // Forth at one step and back at the next, which finds in the cache what was read last.
    step % 2 == 0 ? for_column_panels(thread.units, run_panels)
                  : for_column_panels_back(thread.units, run_panels);
  }

  // With a projection: first the gradient of its output, kept for the gradient of w_hr, then that of h before
  // it.
  void run_projected_step(Thread& thread, int direction, const Chunk& chunk, int64_t step,
                          const Reserve<Real, Cell>& reserve) {
    const int64_t stride = output_vectors_ * L;
    Real* dh = dh_[chunk.turn] + (base(step, thread.slice) - chunk.first) * stride;
    for_column_panels({0, output_vectors_}, [&](int64_t first_vector, int width) {
      hidden_gradient(thread, direction, step, first_vector, width,
                      [&](int64_t first, int rows, const Real* tile) {
                        for (int row = 0; row < rows; ++row)
                          for (int v = 0; v < width; ++v)
                            store(dh + (first + row) * stride + (first_vector + v) * L,
                                  load(tile + (row * width + v) * L));
                      });
    });
    const int64_t live = plan_.active(step, thread.slice);
    for (int64_t row = 0; row < live; ++row) thread.rows[row] = dh + row * stride;
    alignas(64) Real tile[kMaxTile];
    for_column_panels({0, panels_}, [&](int64_t first_panel, int width) {
      for_row_blocks(live, tile_rows(width), [&](int64_t first, int rows) {
        const Part<Real> part{thread.rows + first, 0, sizes_.outputs};
        tile_function<Real>(rows, width)(&part, 1, projection_ + first_panel * L * sizes_.outputs,
                                         {kZeros<Real>, 0}, {tile, width * L});
        for (int v = 0; v < width; ++v)
          run_cell(thread, chunk, step, first_panel + v, first, rows, {tile + v * L, width * L}, reserve);
      });
    });
  }
};

}  // namespace fastlstm::FASTLSTM_ISA

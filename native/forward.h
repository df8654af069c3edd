// The forward pass over a whole sequence, for any cell whose gates are sums of an input and a recurrent
// product.
#pragma once

#include <algorithm>
#include <new>

#include "cell.h"
#include "denormals.h"
#include "gemm_bf16.h"
#include "memory.h"
#include "packing.h"
#include "plan.h"
#include "pool.h"
#include "reserve.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell, class Value = Real, class Product = Operand<Real, Value>>
class ForwardPass {
  using Packed = typename Product::Packed;
  static constexpr bool kSame = std::is_same_v<Real, Value>;
  static constexpr int L = kLanes<Real>, G = Cell::kGates, R = Product::template kRows<G>;
  static constexpr int64_t kChunkRows = 128, kChunkRowsToWaitFor = 2 * R, kStepsToTellOf = 4;

 public:
  // Of these directions, one after the other, on so many threads. A layer among others tells how far its y
  // is, and waits for its x.
  ForwardPass(const Forward<Real, Value>& call, Arena& arena, Range directions, int threads,
              const Progress* of_x = nullptr, Progress* of_y = nullptr)
      : call_(call),
        sizes_(call.sizes),
        of_x_(of_x),
        of_y_(of_y),
        directions_(directions),
        plan_(call.sizes, call.ragged, choose_grid(call.sizes, threads, Product::kSharing), arena),
        barrier_(plan_.threads()) {
    if (call.reserve) keep_header(call.threads, plan_, call.reserve);
    const int64_t B = sizes_.batch;
    panels_ = vectors_for(sizes_.hidden, L);
    inputs_ = Product::padded(sizes_.inputs);
    outputs_ = Product::padded(sizes_.outputs);
    weights_ = arena.take<Packed>(panels_ * panel_values());
    bias_ = arena.take<Real>(panels_ * G * L);
    if (Cell::kSeparate && !Cell::kNormalised) recurrent_bias_ = arena.take<Real>(panels_ * G * L);
    if (Cell::kHasCell) cells_ = arena.take<Real>(B * panels_ * L);
    if (Cell::kNormalised || call.weights[0].peephole)
      vectors_ = arena.take<Real>(panels_ * Cell::kVectors * L);
    no_state_ = arena.take<Value>(sizes_.outputs);
    __builtin_memset(no_state_, 0, sizes_.outputs * sizeof(Value));
    if (sizes_.projected) {
      projection_ = arena.take<Real>(vectors_for(sizes_.outputs, L) * L * sizes_.hidden);
      unprojected_ = arena.take<Real>(B * panels_ * L);
    }
    choose_chunk();
    threads_ = arena.take<Thread>(plan_.threads());
    for (int i = 0; i < plan_.threads(); ++i) {
      Thread& thread = threads_[i];
      thread = Thread{};
      thread.index = i;
      thread.slice = i / plan_.hidden_slices;
      thread.own = plan_.slice(thread.slice);
      thread.units = share(panels_, i % plan_.hidden_slices, plan_.hidden_slices);
      const int64_t rows = thread.own.end - thread.own.begin;
      thread.x = arena.take<const Packed*>(rows + chunk_rows_);
      thread.h_before = arena.take<const Value*>(rows);
      thread.h_read = arena.take<const Packed*>(rows);
      if constexpr (Product::kGathers) {
        thread.gathered_h = gathered(arena, rows, sizes_.outputs);
        thread.gathered_x = gathered(arena, rows + chunk_rows_, sizes_.inputs);
      }
      if (call.extras.recurrent_mask) thread.masked = arena.take<Value>(rows * sizes_.outputs);
      if (call.extras.reset) thread.forget = arena.take<uint8_t>(rows);
      if (call.extras.seed)
        for (uint32_t*& keys : thread.keys) keys = arena.take<uint32_t>(rows);
      thread.y = arena.take<Value*>(rows);
      thread.h = arena.take<Value*>(rows);
      if constexpr (Cell::kNormalised) {
        thread.input_scales = arena.take<Real>(chunk_rows_);
        thread.sums = arena.take<Real>(rows * panels_ * G * L);
        thread.row = arena.take<Real>(panels_ * (G + 1) * L);
      }
      if constexpr (!std::is_same_v<Real, Packed>)
        thread.panel = arena.take<Real>((inputs_ > outputs_ ? inputs_ : outputs_) * G * L);
      const int64_t sums = chunk_rows_ * (thread.units.end - thread.units.begin);
      thread.input_sums = arena.take<Real>((sums + Product::kRowsWritten - 1) * G * L);
    }
  }

  int threads() const { return plan_.threads(); }
  void run(int index) {
    FlushDenormals flush;
    const Range own = threads_[index].own;
    [[maybe_unused]] const typename Product::Setting setting(chunk_rows_ ? R : own.end - own.begin);
    for (int64_t direction = directions_.begin; direction < directions_.end; ++direction)
      run_direction(threads_[index], (int)direction);
  }

 private:
  bool backwards(int direction) const { return direction > 0 || sizes_.reverse; }

  struct alignas(kAlignment) Thread {  // no other thread writes to its lines
    int index, slice;
    Range own, units;                 // positions of the batch, unit panels
    const Packed** x;                 // the step's input rows, or a chunk's, as the product reads them
    const Value** h_before;           // the rows of the hidden state before the step …
    const Packed** h_read;            // … and as the product reads them
    Value* masked;                    // … where there is a mask
    Packed *gathered_h, *gathered_x;  // copies of the rows, behind one another
    uint8_t* forget;                  // which rows forget the state before the step
    uint32_t* keys[2];                // the rows' keys of zoneout, of h and of the cell
    Value** y;                        // the rows of the output that it writes
    Value** h;                        // where the cell leaves its hidden state: y, or a row to be projected
    Real* panel;                      // a unit panel before the product packs it
    Real* input_sums;                 // a chunk's input products: [panel][row][gate][lane]
    Real *sums, *input_scales,
        *row;  // normalised: the step's recurrent products, the chunk's scales, a row's gates and cell
    int64_t chunk_end, chunk_rows,
        chunk_row;  // the chunk's last step + 1, its rows, the current step's first one
  };

  // The input product is part of each step where a slice has rows enough to make good use of a panel once it
  // is read; else it is taken for a chunk of steps at a time.
  void choose_chunk() {
    const int64_t rows = (sizes_.batch + plan_.batch_slices - 1) / plan_.batch_slices;
    const int64_t input_values = sizes_.inputs * sizes_.hidden * G;
    const bool fused = !Cell::kSeparate &&
                       (rows >= Product::template kRowsToFuse<G> ||
                        (rows > Product::template kRowsToFuse<G> / 16 && input_values <= kFusedInputValues));
    const int64_t chunk = of_x_ ? kChunkRowsToWaitFor : kChunkRows;
    chunk_rows_ = fused ? 0 : (chunk + rows - 1) / rows * rows;
  }
  static constexpr int64_t kFusedInputValues = 256 * 1024;

  void run_direction(Thread& thread, int direction) {
    if (direction > directions_.begin)
      barrier_.wait();  // the packed weights of the direction before are still read
    pack(call_.weights[direction], thread.index);
    start(thread, direction);
    barrier_.wait();
    const Reserve<Real, Cell> reserve(call_.reserve, sizes_, direction);
    thread.chunk_end = 0;
    for (int64_t step = 0; step < plan_.steps && plan_.active(step, thread.slice) > 0; ++step) {
      point_states(thread, direction, step);
      prepare_inputs(thread, direction, step);
      for (int64_t i = thread.units.begin; i < thread.units.end; ++i)
        run_panel(thread, step, turn(step, i, thread.units), reserve);
      if constexpr (Cell::kNormalised) run_rows(thread, step, reserve);
      if constexpr (kSame)
        if (sizes_.projected) project(thread, step);
      if (plan_.hidden_slices > 1) barrier_.wait();
      if (of_y_ && (step + 1) % kStepsToTellOf == 0) of_y_->reach(step + 1);
    }
    if (of_y_) of_y_->reach(sizes_.steps);
    finish(thread, direction, reserve);
  }

  void pack(const Weights<Real>& weights, int index) {
    const int64_t H = sizes_.hidden, I = sizes_.inputs, P = sizes_.outputs;
    const Range panels = share(panels_, index, plan_.threads());
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      Packed* packed = weights_ + panel * panel_values();
      pack_weights(weights.w_hh, P, panel, threads_[index], packed);
      pack_weights(weights.w_ih, I, panel, threads_[index], packed + Product::right_values(P) * G);
      if (vectors_) pack_vectors<Real, Cell>(weights, H, panel, vectors_ + panel * Cell::kVectors * L);
      if (Cell::kNormalised) continue;  // the bias is one of those vectors
      pack_bias<Real, G>(weights.b_ih, Cell::kSeparate ? nullptr : weights.b_hh, H, panel,
                         bias_ + panel * G * L);
      if (Cell::kSeparate)
        pack_bias<Real, G>(weights.b_hh, nullptr, H, panel, recurrent_bias_ + panel * G * L);
    }
    const int64_t vectors = sizes_.projected ? vectors_for(P, L) : 0;
    int turn = 0;
    for (int64_t v = 0; v < vectors;) {
      const int width = panel_vectors(vectors - v);
      if (turn++ % plan_.threads() == index)
        pack_plain_rows(weights.w_hr, P, H, v, width, projection_ + v * L * H);
      v += width;
    }
  }

  void pack_weights(const Real* w, int64_t inputs, int64_t panel, Thread& thread, Packed* packed) {
    if constexpr (std::is_same_v<Real, Packed>) {
      pack_unit_panel<Real, G>(w, sizes_.hidden, inputs, panel, packed);
    } else {
      pack_unit_panel<Real, G>(w, sizes_.hidden, inputs, panel, thread.panel);
      Product::pack(thread.panel, G, inputs, packed);
    }
  }

  // The initial cells of the thread's own sequences, and zeros past their ends.
  void start(Thread& thread, int direction) {
    const int64_t B = sizes_.batch, H = sizes_.hidden, D = sizes_.directions, P = sizes_.outputs;
    for (int64_t position = thread.own.begin; position < thread.own.end; ++position) {
      const int64_t sequence = plan_.sequence(position);
      const Real* c0 = call_.c0 ? call_.c0 + (direction * B + sequence) * H : nullptr;
      for (int64_t panel = thread.units.begin; Cell::kHasCell && panel < thread.units.end; ++panel)
        store(cells_ + (position * panels_ + panel) * L,
              c0 ? load_first(c0 + panel * L, live_lanes(H, panel, L)) : Vec<Real>{});
      if (thread.units.begin == 0 && sizes_.layout != Layout::kPacked)
        for (int64_t t = plan_.length(position); t < sizes_.steps; ++t)
          __builtin_memset(call_.y + plan_.row(sequence, t) * D * P + direction * P, 0, P * sizeof(Value));
    }
  }

  Value* output_row(int64_t position, int64_t step, int direction) const {
    const int64_t row = plan_.row(plan_.sequence(position), plan_.time(position, step, backwards(direction)));
    return call_.y + (row * sizes_.directions + direction) * sizes_.outputs;
  }
  const Value* initial_h(int64_t position, int direction) const {
    return call_.h0 + (direction * sizes_.batch + plan_.sequence(position)) * sizes_.outputs;
  }

  void point_states(Thread& thread, int direction, int64_t step) {
    const Extras<Real>& extras = call_.extras;
    const int64_t live = plan_.active(step, thread.slice), P = sizes_.outputs;
    for (int64_t row = 0; row < live; ++row) {
      const int64_t position = thread.own.begin + row, sequence = plan_.sequence(position);
      thread.h_before[row] = step > 0 ? thread.y[row] : call_.h0 ? initial_h(position, direction) : no_state_;
      if (extras.reset) {
        thread.forget[row] = plan_.forgets(extras.reset, position, step, backwards(direction));
        if (thread.forget[row]) thread.h_before[row] = no_state_;
      }
      const Value* h_read = thread.h_before[row];
      if constexpr (kSame)
        if (extras.recurrent_mask)
          h_read = apply_mask(h_read, extras.recurrent_mask + (direction * sizes_.batch + sequence) * P, P,
                              thread.masked + row * P);
      if constexpr (Product::kGathers)
        thread.h_read[row] = gather_row(h_read, P, thread.gathered_h, row);
      else
        thread.h_read[row] = h_read;
      if (extras.seed)
        for (int which = 0; which < 2; ++which)
          thread.keys[which][row] =
              zoneout_key(*extras.seed, plan_.time(position, step, backwards(direction)), sizes_.batch,
                          sequence, backwards(direction), which);
      thread.y[row] = output_row(position, step, direction);
      thread.h[row] = thread.y[row];
      if constexpr (kSame)
        if (sizes_.projected) thread.h[row] = unprojected_ + position * panels_ * L;
    }
  }

  void point_inputs(Thread& thread, int direction, int64_t step, const Packed** x) {
    if (of_x_) of_x_->wait_for(step + 1);
    const int64_t live = plan_.active(step, thread.slice);
    for (int64_t row = 0; row < live; ++row) {
      const int64_t position = thread.own.begin + row;
      const Value* from =
          call_.x + plan_.row(plan_.sequence(position), plan_.time(position, step, backwards(direction))) *
                        sizes_.inputs;
      if constexpr (Product::kGathers)
        x[row] = gather_row(from, sizes_.inputs, thread.gathered_x, x - thread.x + row);
      else
        x[row] = from;
    }
  }
  // Room for rows of `length` values that lie behind one another: padding and rows that make up a whole block
  // are zero.
  static Packed* gathered(Arena& arena, int64_t rows, int64_t length) {
    const int64_t values = (rows + R - 1) / R * R * Product::stride(length);
    Packed* room = arena.take<Packed>(values);
    __builtin_memset(room, 0, values * sizeof(Packed));
    return room;
  }
  static const Packed* gather_row(const Value* from, int64_t length, Packed* room, int64_t row) {
    Packed* to = room + row * Product::stride(length);
    Product::gather(from, length, to);
    return to;
  }

  void prepare_inputs(Thread& thread, int direction, int64_t step) {
    if (!chunk_rows_) return point_inputs(thread, direction, step, thread.x);
    if (step < thread.chunk_end) {
      thread.chunk_row += plan_.active(step - 1, thread.slice);
      return;
    }
    thread.chunk_row = thread.chunk_rows = 0;
    for (thread.chunk_end = step; thread.chunk_end < plan_.steps; ++thread.chunk_end) {
      const int64_t live = plan_.active(thread.chunk_end, thread.slice);
      if (live == 0 || thread.chunk_rows + live > chunk_rows_) break;
      point_inputs(thread, direction, thread.chunk_end, thread.x + thread.chunk_rows);
      thread.chunk_rows += live;
    }
    for (int64_t panel = thread.units.begin; panel < thread.units.end; ++panel)
      Product::for_blocks(thread.chunk_rows, R, [&](int64_t first, int rows) {
        const typename Product::Stretch part{thread.x + first, 0, inputs_};
        Product::template tile<G>(rows)(&part, 1,
                                        panel_weights(panel) + Product::right_values(sizes_.outputs) * G,
                                        {Cell::kNormalised ? kZeros<Real> : bias_ + panel * G * L, 0},
                                        {input_sums(thread, panel, first), G * L});
        if constexpr (Cell::kSeparate) clear_padding(panel, rows, input_sums(thread, panel, first));
      });
    if constexpr (Cell::kNormalised)
      for (int64_t row = 0; row < thread.chunk_rows; ++row)
        thread.input_scales[row] =
            Cell::normalise({input_sums(thread, 0, row), thread.chunk_rows * G * L}, G, sizes_.hidden);
  }
  // Lanes that no unit owns are 0 · x: no number where x is infinite, and read by all gradients.
  void clear_padding(int64_t panel, int rows, Real* sums) const {
    const int live = live_lanes(sizes_.hidden, panel, L);
    if (live == L) return;
    for (int vector = 0; vector < rows * G; ++vector, sums += L) store(sums, load_first(sums, live));
  }
  int64_t panel_values() const {
    return (Product::right_values(sizes_.inputs) + Product::right_values(sizes_.outputs)) * G;
  }
  const Packed* panel_weights(int64_t panel) const { return weights_ + panel * panel_values(); }
  Real* input_sums(const Thread& thread, int64_t panel, int64_t row) const {
    return thread.input_sums + ((panel - thread.units.begin) * thread.chunk_rows + row) * G * L;
  }

  // Panels go forth at one step and back at the next, which finds in the cache what was read last.
  static int64_t turn(int64_t step, int64_t panel, const Range& units) {
    return step % 2 == 0 ? panel : units.begin + units.end - 1 - panel;
  }

  void run_panel(Thread& thread, int64_t step, int64_t panel, const Reserve<Real, Cell>& reserve) {
    const int64_t live = plan_.active(step, thread.slice);
    const bool fused = chunk_rows_ == 0, has_state = step > 0 || call_.h0;
    const Packed* weights =
        panel_weights(panel) + (has_state ? 0 : Product::right_values(sizes_.outputs) * G);
    alignas(64) Real sums[R * G * L];
    alignas(64) Real kept[R * Cell::kKept * L];
    Product::for_blocks(live, R, [&](int64_t first, int rows) {
      const Rows<const Real> input_sums_ = {
          fused ? nullptr : input_sums(thread, panel, thread.chunk_row + first), G * L};
      typename Product::Stretch parts[2];
      int count = 0;
      if (has_state)
        parts[count++] = {thread.h_read + first, 0, outputs_};  // first, for it sums up to the smaller values
      if (fused) parts[count++] = {thread.x + first, 0, inputs_};
      if constexpr (Cell::kNormalised) {
        Product::template tile<G>(rows)(parts, count, weights, {kZeros<Real>, 0},
                                        {thread.sums + (panel * live + first) * G * L, G * L});
      } else {
        const Rows<const Real> in = Cell::kSeparate ? Rows<const Real>{recurrent_bias_ + panel * G * L, 0}
                                    : fused         ? Rows<const Real>{bias_ + panel * G * L, 0}
                                                    : input_sums_;
        Product::template tile<G>(rows)(parts, count, weights, in, {sums, G * L});
        clear_padding(panel, rows, sums);

        ForwardTile<Real, Value> tile{};
        tile.sums = sums;
        if (Cell::kSeparate) tile.input_sums = input_sums_;
        if (Cell::kHasCell) {
          tile.cell = {cells_ + ((thread.own.begin + first) * panels_ + panel) * L, panels_ * L};
          tile.cell_before = {tile.cell.data, tile.cell.stride};
        }
        tile.gates = {kept, Cell::kKept * L};
        if (call_.reserve) {
          tile.gates = reserve.gates_at(plan_, step, thread.slice, panel, first);
          if (Cell::kHasCell) {
            tile.cell = reserve.cells_at(plan_, step, thread.slice, panel, first);
            if (step > 0) {
              const Rows<Real> before = reserve.cells_at(plan_, step - 1, thread.slice, panel, first);
              tile.cell_before = {before.data, before.stride};
            }
          }
        }
        tile.h = thread.h + first;
        tile.h_offset = panel * L;
        tile.h_lanes = sizes_.projected ? L : live_lanes(sizes_.hidden, panel, L);
        tile.rows.h_before = thread.h_before + first;
        if (thread.forget) tile.rows.forget = thread.forget + first;
        if (vectors_) tile.rows.peephole = vectors_ + panel * Cell::kVectors * L;
        tile.rows.set_zoneout(call_.extras, thread.keys, first);
        Cell::forward(tile, rows);
      }
    });
  }

  // With layer normalisation: the step's rows, once all their products are there.
  void run_rows(Thread& thread, int64_t step, const Reserve<Real, Cell>& reserve) {
    const int64_t live = plan_.active(step, thread.slice);
    const auto constant = [](PanelRow<Real> row) { return PanelRow<const Real>{row.data, row.stride}; };
    for (int64_t i = 0; i < live; ++i) {
      RowStatistics<Real> statistics;
      ForwardRow<Real> row{};
      row.sums = {thread.sums + i * G * L, live * G * L};
      row.input = {input_sums(thread, 0, thread.chunk_row + i), thread.chunk_rows * G * L};
      row.cell = {cells_ + (thread.own.begin + i) * panels_ * L, L};
      row.cell_before = constant(row.cell);
      row.gates = {thread.row, G * L};
      if (call_.reserve) {
        row.gates = reserve.gates_of(plan_, step, thread.slice, i);
        row.cell = reserve.cells_of(plan_, step, thread.slice, i);
        if (step > 0) row.cell_before = constant(reserve.cells_of(plan_, step - 1, thread.slice, i));
      }
      row.weights = vectors_;
      row.h_before = thread.h_before[i];
      row.h = thread.h[i];
      row.h_size = sizes_.projected ? panels_ * L : sizes_.hidden;
      row.fresh = thread.row + panels_ * G * L;
      row.statistics = &statistics;
      if (thread.forget) row.rows.forget = thread.forget + i;
      row.rows.set_zoneout(call_.extras, thread.keys, i);
      Cell::forward(row, sizes_.hidden);
      if (!call_.reserve) continue;
      statistics.input_scale = thread.input_scales[thread.chunk_row + i];
      *reserve.statistics_of(plan_, step, thread.slice, i) = statistics;
      keep(constant(row.sums), reserve.sums_of(plan_, step, thread.slice, i));
      keep(row.input, reserve.input_sums_of(plan_, step, thread.slice, i));
    }
  }
  void keep(PanelRow<const Real> from, PanelRow<Real> to) const {
    for (int64_t panel = 0; panel < panels_; ++panel)
      for (int gate = 0; gate < G; ++gate)
        store(to.data + panel * to.stride + gate * L, load(from.data + panel * from.stride + gate * L));
  }

  // y = W_hr h for the thread's own rows; a projected layer has no hidden slices.
  void project(Thread& thread, int64_t step) {
    const int64_t live = plan_.active(step, thread.slice), H = sizes_.hidden, P = sizes_.outputs;
    const int64_t vectors = vectors_for(P, L);
    alignas(64) Real out[kMaxTile];
    for (int64_t v = 0; v < vectors;) {
      const int width = panel_vectors(vectors - v);
      for_row_blocks(live, tile_rows(width), [&](int64_t first, int rows) {
        const Part<Real> part{thread.h + first, 0, H};
        tile_function<Real>(rows, width)(&part, 1, projection_ + v * L * H, {kZeros<Real>, 0},
                                         {out, width * L});
        for (int r = 0; r < rows; ++r)
          for (int w = 0; w < width; ++w)
            store_first(thread.y[first + r] + (v + w) * L, load(out + (r * width + w) * L),
                        live_lanes(P, v + w, L));
      });
      v += width;
    }
  }

  // The states at each sequence's own end; a sequence of length 0 keeps the state that it came with.
  void finish(Thread& thread, int direction, const Reserve<Real, Cell>& reserve) {
    const int64_t B = sizes_.batch, H = sizes_.hidden, P = sizes_.outputs;
    for (int64_t position = thread.own.begin; position < thread.own.end; ++position) {
      const int64_t sequence = plan_.sequence(position), length = plan_.length(position);
      for (int64_t panel = thread.units.begin; Cell::kHasCell && panel < thread.units.end; ++panel) {
        const Real* cell = cells_ + (position * panels_ + panel) * L;
        if (call_.reserve && length > 0)
          cell = reserve.cells_at(plan_, length - 1, thread.slice, panel, position - thread.own.begin).data;
        store_first(call_.cn + (direction * B + sequence) * H + panel * L, load(cell),
                    live_lanes(H, panel, L));
      }
      if (thread.units.begin != 0) continue;
      Value* hn = call_.hn + (direction * B + sequence) * P;
      if (length > 0)
        __builtin_memcpy(hn, output_row(position, length - 1, direction), P * sizeof(Value));
      else if (call_.h0)
        __builtin_memcpy(hn, initial_h(position, direction), P * sizeof(Value));
      else
        __builtin_memset(hn, 0, P * sizeof(Value));
    }
  }

  const Forward<Real, Value>& call_;
  const Sizes& sizes_;
  const Progress* const of_x_;
  Progress* const of_y_;
  const Range directions_;
  Plan plan_;
  Barrier barrier_;
  int64_t panels_, chunk_rows_;
  int64_t inputs_, outputs_;                    // I and P, as the product pads them
  Packed* weights_;                             // [panel][h, x], each as the product packs it
  Real* bias_;                                  // [panel][gate][lane]
  Real* recurrent_bias_ = nullptr;              // where the sums stay apart
  Real *cells_ = nullptr, *vectors_ = nullptr;  // [position][panel][lane], [panel][elementwise weight][lane]
  Value* no_state_;                             // P zeros
  Real *projection_ = nullptr, *unprojected_ = nullptr;
  Thread* threads_;
};

// Calls body(range of directions, threads), once or once for each direction; what it returns runs all at
// once.
template <class Pass, class Body>
void run_passes(const Sizes& sizes, int threads, Body&& make) {
  const auto run = [](int count, auto&& body) { run_parallel(count, body); };
  if (!directions_at_once(sizes, threads)) {
    Pass pass = make(Range{0, sizes.directions}, threads);
    return run(pass.threads(), [&](int index) { pass.run(index); });
  }
  Pass first = make(Range{0, 1}, threads / 2), second = make(Range{1, 2}, threads / 2);
  run(first.threads() + second.threads(),
      [&](int index) { index < first.threads() ? first.run(index) : second.run(index - first.threads()); });
}

// Layers, each of which reads what the one before writes, all on the way at once: each on a thread of its
// own, behind the one before. Where there are fewer threads, a thread takes its next layer after its first.
template <class Pass, class Call>
void run_stack(const Call* layers, int count, Arena& arena) {
  const int threads = std::min(layers[0].threads, count);
  Progress* progress = arena.take<Progress>(count);
  Pass* passes = arena.take<Pass>(count);
  for (int i = 0; i < count; ++i) {
    new (progress + i) Progress;
    new (passes + i) Pass(layers[i], arena, {0, 1}, 1, i > 0 ? progress + i - 1 : nullptr, progress + i);
  }
  auto body = [&](int index) {
    for (int i = index; i < count; i += threads) passes[i].run(0);
  };
  run_parallel(threads, body);
}

// A whole call.
template <class Pass, class Call>
void run_forward(const Call& call, Arena& arena) {
  run_passes<Pass>(call.sizes, call.threads,
                   [&](Range directions, int threads) { return Pass(call, arena, directions, threads); });
}

}  // namespace fastlstm::FASTLSTM_ISA

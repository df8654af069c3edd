// The backward pass over a whole sequence, for any cell whose gates are sums of an input and a recurrent
// product.
//
// Steps are walked back in chunks. Within a chunk the gradients of the sums (dsums) are found step by step
// and kept, unit panel by unit panel; at its end they are multiplied with the rows of x and h (the gradients
// of the weights) and with w_ih (the gradient of x), while they are still in the cache. Two buffers take
// turns, so that one barrier a chunk is enough.
#pragma once

#include <new>

#include "cell.h"
#include "denormals.h"
#include "packing.h"
#include "plan.h"
#include "pool.h"
#include "reserve.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell>
class BackwardPass {
  static constexpr int L = kLanes<Real>, G = Cell::kGates, R = tile_rows(G);
  static constexpr int64_t kChunkRows = 256;

 public:
  // Over all of the plan's threads or, given a slice of the batch, on one thread over that slice alone.
  BackwardPass(const Backward<Real>& call, Arena& arena, const Plan& plan, int slice = -1)
      : call_(call),
        forward_(call.forward),
        sizes_(call.forward.sizes),
        plan_(plan),
        crew_(slice < 0 ? plan.threads() : 1),
        barrier_(crew_) {
    if (slice >= 0) number_rows(arena, slice);
    const int64_t B = sizes_.batch, I = sizes_.inputs, H = sizes_.hidden, P = sizes_.outputs;
    panels_ = vectors_for(H, L);
    output_vectors_ = vectors_for(P, L);
    input_vectors_ = vectors_for(I, L);
    const int64_t units = panels_ * L;
    chunk_capacity_ = base(1) > kChunkRows ? base(1) : kChunkRows;

    recurrent_ = arena.take<Real>(units * G * output_vectors_ * L);
    const Extras<Real>& extras = forward_.extras;
    carries_ = !Cell::kHasCell && Cell::kSeparate;  // a GRU
    if (extras.zoneout_h > 0 || extras.zoneout_c > 0) carries_ = true;
    if (Cell::kHasCell) {
      cells0_ = arena.take<Real>(B * units);
      dcells_ = arena.take<Real>(B * units);
    }
    if (carries_) dcarries_ = arena.take<Real>(B * units);
    for (int turn = 0; turn < 2; ++turn) {
      dsums_[turn] = dinput_sums_[turn] = arena.take<Real>(chunk_capacity_ * units * G);
      if (Cell::kSeparate) dinput_sums_[turn] = arena.take<Real>(chunk_capacity_ * units * G);
    }
    if (Cell::kNormalised || forward_.weights[0].peephole)
      vectors_ = arena.take<Real>(panels_ * Cell::kVectors * L);
    no_state_ = arena.take<Real>(P);
    __builtin_memset(no_state_, 0, P * sizeof(Real));
    point_reads(arena);
    if (call_.dx) input_ = arena.take<Real>(units * G * input_vectors_ * L);
    if (wants_weights()) {
      dweights_ = arena.take<Real>(panels_ * (I + 2 + P) * G * L);
      if (extras.recurrent_mask)
        for (Real*& buffer : masked_) buffer = arena.take<Real>(chunk_capacity_ * P);
      for (const Real**& rows : rows_x_) rows = arena.take<const Real*>(chunk_capacity_);
      for (const Real**& rows : rows_h_) rows = arena.take<const Real*>(chunk_capacity_);
      left_ = arena.take<Real>(chunk_capacity_ * (I + P));
      ones_ = arena.take<Real>(chunk_capacity_);
      for (int64_t i = 0; i < chunk_capacity_; ++i) ones_[i] = 1;
    }
    if (sizes_.projected) {
      projection_ = arena.take<Real>(P * units);
      for (Real*& buffer : dh_) buffer = arena.take<Real>(chunk_capacity_ * output_vectors_ * L);
      for (Real*& buffer : h_) buffer = arena.take<Real>(chunk_capacity_ * units);
      if (wants_weights()) dprojection_ = arena.take<Real>(panels_ * P * L);
    }
    if (call_.dx)
      for (Real**& rows : rows_dx_) rows = arena.take<Real*>(chunk_capacity_);
    threads_ = arena.take<Thread>(crew_);
    for (int i = 0; i < crew_; ++i) {
      Thread& thread = threads_[i];
      thread = Thread{};
      thread.index = i;
      thread.slice = slice < 0 ? i / plan_.hidden_slices : slice;
      thread.own = plan_.slice(thread.slice);
      thread.units = share(panels_, i % plan_.hidden_slices, plan_.hidden_slices);
      thread.rows = arena.take<const Real*>(chunk_capacity_);
      thread.parts = arena.take<Part<Real>>(panels_);
      const int64_t sequences = thread.own.end - thread.own.begin;
      if (carries_) thread.h_before = arena.take<const Real*>(sequences);
      if (extras.reset)
        for (uint8_t*& forget : thread.forget) forget = arena.take<uint8_t>(sequences);
      if (extras.seed)
        for (uint32_t*& keys : thread.keys) keys = arena.take<uint32_t>(sequences);
      if (vectors_ && wants_weights()) thread.dvectors = arena.take<Real>(panels_ * Cell::kVectors * L);
      if constexpr (Cell::kNormalised) thread.dh = arena.take<Real>((sequences + 1) * panels_ * L);
    }
  }

  int crew() const { return crew_; }
  void run(int index) {
    FlushDenormals flush;
    for (int direction = 0; direction < sizes_.directions; ++direction)
      run_direction(threads_[index], direction);
  }

 private:
  bool backwards(int direction) const { return direction > 0 || sizes_.reverse; }

  struct Thread {
    int index, slice;
    Range own, units;       // positions of the batch, unit panels
    const Real** rows;      // rows of dsums that a product reads
    Part<Real>* parts;      // one a unit panel
    const Real** h_before;  // of the step: the rows of the hidden state before it, where the cell reads them
    uint8_t* forget[2];     // which rows forget the state before the step, and before the one after it
    uint32_t* keys[2];      // the rows' keys of zoneout, of h and of the cell
    Real* dvectors;         // the thread's own sums of their gradients: [panel][elementwise weight][lane]
    Real* dh;               // normalised: the step's gradients of h, [panel][row][lane], and room for a row
  };
  struct Chunk {
    int64_t begin, end;    // steps
    int64_t first, count;  // rows of the plan
    int turn;              // which of the two buffers
  };

  // Rows are numbered as the plan does, or by step within the one slice.
  void number_rows(Arena& arena, int slice) {
    numbers_ = arena.take<int64_t>(plan_.steps + 2);
    numbers_[0] = 0;
    for (int64_t step = 0; step <= plan_.steps; ++step)
      numbers_[step + 1] = numbers_[step] + (step < plan_.steps ? plan_.active(step, slice) : 0);
  }
  int64_t base(int64_t step) const { return numbers_ ? numbers_[step] : plan_.base(step); }
  int64_t base(int64_t step, int slice) const { return numbers_ ? numbers_[step] : plan_.base(step, slice); }

  bool wants_weights() const { return call_.dweights[0].w_ih != nullptr; }

  void run_direction(Thread& thread, int direction) {
    if (direction > 0) barrier_.wait();
    pack(forward_.weights[direction], thread.index);
    start(thread, direction);
    barrier_.wait();
    const Reserve<Real, Cell> reserve(forward_.reserve, sizes_, direction);
    Chunk later{plan_.steps, plan_.steps, 0, 0, 0};
    while (later.begin > 0) {
      const Chunk chunk = chunk_before(later);
      point_rows(thread, direction, chunk);
      for (int64_t step = chunk.end; step-- > chunk.begin;) {
        point_dsums(thread, step + 1 < chunk.end ? chunk : later, step + 1);
        point_states(thread, direction, step);
        sizes_.projected ? run_projected_step(thread, direction, chunk, step, reserve)
                         : run_step(thread, direction, chunk, step, reserve);
        if constexpr (Cell::kNormalised) run_rows(thread, chunk, step, reserve);
        if (plan_.hidden_slices > 1) barrier_.wait();
      }
      barrier_.wait();
      if (wants_weights()) accumulate_weights(thread, chunk);
      if (call_.dx) input_gradient(thread, direction, chunk);
      later = chunk;
    }
    finish(thread, direction, later);
  }

  Chunk chunk_before(const Chunk& after) const {
    Chunk chunk{after.begin - 1, after.begin, 0, 0, 1 - after.turn};
    while (chunk.begin > 0 && base(chunk.end) - base(chunk.begin - 1) <= chunk_capacity_) --chunk.begin;
    chunk.first = base(chunk.begin);
    chunk.count = base(chunk.end) - chunk.first;
    return chunk;
  }

  void pack(const Weights<Real>& weights, int index) {
    const int64_t H = sizes_.hidden, I = sizes_.inputs, P = sizes_.outputs;
    // Columns of the recurrent weights in panels that do not cross the threads' shares of units.
    const int hidden_slices = plan_.hidden_slices;
    int64_t turn = 0;
    for (int part = 0; part < hidden_slices; ++part)
      for_column_panels(share(output_vectors_, part, hidden_slices), [&](int64_t first, int width) {
        if (turn++ % crew_ == index)
          pack_columns<Real, G>(weights.w_hh, H, P, first, width, recurrent_ + first * L * panels_ * G * L);
      });
    if (call_.dx)
      for_column_panels({0, input_vectors_}, [&](int64_t first, int width) {
        if (turn++ % crew_ == index)
          pack_columns<Real, G>(weights.w_ih, H, I, first, width, input_ + first * L * panels_ * G * L);
      });
    if (sizes_.projected)
      for_column_panels({0, panels_}, [&](int64_t first, int width) {
        if (turn++ % crew_ == index)
          pack_plain_columns(weights.w_hr, P, H, first, width, projection_ + first * L * P);
      });
    const Range own = share(panels_, index, crew_);
    for (int64_t panel = own.begin; vectors_ && panel < own.end; ++panel)
      pack_vectors<Real, Cell>(weights, H, panel, vectors_ + panel * Cell::kVectors * L);
    if (!wants_weights()) return;
    if (vectors_) __builtin_memset(threads_[index].dvectors, 0, panels_ * Cell::kVectors * L * sizeof(Real));
    const int64_t values = (I + 2 + P) * G * L;
    __builtin_memset(dweights_ + own.begin * values, 0, (own.end - own.begin) * values * sizeof(Real));
    if (dprojection_)
      __builtin_memset(dprojection_ + own.begin * P * L, 0, (own.end - own.begin) * P * L * sizeof(Real));
  }

  // The cells that the sequences began with and the gradients of those that they ended with, padded.
  void start(Thread& thread, int direction) {
    const int64_t B = sizes_.batch, H = sizes_.hidden, I = sizes_.inputs;
    for (int64_t position = thread.own.begin; position < thread.own.end; ++position) {
      const int64_t sequence = plan_.sequence(position);
      for (int64_t panel = thread.units.begin; Cell::kHasCell && panel < thread.units.end; ++panel) {
        const int live = live_lanes(H, panel, L);
        const int64_t from = (direction * B + sequence) * H + panel * L,
                      to = (position * panels_ + panel) * L;
        store(cells0_ + to, forward_.c0 ? load_first(forward_.c0 + from, live) : Vec<Real>{});
        store(dcells_ + to, call_.dcn ? load_first(call_.dcn + from, live) : Vec<Real>{});
      }
      if (call_.dx && direction == 0 && thread.units.begin == 0 && sizes_.layout != Layout::kPacked)
        for (int64_t t = plan_.length(position); t < sizes_.steps; ++t)
          __builtin_memset(call_.dx + plan_.row(sequence, t) * I, 0, I * sizeof(Real));
    }
  }

  // A unit panel's gradients of the sums of the recurrent product or, where they stay apart, of the input's:
  // [panel][row of the chunk][gate][lane].
  Real* dsums(Real* const buffers[2], const Chunk& chunk, int64_t panel, int64_t row) const {
    return buffers[chunk.turn] + (panel * chunk.count + row) * G * L;
  }
  int64_t output_row(int64_t position, int64_t step, int direction) const {
    const int64_t row = plan_.row(plan_.sequence(position), plan_.time(position, step, backwards(direction)));
    return (row * sizes_.directions + direction) * sizes_.outputs;
  }

  // Row pointers and parts for a product with the dsums of the thread's own sequences at a step.
  void point_dsums(Thread& thread, const Chunk& chunk, int64_t step) const {
    if (step >= plan_.steps) return;
    point_dsums(thread, dsums_, chunk, base(step, thread.slice) - chunk.first,
                plan_.active(step, thread.slice));
  }
  void point_dsums(Thread& thread, Real* const buffers[2], const Chunk& chunk, int64_t first,
                   int64_t rows) const {
    for (int64_t row = 0; row < rows; ++row) thread.rows[row] = dsums(buffers, chunk, 0, first + row);
    for (int64_t panel = 0; panel < panels_; ++panel)
      thread.parts[panel] = {thread.rows, panel * chunk.count * G * L, G * L};
  }
  // rows[first …] of dsums · a right operand of `width` vectors. The inner dimension is taken in stretches,
  // each of which sums up from zero: long sums would lose digits.
  void multiply_dsums(Thread& thread, int64_t first, int rows, const Real* right, int width,
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
    alignas(64) Real tile[kMaxTile];
    for_row_blocks(going_on, tile_rows(width), [&](int64_t first, int rows) {
      multiply_dsums(thread, first, rows, recurrent_ + first_vector * L * panels_ * G * L, width, tile);
      if (changes_gradient()) change_gradient(thread, direction, first, rows, first_vector, width, tile);
      if (step >= 0 && call_.dy)
        add_output_gradient(thread, direction, step, first, rows, first_vector, width, tile);
      body(first, rows, tile);
    });
    for_row_blocks(live - going_on, tile_rows(width), [&](int64_t block, int rows) {
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
  // Which of dy's steps are of time t: a chain from first_read_[t] on, for one may be read more than once.
  void point_reads(Arena& arena) {
    if (!call_.read_steps) return;
    first_read_ = arena.take<int64_t>(sizes_.steps);
    next_read_ = arena.take<int64_t>(call_.reads);
    for (int64_t t = 0; t < sizes_.steps; ++t) first_read_[t] = -1;
    for (int64_t read = call_.reads; read-- > 0;) {
      next_read_[read] = first_read_[call_.read_steps[read]];
      first_read_[call_.read_steps[read]] = read;
    }
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
  const Real* state_before(int64_t position, int64_t step, int direction) const {
    if (forward_.extras.reset && plan_.forgets(forward_.extras.reset, position, step, backwards(direction)))
      return no_state_;
    if (step > 0) return forward_.y + output_row(position, step - 1, direction);
    if (!forward_.h0) return no_state_;
    return forward_.h0 + (direction * sizes_.batch + plan_.sequence(position)) * sizes_.outputs;
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
    for_column_panels(thread.units, [&](int64_t first_panel, int width) {
      hidden_gradient(
          thread, direction, step, first_panel, width, [&](int64_t first, int rows, const Real* tile) {
            for (int v = 0; v < width; ++v)
              run_cell(thread, chunk, step, first_panel + v, first, rows, {tile + v * L, width * L}, reserve);
          });
    });
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
    if (dprojection_) accumulate_projection(thread, chunk);
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

  // dx = dsums · w_ih, for the thread's share of the chunk's rows. The second direction adds to the first's.
  void input_gradient(Thread& thread, int direction, const Chunk& chunk) {
    const Range own = share(chunk.count, thread.index, crew_);
    point_dsums(thread, dinput_sums_, chunk, own.begin, own.end - own.begin);
    Real** dx = rows_dx_[chunk.turn] + own.begin;
    alignas(64) Real tile[kMaxTile];
    for_column_panels({0, input_vectors_}, [&](int64_t first_vector, int width) {
      for_row_blocks(own.end - own.begin, tile_rows(width), [&](int64_t first, int rows) {
        multiply_dsums(thread, first, rows, input_ + first_vector * L * panels_ * G * L, width, tile);
        for (int row = 0; row < rows; ++row)
          for (int v = 0; v < width; ++v) {
            const int live = live_lanes(sizes_.inputs, first_vector + v, L);
            Real* to = dx[first + row] + (first_vector + v) * L;
            Vec<Real> value = load(tile + (row * width + v) * L);
            if (direction > 0) value += load_first(to, live);
            store_first(to, value, live);
          }
      });
    });
  }

  void finish(Thread& thread, int direction, const Chunk& first_chunk) {
    const int64_t B = sizes_.batch, H = sizes_.hidden, I = sizes_.inputs, P = sizes_.outputs;
    point_dsums(thread, first_chunk, 0);
    if (forward_.extras.reset) std::swap(thread.forget[0], thread.forget[1]);
    if (call_.dh0)
      for_column_panels(share_of_outputs(thread), [&](int64_t first_vector, int width) {
        hidden_gradient(
            thread, direction, -1, first_vector, width, [&](int64_t first, int rows, const Real* tile) {
              for (int row = 0; row < rows; ++row) {
                const int64_t sequence = plan_.sequence(thread.own.begin + first + row);
                for (int v = 0; v < width; ++v)
                  store_first(call_.dh0 + (direction * B + sequence) * P + (first_vector + v) * L,
                              load(tile + (row * width + v) * L), live_lanes(P, first_vector + v, L));
              }
            });
      });
    if (call_.dc0)
      for (int64_t position = thread.own.begin; position < thread.own.end; ++position)
        for (int64_t panel = thread.units.begin; panel < thread.units.end; ++panel)
          store_first(call_.dc0 + (direction * B + plan_.sequence(position)) * H + panel * L,
                      load(dcells_ + (position * panels_ + panel) * L), live_lanes(H, panel, L));
    if (!wants_weights()) return;
    barrier_.wait();
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
  void finish_vectors(int64_t panel, const Gradients& gradients) {
    for_vectors<Cell>(gradients, [&](Real* to, int first, int vectors) {
      for (int v = 0; to && v < vectors; ++v) {
        Vec<Real> sum{};
        for (int thread = 0; thread < crew_; ++thread)
          sum += load(threads_[thread].dvectors + (panel * Cell::kVectors + first + v) * L);
        store_first(to + v * sizes_.hidden + panel * L, sum, live_lanes(sizes_.hidden, panel, L));
      }
    });
  }
  // Only unprojected layers have hidden slices, and there output vectors are unit panels.
  Range share_of_outputs(const Thread& thread) const {
    return sizes_.projected ? Range{0, output_vectors_} : thread.units;
  }

  const Backward<Real>& call_;
  const Forward<Real>& forward_;
  const Sizes& sizes_;
  const Plan& plan_;
  const int crew_;              // threads
  int64_t* numbers_ = nullptr;  // (steps + 2), with a slice alone: the number of each step's first row
  Barrier barrier_;
  int64_t panels_, output_vectors_, input_vectors_, chunk_capacity_;
  Real* recurrent_;             // w_hh in column panels: [panel, gate, lane][columns]
  Real* input_ = nullptr;       // w_ih likewise
  Real* projection_ = nullptr;  // w_hr likewise: [output][columns]
  Real *cells0_ = nullptr, *dcells_ = nullptr, *dcarries_ = nullptr;  // [position][panel][lane]
  bool carries_;                      // whether gradients reach h past the recurrent product
  Real *dsums_[2], *dinput_sums_[2];  // [panel][row][gate][lane]; one and the same unless kSeparate
  Real* vectors_ = nullptr;           // [panel][elementwise weight][lane]
  Real* masked_[2] = {};              // rows of h as the recurrent product read them, where there is a mask
  int64_t *first_read_ = nullptr, *next_read_ = nullptr;
  Real *dh_[2] = {}, *h_[2] = {};  // with a projection: [row][output], [panel][row][lane]
  Real* dweights_ = nullptr;       // [panel][x, h, one, one for h][gate][lane]
  Real* dprojection_ = nullptr;    // [panel][output][lane]
  Real* left_ = nullptr;           // columns of x and h over a chunk's rows
  Real *ones_ = nullptr, *no_state_ = nullptr;
  const Real **rows_x_[2] = {}, **rows_h_[2] = {};
  Real** rows_dx_[2] = {};
  Thread* threads_;
};

// Each thread takes the gradient of its own sequences all by itself, where the weights are few enough that
// every thread can sum up their gradient for itself: what another core has written is slow to read, and a
// barrier to wait at.
template <class Real, class Cell>
class SeparateBackward {
  static constexpr int64_t kFewWeights = 128 * 1024;
  static constexpr int kArrays = 10;  // of weights

 public:
  static bool pays(const Sizes& sizes, const Plan& plan) {
    return plan.batch_slices > 1 && plan.hidden_slices == 1 &&
           Cell::kGates * sizes.hidden * (sizes.inputs + sizes.outputs) <= kFewWeights;
  }

  SeparateBackward(const Backward<Real>& call, Arena& arena, const Plan& plan)
      : sizes_(call.forward.sizes), slices_(plan.batch_slices), barrier_(slices_) {
    calls_ = arena.take<Backward<Real>>(slices_);
    passes_ = arena.take<Pass*>(slices_);
    for (int slice = 0; slice < slices_; ++slice) {
      calls_[slice] = call;
      for (int d = 0; slice > 0 && d < sizes_.directions; ++d)  // the first writes where they belong
        for (int array = 0; array < kArrays; ++array)
          if (Real*& to = weights(slice, d, array)) to = arena.take<Real>(values(array));
      passes_[slice] = new (arena.take<Pass>(1)) Pass(calls_[slice], arena, plan, slice);
    }
  }

  void run() {
    auto body = [this](int slice) {
      passes_[slice]->run(0);
      barrier_.wait();
      for (int d = 0; d < sizes_.directions; ++d)
        for (int array = 0; array < kArrays; ++array)
          if (weights(0, d, array)) add_up(d, array, share(values(array), slice, slices_));
    };
    run_parallel(slices_, body);
  }

 private:
  using Pass = BackwardPass<Real, Cell>;

  Real*& weights(int slice, int direction, int array) {
    auto& own = calls_[slice].dweights[direction];
    Real** const arrays[kArrays] = {&own.w_ih,     &own.w_hh,    &own.b_ih,    &own.b_hh,   &own.w_hr,
                                    &own.peephole, &own.gain_ih, &own.gain_hh, &own.gain_c, &own.bias_c};
    return *arrays[array];
  }
  int64_t values(int array) const {
    const int64_t H = sizes_.hidden, rows = Cell::kGates * H;
    const int64_t sizes[kArrays] = {rows * sizes_.inputs,
                                    rows * sizes_.outputs,
                                    rows,
                                    rows,
                                    sizes_.outputs * H,
                                    Cell::kPeepholes * H,
                                    rows,
                                    rows,
                                    H,
                                    H};
    return sizes[array];
  }
  void add_up(int direction, int array, Range own) {
    Real* to = weights(0, direction, array);
    for (int slice = 1; slice < slices_; ++slice) {
      const Real* from = weights(slice, direction, array);
      for (int64_t i = own.begin; i < own.end; ++i) to[i] += from[i];
    }
  }

  const Sizes& sizes_;
  const int slices_;
  Barrier barrier_;
  Backward<Real>* calls_;
  Pass** passes_;
};

}  // namespace fastlstm::FASTLSTM_ISA

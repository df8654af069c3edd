// What the backward pass over a sequence works on: its buffers, and who owns which rows of them.
#pragma once

#include "cell.h"
#include "gemm_bf16.h"
#include "memory.h"
#include "packing.h"
#include "plan.h"
#include "pool.h"
#include "reserve.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell, class Product>
class BackwardState {
 public:
  // Of these directions, one after the other, over all of the plan's threads or, given a slice of the batch,
  // on one thread over that slice alone.
  BackwardState(const Backward<Real>& call, Arena& arena, const Plan& plan, Range directions, int slice = -1)
      : call_(call),
        forward_(call.forward),
        sizes_(call.forward.sizes),
        directions_(directions),
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

    recurrent_ = arena.take<Packed>(output_vectors_ * Product::right_values(units * G));
    const Extras<Real>& extras = forward_.extras;
    carries_ = !Cell::kHasCell && Cell::kSeparate;  // a GRU
    if (extras.zoneout_h > 0 || extras.zoneout_c > 0) carries_ = true;
    if (Cell::kHasCell) {
      cells0_ = arena.take<Real>(B * units);
      dcells_ = arena.take<Real>(B * units);
    }
    if (carries_) dcarries_ = arena.take<Real>(B * units);
    dsums_ = dinput_sums_ = sum_gradients(arena);
    if (Cell::kSeparate) dinput_sums_ = sum_gradients(arena);
    if (Cell::kNormalised || forward_.weights[0].peephole)
      vectors_ = arena.take<Real>(panels_ * Cell::kVectors * L);
    no_state_ = arena.take<Real>(P);
    __builtin_memset(no_state_, 0, P * sizeof(Real));
    point_reads(arena);
    if (call_.dx) input_ = arena.take<Packed>(input_vectors_ * Product::right_values(units * G));
    if (wants_weights()) {
      dweights_ = arena.take<Real>(panels_ * (I + 2 + P) * G * L);
      if (extras.recurrent_mask)
        for (Real*& buffer : masked_) buffer = arena.take<Real>(chunk_capacity_ * P);
      for (const Real**& rows : rows_x_) rows = arena.take<const Real*>(chunk_capacity_);
      for (const Real**& rows : rows_h_) rows = arena.take<const Real*>(chunk_capacity_);
      left_ = arena.take<Real>(chunk_capacity_ * (I + P));
      if constexpr (Product::kGathers) {
        gathered_columns_ = arena.take<Packed>((I + P + kMost) * Product::stride(chunk_capacity_));
        for (int which = 0; which <= Cell::kSeparate; ++which)
          packed_dsums_[which] = arena.take<Packed>(panels_ * G * Product::right_values(chunk_capacity_));
      } else {
        ones_ = arena.take<Real>(chunk_capacity_);
        for (int64_t i = 0; i < chunk_capacity_; ++i) ones_[i] = 1;
      }
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
      if constexpr (Product::kGathers) thread.columns = arena.take<Real>(units * G * kMaxVectors * L);
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

 protected:
  using Packed = typename Product::Packed;
  static constexpr int L = kLanes<Real>, G = Cell::kGates, R = tile_rows(G), kMost = Product::kMostRows;
  static constexpr int64_t kChunkRows = 256;

  // The gradients of sums over two chunks that take turns, [panel][row][gate][lane], and where the product
  // gathers its rows, those too, [row][as the product packs panel, gate, lane].
  struct SumGradients {
    Real* sums[2];
    Packed* gathered[2];
  };

  struct alignas(kAlignment) Thread {  // no other thread writes to its lines
    int index, slice;
    Range own, units;        // positions of the batch, unit panels
    const Real** rows;       // rows of dsums that a product reads …
    const Packed* gathered;  // … or where they begin, gathered
    Real* columns;           // columns of weights before the product packs them
    Part<Real>* parts;       // one a unit panel
    const Real** h_before;   // of the step: the rows of the hidden state before it, where the cell reads them
    uint8_t* forget[2];      // which rows forget the state before the step, and before the one after it
    uint32_t* keys[2];       // the rows' keys of zoneout, of h and of the cell
    Real* dvectors;          // the thread's own sums of their gradients: [panel][elementwise weight][lane]
    Real* dh;                // normalised: the step's gradients of h, [panel][row][lane], and room for a row
  };
  struct Chunk {
    int64_t begin, end;    // steps
    int64_t first, count;  // rows of the plan
    int turn;              // which of the two buffers
  };

  bool backwards(int direction) const { return direction > 0 || sizes_.reverse; }
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

  // A unit panel's gradients of the sums of the recurrent product or, where they stay apart, of the input's:
  // [panel][row of the chunk][gate][lane].
  Real* dsums(const SumGradients& of, const Chunk& chunk, int64_t panel, int64_t row) const {
    return of.sums[chunk.turn] + (panel * chunk.count + row) * G * L;
  }
  Packed* gathered(const SumGradients& of, const Chunk& chunk, int64_t row) const {
    return of.gathered[chunk.turn] + row * Product::stride(panels_ * G * L);
  }
  int64_t output_row(int64_t position, int64_t step, int direction) const {
    const int64_t row = plan_.row(plan_.sequence(position), plan_.time(position, step, backwards(direction)));
    return (row * sizes_.directions + direction) * sizes_.outputs;
  }
  const Real* state_before(int64_t position, int64_t step, int direction) const {
    if (forward_.extras.reset && plan_.forgets(forward_.extras.reset, position, step, backwards(direction)))
      return no_state_;
    if (step > 0) return forward_.y + output_row(position, step - 1, direction);
    if (!forward_.h0) return no_state_;
    return forward_.h0 + (direction * sizes_.batch + plan_.sequence(position)) * sizes_.outputs;
  }

  SumGradients sum_gradients(Arena& arena) const {
    SumGradients of{};
    const int64_t values = panels_ * G * L;
    for (int turn = 0; turn < 2; ++turn) {
      of.sums[turn] = arena.take<Real>(chunk_capacity_ * values);
      if constexpr (Product::kGathers) {
        const int64_t room = (chunk_capacity_ + kMost) * Product::stride(values);
        of.gathered[turn] = arena.take<Packed>(room);
        if (Product::padded(values) > values) __builtin_memset(of.gathered[turn], 0, room * sizeof(Packed));
      }
    }
    return of;
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

  const Backward<Real>& call_;
  const Forward<Real>& forward_;
  const Sizes& sizes_;
  const Range directions_;
  const Plan& plan_;
  const int crew_;              // threads
  int64_t* numbers_ = nullptr;  // (steps + 2), with a slice alone: the number of each step's first row
  Barrier barrier_;
  int64_t panels_, output_vectors_, input_vectors_, chunk_capacity_;
  Packed* recurrent_;        // w_hh in column panels: [panel, gate, lane][columns], as the product packs it
  Packed* input_ = nullptr;  // w_ih likewise
  Real* projection_ = nullptr;                                        // w_hr likewise: [output][columns]
  Real *cells0_ = nullptr, *dcells_ = nullptr, *dcarries_ = nullptr;  // [position][panel][lane]
  bool carries_;                      // whether gradients reach h past the recurrent product
  SumGradients dsums_, dinput_sums_;  // one and the same unless kSeparate
  Real* vectors_ = nullptr;           // [panel][elementwise weight][lane]
  Real* masked_[2] = {};              // rows of h as the recurrent product read them, where there is a mask
  int64_t *first_read_ = nullptr, *next_read_ = nullptr;
  Real *dh_[2] = {}, *h_[2] = {};  // with a projection: [row][output], [panel][row][lane]
  Real* dweights_ = nullptr;       // [panel][x, h, one, one for h][gate][lane]
  Real* dprojection_ = nullptr;    // [panel][output][lane]
  Real* left_ = nullptr;           // columns of x and h over a chunk's rows
  Packed *gathered_columns_ = nullptr, *packed_dsums_[2] = {};  // gathered, both sides of that product
  Real *ones_ = nullptr, *no_state_ = nullptr;
  const Real **rows_x_[2] = {}, **rows_h_[2] = {};
  Real** rows_dx_[2] = {};
  Thread* threads_;
};

}  // namespace fastlstm::FASTLSTM_ISA

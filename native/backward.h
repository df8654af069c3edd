// The backward pass over a whole sequence, for any cell whose gates are sums of an input and a recurrent
// product.
//
// Steps are walked back in chunks. Within a chunk the gradients of the sums (dsums) are found step by step
// and kept, unit panel by unit panel; at its end they are multiplied with the rows of x and h (the gradients
// of the weights) and with w_ih (the gradient of x), while they are still in the cache. Two buffers take
// turns, so that one barrier a chunk is enough.
#pragma once

#include "backward_weights.h"
#include "denormals.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, class Cell, class Product>
class BackwardPass : BackwardWeights<Real, Cell, Product> {
  using Base = BackwardWeights<Real, Cell, Product>;
  using Base::call_, Base::forward_, Base::sizes_, Base::plan_, Base::crew_, Base::barrier_, Base::panels_,
      Base::output_vectors_, Base::input_vectors_, Base::chunk_capacity_, Base::recurrent_, Base::input_,
      Base::projection_, Base::cells0_, Base::dcells_, Base::vectors_, Base::dweights_, Base::dprojection_,
      Base::threads_, Base::base, Base::wants_weights, Base::point_dsums, Base::hidden_gradient,
      Base::point_states, Base::run_step, Base::run_projected_step, Base::run_rows, Base::point_rows,
      Base::directions_, Base::accumulate_weights, Base::input_gradient, Base::unpack_weights, Base::L,
      Base::G;
  using typename Base::Chunk;
  using typename Base::Packed;
  using typename Base::Thread;

 public:
  using Base::Base;
  int crew() const { return crew_; }
  void run(int index) {
    FlushDenormals flush;
    [[maybe_unused]] const typename Product::Setting setting(Base::kMost);
    for (int64_t direction = directions_.begin; direction < directions_.end; ++direction)
      run_direction(threads_[index], (int)direction);
  }

 private:
  void run_direction(Thread& thread, int direction) {
    if (direction > directions_.begin) barrier_.wait();
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
        if (plan_.hidden_slices > 1 && step > chunk.begin) barrier_.wait();
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
        if (turn++ % crew_ == index) pack_columns(threads_[index], weights.w_hh, P, first, width, recurrent_);
      });
    if (call_.dx)
      for_column_panels({0, input_vectors_}, [&](int64_t first, int width) {
        if (turn++ % crew_ == index) pack_columns(threads_[index], weights.w_ih, I, first, width, input_);
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

  void pack_columns(Thread& thread, const Real* w, int64_t columns, int64_t first, int width, Packed* to) {
    const int64_t H = sizes_.hidden, values = panels_ * G * L;
    to += first * Product::right_values(values);
    if constexpr (Product::kGathers) {
      fastlstm::FASTLSTM_ISA::pack_columns<Real, G>(w, H, columns, first, width, thread.columns);
      Product::pack(thread.columns, width, values, to);
    } else {
      fastlstm::FASTLSTM_ISA::pack_columns<Real, G>(w, H, columns, first, width, to);
    }
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
      if (call_.dx && direction == directions_.begin && thread.units.begin == 0 &&
          sizes_.layout != Layout::kPacked)
        for (int64_t t = plan_.length(position); t < sizes_.steps; ++t)
          __builtin_memset(call_.dx + plan_.row(sequence, t) * I, 0, I * sizeof(Real));
    }
  }

  void finish(Thread& thread, int direction, const Chunk& first_chunk) {
    const int64_t B = sizes_.batch, H = sizes_.hidden, P = sizes_.outputs;
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
    unpack_weights(thread, direction);
  }
  // Only unprojected layers have hidden slices, and there output vectors are unit panels.
  Range share_of_outputs(const Thread& thread) const {
    return sizes_.projected ? Range{0, output_vectors_} : thread.units;
  }
};

}  // namespace fastlstm::FASTLSTM_ISA

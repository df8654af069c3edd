// Who computes what: the order of the sequences, and the grid of threads over it.
//
// Sequences are put in order of falling length, dealt out to the batch slices, and live at a *position* from
// then on: slice i owns the positions [slice_begin(i), slice_begin(i + 1)), and at step s its first active(s,
// i) positions still run. Each slice may be shared by several threads, which then own slices of the hidden
// units.
//
// Everything follows from the sizes, the lengths and the grid, which the forward pass keeps, so that the
// backward pass makes the same plan.
#pragma once

#include "arena.h"
#include "common.h"
#include "lstm.h"

namespace fastlstm {

struct Grid {
  int batch_slices, hidden_slices;
};

// What products ask of the grid.
struct Sharing {
  double cached_values;   // recurrent weights that a core's own cache still holds
  int64_t rows_to_reuse;  // rows a slice that make up for streaming the weights from further away
};
Grid choose_grid(const Sizes& sizes, int threads, const Sharing& sharing);

class Plan : public Grid {
 public:
  int64_t steps;  // of the longest sequence

  Plan(const Sizes& sizes, const Ragged& ragged, const Grid& grid, Arena& arena);

  FASTLSTM_INLINE int threads() const { return batch_slices * hidden_slices; }
  FASTLSTM_INLINE Range slice(int i) const { return share(sizes_.batch, i, batch_slices); }
  FASTLSTM_INLINE int64_t active(int64_t step, int slice) const {
    return active_[step * batch_slices + slice];
  }
  // Rows are numbered by step, then slice, then position: the number of the slice's first row at a step.
  FASTLSTM_INLINE int64_t base(int64_t step, int slice) const { return base_[step * batch_slices + slice]; }
  FASTLSTM_INLINE int64_t base(int64_t step) const { return base_[step * batch_slices]; }

  FASTLSTM_INLINE int64_t sequence(int64_t position) const {
    return order_[position];
  }  // its place in the batch
  FASTLSTM_INLINE int64_t length(int64_t position) const {
    return ragged_.lengths ? ragged_.lengths[order_[position]] : sizes_.steps;
  }
  // The row of x and y that holds a sequence's time t.
  FASTLSTM_INLINE int64_t row(int64_t sequence, int64_t t) const {
    switch (sizes_.layout) {
      case Layout::kTimeMajor:
        return t * sizes_.batch + sequence;
      case Layout::kBatchFirst:
        return sequence * sizes_.steps + t;
      default:
        return ragged_.packed_offsets[t] + sequence;
    }
  }
  // The time at which the sequence's step s reads and writes, running forwards or backwards.
  FASTLSTM_INLINE int64_t time(int64_t position, int64_t step, bool reversed) const {
    return reversed ? length(position) - 1 - step : step;
  }

  // Whether the sequence forgets what was before its step s. A mark at time t cuts between t - 1 and t.
  FASTLSTM_INLINE bool forgets(const uint8_t* reset, int64_t position, int64_t step, bool reversed) const {
    const int64_t t = time(position, step, reversed) + reversed;
    return t < length(position) && reset[row(order_[position], t)];
  }

 private:
  void deal_out(int64_t* sorted);

  Sizes sizes_;
  Ragged ragged_;
  int64_t *order_, *base_, *active_;
};

// Whether the two directions of a layer run beside each other, each on half of the threads, rather than one
// after the other on all of them: where there are so few sequences that threads would share them badly.
bool directions_at_once(const Sizes& sizes, int threads);

// Whether layers on one another run at once, each on a thread of its own and some steps behind the one
// before, rather than one after the other on all threads: where these would find too little to share in a
// layer, few sequences, and weights that are not worth a barrier a step.
constexpr int64_t kRowsToStack = 4;  // rows from which layers are better taken one after the other
bool layers_at_once(const Sizes& sizes, int layers, int threads);

// Whether every length is in 0 … steps.
bool lengths_fit(const int64_t* lengths, int64_t batch, int64_t steps);

// From how many of the batch run at each step of the packed layout to the offsets of the steps' rows and to
// the sequences' lengths. False where the numbers rise, are more than the batch or negative, or do not make
// up the rows.
bool read_batch_sizes(const int64_t* batch_sizes, int64_t steps, int64_t batch, int64_t rows,
                      int64_t* offsets, int64_t* lengths);

}  // namespace fastlstm

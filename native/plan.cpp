#include "plan.h"

#include <algorithm>
#include <numeric>

namespace fastlstm {
namespace {

constexpr double kWorthThreads = 5e5;  // multiply-adds below which waking a thread costs more than it gives
constexpr double kWorthBarriers =
    50e3;  // recurrent weights a gate that are worth a barrier a step to a thread without sequences
constexpr int64_t kUnitsWorthSlicing = 64;
constexpr int64_t kRowsToShare =
    4;  // rows a thread from which directions are better taken one after the other

double multiply_adds(const Sizes& sizes) {  // of one direction
  return (double)sizes.steps * (double)sizes.batch * gates_of(sizes.cell) * (double)sizes.hidden *
         (double)(sizes.inputs + sizes.outputs);
}
double weights_of_gate(const Sizes& sizes) { return (double)sizes.hidden * (double)sizes.outputs; }

}  // namespace

Grid choose_grid(const Sizes& sizes, int threads, const Sharing& sharing) {
  if (threads < 2 || multiply_adds(sizes) < kWorthThreads) return {1, 1};
  const double weights = weights_of_gate(sizes);
  const bool slices_pay = gates_of(sizes.cell) * weights > sharing.cached_values
                              ? sizes.batch < sharing.rows_to_reuse * threads
                              : weights > kWorthBarriers && sizes.batch < threads;
  const bool needs_whole_rows = sizes.projected || sizes.layer_norm;
  const int by_batch = (int)std::min<int64_t>(threads, sizes.batch);
  const int by_units = (int)std::min<int64_t>(threads, sizes.hidden / kUnitsWorthSlicing);
  if (!slices_pay || needs_whole_rows || by_units < by_batch) return {by_batch, 1};
  return {1, by_units};
}

Plan::Plan(const Sizes& sizes, const Ragged& ragged, const Grid& grid, Arena& arena)
    : Grid(grid), sizes_(sizes), ragged_(ragged) {
  const int64_t B = sizes.batch;
  order_ = arena.take<int64_t>(B);
  deal_out(arena.take<int64_t>(B));
  const int64_t last = std::max<int64_t>(steps, 1);  // base(1) is asked for even where all lengths are zero
  active_ = arena.take<int64_t>((last + 1) * batch_slices);
  base_ = arena.take<int64_t>((last + 1) * batch_slices);
  int64_t rows = 0;
  for (int64_t s = 0; s <= last; ++s)
    for (int i = 0; i < batch_slices; ++i) {
      const Range positions = slice(i);
      int64_t live = s == 0 ? positions.end - positions.begin : active(s - 1, i);
      while (live > 0 && length(positions.begin + live - 1) <= s) --live;
      active_[s * batch_slices + i] = live;
      base_[s * batch_slices + i] = rows;
      rows += live;
    }
}

void Plan::deal_out(int64_t* sorted) {
  const int64_t B = sizes_.batch;
  steps = sizes_.steps;
  std::iota(order_, order_ + B, 0);
  if (!ragged_.lengths) return;  // the slices are stretches of the batch
  const int64_t* lengths = ragged_.lengths;
  std::copy(order_, order_ + B, sorted);
  std::stable_sort(sorted, sorted + B, [lengths](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
  steps = lengths[sorted[0]];
  // Deal the sequences out, every other round from the last slice to the first: who got the longest of one
  // round gets the shortest of the next.
  std::vector<int64_t> filled(batch_slices);
  for (int i = 0; i < batch_slices; ++i) filled[i] = slice(i).begin;
  bool forth = true;
  for (int64_t next = 0; next < B; forth = !forth)
    for (int turn = 0; turn < batch_slices && next < B; ++turn) {
      const int i = forth ? turn : batch_slices - 1 - turn;
      if (filled[i] < slice(i).end) order_[filled[i]++] = sorted[next++];
    }
}

bool directions_at_once(const Sizes& sizes, int threads) {
  return sizes.directions == 2 && threads > 1 && sizes.batch < kRowsToShare * threads &&
         2 * multiply_adds(sizes) >= kWorthThreads;
}

bool layers_at_once(const Sizes& sizes, int layers, int threads) {
  return layers > 1 && threads > 1 && sizes.directions == 1 && sizes.batch < kRowsToStack &&
         std::min<int64_t>(threads, sizes.batch) <= layers && weights_of_gate(sizes) <= kWorthBarriers &&
         layers * multiply_adds(sizes) >= kWorthThreads;
}

bool lengths_fit(const int64_t* lengths, int64_t batch, int64_t steps) {
  return std::all_of(lengths, lengths + batch,
                     [=](int64_t length) { return 0 <= length && length <= steps; });
}

bool read_batch_sizes(const int64_t* batch_sizes, int64_t steps, int64_t batch, int64_t rows,
                      int64_t* offsets, int64_t* lengths) {
  int64_t offset = 0, live = batch;
  for (int64_t t = 0; t < steps; ++t) {
    if (batch_sizes[t] < 0 || batch_sizes[t] > live) return false;
    while (live > batch_sizes[t]) lengths[--live] = t;
    offsets[t] = offset;
    offset += live;
  }
  std::fill(lengths, lengths + live, steps);
  return offset == rows;
}

}  // namespace fastlstm

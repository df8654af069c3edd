// Matrix times vector for few vectors. A Form says how the matrix and the vectors that it meets are stored.
//
// FullForm has the matrix row by row, as PyTorch has it. One vector's width of rows is taken at a time: each
// row's products are summed up in lanes, and the lanes of all rows are then added up by transposing. Reduced
// weights (step_bf16.h, step_int8.h) lie so that every lane is a row.
#pragma once

#include "arena.h"
#include "packing.h"
#include "simd.h"
#include "step.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr int64_t multiple(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// The first n < kLanes values of p; the other lanes are zero, and nothing of them is read.
template <class Real>
FASTLSTM_INLINE Vec<Real> load_tail(const Real* p, int n) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  alignas(32) static constexpr int32_t kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  const __m256i mask = _mm256_loadu_si256((const __m256i*)(kMask + 8 - n * (int)(sizeof(Real) / 4)));
  if constexpr (sizeof(Real) == 4)
    return (Vec<Real>)_mm256_maskload_ps(p, mask);
  else
    return (Vec<Real>)_mm256_maskload_pd(p, mask);
#else
  return load_first(p, n);
#endif
}

// --- sums across lanes: lane r of the result is the sum of all lanes of vector r ---------------------------

template <class Real>
constexpr int kLanesOf128 = 16 / sizeof(Real);

// The low and the high halves of each 128 bits of a and b, value by value in turn.
template <class Real, int... Lane>
FASTLSTM_INLINE Vec<Real> add_interleaved(Vec<Real> a, Vec<Real> b, std::integer_sequence<int, Lane...>) {
  constexpr int L = kLanes<Real>, E = kLanesOf128<Real>;
  const Vec<Real> low = __builtin_shufflevector(a, b, (Lane / E * E + Lane % E / 2 + Lane % 2 * L)...);
  const Vec<Real> high =
      __builtin_shufflevector(a, b, (Lane / E * E + E / 2 + Lane % E / 2 + Lane % 2 * L)...);
  return low + high;
}
// The same for floats in pairs.
template <int... Lane>
FASTLSTM_INLINE Vec<float> add_interleaved_pairs(Vec<float> a, Vec<float> b,
                                                 std::integer_sequence<int, Lane...>) {
  constexpr int L = kLanes<float>;
  const Vec<float> low = __builtin_shufflevector(a, b, (Lane / 4 * 4 + Lane % 2 + Lane % 4 / 2 * L)...);
  const Vec<float> high = __builtin_shufflevector(a, b, (Lane / 4 * 4 + 2 + Lane % 2 + Lane % 4 / 2 * L)...);
  return low + high;
}
// The even and the odd 128 bits of a, then of b.
template <class Real, int... Lane>
FASTLSTM_INLINE Vec<Real> add_groups(Vec<Real> a, Vec<Real> b, std::integer_sequence<int, Lane...>) {
  constexpr int L = kLanes<Real>, E = kLanesOf128<Real>, G = L / E;
  const Vec<Real> even =
      __builtin_shufflevector(a, b, ((Lane / E * 2 % G) * E + Lane % E + (Lane / E * 2 >= G ? L : 0))...);
  const Vec<Real> odd =
      __builtin_shufflevector(a, b, ((Lane / E * 2 % G + 1) * E + Lane % E + (Lane / E * 2 >= G ? L : 0))...);
  return even + odd;
}

template <class Real>
FASTLSTM_INLINE Vec<Real> sum_across(const Vec<Real>* rows) {
  constexpr int L = kLanes<Real>, E = kLanesOf128<Real>, G = L / E;
  constexpr std::make_integer_sequence<int, L> lanes{};
  Vec<Real> group[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
    const Vec<Real>* r = rows + g * E;
    if constexpr (sizeof(Real) == 4)
      group[g] = add_interleaved_pairs(add_interleaved<Real>(r[0], r[1], lanes),
                                       add_interleaved<Real>(r[2], r[3], lanes), lanes);
    else
      group[g] = add_interleaved<Real>(r[0], r[1], lanes);
  }
  if constexpr (G == 4) {
    group[0] = add_groups<Real>(group[0], group[1], lanes);
    group[1] = add_groups<Real>(group[2], group[3], lanes);
  }
  if constexpr (G > 1) group[0] = add_groups<Real>(group[0], group[1], lanes);
  return group[0];
}

// --- forms ------------------------------------------------------------------------------------------------

// One product of a sum of products: a matrix and the vectors that it meets, one a sequence.
template <class Form>
struct Factor {
  StepMatrix matrix;
  int64_t columns;  // K
  typename Form::Operand operand;
};

// Of a form that meets vectors as they are given.
template <class Real>
struct MeetsAsGiven {
  struct Operand {
    const Real* data;
    int64_t stride;
  };
  static Operand prepare(const Real* x, int64_t stride, int64_t, int64_t, Arena&) { return {x, stride}; }
};

// The weights as the caller has them.
template <class Real>
struct FullForm : MeetsAsGiven<Real> {
  using Number = Real;
  using Weight = Real;
  static constexpr int kBlockRows = kLanes<Real>;
  static int64_t row_values(const Factor<FullForm>& factor) { return factor.columns; }

  // `ahead` of what is read lies what will be: rows are too short for the processor to find out by itself.
  template <int R, int B>
  static FASTLSTM_INLINE void multiply(const Factor<FullForm>& factor, const Real* const* row, int64_t b,
                                       int64_t ahead, Vec<Real> (*sum)[B]) {
    constexpr int L = kLanes<Real>;
    const int64_t K = factor.columns, stride = factor.operand.stride;
    const Real* x = factor.operand.data + (B == 1 && b == 0 ? 0 : b * stride);
    int64_t k = 0;
    for (; k + L <= K; k += L) {
      Vec<Real> value[B];
#pragma GCC unroll 4
      for (int i = 0; i < B; ++i) value[i] = load(x + i * stride + k);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const Vec<Real> weight = load(row[r] + k);
        __builtin_prefetch(row[r] + k + ahead);
#pragma GCC unroll 4
        for (int i = 0; i < B; ++i) sum[r][i] += weight * value[i];
      }
    }
    if (k == K) return;
    const int left = (int)(K - k);
#pragma GCC unroll 4
    for (int i = 0; i < B; ++i) {
      const Vec<Real> value = load_tail(x + i * stride + k, left);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r][i] += load_tail(row[r] + k, left) * value;
    }
  }
};

template <class Real>
FASTLSTM_INLINE Vec<Real> sum_of(const Real* bias, const Real* second_bias, int64_t first, int live) {
  Vec<Real> sum{};
  if (bias) sum = load_first(bias + first, live);
  if (second_bias) sum += load_first(second_bias + first, live);
  return sum;
}

// out[b][n] = the sum over the factors of row n · vector b, plus the biases, for a range of blocks of rows.
template <class Form>
struct Product {
  using Real = typename Form::Number;
  const Factor<Form>* factors;
  int factor_count;
  Range blocks;
  bool backwards;  // from the last block to the first
  int64_t rows, batch;
  const Real *bias, *second_bias;  // may be null
  Real* out;                       // has room for whole blocks
  int64_t out_stride;

  template <class Body>
  FASTLSTM_INLINE void for_blocks(Body&& body) const {
    if (backwards)
      for (int64_t block = blocks.end; block-- > blocks.begin;) body(block);
    else
      for (int64_t block = blocks.begin; block < blocks.end; ++block) body(block);
  }
  // For one vector's width of rows; those past the last one count for nothing.
  FASTLSTM_INLINE void put(int64_t b, int64_t first_row, Vec<Real> sums) const {
    if (first_row >= rows) return;
    const int live = (int)(rows - first_row < kLanes<Real> ? rows - first_row : kLanes<Real>);
    store(out + b * out_stride + first_row, Vec<Real>(sums + sum_of(bias, second_bias, first_row, live)));
  }
};

// One block of full rows times B vectors. Where it is not whole, what lacks is the last row once more.
template <int B, int kFactors, bool kWhole, class Real>
FASTLSTM_INLINE void multiply_block(const Product<FullForm<Real>>& product, int64_t block, int64_t b) {
  using Form = FullForm<Real>;
  constexpr int L = kLanes<Real>, R = L < 4 ? L : kRegisters == 32 || B == 1 ? 4 : 2;
  const int live = kWhole ? L : live_lanes(product.rows, block, L);
  const Real* w[kFactors];
  int64_t stride[kFactors];
#pragma GCC unroll 2
  for (int f = 0; f < kFactors; ++f) {
    stride[f] = Form::row_values(product.factors[f]);
    w[f] = static_cast<const Real*>(product.factors[f].matrix.data) + block * L * stride[f];
  }
  Vec<Real> total[B][L];
#pragma GCC unroll 8
  for (int group = 0; group < L; group += R) {
    Vec<Real> sum[R][B];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < B; ++i) sum[r][i] = Vec<Real>{};
#pragma GCC unroll 2
    for (int f = 0; f < kFactors; ++f) {
      const Real* row[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        row[r] = w[f] + (kWhole || group + r < live ? group + r : live - 1) * stride[f];
      const int64_t next = group + R < L || !product.backwards ? R : R - 2 * L;  // rows on
      Form::template multiply<R, B>(product.factors[f], row, b, next * stride[f], sum);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < B; ++i) total[i][group + r] = sum[r][i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < B; ++i) product.put(b + i, block * L, sum_across<Real>(total[i]));
}

template <int B, int kFactors, class Real>
void multiply_vectors(const Product<FullForm<Real>>& product, int64_t b) {
  product.for_blocks([&](int64_t block) {
    if ((block + 1) * kLanes<Real> <= product.rows)
      multiply_block<B, kFactors, true>(product, block, b);
    else
      multiply_block<B, kFactors, false>(product, block, b);
  });
}

template <class Real>
void multiply(const Product<FullForm<Real>>& product) {
  int64_t b = 0;
  const auto take = [&](auto width) {
    constexpr int B = decltype(width)::value;
    for (; product.batch - b >= B; b += B)
      product.factor_count == 2   ? multiply_vectors<B, 2>(product, b)
      : product.factor_count == 1 ? multiply_vectors<B, 1>(product, b)
                                  : multiply_vectors<B, 0>(product, b);
  };
  take(std::integral_constant<int, 4>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
}

}  // namespace fastlstm::FASTLSTM_ISA

// Tokens' log-probabilities and draws, for few rows.
#pragma once

#include <algorithm>  // of it, only what a comparison of our own makes a symbol of our own

#include "step_products.h"
#include "tokens.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr double kMinusInfinity = -__builtin_huge_val();

// sums (V, filled up to whole vectors) to log softmax.
inline void log_softmax(float* sums, int64_t tokens, float* y) {
  constexpr int L = kLanes<float>;
  const int64_t padded = multiple(tokens, L);
  for (int64_t v = tokens; v < padded; ++v) sums[v] = (float)kMinusInfinity;
  Vec<float> tops = load(sums);
  for (int64_t v = L; v < padded; v += L) tops = larger<float>(tops, load(sums + v));
  const float top = largest_lane<float>(tops);
  Vec<float> total{};
  for (int64_t v = 0; v < padded; v += L) total += exponential<float>(load(sums + v) - top);
  double sum = 0;
  for (int i = 0; i < L; ++i) sum += total[i];
  const float shift = (float)(top + __builtin_log(sum));
  for (int64_t v = 0; v < tokens; ++v) y[v] = sums[v] - shift;
}

inline void token_output(const TokenOutput& call) {
  FlushDenormals flush;
  Arena& arena = fresh_arena();
  const int64_t F = call.features, V = call.tokens, stride = multiple(V, kLanes<float>);
  const Factor<FullForm<float>> factor{{call.w, nullptr, nullptr}, F, {call.x, F}};
  Product<FullForm<float>> product{};
  product.factors = &factor;
  product.factor_count = 1;
  product.blocks = {0, stride / kLanes<float>};
  product.rows = V;
  product.batch = call.rows;
  product.bias = call.b;
  product.out = arena.take<float>(call.rows * stride);
  product.out_stride = stride;
  multiply(product);
  for (int64_t row = 0; row < call.rows; ++row) log_softmax(product.out + row * stride, V, call.y + row * V);
}

class TokenDrawing {
 public:
  TokenDrawing(const TokenDraw& call, Arena& arena)
      : call_(call),
        shares_(arena.take<double>(multiple(call.tokens, L))),
        others_(arena.take<double>(call.tokens)),
        ranked_(arena.take<int64_t>(call.tokens)) {}

  // False where a row holds a number that is none, or nothing that may come.
  bool run() {
    for (int64_t row = 0; row < call_.rows; ++row) {
      const double top = read(call_.told + row * call_.tokens);
      if (!(top > kMinusInfinity)) return false;
      if (call_.temperature == 0) {
        int64_t likeliest = 0;
        while (shares_[likeliest] < top) ++likeliest;
        call_.drawn[row] = likeliest;
        continue;
      }
      take_exponentials(top);
      if (call_.top_k > 0 && call_.top_k < call_.tokens) keep_likeliest();
      if (call_.top_p < 1) keep_nucleus();
      call_.drawn[row] = pick(call_.numbers[row]);
    }
    return true;
  }

 private:
  static constexpr int L = kLanes<double>;

  // The log-probabilities, but for what must not come; returns the largest, or what is no number.
  double read(const float* told) {
    const int64_t padded = multiple(call_.tokens, L);
    bool none = false;
    for (int64_t v = 0; v < call_.tokens; ++v) {
      shares_[v] = told[v];
      none |= told[v] != told[v];
    }
    if (none) return __builtin_nan("");
    for (int64_t i = 0; i < call_.never_count; ++i) shares_[call_.never[i]] = kMinusInfinity;
    for (int64_t v = call_.tokens; v < padded; ++v) shares_[v] = kMinusInfinity;
    Vec<double> tops = load(shares_);
    for (int64_t v = L; v < padded; v += L) tops = larger<double>(tops, load(shares_ + v));
    return largest_lane<double>(tops);
  }
  void take_exponentials(double top) {
    const int64_t padded = multiple(call_.tokens, L);
    for (int64_t v = 0; v < padded; v += L)
      store(shares_ + v, exponential<double>((load(shares_ + v) - top) / call_.temperature));
  }
  void keep_likeliest() {
    copy_shares();
    double* least = others_ + call_.top_k - 1;
    std::nth_element(others_, least, others_ + call_.tokens, [](double a, double b) { return a > b; });
    for (int64_t v = 0; v < call_.tokens; ++v)
      if (shares_[v] < *least) shares_[v] = 0;
  }
  // The likeliest first, of those that are equally likely the first of them.
  void keep_nucleus() {
    copy_shares();
    for (int64_t v = 0; v < call_.tokens; ++v) ranked_[v] = v;
    const auto below = [this](int64_t a, int64_t b) {
      return others_[a] < others_[b] || (others_[a] == others_[b] && a > b);
    };
    int64_t* end = ranked_ + call_.tokens;
    std::make_heap(ranked_, end, below);
    const double enough = call_.top_p * sum();
    for (int64_t v = 0; v < call_.tokens; ++v) shares_[v] = 0;
    for (double kept = 0; kept < enough && end > ranked_; --end) {
      std::pop_heap(ranked_, end, below);
      const int64_t likeliest = end[-1];
      shares_[likeliest] = others_[likeliest];
      kept += others_[likeliest];
    }
  }
  void copy_shares() { __builtin_memcpy(others_, shares_, call_.tokens * sizeof(double)); }
  double sum() const {
    double total = 0;
    for (int64_t v = 0; v < call_.tokens; ++v) total += shares_[v];
    return total;
  }
  // Sums are taken in the same order as the total, which the last of them therefore reaches.
  int64_t pick(double number) const {
    const double limit = number * sum();
    double reached = 0;
    int64_t token = 0;
    while (token + 1 < call_.tokens && (reached += shares_[token]) <= limit) ++token;
    return token;
  }

  const TokenDraw& call_;
  double *shares_, *others_;
  int64_t* ranked_;
};

inline bool token_draw(const TokenDraw& call) {
  Arena& arena = fresh_arena();
  return TokenDrawing(call, arena).run();
}

}  // namespace fastlstm::FASTLSTM_ISA

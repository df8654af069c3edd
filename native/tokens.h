// The contract of what follows a step where tokens are written one by one: their log-probabilities, and a
// draw among them.
#pragma once

#include <cstdint>

namespace fastlstm {

// y = log softmax(x wᵀ + b): B rows of F features, V tokens.
struct TokenOutput {
  int64_t rows, features, tokens;  // B, F, V
  const float *x, *w, *b;          // (B, F), (V, F), (V); b null: none
  float* y;                        // (B, V)
};

// A token a row, with probability in proportion to e^(told / temperature) among those that are left.
struct TokenDraw {
  int64_t rows, tokens;   // B, V
  const float* told;      // (B, V), log-probabilities
  const int64_t* never;   // tokens that must not come …
  int64_t never_count;    // … and how many they are
  double temperature;     // 0 takes the likeliest, the first of them
  int64_t top_k;          // so many of the likeliest are left, and what is as likely as the last; 0: all
  double top_p;           // then the fewest of them that are together at least so likely; 1: all
  const double* numbers;  // (B) from 0 to below 1: the first token whose sum of shares is above it is drawn
  int64_t* drawn;         // (B)
};

}  // namespace fastlstm

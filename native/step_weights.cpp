// Full weights into reduced ones.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "memory.h"
#include "step.h"

namespace fastlstm {
namespace {

constexpr float kLargestInt8 = 127;

uint16_t to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value)) return (uint16_t)((bits >> 16) | 0x40);  // rounding must not make it infinite
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void reduce_to_bfloat16(const float* w, int64_t N, int64_t K, uint16_t* to) {
  constexpr int64_t kHalf = kBfloat16Rows / 2;
  for (int64_t n = 0; n < N; ++n) {
    const int64_t row = n % kBfloat16Rows;
    uint16_t* place = to + (n - row) * K + row % kHalf * 2 + row / kHalf;
    for (int64_t k = 0; k < K; ++k) place[k * kBfloat16Rows] = to_bfloat16(w[n * K + k]);
  }
}

void reduce_to_int8(const float* w, int64_t N, int64_t K, int8_t* to, float* scales, int32_t* offsets) {
  const int64_t columns = (int64_t)round_up(K, kInt8Columns);
  for (int64_t n = 0; n < N; ++n) {
    const float* row = w + n * K;
    float largest = 0;
    bool finite = true;
    for (int64_t k = 0; k < K; ++k) {
      largest = std::max(largest, std::fabs(row[k]));
      finite = finite && std::isfinite(row[k]);
    }
    const float scale = largest / kLargestInt8;
    int8_t* place = to + n / kInt8Rows * kInt8Rows * columns + n % kInt8Rows * kInt8Columns;
    int32_t sum = 0;
    for (int64_t k = 0; k < K; ++k) {
      const float value = finite && scale > 0 ? std::nearbyint(row[k] / scale) : 0.0f;
      const int8_t whole = (int8_t)std::clamp(value, -kLargestInt8, kLargestInt8);
      place[k / kInt8Columns * kInt8Rows * kInt8Columns + k % kInt8Columns] = whole;
      sum += whole;
    }
    scales[n] = finite ? scale : NAN;  // a weight that is no number spoils its gate, as it would in full
    offsets[n] = 128 * sum;
  }
}

}  // namespace

size_t reduced_bytes(StepWeights kind, int64_t N, int64_t K) {
  if (kind == StepWeights::kBfloat16) return round_up(N, kBfloat16Rows) * (size_t)K * sizeof(uint16_t);
  return round_up(N, kInt8Rows) * (round_up(K, kInt8Columns) + sizeof(float) + sizeof(int32_t));
}

StepMatrix reduce(StepWeights kind, const float* w, int64_t N, int64_t K, void* to) {
  std::memset(to, 0, reduced_bytes(kind, N, K));
  if (kind == StepWeights::kBfloat16) {
    reduce_to_bfloat16(w, N, K, static_cast<uint16_t*>(to));
    return {to, nullptr, nullptr};
  }
  const size_t rows = round_up(N, kInt8Rows);
  float* scales = reinterpret_cast<float*>(static_cast<char*>(to) + rows * round_up(K, kInt8Columns));
  int32_t* offsets = reinterpret_cast<int32_t*>(scales + rows);
  reduce_to_int8(w, N, K, static_cast<int8_t*>(to), scales, offsets);
  return {to, scales, offsets};
}

}  // namespace fastlstm

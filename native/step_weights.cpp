// Full weights into reduced ones.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "memory.h"
#include "step.h"

namespace fastlstm {
namespace {

constexpr float kLargestInt8 = 127;
constexpr int kHalf = kBfloat16Block / 2;

uint16_t to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value)) return (uint16_t)((bits >> 16) | 0x40);  // rounding must not make it infinite
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Where value k of a row lies, in units of 16 bits.
int64_t bfloat16_place(int64_t k) {
  const int64_t within = k % kBfloat16Block;
  return k - within + within % kHalf * 2 + within / kHalf;
}

size_t int8_values(int64_t N, int64_t K) { return round_up((size_t)N * round_up(K, kInt8Block), kAlignment); }

void reduce_to_int8(const float* w, int64_t N, int64_t K, int8_t* to, float* scales) {
  const int64_t stride = round_up(K, kInt8Block);
  for (int64_t n = 0; n < N; ++n) {
    const float* row = w + n * K;
    float largest = 0;
    bool finite = true;
    for (int64_t k = 0; k < K; ++k) {
      largest = std::max(largest, std::fabs(row[k]));
      finite = finite && std::isfinite(row[k]);
    }
    const float scale = largest / kLargestInt8;
    int32_t sum = 0;
    for (int64_t k = 0; k < K; ++k) {
      const float value = finite && scale > 0 ? std::nearbyint(row[k] / scale) : 0.0f;
      to[n * stride + k] = (int8_t)std::clamp(value, -kLargestInt8, kLargestInt8);
      sum += to[n * stride + k];
    }
    scales[n] = finite ? scale : NAN;  // a weight that is no number spoils its gate, as it would in full
    scales[N + n] = scale * (float)kInt8Offset * (float)sum;
  }
}

}  // namespace

size_t reduced_bytes(StepWeights kind, int64_t N, int64_t K) {
  if (kind == StepWeights::kBfloat16) return (size_t)N * round_up(K, kBfloat16Block) * sizeof(uint16_t);
  return int8_values(N, K) + 2 * (size_t)N * sizeof(float);
}

StepMatrix reduce(StepWeights kind, const float* w, int64_t N, int64_t K, void* to) {
  std::memset(to, 0, reduced_bytes(kind, N, K));
  if (kind == StepWeights::kInt8) {
    float* scales = reinterpret_cast<float*>(static_cast<char*>(to) + int8_values(N, K));
    reduce_to_int8(w, N, K, static_cast<int8_t*>(to), scales);
    return {to, scales, scales + N};
  }
  const int64_t stride = round_up(K, kBfloat16Block);
  uint16_t* values = static_cast<uint16_t*>(to);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k) values[n * stride + bfloat16_place(k)] = to_bfloat16(w[n * K + k]);
  return {to, nullptr, nullptr};
}

}  // namespace fastlstm

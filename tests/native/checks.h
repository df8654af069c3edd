// Counting what was compared and what differed.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace native_tests {

inline std::atomic<int64_t> checks_made{0}, checks_failed{0};
inline thread_local std::string context;  // what is being tested, for the messages

inline void fail(const std::string& what) {
  constexpr int64_t kShown = 20;
  if (checks_failed.fetch_add(1) < kShown)
    std::fprintf(stderr, "FAILED %s: %s\n", context.c_str(), what.c_str());
}

inline void check(bool holds, const char* what) {
  ++checks_made;
  if (!holds) fail(what);
}

// Rounding errors, relative to the largest value of an array or to 1. The largest are those of gradients
// where x is large: the sums of the gates then reach a hundred, a rounding of which is a hundred units in the
// last place of a gate, less what its slope takes off again; 30 units were seen. A term left out or counted
// twice is far larger.
template <class Real>
constexpr double kTolerance = 64 * std::numeric_limits<Real>::epsilon();

template <class Real>
void check_close(const char* name, const Real* got, const std::vector<double>& expected,
                 double tolerance = kTolerance<Real>) {
  ++checks_made;
  double scale = 1;
  for (double value : expected) scale = std::fmax(scale, std::fabs(value));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::fabs((double)got[i] - expected[i]);
    if (error <= tolerance * scale) continue;  // false for NaN, which is also what nobody has written
    char text[200];
    std::snprintf(text, sizeof text, "%s[%zu] is %.9g, not %.9g (an error of %.3g × the scale %.3g)", name, i,
                  (double)got[i], expected[i], error / scale, scale);
    fail(text);
    return;
  }
}

}  // namespace native_tests

#include "cells.h"

#include <cmath>

namespace native_tests {
namespace {

using fastlstm::CellKind;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double at(const Values& values, int64_t i) { return values.empty() ? 0 : values[i]; }
void add(Values& values, int64_t i, double value) {
  if (!values.empty()) values[i] += value;
}

Normalised normalise(const Values& values) {
  const double count = (double)values.size();
  double mean = 0, variance = 0;
  for (double value : values) mean += value / count;
  for (double value : values) variance += (value - mean) * (value - mean) / count;
  Normalised normal{values, 1 / std::sqrt(variance + 1e-5)};
  for (double& value : normal.values) value = (value - mean) * normal.scale;
  return normal;
}
// The gradient of the values from that of the normalised ones.
Values normalise_back(const Normalised& normal, const Values& gradient) {
  const double count = (double)gradient.size();
  double mean = 0, product = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    mean += gradient[i] / count;
    product += gradient[i] * normal.values[i] / count;
  }
  Values result(gradient.size());
  for (size_t i = 0; i < gradient.size(); ++i)
    result[i] = normal.scale * (gradient[i] - mean - normal.values[i] * product);
  return result;
}

// Where a gate's values begin, and which peepholes it has.
struct LstmPlaces {
  int64_t f, g, o, peephole_o;
  bool coupled;
};
LstmPlaces places(const Problem& p) {
  const int64_t H = p.hidden;
  const bool coupled = p.cell == CellKind::kCoupledLstm;
  return coupled ? LstmPlaces{0, H, 2 * H, H, true} : LstmPlaces{H, 2 * H, 3 * H, 2 * H, false};
}

void run_lstm(const Problem& p, const WeightValues& w, Step& step) {
  const int64_t H = p.hidden, G = p.gates();
  const LstmPlaces at_gate = places(p);
  Values s(G * H);
  if (p.layer_norm) {
    step.x_normal = normalise(step.x_product);
    step.h_normal = normalise(step.h_product);
  }
  for (int64_t k = 0; k < G * H; ++k)
    s[k] = (p.layer_norm ? w[kGainIh][k] * step.x_normal.values[k] + w[kGainHh][k] * step.h_normal.values[k]
                         : step.x_product[k] + step.h_product[k]) +
           at(w[kBih], k) + at(w[kBhh], k);
  step.gates = s;
  step.c.resize(H);
  for (int64_t k = 0; k < H; ++k) {
    const double before = step.c_before[k];
    const double i = logistic(s[k] + at(w[kPeephole], k) * before);
    const double f = at_gate.coupled ? 1 - i : logistic(s[at_gate.f + k] + at(w[kPeephole], H + k) * before);
    const double g = std::tanh(s[at_gate.g + k]);
    step.c[k] = f * before + i * g;
    step.gates[at_gate.f + k] = f;  // for a coupled cell this is the place of i, which follows
    step.gates[k] = i;
    step.gates[at_gate.g + k] = g;
    step.gates[at_gate.o + k] =
        logistic(s[at_gate.o + k] + at(w[kPeephole], at_gate.peephole_o + k) * step.c[k]);
  }
  step.shown = step.c;
  if (p.layer_norm) {
    step.c_normal = normalise(step.c);
    for (int64_t k = 0; k < H; ++k) step.shown[k] = w[kGainC][k] * step.c_normal.values[k] + w[kBiasC][k];
  }
  step.h.resize(H);
  for (int64_t k = 0; k < H; ++k) step.h[k] = step.gates[at_gate.o + k] * std::tanh(step.shown[k]);
}

void run_lstm_back(const Problem& p, const WeightValues& w, const Step& step, StepGradient& d,
                   WeightValues& dw) {
  const int64_t H = p.hidden, G = p.gates();
  const LstmPlaces at_gate = places(p);
  Values dshown(H), ds(G * H);
  for (int64_t k = 0; k < H; ++k) {
    const double o = step.gates[at_gate.o + k], shown = std::tanh(step.shown[k]);
    ds[at_gate.o + k] = d.dh[k] * shown * o * (1 - o);
    dshown[k] = d.dh[k] * o * (1 - shown * shown);
  }
  Values dc = dshown;
  if (p.layer_norm) {
    Values dnormal(H);
    for (int64_t k = 0; k < H; ++k) {
      dnormal[k] = dshown[k] * w[kGainC][k];
      dw[kGainC][k] += dshown[k] * step.c_normal.values[k];
      dw[kBiasC][k] += dshown[k];
    }
    dc = normalise_back(step.c_normal, dnormal);
  }
  d.dc_before.resize(H);
  for (int64_t k = 0; k < H; ++k) {
    const double before = step.c_before[k], i = step.gates[k], g = step.gates[at_gate.g + k];
    const double f = at_gate.coupled ? 1 - i : step.gates[at_gate.f + k], d_o = ds[at_gate.o + k];
    dc[k] += d.dc[k] + d_o * at(w[kPeephole], at_gate.peephole_o + k);
    const double di = dc[k] * (at_gate.coupled ? g - before : g) * i * (1 - i);
    const double df = dc[k] * before * f * (1 - f);
    d.dc_before[k] = dc[k] * f + di * at(w[kPeephole], k);
    if (!at_gate.coupled) {
      d.dc_before[k] += df * at(w[kPeephole], H + k);
      ds[at_gate.f + k] = df;
      add(dw[kPeephole], H + k, df * before);
    }
    ds[k] = di;
    ds[at_gate.g + k] = dc[k] * i * (1 - g * g);
    add(dw[kPeephole], k, di * before);
    add(dw[kPeephole], at_gate.peephole_o + k, d_o * step.c[k]);
  }
  for (int64_t k = 0; k < G * H; ++k) {
    add(dw[kBih], k, ds[k]);
    add(dw[kBhh], k, ds[k]);
  }
  d.dx_product = d.dh_product = ds;
  if (!p.layer_norm) return;
  for (int64_t k = 0; k < G * H; ++k) {
    dw[kGainIh][k] += ds[k] * step.x_normal.values[k];
    dw[kGainHh][k] += ds[k] * step.h_normal.values[k];
    d.dx_product[k] *= w[kGainIh][k];
    d.dh_product[k] *= w[kGainHh][k];
  }
  d.dx_product = normalise_back(step.x_normal, d.dx_product);
  d.dh_product = normalise_back(step.h_normal, d.dh_product);
}

void run_gru(const Problem& p, const WeightValues& w, Step& step) {
  const int64_t H = p.hidden;
  step.gates.resize(4 * H);  // r, z, n, and the recurrent sum of n
  step.h.resize(H);
  const auto x_sum = [&](int64_t k) { return step.x_product[k] + at(w[kBih], k); };
  const auto h_sum = [&](int64_t k) { return step.h_product[k] + at(w[kBhh], k); };
  for (int64_t k = 0; k < H; ++k) {
    const double r = logistic(x_sum(k) + h_sum(k)), z = logistic(x_sum(H + k) + h_sum(H + k));
    const double n = std::tanh(x_sum(2 * H + k) + r * h_sum(2 * H + k));
    step.h[k] = (1 - z) * n + z * step.h_before[k];
    step.gates[k] = r;
    step.gates[H + k] = z;
    step.gates[2 * H + k] = n;
    step.gates[3 * H + k] = h_sum(2 * H + k);
  }
}

void run_gru_back(const Problem& p, const Step& step, StepGradient& d, WeightValues& dw) {
  const int64_t H = p.hidden;
  d.dx_product.resize(3 * H);
  d.dh_before.resize(H);
  for (int64_t k = 0; k < H; ++k) {
    const double r = step.gates[k], z = step.gates[H + k], n = step.gates[2 * H + k];
    const double dn = d.dh[k] * (1 - z) * (1 - n * n);
    d.dx_product[k] = dn * step.gates[3 * H + k] * r * (1 - r);
    d.dx_product[H + k] = d.dh[k] * (step.h_before[k] - n) * z * (1 - z);
    d.dx_product[2 * H + k] = dn;
    d.dh_before[k] = d.dh[k] * z;
  }
  d.dh_product = d.dx_product;
  for (int64_t k = 0; k < H; ++k) d.dh_product[2 * H + k] *= step.gates[k];
  for (int64_t k = 0; k < 3 * H; ++k) {
    add(dw[kBih], k, d.dx_product[k]);
    add(dw[kBhh], k, d.dh_product[k]);
  }
}

void run_rnn(const Problem& p, const WeightValues& w, Step& step) {
  step.h.resize(p.hidden);
  for (int64_t k = 0; k < p.hidden; ++k) {
    const double s = step.x_product[k] + step.h_product[k] + at(w[kBih], k) + at(w[kBhh], k);
    step.h[k] = p.cell == CellKind::kRnnTanh ? std::tanh(s) : std::fmax(s, 0);
  }
}

void run_rnn_back(const Problem& p, const Step& step, StepGradient& d, WeightValues& dw) {
  d.dx_product.resize(p.hidden);
  for (int64_t k = 0; k < p.hidden; ++k) {
    const double h = step.h[k];
    d.dx_product[k] = d.dh[k] * (p.cell == CellKind::kRnnTanh ? 1 - h * h : h > 0);
    add(dw[kBih], k, d.dx_product[k]);
    add(dw[kBhh], k, d.dx_product[k]);
  }
  d.dh_product = d.dx_product;
}

}  // namespace

void run_cell(const Problem& problem, const WeightValues& weights, Step& step) {
  if (problem.is_lstm())
    run_lstm(problem, weights, step);
  else if (problem.cell == CellKind::kGru)
    run_gru(problem, weights, step);
  else
    run_rnn(problem, weights, step);
}

void run_cell_back(const Problem& problem, const WeightValues& weights, const Step& step,
                   StepGradient& gradient, WeightValues& dweights) {
  gradient.dh_before.assign(problem.hidden, 0.0);
  if (problem.is_lstm())
    run_lstm_back(problem, weights, step, gradient, dweights);
  else if (problem.cell == CellKind::kGru)
    run_gru_back(problem, step, gradient, dweights);
  else
    run_rnn_back(problem, step, gradient, dweights);
}

}  // namespace native_tests

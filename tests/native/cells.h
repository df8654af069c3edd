// One step of each cell and its derivative.
#pragma once

#include "reference.h"

namespace native_tests {

// Values brought to mean 0 and variance 1 (Ba et al. 2016), and one over what they were divided by.
struct Normalised {
  Values values;
  double scale = 1;
};

// A step's inputs, what comes of them, and what the derivative needs.
struct Step {
  // In: the state before, and the products of the weights with x and h.
  Values h_before, c_before, x_product, h_product;
  // Out: the state after, without zoneout and projection. Of a cell without c, c stays empty.
  Values h, c;
  // Inside.
  Values gates, shown;  // shown: what h sees of c
  Normalised x_normal, h_normal, c_normal;
};
void run_cell(const Problem& problem, const WeightValues& weights, Step& step);

// In: dh and dc, the gradients of h and c. Out: those of the rest of the step's inputs, where h_before does
// not count what goes through h_product; those of the elementwise weights are added to dweights.
struct StepGradient {
  Values dh, dc;
  Values dh_before, dc_before, dx_product, dh_product;
};
void run_cell_back(const Problem& problem, const WeightValues& weights, const Step& step,
                   StepGradient& gradient, WeightValues& dweights);

}  // namespace native_tests

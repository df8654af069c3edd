// From a kind of cell to its policy.
#pragma once

#include "cell_gru.h"
#include "cell_lstm.h"
#include "cell_rnn.h"

namespace fastlstm::FASTLSTM_ISA {

// Calls body with the policy of a cell without layer normalisation.
template <class Real, class Body>
auto with_cell(CellKind cell, Body&& body) {
  switch (cell) {
    case CellKind::kCoupledLstm:
      return body(LstmCell<Real, true>());
    case CellKind::kGru:
      return body(GruCell<Real>());
    case CellKind::kRnnTanh:
      return body(RnnCell<Real, false>());
    case CellKind::kRnnRelu:
      return body(RnnCell<Real, true>());
    default:
      return body(LstmCell<Real, false>());
  }
}

}  // namespace fastlstm::FASTLSTM_ISA

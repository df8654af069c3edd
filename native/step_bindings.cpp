// The step in Python: a handle for a layer's cell and sizes, which reads the layer's weights at every call.
#include "step_bindings.h"

#include <optional>
#include <vector>

#include "arrays.h"
#include "step.h"
#include "step_parameters.h"
#include "step_state.h"

namespace nb = nanobind;

namespace fastlstm {
namespace {

// Thrown where a call is not for the kernel, whatever the reason: who called does it another way, or finds
// out what is wrong and says so.
struct NotForKernel {};
void require(bool fulfilled) {
  if (!fulfilled) throw NotForKernel();
}

// Of a module's __dict__. Null where it is not there, as where the class has it.
nb::handle attribute(nb::handle module, const char* name, PyObject*& interned) {
  if (!interned) interned = PyUnicode_InternFromString(name);
  return PyDict_GetItemWithError(module.ptr(), interned);
}
#define FASTLSTM_ATTRIBUTE(module, name)    \
  [](nb::handle from) {                     \
    static PyObject* interned = nullptr;    \
    return attribute(from, name, interned); \
  }(module)

bool is_true(nb::handle object) { return object.is_valid() && PyObject_IsTrue(object.ptr()) == 1; }

// A call's arguments, as the kernel takes them.
template <class Real>
struct Call {
  ArrayView x;
  int64_t batch;
  bool batched;
  int state_dimensions;
  int64_t h_shape[3], c_shape[3];  // without B where there is a single sequence
  const int64_t* shapes[2];
  ArrayKind state_kind;
  const Real* before[2];
  std::vector<Real> changed;  // the state where it is not read from what was given
  std::vector<StepLayer<Real>> layers;
};

class StepHandle {
 public:
  StepHandle(int cell, nb::tuple sizes, nb::tuple names, nb::tuple zoneout, bool learns_initial_state)
      : cell_(static_cast<CellKind>(cell)),
        inputs_(nb::cast<int64_t>(sizes[0])),
        hidden_(nb::cast<int64_t>(sizes[1])),
        outputs_(nb::cast<int64_t>(sizes[2])),
        learns_initial_state_(learns_initial_state),
        zoneout_(zoneout),
        zoneout_h_(nb::cast<double>(zoneout[0])),
        zoneout_c_(nb::cast<double>(zoneout[1])),
        parameters_(cell_, inputs_, hidden_, outputs_, names) {}

  nb::object zoneout() const { return zoneout_; }

  nb::object step(nb::handle module, nb::handle x, nb::handle state, nb::handle reset, nb::handle weights) {
    const StepWeights kind = kind_from(weights);
    require(!traces());
    check_mode(module, kind);
    const nb::handle parameters = FASTLSTM_ATTRIBUTE(module, "_parameters");
    require(parameters.is_valid() && PyDict_CheckExact(parameters.ptr()));
    ArrayView view;
    view_input(x, view);
    if (view.element == Element::kFloat) return run<float>(parameters, view, state, reset, kind);
    require(kind == StepWeights::kFull);
    return run<double>(parameters, view, state, reset, kind);
  }

 private:
  bool has_cell() const { return cell_ == CellKind::kLstm || cell_ == CellKind::kCoupledLstm; }
  int parts() const { return has_cell() ? 2 : 1; }

  static StepWeights kind_from(nb::handle weights) {
    if (weights.is_none()) return StepWeights::kFull;
    if (PyUnicode_Check(weights.ptr())) {
      if (PyUnicode_CompareWithASCIIString(weights.ptr(), "bfloat16") == 0) return StepWeights::kBfloat16;
      if (PyUnicode_CompareWithASCIIString(weights.ptr(), "int8") == 0) return StepWeights::kInt8;
    }
    PyErr_Format(PyExc_ValueError,
                 "weights: expected 'bfloat16', 'int8' or None for those of the layer, got %R",
                 weights.ptr());
    throw nb::python_error();
  }

  // In training, masks are drawn and weights may want a gradient: neither is done here.
  void check_mode(nb::handle module, StepWeights kind) const {
    const nb::handle zoneout = FASTLSTM_ATTRIBUTE(module, "zoneout");
    require(!zoneout.is_valid() || zoneout.is(zoneout_));
    if (!is_true(FASTLSTM_ATTRIBUTE(module, "training"))) return;
    require(zoneout_h_ == 0 && zoneout_c_ == 0);
    require(parameters_.layers() == 1 || !is_true(FASTLSTM_ATTRIBUTE(module, "dropout")));
    require(!is_true(FASTLSTM_ATTRIBUTE(module, "recurrent_dropout")));
    require(kind != StepWeights::kFull || !gradients_enabled());
  }

  static void view_plain(nb::handle array, ArrayView& view) {
    require(view_array(array, view) && !records_gradient(array, view) && !turns_signs(array, view));
  }

  // x (B, I) or (I), whose rows may lie apart.
  void view_input(nb::handle x, ArrayView& view) const {
    view_plain(x, view);
    require(view.element != Element::kBool && (view.dimensions == 1 || view.dimensions == 2));
    const int last = view.dimensions - 1;
    require(view.shape[0] > 0 && view.shape[last] == inputs_ && (view.strides[last] == 1 || inputs_ == 1));
  }

  template <class Real>
  void set_shapes(Call<Real>& call) const {
    call.batched = call.x.dimensions == 2;
    call.batch = call.batched ? call.x.shape[0] : 1;
    call.state_dimensions = call.batched ? 3 : 2;
    int64_t* const shapes[] = {call.h_shape, call.c_shape};
    for (int i = 0; i < 2; ++i) {
      shapes[i][0] = parameters_.layers();
      shapes[i][1] = call.batch;
      shapes[i][call.state_dimensions - 1] = i == 0 ? outputs_ : hidden_;
      call.shapes[i] = shapes[i];
    }
  }

  // The values of h (0) or c (1) of all layers.
  int64_t state_values(int part, int64_t batch) const {
    return parameters_.layers() * batch * (part == 0 ? outputs_ : hidden_);
  }

  template <class Real>
  void view_state(nb::handle state, Call<Real>& call) const {
    for (int i = 0; i < parts(); ++i) {
      ArrayView view;
      if (!has_cell()) {
        view_plain(state, view);
      } else if (StepState::is(state)) {
        require(reinterpret_cast<StepState*>(state.ptr())->view(i, view));
      } else {
        require(PyTuple_Check(state.ptr()) && PyTuple_GET_SIZE(state.ptr()) == 2);
        view_plain(PyTuple_GET_ITEM(state.ptr(), i), view);
      }
      require(view.element == kElement<Real> && view.dense() &&
              view.has_shape(call.shapes[i], call.state_dimensions));
      call.before[i] = static_cast<const Real*>(view.data);
      call.state_kind = view.kind;
    }
  }

  // The learnt h0 (L, 1, P) and c0 (L, 1, H), for every sequence.
  template <class Real>
  void view_learnt_state(nb::handle parameters, Call<Real>& call) const {
    const nb::handle learnt[] = {FASTLSTM_ATTRIBUTE(parameters, "h0"), FASTLSTM_ATTRIBUTE(parameters, "c0")};
    Real* to = change_state(call);
    for (int i = 0; i < parts(); ++i) {
      const int64_t width = state_values(i, 1) / parameters_.layers();
      const int64_t shape[] = {parameters_.layers(), 1, width};
      ArrayView view;
      require(learnt[i].is_valid() && view_array(learnt[i], view) && view.element == kElement<Real> &&
              view.dense() && view.has_shape(shape, 3));
      call.before[i] = to;
      for (int64_t layer = 0; layer < shape[0]; ++layer)
        for (int64_t b = 0; b < call.batch; ++b, to += width)
          __builtin_memcpy(to, static_cast<const Real*>(view.data) + layer * width, width * sizeof(Real));
    }
  }
  template <class Real>
  Real* change_state(Call<Real>& call) const {
    call.changed.resize(state_values(0, call.batch) + (has_cell() ? state_values(1, call.batch) : 0));
    return call.changed.data();
  }

  // reset (B), or a single one: which sequences begin anew, with a state of zeros.
  template <class Real>
  void apply_reset(nb::handle reset, Call<Real>& call) const {
    ArrayView view;
    bool one = reset.ptr() == Py_True;
    const bool* begins = &one;
    if (!PyBool_Check(reset.ptr())) {
      require(view_array(reset, view) && view.element == Element::kBool && view.dense() &&
              view.has_shape(&call.batch, call.batched ? 1 : 0));
      begins = static_cast<const bool*>(view.data);
    } else {
      require(!call.batched);
    }
    bool any = false, all = true;
    for (int64_t b = 0; b < call.batch; ++b) begins[b] ? any = true : all = false;
    if (!any || !call.before[0]) return;
    if (all) {
      call.before[0] = call.before[1] = nullptr;
      return;
    }
    std::vector<Real> kept = std::move(call.changed);  // what `before` may point to
    Real* to = change_state(call);
    for (int i = 0; i < parts(); ++i) {
      const Real* from = call.before[i];
      const int64_t width = state_values(i, 1) / parameters_.layers();
      call.before[i] = to;
      for (int64_t row = 0; row < parameters_.layers() * call.batch; ++row, from += width, to += width)
        begins[row % call.batch] ? __builtin_memset(to, 0, width * sizeof(Real))
                                 : __builtin_memcpy(to, from, width * sizeof(Real));
    }
  }

  template <class Real>
  nb::object run(nb::handle parameters, const ArrayView& x, nb::handle state, nb::handle reset,
                 StepWeights kind) {
    Call<Real> call{};
    call.x = x;
    call.state_kind = x.kind;
    set_shapes(call);
    if (!state.is_none())
      view_state(state, call);
    else if (learns_initial_state_)
      view_learnt_state(parameters, call);
    if (!reset.is_none()) apply_reset(reset, call);
    call.layers.resize(parameters_.layers());
    int64_t bytes = 0;
    require(parameters_.read(parameters, kind, call.layers.data(), bytes));

    const int64_t y_shape[] = {call.batch, outputs_};
    NewArray y{call.batched ? 2 : 1, call.batched ? y_shape : y_shape + 1, {}, nullptr};
    new_arrays(x.kind, kElement<Real>, &y, 1);
    void* after[2] = {};
    const nb::object state_after = new_state(state, call, after);
    set_layers(call, after);
    run_kernel(call, parameters, kind, bytes);
    const int64_t values = call.batch * outputs_;
    __builtin_memcpy(y.data, call.layers.back().h, values * sizeof(Real));
    return nb::steal(PyTuple_Pack(2, y.object.ptr(), state_after.ptr()));
  }

  // Of the kind that was given; a State to begin with, where there is a cell.
  template <class Real>
  nb::object new_state(nb::handle given, const Call<Real>& call, void** data) const {
    if (has_cell() && (given.is_none() || StepState::is(given)) && TensorMemory::available()) {
      nb::object state = StepState::create(call.state_kind, kElement<Real>, call.state_dimensions,
                                           call.h_shape, call.c_shape);
      for (int i = 0; i < 2; ++i) data[i] = reinterpret_cast<StepState*>(state.ptr())->data(i);
      return state;
    }
    NewArray arrays[] = {{call.state_dimensions, call.h_shape, {}, nullptr},
                         {call.state_dimensions, call.c_shape, {}, nullptr}};
    new_arrays(call.state_kind, kElement<Real>, arrays, parts());
    for (int i = 0; i < parts(); ++i) data[i] = arrays[i].data;
    if (!has_cell()) return arrays[0].object;
    return nb::steal(PyTuple_Pack(2, arrays[0].object.ptr(), arrays[1].object.ptr()));
  }

  template <class Real>
  void set_layers(Call<Real>& call, void* const* after) const {
    const int64_t h_values = call.batch * outputs_, c_values = call.batch * hidden_;
    for (size_t i = 0; i < call.layers.size(); ++i) {
      StepLayer<Real>& layer = call.layers[i];
      layer.h0 = call.before[0] ? call.before[0] + i * h_values : nullptr;
      layer.c0 = call.before[1] ? call.before[1] + i * c_values : nullptr;
      layer.h = static_cast<Real*>(after[0]) + i * h_values;
      layer.c = after[1] ? static_cast<Real*>(after[1]) + i * c_values : nullptr;
    }
  }

  template <class Real>
  void run_kernel(const Call<Real>& call, nb::handle parameters, StepWeights kind, int64_t bytes) {
    Step<Real> step{};
    step.cell = cell_;
    step.weights = kind;
    step.batch = call.batch;
    step.inputs = inputs_;
    step.hidden = hidden_;
    step.outputs = outputs_;
    step.x = static_cast<const Real*>(call.x.data);
    step.x_stride = call.batched ? call.x.strides[0] : inputs_;
    step.layers = call.layers.data();
    step.layer_count = parameters_.layers();
    step.zoneout_h = zoneout_h_;
    step.zoneout_c = zoneout_c_;
    step.backwards = turn_ = !turn_;
    step.threads = 1;
    const StepKernels& kernels = active_step_kernels();
    if (bytes < 2 * kStepBytesPerThread) return run_on(kernels, step);  // too short to let the GIL go
    const int64_t most = bytes / kStepBytesPerThread, available = torch_threads();
    step.threads = (int)(most < available ? most : available);
    // Another thread may change the layer meanwhile.
    const nb::object kept = nb::steal(PyDict_Copy(parameters.ptr()));
    const std::vector<std::shared_ptr<void>> memory = parameters_.reduced_memory(kind);
    nb::gil_scoped_release release;
    run_on(kernels, step);
  }
  static void run_on(const StepKernels& kernels, const Step<float>& step) { kernels.step32(step); }
  static void run_on(const StepKernels& kernels, const Step<double>& step) { kernels.step64(step); }

  CellKind cell_;
  int64_t inputs_, hidden_, outputs_;
  bool learns_initial_state_;
  nb::object zoneout_;
  double zoneout_h_, zoneout_c_;
  StepParameters parameters_;
  bool turn_ = false;
};

PyTypeObject* handle_type = nullptr;

// take_step(module, x, state, reset, weights): the step by the handle that the module's __dict__ holds.
// Python calls this without nanobind in between, which would cost more than it checks.
PyObject* take_step(PyObject*, PyObject* const* arguments, Py_ssize_t count) noexcept {
  if (count != 5) {
    PyErr_Format(PyExc_TypeError, "take_step() takes module, x, state, reset and weights, got %zd arguments",
                 count);
    return nullptr;
  }
  try {
    const nb::object module = nb::steal(PyObject_GenericGetDict(arguments[0], nullptr));
    if (!module.is_valid()) throw nb::python_error();
    // Another thread may take it from the layer while the GIL is released.
    const nb::object handle = nb::borrow(FASTLSTM_ATTRIBUTE(module, "_step_handle"));
    require(handle.is_valid() && Py_TYPE(handle.ptr()) == handle_type);
    return nb::inst_ptr<StepHandle>(handle)
        ->step(module, arguments[1], arguments[2], arguments[3], arguments[4])
        .release()
        .ptr();
  } catch (NotForKernel) {
    return Py_NewRef(Py_NotImplemented);
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyMethodDef take_step_definition = {
    "take_step", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&take_step)), METH_FASTCALL, nullptr};

}  // namespace

void bind_step(nb::module_& m) {
  bind_step_state(m);
  nb::class_<StepHandle> handle(m, "StepHandle");
  handle.def(nb::init<int, nb::tuple, nb::tuple, nb::tuple, bool>())
      .def_prop_ro("zoneout", &StepHandle::zoneout)
      // Copies of a layer make a handle of their own.
      .def("__reduce__", [](nb::handle) { return nb::make_tuple(nb::none().type(), nb::tuple()); });
  handle_type = reinterpret_cast<PyTypeObject*>(handle.ptr());
  m.attr("take_step") = nb::steal(PyCFunction_New(&take_step_definition, nullptr));
  m.def("use_exchange", &use_exchange);
}

}  // namespace fastlstm

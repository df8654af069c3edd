#include "step_state.h"

namespace nb = nanobind;

namespace fastlstm {
namespace {

PyTypeObject* state_type = nullptr;

StepState& state_at(PyObject* self) { return *reinterpret_cast<StepState*>(self); }

void deallocate(PyObject* self) {
  StepState& state = state_at(self);
  Py_XDECREF(state.arrays[0]);
  Py_XDECREF(state.arrays[1]);
  state.memory->release();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

Py_ssize_t length(PyObject*) { return 2; }

PyObject* item(PyObject* self, Py_ssize_t index) noexcept {
  if (index < 0 || index > 1)
    return PyErr_SetString(PyExc_IndexError, "a state has two parts: h and c"), nullptr;
  StepState& state = state_at(self);
  try {
    if (!state.arrays[index]) {
      nb::object array = state.memory->tensor((int)index);
      if (state.kind == ArrayKind::kNumpy) array = array.attr("numpy")();
      state.arrays[index] = array.release().ptr();
    }
    return Py_NewRef(state.arrays[index]);
  } catch (nb::python_error& error) {
    error.restore();
  }
  return nullptr;
}

PyObject* as_tuple(PyObject* self) {
  const nb::object h = nb::steal(item(self, 0)), c = nb::steal(item(self, 1));
  return h.is_valid() && c.is_valid() ? PyTuple_Pack(2, h.ptr(), c.ptr()) : nullptr;
}

// A part makes its own array alone; a slice is a tuple.
PyObject* subscript(PyObject* self, PyObject* index) noexcept {
  if (PyIndex_Check(index)) {
    const Py_ssize_t place = PyNumber_AsSsize_t(index, PyExc_IndexError);
    if (place == -1 && PyErr_Occurred()) return nullptr;
    return item(self, place < 0 ? place + length(self) : place);
  }
  const nb::object both = nb::steal(as_tuple(self));
  return both.is_valid() ? PyObject_GetItem(both.ptr(), index) : nullptr;
}

PyObject* concatenate(PyObject* self, PyObject* other) {
  const nb::object both = nb::steal(as_tuple(self));
  return both.is_valid() ? PySequence_Concat(both.ptr(), other) : nullptr;
}

PyObject* represent(PyObject* self) {
  const nb::object both = nb::steal(as_tuple(self));
  return both.is_valid() ? PyUnicode_FromFormat("State%R", both.ptr()) : nullptr;
}

// Pickled and copied as what it looks like: a tuple of two arrays.
PyObject* reduce(PyObject* self, PyObject*) {
  const nb::object both = nb::steal(as_tuple(self));
  return both.is_valid() ? Py_BuildValue("O(O)", &PyTuple_Type, both.ptr()) : nullptr;
}

// To isinstance() it is what it looks like, too.
PyObject* apparent_class(PyObject*, void*) { return Py_NewRef(reinterpret_cast<PyObject*>(&PyTuple_Type)); }

PyGetSetDef attributes[] = {{"__class__", apparent_class, nullptr, nullptr, nullptr},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_sq_length, reinterpret_cast<void*>(length)},
                       {Py_sq_item, reinterpret_cast<void*>(item)},
                       {Py_mp_subscript, reinterpret_cast<void*>(subscript)},
                       {Py_sq_concat, reinterpret_cast<void*>(concatenate)},
                       {Py_tp_repr, reinterpret_cast<void*>(represent)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, attributes},
                       {0, nullptr}};
PyType_Spec spec = {"fastlstm._native.State", sizeof(StepState), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_SEQUENCE, slots};

}  // namespace

bool StepState::is(nb::handle object) { return Py_TYPE(object.ptr()) == state_type; }

nb::object StepState::create(ArrayKind kind, Element element, int dimensions, const int64_t* h_shape,
                             const int64_t* c_shape) {
  const int each[] = {dimensions, dimensions};
  const int64_t* shapes[] = {h_shape, c_shape};
  TensorMemory* memory = TensorMemory::create(element, each, shapes, 2);
  StepState* state = PyObject_New(StepState, state_type);
  if (!state) return memory->release(), throw nb::python_error(), nb::object();
  state->kind = kind;
  state->element = element;
  state->dimensions = dimensions;
  for (int i = 0; i < dimensions; ++i) {
    state->shapes[0][i] = h_shape[i];
    state->shapes[1][i] = c_shape[i];
  }
  state->memory = memory;
  state->arrays[0] = state->arrays[1] = nullptr;
  return nb::steal(reinterpret_cast<PyObject*>(state));
}

bool StepState::view(int index, ArrayView& view) const {
  if (nb::handle array = arrays[index])
    return view_array(array, view) && !records_gradient(array, view) && !turns_signs(array, view);
  view.kind = kind;
  view.element = element;
  view.dimensions = dimensions;
  view.data = memory->data(index);
  int64_t stride = 1;
  for (int i = dimensions; i-- > 0; stride *= shapes[index][i]) {
    view.shape[i] = shapes[index][i];
    view.strides[i] = stride;
  }
  return true;
}

void bind_step_state(nb::module_& m) {
  state_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!state_type) throw nb::python_error();
  m.attr("State") = nb::handle(reinterpret_cast<PyObject*>(state_type));
}

}  // namespace fastlstm

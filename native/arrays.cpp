#include "arrays.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "dlpack.h"
#include "memory.h"

namespace nb = nanobind;

namespace fastlstm {
namespace {

// What is needed of torch and numpy, looked up once and never given back: the interpreter may be gone before
// the last of our objects is.
struct Libraries {
  PyObject *tensor_type, *parameter_type, *array_type;
  PyObject *empty, *float32, *float64;  // of numpy
  PyObject *from_numpy, *is_grad_enabled, *get_num_threads;
  PyObject *jit, *traced_modules;  // a module's __dict__, and a name in it
  // Descriptors and a method: asked directly, they cost less than an attribute.
  PyObject *requires_grad, *version, *is_neg;
  const dlpack::Exchange* exchange = nullptr;

  Libraries() {
    const nb::module_ torch = nb::module_::import_("torch"), numpy = nb::module_::import_("numpy");
    const auto kept = [](nb::handle from, const char* name) { return from.attr(name).inc_ref().ptr(); };
    tensor_type = kept(torch, "Tensor");
    parameter_type = nb::object(torch.attr("nn").attr("Parameter")).release().ptr();
    from_numpy = kept(torch, "from_numpy");
    is_grad_enabled = kept(torch, "is_grad_enabled");
    jit = kept(nb::module_::import_("torch.jit._trace"), "__dict__");
    traced_modules = PyUnicode_InternFromString("_trace_module_map");
    get_num_threads = kept(torch, "get_num_threads");
    requires_grad = descriptor("requires_grad");
    version = descriptor("_version");
    is_neg = kept(torch.attr("Tensor"), "is_neg");
    array_type = kept(numpy, "ndarray");
    empty = kept(numpy, "empty");
    float32 = numpy.attr("dtype")("float32").release().ptr();
    float64 = numpy.attr("dtype")("float64").release().ptr();
    exchange = find_exchange();
  }

 private:
  PyObject* descriptor(const char* name) {
    PyObject* found = _PyType_Lookup(reinterpret_cast<PyTypeObject*>(tensor_type), nb::str(name).ptr());
    if (!found || !Py_TYPE(found)->tp_descr_get) throw nb::attribute_error(name);
    return Py_NewRef(found);
  }
  const dlpack::Exchange* find_exchange() {
    nb::object capsule = nb::getattr(tensor_type, "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_CheckExact(capsule.ptr())) return nullptr;
    auto* found =
        static_cast<const dlpack::Exchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    PyErr_Clear();
    while (found && found->version.major > dlpack::kMajor) found = found->previous;
    return found && found->version.major == dlpack::kMajor && found->from_python ? found : nullptr;
  }
};

const Libraries& libraries() {
  static const Libraries* const found = new Libraries;
  return *found;
}

std::atomic<bool> exchange_wanted{true};

const dlpack::Exchange* exchange() {
  return exchange_wanted.load(std::memory_order_relaxed) ? libraries().exchange : nullptr;
}

nb::object get(PyObject* descriptor, nb::handle of) {
  return nb::steal(Py_TYPE(descriptor)->tp_descr_get(descriptor, of.ptr(), (PyObject*)Py_TYPE(of.ptr())));
}

bool view_numpy(PyObject* array, ArrayView& view) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(array, &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) return PyErr_Clear(), false;
  const char* format = buffer.format ? buffer.format : "B";
  const Element element = format[0] == 'f'   ? Element::kFloat
                          : format[0] == 'd' ? Element::kDouble
                                             : Element::kBool;
  const bool taken = (element != Element::kBool || format[0] == '?') && format[1] == '\0' &&
                     buffer.ndim <= ArrayView::kMostDimensions &&
                     reinterpret_cast<uintptr_t>(buffer.buf) % bytes_of(element) == 0;
  if (taken) {
    view.kind = ArrayKind::kNumpy;
    view.element = element;
    view.dimensions = buffer.ndim;
    view.data = buffer.buf;
    for (int i = 0; i < buffer.ndim; ++i) {
      view.shape[i] = buffer.shape[i];
      view.strides[i] = buffer.strides[i] / buffer.itemsize;
    }
  }
  PyBuffer_Release(&buffer);  // the array outlives the call that looks at it
  return taken;
}

bool view_by_numpy(nb::handle tensor, ArrayView& view) {
  try {
    const nb::object array = tensor.attr("detach")().attr("numpy")();
    if (!view_numpy(array.ptr(), view)) return false;
  } catch (nb::python_error& error) {
    return false;  // not on the CPU, or of a type that numpy has not
  }
  view.kind = ArrayKind::kTensor;
  return true;
}

bool view_tensor(PyObject* object, ArrayView& view) {
  const dlpack::Exchange* api = exchange();
  if (!api) return view_by_numpy(object, view);
  dlpack::Tensor tensor;
  if (api->from_python(object, &tensor) != 0) return PyErr_Clear(), false;
  const dlpack::DataType type = tensor.type;
  if (tensor.device.type != dlpack::kCpu || type.lanes != 1 || tensor.dimensions > ArrayView::kMostDimensions)
    return false;
  if (type.code == dlpack::kFloat && (type.bits == 32 || type.bits == 64))
    view.element = type.bits == 64 ? Element::kDouble : Element::kFloat;
  else if (type.code == dlpack::kBool && type.bits == 8)
    view.element = Element::kBool;
  else
    return false;
  view.kind = ArrayKind::kTensor;
  view.dimensions = tensor.dimensions;
  view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  int64_t dense = 1;
  for (int i = tensor.dimensions; i-- > 0;) {
    view.shape[i] = tensor.shape[i];
    view.strides[i] = tensor.strides ? tensor.strides[i] : dense;
    dense *= tensor.shape[i];
  }
  return view.data || dense == 0;  // no values, or no memory for them
}

void new_numpy(Element element, NewArray& array) {
  const Libraries& library = libraries();
  const nb::object shape = nb::steal(PyTuple_New(array.dimensions));
  for (int i = 0; i < array.dimensions; ++i)
    PyTuple_SET_ITEM(shape.ptr(), i, PyLong_FromLongLong(array.shape[i]));
  PyObject* arguments[] = {shape.ptr(), element == Element::kDouble ? library.float64 : library.float32};
  array.object = nb::steal(PyObject_Vectorcall(library.empty, arguments, 2, nullptr));
  ArrayView view;
  if (!array.object.is_valid() || !view_numpy(array.object.ptr(), view)) throw nb::python_error();
  array.data = view.data;
}

}  // namespace

bool ArrayView::dense() const {
  int64_t stride = 1;
  for (int i = dimensions; i-- > 0; stride *= shape[i])
    if (strides[i] != stride && shape[i] != 1) return false;
  return true;
}

bool ArrayView::has_shape(const int64_t* expected, int count) const {
  if (dimensions != count) return false;
  for (int i = 0; i < count; ++i)
    if (shape[i] != expected[i]) return false;
  return true;
}

bool view_array(nb::handle object, ArrayView& view) {
  const Libraries& library = libraries();
  PyObject* const type = (PyObject*)Py_TYPE(object.ptr());
  if (type == library.tensor_type || type == library.parameter_type) return view_tensor(object.ptr(), view);
  return type == library.array_type && view_numpy(object.ptr(), view);
}

bool is_parameter(nb::handle array) { return (PyObject*)Py_TYPE(array.ptr()) == libraries().parameter_type; }

void new_arrays(ArrayKind kind, Element element, NewArray* arrays, int count) {
  for (int i = 0; i < count; ++i) {
    NewArray& array = arrays[i];
    if (kind == ArrayKind::kTensor && exchange()) {
      TensorMemory* memory = TensorMemory::create(element, &array.dimensions, &array.shape, 1);
      array.data = memory->data(0);
      array.object = memory->tensor(0);
      memory->release();
    } else {
      new_numpy(element, array);
      if (kind == ArrayKind::kTensor) array.object = nb::handle(libraries().from_numpy)(array.object);
    }
  }
}

bool TensorMemory::available() { return exchange() != nullptr; }

TensorMemory* TensorMemory::create(Element element, const int* dimensions, const int64_t* const* shapes,
                                   int count) {
  size_t offsets[kMost], bytes = 0;
  for (int i = 0; i < count; ++i) {
    size_t values = 1;
    for (int d = 0; d < dimensions[i]; ++d) values *= shapes[i][d];
    offsets[i] = bytes;
    bytes += round_up(values * bytes_of(element), kAlignment);
  }
  void* const place = std::malloc(sizeof(TensorMemory) + kAlignment + bytes);
  if (!place) throw std::bad_alloc();
  TensorMemory* memory = new (place) TensorMemory;
  memory->users_.store(1, std::memory_order_relaxed);
  memory->element_ = element;
  const uintptr_t first = round_up(reinterpret_cast<uintptr_t>(memory + 1), kAlignment);
  for (int i = 0; i < count; ++i) {
    memory->data_[i] = reinterpret_cast<void*>(first + offsets[i]);
    memory->dimensions_[i] = dimensions[i];
    int64_t stride = 1;
    for (int d = dimensions[i]; d-- > 0; stride *= shapes[i][d]) {
      memory->shapes_[i][d] = shapes[i][d];
      memory->strides_[i][d] = stride;
    }
  }
  return memory;
}

void TensorMemory::release() {
  if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(this);
}

void TensorMemory::let_go(dlpack::ManagedTensor* managed) {
  static_cast<TensorMemory*>(managed->context)->release();
  delete managed;
}

nb::object TensorMemory::tensor(int index) {
  const uint8_t bits = (uint8_t)(8 * bytes_of(element_));
  auto* managed = new dlpack::ManagedTensor{{dlpack::kMajor, 0},
                                            this,
                                            let_go,
                                            0,
                                            {data_[index],
                                             {dlpack::kCpu, 0},
                                             dimensions_[index],
                                             {dlpack::kFloat, bits, 1},
                                             shapes_[index],
                                             strides_[index],
                                             0}};
  users_.fetch_add(1, std::memory_order_relaxed);
  void* object = nullptr;
  if (exchange()->to_python(managed, &object) != 0) throw nb::python_error();
  return nb::steal(static_cast<PyObject*>(object));
}

bool records_gradient(nb::handle array, const ArrayView& view) {
  const Libraries& library = libraries();
  if (view.kind != ArrayKind::kTensor || get(library.requires_grad, array).ptr() != Py_True) return false;
  return gradients_enabled();
}

bool turns_signs(nb::handle array, const ArrayView& view) {
  if (view.kind != ArrayKind::kTensor) return false;
  const nb::object answer = nb::steal(PyObject_CallOneArg(libraries().is_neg, array.ptr()));
  if (!answer.is_valid()) PyErr_Clear();
  return answer.ptr() != Py_False;
}

bool gradients_enabled() {
  const nb::object answer = nb::steal(PyObject_CallNoArgs(libraries().is_grad_enabled));
  if (!answer.is_valid()) throw nb::python_error();
  return answer.ptr() == Py_True;
}

// To ask torch._C._is_tracing() would cost as much as a small matrix.
bool traces() {
  const PyObject* modules = PyDict_GetItemWithError(libraries().jit, libraries().traced_modules);
  return modules && modules != Py_None;
}

int64_t version_of(nb::handle tensor) {
  const nb::object version = get(libraries().version, tensor);
  const int64_t count = version.is_valid() ? PyLong_AsLongLong(version.ptr()) : -1;
  if (PyErr_Occurred()) PyErr_Clear();
  return count;
}

int torch_threads() { return nb::cast<int>(nb::handle(libraries().get_num_threads)()); }

bool use_exchange(bool use) {
  exchange_wanted = use;
  return exchange() != nullptr;
}

}  // namespace fastlstm

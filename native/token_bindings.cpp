// Log-probabilities and draws of tokens in Python, at the cost of a step.
#include "token_bindings.h"

#include <vector>

#include "arrays.h"
#include "step.h"

namespace nb = nanobind;

namespace fastlstm {
namespace {

// False for what is no dense array of floats of so many dimensions that asks for no gradient.
bool view_floats(nb::handle object, int dimensions, ArrayView& view) {
  return view_array(object, view) && view.element == Element::kFloat && view.dimensions == dimensions &&
         view.dense() && !records_gradient(object, view);
}

PyObject* token_output(PyObject*, PyObject* const* arguments, Py_ssize_t count) noexcept {
  if (count != 3) {
    PyErr_Format(PyExc_TypeError, "token_output() takes x, w and b, got %zd arguments", count);
    return nullptr;
  }
  try {
    ArrayView x, w, b;
    const bool biased = arguments[2] != Py_None;
    if (!view_floats(arguments[0], 2, x) || !view_floats(arguments[1], 2, w) || x.shape[1] != w.shape[1] ||
        w.shape[0] == 0 || (biased && (!view_floats(arguments[2], 1, b) || b.shape[0] != w.shape[0])))
      return Py_NewRef(Py_NotImplemented);
    const int64_t shape[] = {x.shape[0], w.shape[0]};
    NewArray y{2, shape, {}, nullptr};
    new_arrays(x.kind, Element::kFloat, &y, 1);
    active_step_kernels().token_output({x.shape[0], x.shape[1], w.shape[0], static_cast<const float*>(x.data),
                                        static_cast<const float*>(w.data),
                                        biased ? static_cast<const float*>(b.data) : nullptr,
                                        static_cast<float*>(y.data)});
    return y.object.release().ptr();
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  return nullptr;
}

// told (B, V), never, temperature, top_k, top_p, numbers (B) → a list of B tokens.
PyObject* token_draw(PyObject*, PyObject* const* arguments, Py_ssize_t count) noexcept {
  if (count != 6) {
    PyErr_Format(PyExc_TypeError, "token_draw() takes six arguments, got %zd", count);
    return nullptr;
  }
  try {
    ArrayView told, numbers;
    if (!view_floats(arguments[0], 2, told) || !view_array(arguments[5], numbers) ||
        numbers.element != Element::kDouble || !numbers.has_shape(told.shape, 1) || !numbers.dense()) {
      PyErr_SetString(PyExc_ValueError,
                      "token_draw(): expected dense told (B, V) in float32 without gradients, and numbers "
                      "(B) in float64");
      return nullptr;
    }
    std::vector<int64_t> never, drawn(told.shape[0]);
    for (nb::handle token : nb::handle(arguments[1])) never.push_back(nb::cast<int64_t>(token));
    for (int64_t token : never)
      if (token < 0 || token >= told.shape[1]) {
        PyErr_Format(PyExc_IndexError, "token_draw(): there is no token %lld", (long long)token);
        return nullptr;
      }
    const TokenDraw call{told.shape[0],
                         told.shape[1],
                         static_cast<const float*>(told.data),
                         never.data(),
                         (int64_t)never.size(),
                         nb::cast<double>(nb::handle(arguments[2])),
                         nb::cast<int64_t>(nb::handle(arguments[3])),
                         nb::cast<double>(nb::handle(arguments[4])),
                         static_cast<const double*>(numbers.data),
                         drawn.data()};
    if (!active_step_kernels().token_draw(call)) {
      PyErr_SetString(PyExc_ValueError, "the model's log-probabilities are no numbers, or bar every token");
      return nullptr;
    }
    nb::list tokens;
    for (int64_t token : drawn) tokens.append(token);
    return tokens.release().ptr();
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const nb::cast_error&) {
    PyErr_SetString(PyExc_TypeError,
                    "token_draw(): expected tokens and top_k as int, temperature and top_p as float");
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  return nullptr;
}

template <auto kFunction>
void define(nb::module_& m, const char* name) {
  static PyMethodDef definition = {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(kFunction)),
                                   METH_FASTCALL, nullptr};
  m.attr(name) = nb::steal(PyCFunction_New(&definition, nullptr));
}

}  // namespace

void bind_tokens(nb::module_& m) {
  define<&token_output>(m, "token_output");
  define<&token_draw>(m, "token_draw");
}

}  // namespace fastlstm

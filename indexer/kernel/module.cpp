// Bindings of the native kernel: names and conversions only, the work is in the other files.
#include <nanobind/nanobind.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "mask.hpp"
#include "scorer.hpp"

namespace nb = nanobind;

namespace {

nb::tuple placeholders() {
    nb::list names;
    for (std::string_view name : dejalog::kPlaceholders)
        names.append(nb::str(name.data(), name.size()));
    return nb::tuple(names);
}

// Counts code points up to ascending byte offsets of UTF-8 text; ASCII text needs no counting.
class CodePoints {
  public:
    CodePoints(std::string_view text, bool is_ascii) : text_(text), is_ascii_(is_ascii) {}

    std::size_t before(std::size_t byte) {
        if (is_ascii_) return byte;
        for (; at_ < byte; ++at_) count_ += (text_[at_] & 0xC0) != 0x80;
        return count_;
    }

  private:
    std::string_view text_;
    bool is_ascii_;
    std::size_t at_ = 0, count_ = 0;
};

nb::object new_string(const std::string& utf8, bool is_ascii) {
    if (!is_ascii) return nb::steal(PyUnicode_FromStringAndSize(utf8.data(), utf8.size()));
    PyObject* result = PyUnicode_New(utf8.size(), 127);
    if (result) std::copy(utf8.begin(), utf8.end(), static_cast<char*>(PyUnicode_DATA(result)));
    return nb::steal(result);
}

nb::tuple mask_pattern(nb::str source) {
    // Kept between calls: allocating them costs as much as masking a short line.
    thread_local std::vector<dejalog::Span> spans;
    thread_local std::string pattern;
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(source.ptr(), &size);
    if (!bytes) throw nb::python_error();  // UnicodeEncodeError: a lone surrogate
    const std::string_view text(bytes, size);
    const bool is_ascii = PyUnicode_IS_ASCII(source.ptr());
    dejalog::find_spans(bytes, size, spans);
    if (!spans.empty()) dejalog::build_pattern(text, spans, pattern);

    nb::object result = spans.empty() ? nb::borrow(source) : new_string(pattern, is_ascii);
    nb::object flat = nb::steal(PyTuple_New(3 * spans.size()));
    if (!result.is_valid() || !flat.is_valid()) throw nb::python_error();
    CodePoints points(text, is_ascii);
    Py_ssize_t at = 0;
    for (const dejalog::Span& span : spans) {
        PyTuple_SET_ITEM(flat.ptr(), at++, PyLong_FromLong(span.type));
        PyTuple_SET_ITEM(flat.ptr(), at++, PyLong_FromSize_t(points.before(span.start)));
        PyTuple_SET_ITEM(flat.ptr(), at++, PyLong_FromSize_t(points.before(span.end)));
    }
    return nb::make_tuple(result, flat);
}

}  // namespace

NB_MODULE(_native, m) {
    m.attr("MASK_VERSION") = dejalog::kMaskVersion;
    m.attr("PLACEHOLDERS") = placeholders();
    m.def("mask_pattern", &mask_pattern, nb::arg("text"),
          "Return the pattern of text and its flat spans: type id, start, end (code points).");
    dejalog::bind_scorer(m);
}

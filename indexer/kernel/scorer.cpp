// Bindings of the scoring kernels: conversions and workspaces only. scoring.py has checked what is
// in the arrays; that their shapes belong together is required here once more, since it is cheap.
#include "scorer.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "encode.hpp"
#include "score.hpp"
#include "select.hpp"

namespace nb = nanobind;

namespace dejalog {
namespace {

template <typename T>
using Vector = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Matrix = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Cube = nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Numbers = std::optional<Vector<const std::uint32_t>>;
using Release = nb::call_guard<nb::gil_scoped_release>;

//: Of a vector register, and of a cache line.
constexpr std::align_val_t kAlignment{64};

struct Free {
    void operator()(std::uint8_t* memory) const { ::operator delete[](memory, kAlignment); }
};
using Workspace = std::unique_ptr<std::uint8_t[], Free>;

Workspace new_workspace(std::size_t size) {
    return Workspace(static_cast<std::uint8_t*>(::operator new[](size, kAlignment)));
}

void require(bool is_so, const char* what) {
    if (!is_so) throw std::invalid_argument(what);
}

const std::uint32_t* data_of(const Numbers& numbers) {
    // Even an empty list is not the same as none.
    static constexpr std::uint32_t kEmpty = 0;
    if (!numbers) return nullptr;
    return numbers->size() ? numbers->data() : &kEmpty;
}

void require_dim(std::size_t dim) {
    require(dim > 0 && dim <= kDimMax && dim % 8 == 0, "vectors have unknown dimensions");
}

template <typename T>
bool is_table_of(const Cube<T>& table, std::size_t rows) {
    return table.shape(0) * table.shape(2) == rows && table.shape(1) == kTableRows &&
           table.shape(2) == block_rows_of(rows);
}

// A scan over large arrays of one Python call, which must outlive it, and copies of small ones.
struct PyScan {
    Scan scan{};
    std::size_t patterns = 0;
    Workspace workspace;
    std::vector<std::int32_t> bias;
    std::vector<float> row_scales, norm_values;
    std::vector<std::uint8_t> weights;

    void take_query(const Matrix<const std::int8_t>& rows, double unit) {
        require_dim(rows.shape(1));
        const std::size_t block_rows = block_rows_of(rows.shape(0));
        require(block_rows > 0, "query rows are not whole blocks");
        // Packing may add up to 24 dims of zeros; see score_pack.hpp.
        workspace = new_workspace(rows.shape(0) * (rows.shape(1) + 32) * 2);
        scan.workspace = workspace.get();
        scan.query = {rows.data(), bias.data(), row_scales.data(), unit,
                      rows.shape(0) / block_rows, block_rows, rows.shape(1)};
    }

    Scan over(const Numbers& numbers, std::size_t scores) const {
        Scan result = scan;
        result.ranges.patterns = data_of(numbers);
        result.ranges.count = numbers ? numbers->size() : patterns;
        require(result.ranges.count == scores, "scores do not fit the patterns");
        return result;
    }
};

std::vector<std::int32_t> fresh_bias(const Matrix<const std::int8_t>& rows, std::int32_t offset) {
    std::vector<std::int32_t> bias(rows.shape(0));
    for (std::size_t row = 0; row < bias.size(); ++row) {
        const std::int8_t* numbers = rows.data() + row * rows.shape(1);
        for (std::size_t i = 0; i < rows.shape(1); ++i) bias[row] -= offset * numbers[i];
    }
    return bias;
}

class Scorer {
  public:
    explicit Scorer(const std::string& name) : kernels_(find_kernels(name)) {
        if (!kernels_) throw std::invalid_argument("no kernel '" + name + "' can run here");
    }

    PyScan fresh(const Matrix<const std::int8_t>& rows, const Vector<const float>& row_scales,
                 const Matrix<const std::int8_t>& codes, const Vector<const float>& scales,
                 const Vector<const std::int64_t>& offsets) const {
        require(codes.shape(1) == rows.shape(1), "query and codes differ in dimensions");
        require(scales.size() == codes.shape(0), "codes and scales differ in number");
        require(row_scales.size() == rows.shape(0), "rows and scales differ in number");
        require(offsets.size() > 0, "offsets are empty");
        PyScan result;
        result.bias = fresh_bias(rows, kernels_->fresh_offset);
        result.row_scales.assign(row_scales.data(), row_scales.data() + row_scales.size());
        result.take_query(rows, 1.0);
        result.patterns = offsets.size() - 1;
        result.scan.ranges.wide = offsets.data();
        Tokens& tokens = result.scan.tokens;
        tokens.bits = kFresh;
        tokens.count = codes.shape(0);
        tokens.width = codes.shape(1);
        tokens.bytes = reinterpret_cast<const std::uint8_t*>(codes.data());
        tokens.scales = scales.data();
        return result;
    }

    PyScan coded(const Matrix<const std::int8_t>& rows, const Vector<const std::int32_t>& bias,
                 const Cube<const std::int16_t>& table, const Vector<const std::uint8_t>& weights,
                 const Vector<const float>& norm_values, int bits, int shift, double unit,
                 const Vector<const std::uint32_t>& offsets,
                 const Vector<const std::uint16_t>& centroid_ids,
                 const Vector<const std::uint8_t>& norms,
                 const Matrix<const std::uint8_t>& residuals) const {
        require(bits == 1 || bits == 2 || bits == 4, "a bucket has 1, 2 or 4 bits");
        require(bias.size() == rows.shape(0), "rows and bias differ in number");
        require(is_table_of(table, rows.shape(0)), "the table does not fit the query");
        require(weights.size() == 16 && norm_values.size() == 256, "weights or norms are missing");
        require(shift >= 0 && shift < 16, "the shift is none");
        require(norms.size() == centroid_ids.size() && residuals.shape(0) == norms.size() &&
                    residuals.shape(1) * 8 == rows.shape(1) * static_cast<std::size_t>(bits),
                "coded rows do not fit each other or the query");
        require(offsets.size() > 0, "offsets are empty");
        PyScan result;
        result.bias.assign(bias.data(), bias.data() + bias.size());
        result.row_scales.assign(rows.shape(0), 1.0F);
        result.norm_values.assign(norm_values.data(), norm_values.data() + norm_values.size());
        result.weights.assign(weights.data(), weights.data() + weights.size());
        result.take_query(rows, unit);
        result.patterns = offsets.size() - 1;
        result.scan.ranges.narrow = offsets.data();
        result.scan.tokens = {bits,
                              norms.size(),
                              residuals.shape(1),
                              residuals.data(),
                              nullptr,
                              centroid_ids.data(),
                              norms.data(),
                              result.norm_values.data(),
                              result.weights.data(),
                              table.data(),
                              shift};
        return result;
    }

    void maxsim(const PyScan& scan, const Numbers& patterns, const Vector<float>& scores) const {
        kernels_->maxsim(scan.over(patterns, scores.size()), scores.data());
    }

    void centroid_maxsim(const PyScan& scan, const Numbers& patterns,
                         const Vector<std::int32_t>& scores) const {
        require(scan.scan.tokens.table != nullptr, "fresh vectors have no centroids");
        kernels_->centroid_maxsim(scan.over(patterns, scores.size()), scores.data());
    }

    void best_rows(const PyScan& scan, std::size_t start, std::size_t end,
                   const Vector<std::int64_t>& best, const Vector<float>& similarities) const {
        const Query& query = scan.scan.query;
        const std::size_t rows = query.blocks * query.block_rows;
        require(start < end && best.size() == rows && similarities.size() == rows,
                "there are no tokens, or not a result for each row");
        kernels_->best_rows(scan.scan, start, end, best.data(), similarities.data());
    }

    void nearest(const Matrix<const std::int8_t>& codes, const Vector<const float>& scales,
                 const Matrix<const std::int8_t>& centroids,
                 const Vector<const float>& centroid_scales,
                 const Vector<const float>& half_squares,
                 const Vector<std::uint16_t>& found) const {
        const std::size_t count = centroids.shape(0), dim = centroids.shape(1);
        require_dim(dim);
        require(count > 0 && count <= kTableRows && codes.shape(1) == dim &&
                    centroid_scales.size() == count && half_squares.size() == count &&
                    scales.size() == codes.shape(0) && found.size() == codes.shape(0),
                "codes and centroids do not fit");
        // Whole groups; a centroid that is none is infinitely far.
        const std::size_t padded = (count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
        std::vector<float> padded_scales(padded, 0.0F);
        std::vector<float> halves(padded, std::numeric_limits<float>::infinity());
        std::copy_n(centroid_scales.data(), count, padded_scales.begin());
        std::copy_n(half_squares.data(), count, halves.begin());
        const Workspace workspace = new_workspace(padded * (dim * 2 + sizeof(std::int32_t)));
        kernels_->nearest({codes.data(), scales.data(), codes.shape(0), centroids.data(),
                           padded_scales.data(), halves.data(), count, dim, workspace.get(),
                           found.data()});
    }

    void fill_table(const Matrix<const std::int16_t>& rows, const Vector<const float>& factors,
                    const Matrix<const std::int8_t>& centroids,
                    const Vector<const float>& centroid_scales,
                    const Cube<std::int16_t>& table) const {
        const std::size_t dim = rows.shape(1);
        require_dim(dim);
        require(is_table_of(table, rows.shape(0)) && factors.size() == rows.shape(0) &&
                    centroids.shape(1) == dim && centroids.shape(0) <= kTableRows &&
                    centroid_scales.size() == centroids.shape(0),
                "query, centroids and table do not fit");
        const Workspace workspace = new_workspace(table.shape(2) * dim * 2);
        kernels_->fill_table({rows.data(), factors.data(), table.shape(0), table.shape(2), dim,
                              centroids.data(), centroid_scales.data(), centroids.shape(0),
                              workspace.get(), table.data()});
    }

    void row_dots(const Vector<const std::int16_t>& query, float query_scale,
                  const Matrix<const std::int8_t>& codes, const Vector<const float>& scales,
                  const Numbers& rows, const Vector<float>& dots) const {
        require_dim(query.size());
        const std::size_t count = rows ? rows->size() : codes.shape(0);
        require(codes.shape(1) == query.size() && scales.size() == codes.shape(0) &&
                    dots.size() == count,
                "query and codes do not fit");
        kernels_->row_dots({query.data(), query_scale, query.size(), codes.data(), scales.data(),
                            data_of(rows), count, dots.data()});
    }

  private:
    const Kernels* kernels_;
};

template <typename Bound>
bool py_is_within(const Vector<const Bound>& bounds, const Numbers& numbers, std::size_t limit) {
    return is_within(bounds.data(), bounds.size(), data_of(numbers),
                     numbers ? numbers->size() : 0, limit);
}

double largest_norm(const Matrix<const std::int8_t>& centroids, const Vector<const float>& scales) {
    require(scales.size() == centroids.shape(0), "centroids and scales differ in number");
    double largest = 0;
    for (std::size_t k = 0; k < scales.size(); ++k) {
        const std::int8_t* numbers = centroids.data() + k * centroids.shape(1);
        std::int32_t squares = 0;
        for (std::size_t i = 0; i < centroids.shape(1); ++i) squares += numbers[i] * numbers[i];
        const double scale = scales.data()[k];
        largest = std::max(largest, squares * (scale * scale));
    }
    return std::sqrt(largest);
}

void py_best_centroids(const Cube<const std::int16_t>& table, std::size_t centroids,
                       const Matrix<std::uint16_t>& numbers, const Matrix<std::int32_t>& values) {
    const std::size_t rows = numbers.shape(0), count = numbers.shape(1);
    const std::size_t table_rows = table.shape(0) * table.shape(2);
    require(values.shape(0) == rows && values.shape(1) == count && count > 0 &&
                count <= centroids && centroids <= kTableRows && rows <= table_rows &&
                is_table_of(table, table_rows),
            "the table does not have so many rows and centroids");
    for (std::size_t row = 0; row < rows; row += table.shape(2))
        best_centroids(table.data() + row * kTableRows, table.shape(2), centroids,
                       std::min(rows - row, table.shape(2)), count, numbers.data() + row * count,
                       values.data() + row * count);
}

void py_probe(const Matrix<const std::uint16_t>& centroids, const Matrix<const std::int32_t>& gains,
              const Vector<const std::uint32_t>& starts,
              const Vector<const std::uint16_t>& patterns,
              const std::optional<Vector<const std::uint8_t>>& is_allowed,
              const Vector<std::int32_t>& scores) {
    require(gains.shape(0) == centroids.shape(0) && gains.shape(1) == centroids.shape(1) &&
                scores.size() <= kTableRows &&
                (!is_allowed || is_allowed->size() == scores.size()),
            "probes or patterns do not fit");
    require(is_within(starts.data(), starts.size(), centroids.data(), centroids.size(),
                      patterns.size()),
            "postings.starts has lists outside of the patterns");
    // Any number that a damaged list may hold has a place.
    std::vector<std::int32_t> sums(kTableRows);
    std::vector<std::uint8_t> marks(kTableRows);
    probe({centroids.data(), gains.data(), centroids.shape(0), centroids.shape(1)},
          {starts.data(), patterns.data()}, sums.data(), marks.data());
    for (std::size_t i = 0; i < scores.size(); ++i)
        scores.data()[i] = !is_allowed || is_allowed->data()[i] ? sums[i] : 0;
}

template <typename Score>
nb::object py_top(const Vector<const Score>& scores, std::size_t count,
                  std::optional<double> least) {
    auto* places = new std::vector<std::uint32_t>;
    const nb::capsule owner(places, [](void* memory) noexcept {
        delete static_cast<std::vector<std::uint32_t>*>(memory);
    });
    {
        const nb::gil_scoped_release released;
        find_top(scores.data(), scores.size(), count, static_cast<Score>(least.value_or(0)),
                 least.has_value(), *places);
    }
    using Places = nb::ndarray<nb::numpy, std::uint32_t, nb::ndim<1>>;
    return nb::cast(Places(places->data(), {places->size()}, owner));
}

void py_encode(const Matrix<const std::int8_t>& codes, const Vector<const float>& scales,
               const Vector<const std::uint16_t>& centroid_ids,
               const Matrix<const std::int8_t>& centroids,
               const Vector<const float>& centroid_scales, const Vector<const float>& deviations,
               const Vector<const float>& inverse_deviations, const Vector<const float>& cutoffs,
               const Vector<const float>& weight_values, int bits, double norm_low,
               double norm_step, const Matrix<std::uint8_t>& residuals,
               const Vector<std::uint8_t>& norms) {
    const std::size_t tokens = codes.shape(0), dim = codes.shape(1);
    const std::size_t values = weight_values.size();
    require_dim(dim);
    require((bits == 1 || bits == 2 || bits == 4) && values == std::size_t{1} << bits &&
                cutoffs.size() + 1 == values,
            "a bucket has 1, 2 or 4 bits, and each a weight");
    require(scales.size() == tokens && centroid_ids.size() == tokens && norms.size() == tokens &&
                residuals.shape(0) == tokens &&
                residuals.shape(1) * 8 == dim * static_cast<std::size_t>(bits),
            "tokens differ in number");
    require(centroids.shape(1) == dim && centroid_scales.size() == centroids.shape(0) &&
                deviations.size() == dim && inverse_deviations.size() == dim,
            "the codebook does not fit");
    const std::uint16_t* ids = centroid_ids.data();
    require(std::all_of(ids, ids + tokens, [&](auto id) { return id < centroids.shape(0); }),
            "a token's centroid is not in the codebook");
    encode({codes.data(), scales.data(), ids, tokens, dim, centroids.data(),
            centroid_scales.data(), deviations.data(), inverse_deviations.data(), cutoffs.data(),
            weight_values.data(), bits, norm_low, norm_step, residuals.data(), norms.data()});
}

nb::tuple runnable() {
    nb::list names;
    for (const Kernels* kernels : runnable_kernels()) names.append(nb::str(kernels->name));
    return nb::tuple(names);
}

}  // namespace

void bind_scorer(nb::module_& m) {
    // The chosen kernel lives as long as the process, which is no leak to warn of.
    nb::set_leak_warnings(false);
    // Never a silent copy in another type: results would be written to the copy.
    const auto array = nb::arg().noconvert();
    const auto maybe = nb::arg().noconvert().none();
    const auto number = nb::arg();
    const auto handle = nb::arg();
    m.def("runnable", &runnable, "Return the names of the kernels that can run here, best first.");
    m.def("is_within", &py_is_within<std::uint32_t>, array, maybe, number, Release());
    m.def("is_within", &py_is_within<std::int64_t>, array, maybe, number, Release());
    m.def("largest_norm", &largest_norm, array, array, Release());
    m.def("best_centroids", &py_best_centroids, array, number, array, array, Release());
    m.def("probe", &py_probe, array, array, array, array, maybe, array, Release());
    m.def("top", &py_top<std::int32_t>, array, number, nb::arg().none());
    m.def("top", &py_top<float>, array, number, nb::arg().none());
    m.def("encode", &py_encode, array, array, array, array, array, array, array, array, array,
          number, number, number, array, array, Release());
    nb::class_<PyScan>(m, "Scan");
    nb::class_<Scorer>(m, "Scorer")
        .def(nb::init<const std::string&>())
        .def("fresh", &Scorer::fresh, array, array, array, array, array)
        .def("coded", &Scorer::coded, array, array, array, array, array, number, number, number,
             array, array, array, array)
        .def("maxsim", &Scorer::maxsim, handle, maybe, array, Release())
        .def("centroid_maxsim", &Scorer::centroid_maxsim, handle, maybe, array, Release())
        .def("best_rows", &Scorer::best_rows, handle, number, number, array, array, Release())
        .def("nearest", &Scorer::nearest, array, array, array, array, array, array, Release())
        .def("fill_table", &Scorer::fill_table, array, array, array, array, array, Release())
        .def("row_dots", &Scorer::row_dots, array, number, array, array, maybe, array, Release());
}

}  // namespace dejalog

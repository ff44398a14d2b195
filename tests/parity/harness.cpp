// Compares every kernel that can run here with the answers in a file of cases.py, bit for bit:
//
//     harness FILE
//
// Arrays lie in memory of exactly their size, the last byte at its end and the first off any
// alignment but that of their type, so that a sanitizer sees each step outside.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../indexer/kernel/dispatch.hpp"
#include "../../indexer/kernel/encode.hpp"
#include "../../indexer/kernel/score.hpp"
#include "../../indexer/kernel/select.hpp"

using namespace dejalog;

namespace {

using Bytes = std::uint8_t;

template <typename T>
class Array {
  public:
    explicit Array(std::size_t size)
        : memory_(new Bytes[(size + 1) * sizeof(T)]()), size_(size) {}
    T* data() const { return reinterpret_cast<T*>(memory_.get() + sizeof(T)); }
    std::size_t size() const { return size_; }
    T operator[](std::size_t i) const { return data()[i]; }

  private:
    std::unique_ptr<Bytes[]> memory_;
    std::size_t size_;
};

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using Workspace = std::unique_ptr<void, Free>;

Workspace new_workspace(std::size_t size) {
    return Workspace(std::aligned_alloc(64, (size + 63) / 64 * 64));
}

class Reader {
  public:
    explicit Reader(const char* path) : file_(path, std::ios::binary) {
        if (!file_) throw std::runtime_error(std::string("cannot read ") + path);
    }
    bool next_name(std::string& name) {
        std::uint64_t size = 0;
        if (!file_.read(reinterpret_cast<char*>(&size), 8)) return false;
        name.resize(size);
        file_.read(name.data(), static_cast<std::streamsize>(size));
        return true;
    }
    template <typename T>
    Array<T> next() {
        std::uint64_t size = 0;
        file_.read(reinterpret_cast<char*>(&size), 8);
        Array<T> array(size / sizeof(T));
        file_.read(reinterpret_cast<char*>(array.data()), static_cast<std::streamsize>(size));
        if (!file_) throw std::runtime_error("the file of cases ends early");
        return array;
    }

  private:
    std::ifstream file_;
};

std::size_t failures = 0, comparisons = 0;

// Numbers, not bytes: 0 and -0 are equal.
template <typename T>
void compare(const char* kernel, const char* what, const T* found, const Array<T>& expected) {
    ++comparisons;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        if (found[i] == expected[i]) continue;
        ++failures;
        std::printf("%s: %s[%zu] of %zu is %.9g, not %.9g\n", kernel, what, i, expected.size(),
                    static_cast<double>(found[i]), static_cast<double>(expected[i]));
        return;
    }
}

// A table of all centroids that a number can name, from its first rows.
Array<std::int16_t> whole_table(const Array<std::int16_t>& part, std::size_t rows) {
    Array<std::int16_t> table(kTableRows * rows);
    const std::size_t blocks = rows / block_rows_of(rows);
    const std::size_t size = part.size() / blocks, whole = table.size() / blocks;
    for (std::size_t block = 0; block < blocks; ++block)
        std::memcpy(table.data() + block * whole, part.data() + block * size,
                    size * sizeof(std::int16_t));
    return table;
}

void check_maxsim(Reader& reader) {
    const auto rows = reader.next<std::int8_t>();
    const auto row_scales = reader.next<float>();
    const auto codes = reader.next<std::int8_t>();
    const auto scales = reader.next<float>();
    const auto offsets = reader.next<std::int64_t>();
    const auto patterns = reader.next<std::uint32_t>();
    const auto all = reader.next<float>(), some = reader.next<float>();
    const auto best = reader.next<std::int64_t>();
    const auto similarities = reader.next<float>();
    const std::size_t dim = rows.size() / row_scales.size();
    const std::size_t block_rows = block_rows_of(row_scales.size());
    for (const Kernels* kernels : runnable_kernels()) {
        Array<std::int32_t> bias(row_scales.size());
        for (std::size_t i = 0; i < rows.size(); ++i)
            bias.data()[i / dim] -= kernels->fresh_offset * rows[i];
        const Workspace room = new_workspace(row_scales.size() * (dim + 32) * 2);
        Scan scan{};
        scan.query = {rows.data(), bias.data(), row_scales.data(), 1.0,
                      row_scales.size() / block_rows, block_rows, dim};
        scan.tokens.bits = kFresh;
        scan.tokens.count = scales.size();
        scan.tokens.width = dim;
        scan.tokens.bytes = reinterpret_cast<const std::uint8_t*>(codes.data());
        scan.tokens.scales = scales.data();
        scan.ranges = {offsets.data(), nullptr, nullptr, offsets.size() - 1};
        scan.workspace = room.get();
        Array<float> scores(offsets.size() + patterns.size());
        kernels->maxsim(scan, scores.data());
        compare(kernels->name, "maxsim", scores.data(), all);
        scan.ranges.patterns = patterns.data();
        scan.ranges.count = patterns.size();
        kernels->maxsim(scan, scores.data());
        compare(kernels->name, "maxsim of patterns", scores.data(), some);
        Array<std::int64_t> found(row_scales.size());
        Array<float> values(row_scales.size());
        kernels->best_rows(scan, 0, scales.size(), found.data(), values.data());
        for (std::size_t i = 0; i < values.size(); ++i) values.data()[i] *= row_scales[i];
        compare(kernels->name, "best rows", found.data(), best);
        compare(kernels->name, "similarities", values.data(), similarities);
    }
}

void check_nearest(Reader& reader) {
    const auto codes = reader.next<std::int8_t>();
    const auto scales = reader.next<float>();
    const auto centroids = reader.next<std::int8_t>();
    const auto centroid_scales = reader.next<float>(), halves = reader.next<float>();
    const auto expected = reader.next<std::uint16_t>();
    const std::size_t count = halves.size(), dim = centroids.size() / count;
    const std::size_t padded = (count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    Array<float> padded_scales(padded), padded_halves(padded);
    for (std::size_t i = 0; i < padded; ++i) {
        padded_scales.data()[i] = i < count ? centroid_scales[i] : 0;
        padded_halves.data()[i] =
            i < count ? halves[i] : std::numeric_limits<float>::infinity();
    }
    for (const Kernels* kernels : runnable_kernels()) {
        const Workspace room = new_workspace(padded * (dim * 2 + 4));
        Array<std::uint16_t> found(scales.size());
        kernels->nearest({codes.data(), scales.data(), scales.size(), centroids.data(),
                          padded_scales.data(), padded_halves.data(), count, dim, room.get(),
                          found.data()});
        compare(kernels->name, "nearest", found.data(), expected);
    }
}

void check_row_dots(Reader& reader) {
    const auto query = reader.next<std::int16_t>();
    const auto query_scale = reader.next<float>();
    const auto codes = reader.next<std::int8_t>();
    const auto scales = reader.next<float>();
    const auto rows = reader.next<std::uint32_t>();
    const auto all = reader.next<float>(), some = reader.next<float>();
    for (const Kernels* kernels : runnable_kernels()) {
        Array<float> dots(all.size() + some.size());
        RowDots job{query.data(),  query_scale[0], query.size(), codes.data(),
                    scales.data(), nullptr,        all.size(),   dots.data()};
        kernels->row_dots(job);
        compare(kernels->name, "row dots", dots.data(), all);
        job.rows = rows.data();
        job.count = rows.size();
        kernels->row_dots(job);
        compare(kernels->name, "row dots of rows", dots.data(), some);
    }
}

void check_table(Reader& reader) {
    const auto rows = reader.next<std::int16_t>();
    const auto factors = reader.next<float>();
    const auto centroids = reader.next<std::int8_t>();
    const auto scales = reader.next<float>();
    const auto expected = reader.next<std::int16_t>();
    const std::size_t block_rows = block_rows_of(factors.size());
    const std::size_t blocks = factors.size() / block_rows, dim = rows.size() / factors.size();
    for (const Kernels* kernels : runnable_kernels()) {
        const Workspace room = new_workspace(block_rows * dim * 2);
        Array<std::int16_t> table(kTableRows * factors.size());
        kernels->fill_table({rows.data(), factors.data(), blocks, block_rows, dim,
                             centroids.data(), scales.data(), scales.size(), room.get(),
                             table.data()});
        const Array<std::int16_t> whole = whole_table(expected, factors.size());
        compare(kernels->name, "table", table.data(), whole);
    }
}

void check_coded(Reader& reader) {
    const auto numbers = reader.next<std::int64_t>();
    const auto unit = reader.next<double>();
    const auto rows = reader.next<std::int8_t>();
    const auto bias = reader.next<std::int32_t>();
    const std::size_t block_rows = block_rows_of(bias.size());
    const std::size_t blocks = bias.size() / block_rows, dim = rows.size() / bias.size();
    const auto table = whole_table(reader.next<std::int16_t>(), bias.size());
    const auto weights = reader.next<std::uint8_t>();
    const auto norm_values = reader.next<float>();
    const auto offsets = reader.next<std::uint32_t>();
    const auto ids = reader.next<std::uint16_t>();
    const auto norms = reader.next<std::uint8_t>(), residuals = reader.next<std::uint8_t>();
    const auto patterns = reader.next<std::uint32_t>();
    const auto all = reader.next<float>(), some = reader.next<float>();
    const auto all_centroids = reader.next<std::int32_t>();
    const auto some_centroids = reader.next<std::int32_t>();
    const auto range = reader.next<std::uint32_t>();
    const auto best = reader.next<std::int64_t>();
    const auto similarities = reader.next<float>();
    const auto count = static_cast<std::size_t>(numbers[2]);
    Array<float> row_scales(bias.size());
    for (std::size_t i = 0; i < bias.size(); ++i) row_scales.data()[i] = 1;
    for (const Kernels* kernels : runnable_kernels()) {
        const Workspace room = new_workspace(bias.size() * (dim + 32) * 2);
        Scan scan{};
        scan.query = {rows.data(), bias.data(), row_scales.data(), unit[0], blocks, block_rows,
                      dim};
        scan.tokens = {static_cast<int>(numbers[0]), ids.size(), residuals.size() / ids.size(),
                       residuals.data(), nullptr, ids.data(), norms.data(), norm_values.data(),
                       weights.data(), table.data(), static_cast<int>(numbers[1])};
        scan.ranges = {nullptr, offsets.data(), nullptr, offsets.size() - 1};
        scan.workspace = room.get();
        Array<float> scores(all.size() + some.size());
        Array<std::int32_t> sums(all.size() + some.size());
        kernels->maxsim(scan, scores.data());
        compare(kernels->name, "code maxsim", scores.data(), all);
        kernels->centroid_maxsim(scan, sums.data());
        compare(kernels->name, "centroid maxsim", sums.data(), all_centroids);
        scan.ranges.patterns = patterns.data();
        scan.ranges.count = patterns.size();
        kernels->maxsim(scan, scores.data());
        compare(kernels->name, "code maxsim of patterns", scores.data(), some);
        kernels->centroid_maxsim(scan, sums.data());
        compare(kernels->name, "centroid maxsim of patterns", sums.data(), some_centroids);
        if (best.size() == 0) continue;
        Array<std::int64_t> found(bias.size());
        Array<float> values(bias.size());
        kernels->best_rows(scan, range[0], range[1], found.data(), values.data());
        for (std::size_t i = 0; i < count; ++i)
            values.data()[i] = static_cast<float>(static_cast<double>(values[i]) * unit[0]);
        compare(kernels->name, "code best rows", found.data(), best);
        compare(kernels->name, "code similarities", values.data(), similarities);
    }
}

void check_probe(Reader& reader) {
    const auto shape = reader.next<std::int64_t>();
    const auto part = reader.next<std::int16_t>();
    const auto centroids = reader.next<std::uint16_t>();
    const auto gains = reader.next<std::int32_t>();
    const auto starts = reader.next<std::uint32_t>();
    const auto patterns = reader.next<std::uint16_t>();
    const auto expected = reader.next<std::int32_t>();
    const auto rows = static_cast<std::size_t>(shape[0]);
    const auto probes = static_cast<std::size_t>(shape[1]);
    const auto known = static_cast<std::size_t>(shape[2]);
    Array<std::uint16_t> numbers(centroids.size());
    Array<std::int32_t> values(centroids.size());
    const auto block_rows = static_cast<std::size_t>(shape[3]);
    for (std::size_t row = 0; row < rows; row += block_rows)
        best_centroids(part.data() + row * known, block_rows, known,
                       std::min(rows - row, block_rows), probes, numbers.data() + row * probes,
                       values.data() + row * probes);
    compare("probe", "centroids", numbers.data(), centroids);
    Array<std::int32_t> scores(kTableRows);
    Array<std::uint8_t> marks(kTableRows);
    probe({centroids.data(), gains.data(), rows, probes}, {starts.data(), patterns.data()},
          scores.data(), marks.data());
    compare("probe", "scores", scores.data(), expected);
}

void check_encode(Reader& reader) {
    const auto codes = reader.next<std::int8_t>();
    const auto scales = reader.next<float>();
    const auto ids = reader.next<std::uint16_t>();
    const auto centroids = reader.next<std::int8_t>();
    const auto centroid_scales = reader.next<float>(), deviations = reader.next<float>();
    const auto inverse = reader.next<float>(), cutoffs = reader.next<float>();
    const auto weights = reader.next<float>();
    const auto norm = reader.next<double>();
    const auto residuals = reader.next<std::uint8_t>(), norms = reader.next<std::uint8_t>();
    const int bits = weights.size() == 16 ? 4 : static_cast<int>(weights.size() / 2);
    Array<std::uint8_t> found(residuals.size()), found_norms(norms.size());
    encode({codes.data(), scales.data(), ids.data(), ids.size(), deviations.size(),
            centroids.data(), centroid_scales.data(), deviations.data(), inverse.data(),
            cutoffs.data(), weights.data(), bits, norm[0], norm[1], found.data(),
            found_norms.data()});
    compare("encode", "residuals", found.data(), residuals);
    compare("encode", "norms", found_norms.data(), norms);
}

void check_top(Reader& reader) {
    const auto scores = reader.next<std::int32_t>();
    const auto numbers = reader.next<std::int64_t>();
    const auto all = reader.next<std::uint32_t>(), above = reader.next<std::uint32_t>();
    std::vector<std::uint32_t> places;
    const auto count = static_cast<std::size_t>(numbers[0]);
    find_top(scores.data(), scores.size(), count, 0, false, places);
    if (places.size() != all.size()) throw std::runtime_error("top: not as many as expected");
    compare("top", "places", places.data(), all);
    find_top(scores.data(), scores.size(), count, 0, true, places);
    if (places.size() != above.size()) throw std::runtime_error("top: not as many as expected");
    compare("top", "places above", places.data(), above);
}

void check(const std::string& name, Reader& reader) {
    if (name == "maxsim") return check_maxsim(reader);
    if (name == "nearest") return check_nearest(reader);
    if (name == "row_dots") return check_row_dots(reader);
    if (name == "table") return check_table(reader);
    if (name == "coded") return check_coded(reader);
    if (name == "probe") return check_probe(reader);
    if (name == "encode") return check_encode(reader);
    if (name == "top") return check_top(reader);
    throw std::runtime_error("the file has a case of an unknown kind: " + name);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: harness FILE\n");
        return 2;
    }
    try {
        Reader reader(argv[1]);
        for (std::string name; reader.next_name(name);) check(name, reader);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
    for (const Kernels* kernels : runnable_kernels()) std::printf("%s ", kernels->name);
    std::printf("%zu comparisons, %zu failures\n", comparisons, failures);
    return failures == 0 && comparisons > 0 ? 0 : 1;
}

// Scoring in plain C++, for any processor; the compiler makes what vectors of it that it can.
#include "score.hpp"

namespace dejalog {
namespace {

constexpr std::int32_t kFreshOffset = 0;

// In this form compilers know a product of vectors, such as PMADDWD.
inline std::int32_t dot(const std::int16_t* __restrict a, const std::int16_t* __restrict b,
                        std::size_t dim) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < dim; ++i) sum += std::int32_t{a[i]} * std::int32_t{b[i]};
    return sum;
}

// Rows stay rows, as int16.
template <int kBits, std::size_t kRows>
void pack_query(const Scan& scan) {
    auto* rows = static_cast<std::int16_t*>(scan.workspace);
    const std::size_t size = scan.query.blocks * kRows * scan.query.dim;
    for (std::size_t i = 0; i < size; ++i) rows[i] = scan.query.rows[i];
}

//: One token after the other.
template <std::size_t kRows>
constexpr int kAtOnce = 1;

template <std::size_t kRows>
struct Best {
    float values[kRows];

    static Best lowest() {
        Best best;
        for (float& value : best.values) value = -__builtin_inff();
        return best;
    }
    void store(float* out) const {
        for (std::size_t row = 0; row < kRows; ++row) out[row] = values[row];
    }
};

template <std::size_t kRows>
struct Entries {
    std::int16_t values[kRows];

    static Entries lowest() {
        Entries entries;
        for (std::int16_t& value : entries.values) value = -32768;
        return entries;
    }
    void raise(const std::int16_t* __restrict row) {
        for (std::size_t i = 0; i < kRows; ++i)
            values[i] = row[i] > values[i] ? row[i] : values[i];
    }
    std::int32_t sum() const {
        std::int32_t total = 0;
        for (std::int16_t value : values) total += value;
        return total;
    }
};

template <int kBits>
inline void unpack_token(const Tokens& tokens, std::size_t token, std::int16_t* numbers) {
    const std::uint8_t* packed = tokens.bytes + token * tokens.width;
    for (int field = 0; field < 8 / kBits; ++field)
        for (std::size_t i = 0; i < tokens.width; ++i) {
            const int byte = packed[i];
            numbers[static_cast<std::size_t>(field) * tokens.width + i] =
                kBits == kFresh ? static_cast<std::int8_t>(byte)
                                : tokens.weights[(byte >> (field * kBits)) & ((1 << kBits) - 1)];
        }
}

template <int kBits, std::size_t kRows, int kTokens>
inline void score_tokens(const Scan& scan, std::size_t block, std::size_t token,
                         Best<kRows>& best) {
    const Tokens& tokens = scan.tokens;
    std::int16_t numbers[kDimMax];
    std::int32_t sums[kRows];
    const auto* rows =
        static_cast<const std::int16_t*>(scan.workspace) + block * kRows * scan.query.dim;
    for (std::size_t end = token + kTokens; token < end; ++token) {
        unpack_token<kBits>(tokens, token, numbers);
        for (std::size_t row = 0; row < kRows; ++row)
            sums[row] = scan.query.bias[block * kRows + row] +
                        dot(rows + row * scan.query.dim, numbers, scan.query.dim);
        if (kBits != kFresh) {
            const std::int16_t* entries =
                tokens.table + (block * kTableRows + tokens.centroid_ids[token]) * kRows;
            for (std::size_t row = 0; row < kRows; ++row)
                sums[row] += entries[row] * (1 << tokens.shift);
        }
        const float scale =
            kBits == kFresh ? tokens.scales[token] : tokens.norm_values[tokens.norms[token]];
        for (std::size_t row = 0; row < kRows; ++row) {
            const float similarity = static_cast<float>(sums[row]) * scale;
            best.values[row] = similarity > best.values[row] ? similarity : best.values[row];
        }
    }
}

constexpr std::size_t kTile = 1;
using TileToken = std::int16_t;

// Rows stay rows, as int16, up to whole groups.
void pack_centroids(const Nearest& job) {
    const std::size_t padded = (job.count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    auto* packed = static_cast<std::int16_t*>(job.workspace);
    for (std::size_t i = 0; i < padded * job.dim; ++i)
        packed[i] = i < job.count * job.dim ? job.centroids[i] : 0;
}

void pack_tokens(const Nearest& job, std::size_t start, std::size_t count, TileToken* tokens) {
    for (std::size_t i = 0; i < count * job.dim; ++i) tokens[i] = job.codes[start * job.dim + i];
}

void dot_tile(const Nearest& job, std::size_t first, const TileToken* tokens,
              std::int32_t (*dots)[kCentroidGroup]) {
    const auto* packed = static_cast<const std::int16_t*>(job.workspace) + first * job.dim;
    for (std::size_t lane = 0; lane < kCentroidGroup; ++lane)
        dots[0][lane] = dot(packed + lane * job.dim, tokens, job.dim);
}

template <std::size_t kRows>
void pack_wide(const std::int16_t* rows, std::size_t dim, std::int16_t* packed) {
    for (std::size_t i = 0; i < kRows * dim; ++i) packed[i] = rows[i];
}

template <std::size_t kRows>
void dot_centroids(const Table& job, std::size_t first, std::size_t count,
                   std::int32_t (*dots)[kRows]) {
    std::int16_t wide[kDimMax];
    const auto* rows = static_cast<const std::int16_t*>(job.workspace);
    for (std::size_t k = 0; k < count; ++k) {
        for (std::size_t i = 0; i < job.dim; ++i)
            wide[i] = job.centroids[(first + k) * job.dim + i];
        for (std::size_t row = 0; row < kRows; ++row)
            dots[k][row] = dot(rows + row * job.dim, wide, job.dim);
    }
}

inline std::int32_t dot_row(const RowDots& job, const std::int8_t* code) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < job.dim; ++i)
        sum += std::int32_t{job.query[i]} * std::int32_t{code[i]};
    return sum;
}

#include "score_loops.hpp"

}  // namespace

const Kernels kPortable = {"portable", kFreshOffset, maxsim,   best_rows, centroid_maxsim,
                           nearest,    fill_table,   row_dots};

}  // namespace dejalog

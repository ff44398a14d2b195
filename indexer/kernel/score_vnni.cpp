// Scoring with AVX-512 and its vector neural network instructions: 64 products of u8 and s8 each,
// summed by fours into int32 without saturation.
#include <immintrin.h>

#include "score.hpp"

namespace dejalog {
namespace {

#include "score_pack.hpp"

template <int kBits, std::size_t kRows>
void pack_query(const Scan& scan) {
    pack_quads<kBits, kRows>(scan);
}

//: Fresh numbers are signed, the instruction's first operand is not: 128 is added to each, and
//: taken back by the bias.
constexpr std::int32_t kFreshOffset = 128;

inline __mmask64 first_bytes(std::size_t count) {
    return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

// What is done with sixteen query rows at once.
struct Sixteen {
    static constexpr std::size_t kRows = 16;
    using Ints = __m512i;
    using Floats = __m512;

    static Ints zero() { return _mm512_setzero_si512(); }
    static Ints spread(std::int32_t value) { return _mm512_set1_epi32(value); }
    static Floats spread(float value) { return _mm512_set1_ps(value); }
    static Ints load(const void* from) { return _mm512_loadu_si512(from); }
    static void store(void* to, Ints values) { _mm512_storeu_si512(to, values); }
    static void store(float* to, Floats values) { _mm512_storeu_ps(to, values); }
    static Ints add_entries(Ints sums, const std::int16_t* entries, __m128i shift) {
        const auto* row = reinterpret_cast<const __m256i*>(entries);
        const Ints wide = _mm512_cvtepi16_epi32(_mm256_loadu_si256(row));
        return _mm512_add_epi32(sums, _mm512_sll_epi32(wide, shift));
    }
    static Ints add_quads(Ints sums, Ints quads, Ints rows) {
        return _mm512_dpbusd_epi32(sums, quads, rows);
    }
    static Ints add_pairs(Ints sums, Ints pairs, Ints rows) {
        return _mm512_dpwssd_epi32(sums, pairs, rows);
    }
    static Floats raise(Floats best, Ints sums, Floats scales) {
        return _mm512_max_ps(best, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
    }
};

// The same for the eight rows of the shortest queries.
struct Eight {
    static constexpr std::size_t kRows = 8;
    using Ints = __m256i;
    using Floats = __m256;

    static Ints zero() { return _mm256_setzero_si256(); }
    static Ints spread(std::int32_t value) { return _mm256_set1_epi32(value); }
    static Floats spread(float value) { return _mm256_set1_ps(value); }
    static Ints load(const void* from) {
        return _mm256_loadu_si256(static_cast<const __m256i*>(from));
    }
    static void store(void* to, Ints values) {
        _mm256_storeu_si256(static_cast<__m256i*>(to), values);
    }
    static void store(float* to, Floats values) { _mm256_storeu_ps(to, values); }
    static Ints add_entries(Ints sums, const std::int16_t* entries, __m128i shift) {
        const auto* row = reinterpret_cast<const __m128i*>(entries);
        const Ints wide = _mm256_cvtepi16_epi32(_mm_loadu_si128(row));
        return _mm256_add_epi32(sums, _mm256_sll_epi32(wide, shift));
    }
    static Ints add_quads(Ints sums, Ints quads, Ints rows) {
        return _mm256_dpbusd_epi32(sums, quads, rows);
    }
    static Ints add_pairs(Ints sums, Ints pairs, Ints rows) {
        return _mm256_dpwssd_epi32(sums, pairs, rows);
    }
    static Floats raise(Floats best, Ints sums, Floats scales) {
        return _mm256_max_ps(best, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales));
    }
};

template <bool kIsEight>
struct PartOf {
    using Type = Sixteen;
};
template <>
struct PartOf<true> {
    using Type = Eight;
};
template <std::size_t kRows>
using Part = typename PartOf<kRows == 8>::Type;

//: Registers that a block's rows fill.
template <std::size_t kRows>
constexpr std::size_t kParts = kRows / Part<kRows>::kRows;

//: Eight sums hide how long one product takes.
template <std::size_t kRows>
constexpr int kAtOnce = 8 / kParts<kRows>;

template <std::size_t kRows>
struct Best {
    typename Part<kRows>::Floats parts[kParts<kRows>];

    static Best lowest() {
        Best best;
        for (auto& part : best.parts) part = Part<kRows>::spread(-__builtin_inff());
        return best;
    }
    void store(float* values) const {
        for (std::size_t i = 0; i < kParts<kRows>; ++i)
            Part<kRows>::store(values + i * Part<kRows>::kRows, parts[i]);
    }
};

inline std::int32_t sum_of(__m128i values) {
    __m128i sum = _mm_add_epi32(values, _mm_shuffle_epi32(values, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
}

template <std::size_t kRows>
struct Entries {
    __m512i values;

    static Entries lowest() { return {_mm512_set1_epi16(-32768)}; }
    void raise(const std::int16_t* entries) {
        values = _mm512_max_epi16(values, _mm512_loadu_si512(entries));
    }
    std::int32_t sum() const {
        return _mm512_reduce_add_epi32(_mm512_madd_epi16(values, _mm512_set1_epi16(1)));
    }
};

template <>
struct Entries<16> {
    __m256i values;

    static Entries lowest() { return {_mm256_set1_epi16(-32768)}; }
    void raise(const std::int16_t* entries) {
        values = _mm256_max_epi16(
            values, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(entries)));
    }
    std::int32_t sum() const {
        const __m256i pairs = _mm256_madd_epi16(values, _mm256_set1_epi16(1));
        return sum_of(_mm_add_epi32(_mm256_castsi256_si128(pairs),
                                    _mm256_extracti128_si256(pairs, 1)));
    }
};

template <>
struct Entries<8> {
    __m128i values;

    static Entries lowest() { return {_mm_set1_epi16(-32768)}; }
    void raise(const std::int16_t* entries) {
        values = _mm_max_epi16(values, _mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)));
    }
    std::int32_t sum() const { return sum_of(_mm_madd_epi16(values, _mm_set1_epi16(1))); }
};

//: Bytes between the fields of an unpacked token: stores that cross a cache line could not be
//: forwarded to the loads that follow.
constexpr std::size_t stride_of(std::size_t width) { return (width + 63) / 64 * 64; }

//: Room for all fields of a token: at most 8 of 64 bytes each, or 512 dims.
constexpr std::size_t kTokenBytes = 8 * 64;

// Writes a token as unsigned bytes, one for each dim, field after field.
template <int kBits>
inline void unpack_token(const Tokens& tokens, std::size_t token, __m512i weights,
                         std::uint8_t* bytes) {
    const std::uint8_t* packed = tokens.bytes + token * tokens.width;
    const std::size_t stride = stride_of(tokens.width);
    const __m512i mask = _mm512_set1_epi8((1 << (kBits & 7)) - 1);
    for (std::size_t at = 0; at < tokens.width; at += 64) {
        const __m512i chunk =
            _mm512_maskz_loadu_epi8(first_bytes(tokens.width - at), packed + at);
        if constexpr (kBits == kFresh) {
            _mm512_store_si512(bytes + at, _mm512_xor_si512(chunk, _mm512_set1_epi8(-128)));
        } else {
#pragma GCC unroll 8
            for (int field = 0; field < 8 / kBits; ++field) {
                const __m512i shifted = _mm512_srli_epi16(chunk, field * kBits);
                const __m512i buckets = _mm512_and_si512(shifted, mask);
                _mm512_store_si512(bytes + static_cast<std::size_t>(field) * stride + at,
                                   _mm512_shuffle_epi8(weights, buckets));
            }
        }
    }
}

template <int kBits, std::size_t kRows, int kTokens>
inline void score_tokens(const Scan& scan, std::size_t block, std::size_t token,
                         Best<kRows>& best) {
    using P = Part<kRows>;
    const Tokens& tokens = scan.tokens;
    alignas(64) std::uint8_t bytes[kTokens][kTokenBytes];
    __m512i weights = _mm512_setzero_si512();
    if constexpr (kBits != kFresh)
        weights = _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(tokens.weights)));

    const std::int32_t* bias = scan.query.bias + block * kRows;
    const std::int16_t* table = tokens.table + block * kTableRows * kRows;
    const __m128i shift = _mm_cvtsi32_si128(tokens.shift);
    prefetch_entries<kBits, kRows, kTokens>(scan, block, token);
    typename P::Ints sums[kTokens][kParts<kRows>];
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        unpack_token<kBits>(tokens, token + i, weights, bytes[i]);
#pragma GCC unroll 2
        for (std::size_t part = 0; part < kParts<kRows>; ++part) {
            sums[i][part] = P::load(bias + part * P::kRows);
            if constexpr (kBits != kFresh) {
                const std::size_t id = tokens.centroid_ids[token + i];
                sums[i][part] = P::add_entries(sums[i][part],
                                               table + id * kRows + part * P::kRows, shift);
            }
        }
    }

    const std::int8_t* quads = static_cast<const std::int8_t*>(scan.workspace) +
                               block * kRows * packed_dim<kBits>(scan);
    const std::size_t stride = stride_of(tokens.width);
    for (std::size_t field = 0; field < 8 / kBits; ++field)
        for (std::size_t at = 0; at < tokens.width; at += 4, quads += 4 * kRows) {
#pragma GCC unroll 8
            for (int i = 0; i < kTokens; ++i) {
                std::int32_t quad;
                __builtin_memcpy(&quad, bytes[i] + field * stride + at, 4);
                const typename P::Ints spread = P::spread(quad);
#pragma GCC unroll 2
                for (std::size_t part = 0; part < kParts<kRows>; ++part)
                    sums[i][part] = P::add_quads(sums[i][part], spread,
                                                 P::load(quads + part * 4 * P::kRows));
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        const float scale = kBits == kFresh ? tokens.scales[token + i]
                                            : tokens.norm_values[tokens.norms[token + i]];
#pragma GCC unroll 2
        for (std::size_t part = 0; part < kParts<kRows>; ++part)
            best.parts[part] = P::raise(best.parts[part], sums[i][part], P::spread(scale));
    }
}

constexpr std::size_t kTile = 6;
using TileToken = std::uint8_t;

// [group][dim / 4][64][4] as int8, and behind them int32[groups * 64], what the tokens' offset
// adds to each dot product, negated.
void pack_centroids(const Nearest& job) {
    const std::size_t padded = (job.count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    auto* packed = static_cast<std::int8_t*>(job.workspace);
    auto* bias = reinterpret_cast<std::int32_t*>(packed + padded * job.dim);
    for (std::size_t k = 0; k < padded; ++k) {
        std::int8_t* group = packed + k / kCentroidGroup * kCentroidGroup * job.dim;
        const std::size_t lane = k % kCentroidGroup;
        std::int32_t sum = 0;
        for (std::size_t i = 0; i < job.dim; ++i) {
            const std::int8_t number = k < job.count ? job.centroids[k * job.dim + i] : 0;
            group[i / 4 * 4 * kCentroidGroup + lane * 4 + i % 4] = number;
            sum += number;
        }
        bias[k] = -kFreshOffset * sum;
    }
}

void pack_tokens(const Nearest& job, std::size_t start, std::size_t count, TileToken* tokens) {
    const std::size_t whole = (count + kTile - 1) / kTile * kTile * job.dim;
    for (std::size_t i = 0; i < whole; ++i)
        tokens[i] = i < count * job.dim
                        ? static_cast<std::uint8_t>(job.codes[start * job.dim + i] ^ 0x80)
                        : 0;
}

void dot_tile(const Nearest& job, std::size_t first, const TileToken* tokens,
              std::int32_t (*dots)[kCentroidGroup]) {
    const std::size_t padded = (job.count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    const auto* packed = static_cast<const std::int8_t*>(job.workspace);
    const auto* bias = reinterpret_cast<const std::int32_t*>(packed + padded * job.dim) + first;
    packed += first * job.dim;
    __m512i sums[kTile][4];
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kTile; ++i)
#pragma GCC unroll 4
        for (std::size_t part = 0; part < 4; ++part)
            sums[i][part] = _mm512_loadu_si512(bias + part * 16);
    for (std::size_t at = 0; at < job.dim; at += 4, packed += 4 * kCentroidGroup) {
        __m512i centroids[4];
#pragma GCC unroll 4
        for (std::size_t part = 0; part < 4; ++part)
            centroids[part] = _mm512_load_si512(packed + part * 64);
#pragma GCC unroll 6
        for (std::size_t i = 0; i < kTile; ++i) {
            std::int32_t quad;
            __builtin_memcpy(&quad, tokens + i * job.dim + at, 4);
            const __m512i spread = _mm512_set1_epi32(quad);
#pragma GCC unroll 4
            for (std::size_t part = 0; part < 4; ++part)
                sums[i][part] = _mm512_dpbusd_epi32(sums[i][part], spread, centroids[part]);
        }
    }
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kTile; ++i)
#pragma GCC unroll 4
        for (std::size_t part = 0; part < 4; ++part)
            _mm512_store_si512(dots[i] + part * 16, sums[i][part]);
}

// [dim / 2][kRows][2]: each load holds two dims of a register's rows.
template <std::size_t kRows>
void pack_wide(const std::int16_t* rows, std::size_t dim, std::int16_t* packed) {
    for (std::size_t row = 0; row < kRows; ++row)
        for (std::size_t i = 0; i < dim; ++i)
            packed[i / 2 * 2 * kRows + row * 2 + i % 2] = rows[row * dim + i];
}

template <std::size_t kRows, int kCount>
void dot_wide(const Table& job, std::size_t first, std::int32_t (*dots)[kRows]) {
    using P = Part<kRows>;
    alignas(64) std::int16_t wide[kCount][kDimMax + 32];
    typename P::Ints sums[kCount][kParts<kRows>];
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
        const std::int8_t* centroid = job.centroids + (first + i) * job.dim;
        for (std::size_t at = 0; at < job.dim; at += 32) {
            const auto mask = static_cast<__mmask32>(first_bytes(job.dim - at));
            const __m256i chunk = _mm256_maskz_loadu_epi8(mask, centroid + at);
            _mm512_store_si512(wide[i] + at, _mm512_cvtepi8_epi16(chunk));
        }
#pragma GCC unroll 2
        for (std::size_t part = 0; part < kParts<kRows>; ++part) sums[i][part] = P::zero();
    }
    const auto* packed = static_cast<const std::int16_t*>(job.workspace);
    for (std::size_t at = 0; at < job.dim; at += 2, packed += 2 * kRows) {
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
            std::int32_t pair;
            __builtin_memcpy(&pair, wide[i] + at, 4);
            const typename P::Ints spread = P::spread(pair);
#pragma GCC unroll 2
            for (std::size_t part = 0; part < kParts<kRows>; ++part)
                sums[i][part] = P::add_pairs(sums[i][part], spread,
                                             P::load(packed + part * 2 * P::kRows));
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i)
#pragma GCC unroll 2
        for (std::size_t part = 0; part < kParts<kRows>; ++part)
            P::store(dots[i] + part * P::kRows, sums[i][part]);
}

template <std::size_t kRows>
void dot_centroids(const Table& job, std::size_t first, std::size_t count,
                   std::int32_t (*dots)[kRows]) {
    constexpr int kAll = kAtOnce<kRows>;
    if (count == kAll) return dot_wide<kRows, kAll>(job, first, dots);
    for (std::size_t i = 0; i < count; ++i) dot_wide<kRows, 1>(job, first + i, dots + i);
}

inline std::int32_t dot_row(const RowDots& job, const std::int8_t* code) {
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t at = 0; at < job.dim; at += 32) {
        const auto mask = static_cast<__mmask32>(first_bytes(job.dim - at));
        const __m512i numbers = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, code + at));
        const __m512i query = _mm512_maskz_loadu_epi16(mask, job.query + at);
        sum = _mm512_dpwssd_epi32(sum, numbers, query);
    }
    return _mm512_reduce_add_epi32(sum);
}


#include "score_loops.hpp"

}  // namespace

const Kernels kVnni = {"vnni",  kFreshOffset, maxsim,   best_rows, centroid_maxsim,
                       nearest, fill_table,   row_dots};

}  // namespace dejalog

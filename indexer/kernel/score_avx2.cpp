// Scoring with AVX2: products of u8 and s8 summed by pairs into int16, which 7 bit weights cannot
// overflow (2 * 127 * 127), and then by pairs into int32.
#include <immintrin.h>

#include "score.hpp"

namespace dejalog {
namespace {

#include "score_pack.hpp"

template <int kBits, std::size_t kRows>
void pack_query(const Scan& scan) {
    pack_quads<kBits, kRows>(scan);
}

constexpr std::int32_t kFreshOffset = 0;

//: Query rows in a register of int32.
constexpr std::size_t kPart = 8;

//: Registers that a block's rows fill.
template <std::size_t kRows>
constexpr std::size_t kParts = kRows / kPart;

//: Eight sums fill half of the sixteen registers; more would spill.
template <std::size_t kRows>
constexpr int kAtOnce = 8 / kParts<kRows>;

inline __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store(void* to, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}
inline std::int32_t sum_of(__m256i v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
}

template <std::size_t kRows>
struct Best {
    __m256 parts[kParts<kRows>];

    static Best lowest() {
        Best best;
        for (__m256& part : best.parts) part = _mm256_set1_ps(-__builtin_inff());
        return best;
    }
    void store(float* values) const {
        for (std::size_t i = 0; i < kParts<kRows>; ++i)
            _mm256_storeu_ps(values + i * kPart, parts[i]);
    }
};

template <std::size_t kRows>
struct Entries {
    __m256i parts[kRows / 16];

    static Entries lowest() {
        Entries entries;
        for (__m256i& part : entries.parts) part = _mm256_set1_epi16(-32768);
        return entries;
    }
    void raise(const std::int16_t* entries) {
        for (std::size_t i = 0; i < kRows / 16; ++i)
            parts[i] = _mm256_max_epi16(parts[i], load(entries + i * 16));
    }
    std::int32_t sum() const {
        __m256i sums = _mm256_setzero_si256();
        for (const __m256i& part : parts)
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
        return sum_of(sums);
    }
};

template <>
struct Entries<8> {
    __m128i values;

    static Entries lowest() { return {_mm_set1_epi16(-32768)}; }
    void raise(const std::int16_t* entries) {
        values = _mm_max_epi16(values, _mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)));
    }
    std::int32_t sum() const {
        return sum_of(_mm256_zextsi128_si256(_mm_madd_epi16(values, _mm_set1_epi16(1))));
    }
};

//: Bytes between the fields of an unpacked token: stores that cross a cache line could not be
//: forwarded to the loads that follow.
constexpr std::size_t stride_of(std::size_t width) { return (width + 63) / 64 * 64; }

//: Room for all fields of a token: at most 8 of 64 bytes each, or 512 dims.
constexpr std::size_t kTokenBytes = 8 * 64;

// Writes the weights of 16 packed bytes, a field of all of them at a time.
template <int kBits>
inline void unpack_chunk(__m128i chunk, __m128i weights, std::size_t stride, std::uint8_t* bytes) {
    const __m128i mask = _mm_set1_epi8((1 << kBits) - 1);
#pragma GCC unroll 8
    for (int field = 0; field < 8 / kBits; ++field) {
        const __m128i buckets = _mm_and_si128(_mm_srli_epi16(chunk, field * kBits), mask);
        _mm_store_si128(
            reinterpret_cast<__m128i*>(bytes + static_cast<std::size_t>(field) * stride),
            _mm_shuffle_epi8(weights, buckets));
    }
}

// Writes a token's weights as bytes, one for each dim, field after field.
template <int kBits>
inline void unpack_token(const Tokens& tokens, std::size_t token, __m128i weights,
                         std::uint8_t* bytes) {
    const std::uint8_t* packed = tokens.bytes + token * tokens.width;
    const std::size_t stride = stride_of(tokens.width);
    std::size_t at = 0;
    for (; at + 16 <= tokens.width; at += 16)
        unpack_chunk<kBits>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + at)),
                            weights, stride, bytes + at);
    if (at == tokens.width) return;
    __m128i tail;
    if (tokens.width - at == 8) {  // what the dims of most models leave
        tail = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed + at));
    } else {
        alignas(16) std::uint8_t rest[16] = {};
        __builtin_memcpy(rest, packed + at, tokens.width - at);
        tail = _mm_load_si128(reinterpret_cast<const __m128i*>(rest));
    }
    unpack_chunk<kBits>(tail, weights, stride, bytes + at);
}

template <int kBits, std::size_t kRows, int kTokens>
inline void score_tokens(const Scan& scan, std::size_t block, std::size_t token,
                         Best<kRows>& best) {
    constexpr std::size_t kAll = kParts<kRows>;
    const Tokens& tokens = scan.tokens;
    const __m256i ones = _mm256_set1_epi16(1);
    alignas(64) std::uint8_t bytes[kTokens][kTokenBytes];
    const std::uint8_t* numbers[kTokens];
    __m256i sums[kTokens][kAll];
    const std::int32_t* bias = scan.query.bias + block * kRows;
    const __m128i shift = _mm_cvtsi32_si128(tokens.shift);
    prefetch_entries<kBits, kRows, kTokens>(scan, block, token);
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        numbers[i] = bytes[i];
        for (std::size_t part = 0; part < kAll; ++part) sums[i][part] = load(bias + part * kPart);
        if constexpr (kBits == kFresh) {
            numbers[i] = tokens.bytes + (token + i) * tokens.width;
        } else {
            const __m128i weights =
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(tokens.weights));
            unpack_token<kBits>(tokens, token + i, weights, bytes[i]);
            const std::int16_t* entries =
                tokens.table + (block * kTableRows + tokens.centroid_ids[token + i]) * kRows;
            for (std::size_t part = 0; part < kAll; ++part) {
                const __m256i row = _mm256_cvtepi16_epi32(
                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(entries + part * kPart)));
                sums[i][part] = _mm256_add_epi32(sums[i][part], _mm256_sll_epi32(row, shift));
            }
        }
    }
    const std::int8_t* quads = static_cast<const std::int8_t*>(scan.workspace) +
                               block * kRows * packed_dim<kBits>(scan);
    const std::size_t stride = stride_of(tokens.width);
    for (std::size_t field = 0; field < 8 / kBits; ++field)
        for (std::size_t at = 0; at < tokens.width; at += 4, quads += 4 * kRows)
#pragma GCC unroll 8
            for (int i = 0; i < kTokens; ++i) {
                std::int32_t quad;
                __builtin_memcpy(&quad, numbers[i] + field * stride + at, 4);
                __m256i spread = _mm256_set1_epi32(quad);
                const __m256i signs = spread;
                if (kBits == kFresh) spread = _mm256_abs_epi8(spread);
#pragma GCC unroll 4
                for (std::size_t part = 0; part < kAll; ++part) {
                    __m256i rows = load(quads + part * 4 * kPart);
                    // |x| is at most 128, a query number at most 127: 2 * 128 * 127 fits as well.
                    if (kBits == kFresh) rows = _mm256_sign_epi8(rows, signs);
                    const __m256i pairs = _mm256_maddubs_epi16(spread, rows);
                    sums[i][part] =
                        _mm256_add_epi32(sums[i][part], _mm256_madd_epi16(pairs, ones));
                }
            }
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        const __m256 scale = _mm256_set1_ps(kBits == kFresh
                                                ? tokens.scales[token + i]
                                                : tokens.norm_values[tokens.norms[token + i]]);
        for (std::size_t part = 0; part < kAll; ++part)
            best.parts[part] = _mm256_max_ps(
                best.parts[part], _mm256_mul_ps(_mm256_cvtepi32_ps(sums[i][part]), scale));
    }
}

constexpr std::size_t kTile = 4;
using TileToken = std::int16_t;

//: Centroids whose sums are kept in registers at once, for each of kTile tokens.
constexpr std::size_t kColumns = 16;

// [k / 16][dim / 2][16][2] as int16: there is no product of s8 and s8.
void pack_centroids(const Nearest& job) {
    const std::size_t padded = (job.count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    auto* packed = static_cast<std::int16_t*>(job.workspace);
    for (std::size_t k = 0; k < padded; ++k) {
        std::int16_t* group = packed + k / kColumns * kColumns * job.dim;
        for (std::size_t i = 0; i < job.dim; ++i)
            group[i / 2 * 2 * kColumns + k % kColumns * 2 + i % 2] =
                k < job.count ? job.centroids[k * job.dim + i] : 0;
    }
}

void pack_tokens(const Nearest& job, std::size_t start, std::size_t count, TileToken* tokens) {
    const std::size_t whole = (count + kTile - 1) / kTile * kTile * job.dim;
    for (std::size_t i = 0; i < whole; ++i)
        tokens[i] = i < count * job.dim ? job.codes[start * job.dim + i] : 0;
}

void dot_tile(const Nearest& job, std::size_t first, const TileToken* tokens,
              std::int32_t (*dots)[kCentroidGroup]) {
    for (std::size_t column = 0; column < kCentroidGroup; column += kColumns) {
        const auto* packed =
            static_cast<const std::int16_t*>(job.workspace) + (first + column) * job.dim;
        __m256i sums[kTile][2] = {};
        for (std::size_t at = 0; at < job.dim; at += 2, packed += 2 * kColumns) {
            const __m256i low = load(packed), high = load(packed + kColumns);
#pragma GCC unroll 4
            for (std::size_t i = 0; i < kTile; ++i) {
                std::int32_t pair;
                __builtin_memcpy(&pair, tokens + i * job.dim + at, 4);
                const __m256i spread = _mm256_set1_epi32(pair);
                sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(spread, low));
                sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(spread, high));
            }
        }
        for (std::size_t i = 0; i < kTile; ++i) {
            store(dots[i] + column, sums[i][0]);
            store(dots[i] + column + kPart, sums[i][1]);
        }
    }
}

// [dim / 2][kRows][2]: each load holds two dims of 8 rows.
template <std::size_t kRows>
void pack_wide(const std::int16_t* rows, std::size_t dim, std::int16_t* packed) {
    for (std::size_t row = 0; row < kRows; ++row)
        for (std::size_t i = 0; i < dim; ++i)
            packed[i / 2 * 2 * kRows + row * 2 + i % 2] = rows[row * dim + i];
}

template <std::size_t kRows, int kCount>
void dot_wide(const Table& job, std::size_t first, std::int32_t (*dots)[kRows]) {
    constexpr std::size_t kAll = kParts<kRows>;
    alignas(32) std::int16_t wide[kCount][kDimMax];
    __m256i sums[kCount][kAll] = {};
    for (int i = 0; i < kCount; ++i)
        for (std::size_t at = 0; at < job.dim; at += 8) {
            const auto* numbers = job.centroids + (first + i) * job.dim + at;
            _mm_store_si128(
                reinterpret_cast<__m128i*>(wide[i] + at),
                _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(numbers))));
        }
    const auto* packed = static_cast<const std::int16_t*>(job.workspace);
    for (std::size_t at = 0; at < job.dim; at += 2, packed += 2 * kRows)
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
            std::int32_t pair;
            __builtin_memcpy(&pair, wide[i] + at, 4);
            const __m256i spread = _mm256_set1_epi32(pair);
#pragma GCC unroll 4
            for (std::size_t part = 0; part < kAll; ++part)
                sums[i][part] = _mm256_add_epi32(
                    sums[i][part], _mm256_madd_epi16(spread, load(packed + part * 2 * kPart)));
        }
    for (int i = 0; i < kCount; ++i)
        for (std::size_t part = 0; part < kAll; ++part)
            store(dots[i] + part * kPart, sums[i][part]);
}

template <std::size_t kRows>
void dot_centroids(const Table& job, std::size_t first, std::size_t count,
                   std::int32_t (*dots)[kRows]) {
    constexpr int kAll = kAtOnce<kRows>;
    if (count == kAll) return dot_wide<kRows, kAll>(job, first, dots);
    for (std::size_t i = 0; i < count; ++i) dot_wide<kRows, 1>(job, first + i, dots + i);
}

inline std::int32_t dot_row(const RowDots& job, const std::int8_t* code) {
    __m256i sum = _mm256_setzero_si256();
    std::size_t at = 0;
    for (; at + 16 <= job.dim; at += 16) {
        const __m256i numbers = _mm256_cvtepi8_epi16(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(code + at)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(numbers, load(job.query + at)));
    }
    if (at < job.dim) {
        const __m128i numbers =
            _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(code + at)));
        const __m128i query = _mm_loadu_si128(reinterpret_cast<const __m128i*>(job.query + at));
        sum = _mm256_add_epi32(sum,
                               _mm256_zextsi128_si256(_mm_madd_epi16(numbers, query)));
    }
    return sum_of(sum);
}

#include "score_loops.hpp"

}  // namespace

const Kernels kAvx2 = {"avx2",  kFreshOffset, maxsim,   best_rows, centroid_maxsim,
                       nearest, fill_table,   row_dots};

}  // namespace dejalog

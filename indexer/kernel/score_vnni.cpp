// Scoring with AVX-512 and its vector neural network instructions: 64 products of u8 and s8 each,
// summed by fours into int32 without saturation.
#include <immintrin.h>

#include "score.hpp"

namespace dejalog {
namespace {

#include "score_pack.hpp"

template <int kBits>
void pack_query(const Scan& scan) {
    pack_quads<kBits>(scan);
}

//: Fresh numbers are signed, the instruction's first operand is not: 128 is added to each, and
//: taken back by the bias.
constexpr std::int32_t kFreshOffset = 128;

inline __mmask64 first_bytes(std::size_t count) {
    return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

struct Best {
    __m512 low, high;

    static Best lowest() {
        const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
        return {lowest, lowest};
    }
    void store(float* values) const {
        _mm512_store_ps(values, low);
        _mm512_store_ps(values + 16, high);
    }
};

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

template <int kBits, int kTokens>
inline void score_tokens(const Scan& scan, std::size_t block, std::size_t token, Best& best) {
    const Tokens& tokens = scan.tokens;
    alignas(64) std::uint8_t bytes[kTokens][kTokenBytes];
    __m512i weights = _mm512_setzero_si512();
    if constexpr (kBits != kFresh)
        weights = _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(tokens.weights)));

    const std::int32_t* bias = scan.query.bias + block * kQueryRows;
    const __m512i low_bias = _mm512_loadu_si512(bias), high_bias = _mm512_loadu_si512(bias + 16);
    const __m128i shift = _mm_cvtsi32_si128(tokens.shift);
    prefetch_entries<kBits, kTokens>(scan, block, token);
    __m512i low[kTokens], high[kTokens];
#pragma GCC unroll 4
    for (int i = 0; i < kTokens; ++i) {
        unpack_token<kBits>(tokens, token + i, weights, bytes[i]);
        low[i] = low_bias;
        high[i] = high_bias;
        if constexpr (kBits != kFresh) {
            const std::int16_t* entries =
                tokens.table +
                (block * kTableRows + tokens.centroid_ids[token + i]) * kQueryRows;
            const __m512i row = _mm512_loadu_si512(entries);
            const __m512i first = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(row));
            const __m512i second = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(row, 1));
            low[i] = _mm512_add_epi32(low[i], _mm512_sll_epi32(first, shift));
            high[i] = _mm512_add_epi32(high[i], _mm512_sll_epi32(second, shift));
        }
    }

    const std::int8_t* quads = static_cast<const std::int8_t*>(scan.workspace) +
                               block * kQueryRows * packed_dim<kBits>(scan);
    const std::size_t stride = stride_of(tokens.width);
    for (std::size_t field = 0; field < 8 / kBits; ++field)
        for (std::size_t at = 0; at < tokens.width; at += 4, quads += 4 * kQueryRows) {
            const __m512i low_rows = _mm512_load_si512(quads);
            const __m512i high_rows = _mm512_load_si512(quads + 64);
#pragma GCC unroll 4
            for (int i = 0; i < kTokens; ++i) {
                std::int32_t quad;
                __builtin_memcpy(&quad, bytes[i] + field * stride + at, 4);
                const __m512i spread = _mm512_set1_epi32(quad);
                low[i] = _mm512_dpbusd_epi32(low[i], spread, low_rows);
                high[i] = _mm512_dpbusd_epi32(high[i], spread, high_rows);
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < kTokens; ++i) {
        const float scale = kBits == kFresh ? tokens.scales[token + i]
                                            : tokens.norm_values[tokens.norms[token + i]];
        const __m512 scales = _mm512_set1_ps(scale);
        best.low = _mm512_max_ps(best.low, _mm512_mul_ps(_mm512_cvtepi32_ps(low[i]), scales));
        best.high = _mm512_max_ps(best.high, _mm512_mul_ps(_mm512_cvtepi32_ps(high[i]), scales));
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

// [dim / 2][32][2]: each load holds two dims of 16 rows.
void pack_wide(const std::int16_t* rows, std::size_t dim, std::int16_t* packed) {
    for (std::size_t row = 0; row < kQueryRows; ++row)
        for (std::size_t i = 0; i < dim; ++i)
            packed[i / 2 * 2 * kQueryRows + row * 2 + i % 2] = rows[row * dim + i];
}

template <int kCount>
void dot_wide(const Table& job, std::size_t first, std::int32_t (*dots)[kQueryRows]) {
    alignas(64) std::int16_t wide[kCount][kDimMax + 32];
    __m512i low[kCount], high[kCount];
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) {
        const std::int8_t* centroid = job.centroids + (first + i) * job.dim;
        for (std::size_t at = 0; at < job.dim; at += 32) {
            const auto mask = static_cast<__mmask32>(first_bytes(job.dim - at));
            const __m256i chunk = _mm256_maskz_loadu_epi8(mask, centroid + at);
            _mm512_store_si512(wide[i] + at, _mm512_cvtepi8_epi16(chunk));
        }
        low[i] = high[i] = _mm512_setzero_si512();
    }
    const auto* packed = static_cast<const std::int16_t*>(job.workspace);
    for (std::size_t at = 0; at < job.dim; at += 2, packed += 2 * kQueryRows) {
        const __m512i low_rows = _mm512_load_si512(packed);
        const __m512i high_rows = _mm512_load_si512(packed + kQueryRows);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) {
            std::int32_t pair;
            __builtin_memcpy(&pair, wide[i] + at, 4);
            const __m512i spread = _mm512_set1_epi32(pair);
            low[i] = _mm512_dpwssd_epi32(low[i], spread, low_rows);
            high[i] = _mm512_dpwssd_epi32(high[i], spread, high_rows);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) {
        _mm512_store_si512(dots[i], low[i]);
        _mm512_store_si512(dots[i] + 16, high[i]);
    }
}

void dot_centroids(const Table& job, std::size_t first, std::size_t count,
                   std::int32_t (*dots)[kQueryRows]) {
    if (count == 4) return dot_wide<4>(job, first, dots);
    for (std::size_t i = 0; i < count; ++i) dot_wide<1>(job, first + i, dots + i);
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

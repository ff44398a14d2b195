// Scoring with the dot product instructions of Armv8.2: 16 products of s8 and s8 each, summed by
// fours into int32. Weights are 7 bits, so they are the same signed.
#include <arm_neon.h>

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
constexpr std::size_t kPart = 4;

//: Registers that a block's rows fill.
template <std::size_t kRows>
constexpr std::size_t kParts = kRows / kPart;

//: Sixteen sums fill half of the registers; more would spill.
template <std::size_t kRows>
constexpr int kAtOnce = 16 / kParts<kRows>;

// Four numbers, over and over.
inline int8x16_t spread_quad(const void* from) {
    std::int32_t quad;
    __builtin_memcpy(&quad, from, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

template <std::size_t kRows>
struct Best {
    float32x4_t parts[kParts<kRows>];

    static Best lowest() {
        Best best;
        for (float32x4_t& part : best.parts) part = vdupq_n_f32(-__builtin_inff());
        return best;
    }
    void store(float* values) const {
        for (std::size_t i = 0; i < kParts<kRows>; ++i) vst1q_f32(values + i * kPart, parts[i]);
    }
};

template <std::size_t kRows>
struct Entries {
    int16x8_t parts[kRows / 8];

    static Entries lowest() {
        Entries entries;
        for (int16x8_t& part : entries.parts) part = vdupq_n_s16(-32768);
        return entries;
    }
    void raise(const std::int16_t* entries) {
        for (std::size_t i = 0; i < kRows / 8; ++i)
            parts[i] = vmaxq_s16(parts[i], vld1q_s16(entries + i * 8));
    }
    std::int32_t sum() const {
        int32x4_t total = vdupq_n_s32(0);
        for (const int16x8_t& part : parts) total = vpadalq_s16(total, part);
        return vaddvq_s32(total);
    }
};

//: Bytes between the fields of an unpacked token, and room for all of them.
constexpr std::size_t stride_of(std::size_t width) { return (width + 63) / 64 * 64; }
constexpr std::size_t kTokenBytes = 8 * 64;

template <int kBits>
inline void unpack_chunk(uint8x16_t chunk, uint8x16_t weights, std::size_t stride,
                         std::uint8_t* bytes) {
    const uint8x16_t mask = vdupq_n_u8((1 << kBits) - 1);
#pragma GCC unroll 8
    for (int field = 0; field < 8 / kBits; ++field) {
        const int8x16_t down = vdupq_n_s8(static_cast<std::int8_t>(-field * kBits));
        const uint8x16_t buckets = vandq_u8(vshlq_u8(chunk, down), mask);
        vst1q_u8(bytes + static_cast<std::size_t>(field) * stride, vqtbl1q_u8(weights, buckets));
    }
}

// Writes a token's weights as bytes, one for each dim, field after field.
template <int kBits>
inline void unpack_token(const Tokens& tokens, std::size_t token, uint8x16_t weights,
                         std::uint8_t* bytes) {
    const std::uint8_t* packed = tokens.bytes + token * tokens.width;
    const std::size_t stride = stride_of(tokens.width);
    std::size_t at = 0;
    for (; at + 16 <= tokens.width; at += 16)
        unpack_chunk<kBits>(vld1q_u8(packed + at), weights, stride, bytes + at);
    if (at == tokens.width) return;
    std::uint8_t rest[16] = {};
    __builtin_memcpy(rest, packed + at, tokens.width - at);
    unpack_chunk<kBits>(vld1q_u8(rest), weights, stride, bytes + at);
}

template <int kBits, std::size_t kRows, int kTokens>
inline void score_tokens(const Scan& scan, std::size_t block, std::size_t token,
                         Best<kRows>& best) {
    constexpr std::size_t kAll = kParts<kRows>;
    const Tokens& tokens = scan.tokens;
    alignas(64) std::uint8_t bytes[kTokens][kTokenBytes];
    const std::uint8_t* numbers[kTokens];
    int32x4_t sums[kTokens][kAll];
    const std::int32_t* bias = scan.query.bias + block * kRows;
    const int32x4_t shift = vdupq_n_s32(tokens.shift);
    prefetch_entries<kBits, kRows, kTokens>(scan, block, token);
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        numbers[i] = bytes[i];
        for (std::size_t part = 0; part < kAll; ++part)
            sums[i][part] = vld1q_s32(bias + part * kPart);
        if constexpr (kBits == kFresh) {
            numbers[i] = tokens.bytes + (token + i) * tokens.width;
        } else {
            unpack_token<kBits>(tokens, token + i, vld1q_u8(tokens.weights), bytes[i]);
            const std::int16_t* entries =
                tokens.table + (block * kTableRows + tokens.centroid_ids[token + i]) * kRows;
            for (std::size_t part = 0; part < kAll; ++part) {
                const int32x4_t row = vmovl_s16(vld1_s16(entries + part * kPart));
                sums[i][part] = vaddq_s32(sums[i][part], vshlq_s32(row, shift));
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
                const int8x16_t spread = spread_quad(numbers[i] + field * stride + at);
#pragma GCC unroll 8
                for (std::size_t part = 0; part < kAll; ++part)
                    sums[i][part] =
                        vdotq_s32(sums[i][part], vld1q_s8(quads + part * 4 * kPart), spread);
            }
#pragma GCC unroll 8
    for (int i = 0; i < kTokens; ++i) {
        const float scale = kBits == kFresh ? tokens.scales[token + i]
                                            : tokens.norm_values[tokens.norms[token + i]];
        for (std::size_t part = 0; part < kAll; ++part)
            best.parts[part] =
                vmaxq_f32(best.parts[part], vmulq_n_f32(vcvtq_f32_s32(sums[i][part]), scale));
    }
}

constexpr std::size_t kTile = 4;
using TileToken = std::int8_t;

//: Centroids whose sums are kept in registers at once, for each of kTile tokens.
constexpr std::size_t kColumns = 16;

// [k / 16][dim / 4][16][4] as int8.
void pack_centroids(const Nearest& job) {
    const std::size_t padded = (job.count + kCentroidGroup - 1) / kCentroidGroup * kCentroidGroup;
    auto* packed = static_cast<std::int8_t*>(job.workspace);
    for (std::size_t k = 0; k < padded; ++k) {
        std::int8_t* group = packed + k / kColumns * kColumns * job.dim;
        for (std::size_t i = 0; i < job.dim; ++i)
            group[i / 4 * 4 * kColumns + k % kColumns * 4 + i % 4] =
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
            static_cast<const std::int8_t*>(job.workspace) + (first + column) * job.dim;
        int32x4_t sums[kTile][4];
        for (auto& token : sums)
            for (int32x4_t& sum : token) sum = vdupq_n_s32(0);
        for (std::size_t at = 0; at < job.dim; at += 4, packed += 4 * kColumns) {
#pragma GCC unroll 4
            for (std::size_t i = 0; i < kTile; ++i) {
                const int8x16_t spread = spread_quad(tokens + i * job.dim + at);
#pragma GCC unroll 4
                for (std::size_t part = 0; part < 4; ++part)
                    sums[i][part] = vdotq_s32(sums[i][part], vld1q_s8(packed + part * 16), spread);
            }
        }
        for (std::size_t i = 0; i < kTile; ++i)
            for (std::size_t part = 0; part < 4; ++part)
                vst1q_s32(dots[i] + column + part * kPart, sums[i][part]);
    }
}

// [dim][kRows]: each load holds one dim of 8 rows.
template <std::size_t kRows>
void pack_wide(const std::int16_t* rows, std::size_t dim, std::int16_t* packed) {
    for (std::size_t row = 0; row < kRows; ++row)
        for (std::size_t i = 0; i < dim; ++i) packed[i * kRows + row] = rows[row * dim + i];
}

template <std::size_t kRows>
void dot_centroids(const Table& job, std::size_t first, std::size_t count,
                   std::int32_t (*dots)[kRows]) {
    constexpr std::size_t kAll = kParts<kRows>;
    for (std::size_t k = 0; k < count; ++k) {
        const std::int8_t* centroid = job.centroids + (first + k) * job.dim;
        const auto* packed = static_cast<const std::int16_t*>(job.workspace);
        int32x4_t sums[kAll];
        for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
        for (std::size_t i = 0; i < job.dim; ++i, packed += kRows)
#pragma GCC unroll 4
            for (std::size_t part = 0; part < kAll; part += 2) {
                const int16x8_t rows = vld1q_s16(packed + part * kPart);
                sums[part] = vmlal_n_s16(sums[part], vget_low_s16(rows), centroid[i]);
                sums[part + 1] = vmlal_n_s16(sums[part + 1], vget_high_s16(rows), centroid[i]);
            }
        for (std::size_t part = 0; part < kAll; ++part)
            vst1q_s32(dots[k] + part * kPart, sums[part]);
    }
}

inline std::int32_t dot_row(const RowDots& job, const std::int8_t* code) {
    int32x4_t low = vdupq_n_s32(0), high = low;
    for (std::size_t at = 0; at < job.dim; at += 8) {
        const int16x8_t numbers = vmovl_s8(vld1_s8(code + at));
        const int16x8_t query = vld1q_s16(job.query + at);
        low = vmlal_s16(low, vget_low_s16(numbers), vget_low_s16(query));
        high = vmlal_s16(high, vget_high_s16(numbers), vget_high_s16(query));
    }
    return vaddvq_s32(vaddq_s32(low, high));
}

#include "score_loops.hpp"

}  // namespace

const Kernels kNeon = {"neon",  kFreshOffset, maxsim,   best_rows, centroid_maxsim,
                       nearest, fill_table,   row_dots};

}  // namespace dejalog

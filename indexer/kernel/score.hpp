// What the scoring kernels take and give; codes.py and reference.py define the arithmetic.
//
// Each instruction set has one file, compiled with flags of its own, that exports one table of
// functions. Headers that such files share hold no function with external linkage: the linker
// would keep one copy of an inline function, perhaps the one that this processor cannot run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dejalog {

//: As in codes.py and arrays.py.
inline constexpr std::size_t kQueryRows = 32, kTableRows = 1 << 16, kDimMax = 512;

//: How `bits` names vectors that are not coded: int8 with a scale each.
inline constexpr int kFresh = 8;

// Tokens `bounds[i]` to `bounds[i + 1]` are those of pattern i; one of the two kinds is null.
// Scored are `patterns`, or, where it is null, the first `count`.
struct Ranges {
    const std::int64_t* wide;
    const std::uint32_t* narrow;
    const std::uint32_t* patterns;
    std::size_t count;
};

// `blocks` times `block_rows` rows; padding rows are zero everywhere.
struct Query {
    const std::int8_t* rows;         // [blocks * block_rows][dim], -127 to 127
    const std::int32_t* bias;        // [blocks * block_rows], added to each dot product
    const float* row_scales;         // [blocks * block_rows]
    double unit;                     // of a score
    std::size_t blocks, block_rows;  // block_rows_of(all rows)
    std::size_t dim;                 // a multiple of 8, up to kDimMax
};

// The token vectors of a shard. Fresh ones have only bytes, width and scales.
struct Tokens {
    int bits;                           // 1, 2, 4 or kFresh
    std::size_t count;                  // of all tokens
    std::size_t width;                  // bytes of a token: dim * bits / 8
    const std::uint8_t* bytes;          // [tokens][width], int8 where fresh
    const float* scales;                // [tokens]
    const std::uint16_t* centroid_ids;  // [tokens]
    const std::uint8_t* norms;          // [tokens]
    const float* norm_values;           // [256]
    const std::uint8_t* weights;        // [16], the 2**bits weights over and over
    const std::int16_t* table;          // [blocks][kTableRows][block_rows]
    int shift;
};

struct Scan {
    Query query;
    Tokens tokens;
    Ranges ranges;
    void* workspace;  // blocks * block_rows * (dim + 32) * 2 bytes, aligned to 64
};

// Everything is row-major; `centroids` are k of int8[dim].
struct Nearest {
    const std::int8_t* codes;
    const float* scales;
    std::size_t tokens;
    const std::int8_t* centroids;
    const float* centroid_scales;
    const float* half_squares;
    std::size_t count, dim;
    void* workspace;  // nearest_bytes(count, dim), aligned to 64
    std::uint16_t* found;
};

// table[b][k][r] = clip(rint(float(rows[i] . centroids[k]) * scales[k] * factors[i])), where i is
// b * block_rows + r.
struct Table {
    const std::int16_t* rows;  // [blocks * block_rows][dim]
    const float* factors;      // [blocks * block_rows]
    std::size_t blocks, block_rows, dim;
    const std::int8_t* centroids;
    const float* centroid_scales;
    std::size_t count;
    void* workspace;  // block_rows * dim * 2 bytes, aligned to 64
    std::int16_t* table;
};

// dots[i] = float(query . codes[i]) * scales[i] * query_scale, for `rows` where it is not null.
struct RowDots {
    const std::int16_t* query;
    float query_scale;
    std::size_t dim;
    const std::int8_t* codes;
    const float* scales;
    const std::uint32_t* rows;
    std::size_t count;
    float* dots;
};

struct Kernels {
    const char* name;
    std::int32_t fresh_offset;  // what this set adds to each number of a fresh vector
    void (*maxsim)(const Scan&, float* scores);
    void (*best_rows)(const Scan&, std::size_t start, std::size_t end, std::int64_t* best,
                      float* similarities);
    void (*centroid_maxsim)(const Scan&, std::int32_t* scores);
    void (*nearest)(const Nearest&);
    void (*fill_table)(const Table&);
    void (*row_dots)(const RowDots&);
};

//: Room for packed centroids, rounded up to whole groups, for any instruction set.
inline constexpr std::size_t kCentroidGroup = 64;

// Defined by the file of each instruction set that this build has.
extern const Kernels kPortable, kAvx2, kVnni, kNeon;

}  // namespace dejalog

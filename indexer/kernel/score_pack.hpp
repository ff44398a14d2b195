// How int8 instructions want a query; included, like score_loops.hpp, where nothing is exported.

// Dims of a packed query: each field of a byte is rounded up to whole quads, by zeros.
template <int kBits>
inline std::size_t packed_dim(const Scan& scan) {
    constexpr std::size_t kFields = 8 / kBits;
    return kFields * ((scan.tokens.width + 3) / 4 * 4);
}

// Lays the rows of each block side by side, [field][quad][kRows][4], so that one load holds the
// same dims of many rows.
template <int kBits, std::size_t kRows>
inline void pack_quads(const Scan& scan) {
    const std::size_t width = scan.tokens.width, padded = (width + 3) / 4 * 4;
    auto* packed = static_cast<std::int8_t*>(scan.workspace);
    for (std::size_t block = 0; block < scan.query.blocks; ++block)
        for (std::size_t field = 0; field < 8 / kBits; ++field)
            for (std::size_t i = 0; i < padded; i += 4)
                for (std::size_t row = 0; row < kRows; ++row)
                    for (std::size_t j = i; j < i + 4; ++j) {
                        const std::size_t source = (block * kRows + row) * scan.query.dim;
                        *packed++ = j < width ? scan.query.rows[source + field * width + j] : 0;
                    }
}

//: How many tokens ahead their table entries are fetched: 16 k centroids fill the L2 cache, and a
//: group of tokens takes longer than the L3 cache.
constexpr std::size_t kPrefetchEntries = 8;

template <int kBits, std::size_t kRows, int kTokens>
inline void prefetch_entries(const Scan& scan, std::size_t block, std::size_t token) {
    const Tokens& tokens = scan.tokens;
    const std::size_t ahead = token + kPrefetchEntries;
    if (kBits == kFresh || ahead + kTokens > tokens.count) return;
    const std::int16_t* table = tokens.table + block * kTableRows * kRows;
    for (std::size_t i = ahead; i < ahead + kTokens; ++i)
        __builtin_prefetch(table + tokens.centroid_ids[i] * kRows);
}

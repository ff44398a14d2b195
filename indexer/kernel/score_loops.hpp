// The loops around the inner products, compiled anew for each instruction set.
//
// A file of an instruction set defines, in its anonymous namespace, what is listed here, and then
// includes this header there. Nothing here allocates, and nothing has external linkage.
//
//   pack_query<bits, rows>(scan): lays the query out in the workspace, maybe by pack_quads
//   Best<rows>: the largest similarity of each query row so far; lowest(), store(float*)
//   kAtOnce<rows>: tokens or centroids whose sums fill the registers, 1, 2, 4 or 8
//   score_tokens<bits, rows, tokens>(scan, block, token, best): raises it by tokens that lie side
//     by side, up to kAtOnce
//   Entries<rows>: a token's table entries; lowest(), raise(const int16*), sum()
//   kTile, TileToken, pack_centroids, pack_tokens, dot_tile: kTile tokens with a centroid group
//   pack_wide<rows>, dot_centroids<rows>: up to kAtOnce centroids with a block of int16 query rows
//   dot_row: one row with one int16 query
//
// `rows` are those of a block: a short query has one of 8 or 16, others have blocks of kQueryRows.

//: Lines fetched ahead for the next candidate: 24 tokens of 96 dims at 4 bits are 18.
constexpr std::size_t kPrefetchLines = 32, kLineBytes = 64;

//: How many candidates ahead the bounds of a pattern are fetched. Its tokens are fetched one ahead:
//: four, eight or sixteen made no difference, it is the bandwidth of scattered lines that limits.
constexpr std::size_t kPrefetchBounds = 8;

template <std::size_t k>
struct Known {
    static constexpr std::size_t value = k;
};

// Calls job with the rows of a block as a type, so that the compiler knows their number.
template <typename Job>
inline void with_rows(std::size_t rows, const Job& job) {
    switch (rows) {
        case 8:
            return job(Known<8>());
        case 16:
            return job(Known<16>());
        default:
            return job(Known<kQueryRows>());
    }
}

inline std::size_t pattern_at(const Ranges& ranges, std::size_t i) {
    return ranges.patterns ? ranges.patterns[i] : i;
}

inline std::size_t bound_at(const Ranges& ranges, std::size_t i) {
    return ranges.wide ? static_cast<std::size_t>(ranges.wide[i]) : ranges.narrow[i];
}

inline void prefetch_lines(const void* start, std::size_t size) {
    const char* bytes = static_cast<const char*>(start);
    const std::size_t end = size < kPrefetchLines * kLineBytes ? size : kPrefetchLines * kLineBytes;
    for (std::size_t at = 0; at < end; at += kLineBytes) __builtin_prefetch(bytes + at);
    if (end) __builtin_prefetch(bytes + end - 1);
}

// Candidates lie anywhere in a memory map, where no processor sees the next one coming.
template <bool kHasBytes>
inline void prefetch_candidate(const Scan& scan, std::size_t i) {
    const Ranges& ranges = scan.ranges;
    const Tokens& tokens = scan.tokens;
    if (!ranges.patterns) return;
    if (i + kPrefetchBounds < ranges.count) {
        const std::size_t far = ranges.patterns[i + kPrefetchBounds];
        if (ranges.wide) __builtin_prefetch(ranges.wide + far);
        if (ranges.narrow) __builtin_prefetch(ranges.narrow + far);
    }
    if (i + 1 >= ranges.count) return;
    const std::size_t next = ranges.patterns[i + 1];
    const std::size_t start = bound_at(ranges, next);
    const std::size_t count = bound_at(ranges, next + 1) - start;
    if (tokens.centroid_ids) prefetch_lines(tokens.centroid_ids + start, count * 2);
    if (!kHasBytes) return;
    if (tokens.norms) prefetch_lines(tokens.norms + start, count);
    if (tokens.scales) prefetch_lines(tokens.scales + start, count * sizeof(float));
    prefetch_lines(tokens.bytes + start * tokens.width, count * tokens.width);
}

// The sum over a block's rows by halves, as reference.py adds them.
template <std::size_t kRows>
inline double total_of(const Best<kRows>& best, const float* row_scales) {
    alignas(64) float values[kRows];
    alignas(64) double sums[kRows];
    best.store(values);
    for (std::size_t row = 0; row < kRows; ++row)
        sums[row] = static_cast<double>(values[row]) * static_cast<double>(row_scales[row]);
    for (std::size_t half = kRows / 2; half > 0; half /= 2)
        for (std::size_t row = 0; row < half; ++row) sums[row] += sums[row + half];
    return sums[0];
}

// As many tokens at once as there are, up to kTokens; then half as many.
template <int kBits, std::size_t kRows, int kTokens>
inline void score_range(const Scan& scan, std::size_t block, std::size_t token, std::size_t end,
                        Best<kRows>& best) {
    for (; token + kTokens <= end; token += kTokens)
        score_tokens<kBits, kRows, kTokens>(scan, block, token, best);
    if constexpr (kTokens > 1)
        score_range<kBits, kRows, kTokens / 2>(scan, block, token, end, best);
}

template <int kBits, std::size_t kRows>
void maxsim_of(const Scan& scan, float* scores) {
    pack_query<kBits, kRows>(scan);
    for (std::size_t i = 0; i < scan.ranges.count; ++i) {
        const std::size_t pattern = pattern_at(scan.ranges, i);
        const std::size_t start = bound_at(scan.ranges, pattern);
        const std::size_t end = bound_at(scan.ranges, pattern + 1);
        prefetch_candidate<true>(scan, i);
        double total = 0;
        for (std::size_t block = 0; block < scan.query.blocks && start < end; ++block) {
            Best<kRows> best = Best<kRows>::lowest();
            score_range<kBits, kRows, kAtOnce<kRows>>(scan, block, start, end, best);
            total += total_of(best, scan.query.row_scales + block * kRows);
        }
        scores[i] = static_cast<float>(scan.query.unit * total);
    }
}

template <int kBits, std::size_t kRows>
void best_rows_of(const Scan& scan, std::size_t start, std::size_t end, std::int64_t* best,
                  float* similarities) {
    pack_query<kBits, kRows>(scan);
    alignas(64) float values[kRows];
    for (std::size_t block = 0; block < scan.query.blocks; ++block) {
        std::int64_t* block_best = best + block * kRows;
        float* block_similarities = similarities + block * kRows;
        for (std::size_t token = start; token < end; ++token) {
            Best<kRows> one = Best<kRows>::lowest();
            score_tokens<kBits, kRows, 1>(scan, block, token, one);
            one.store(values);
            for (std::size_t row = 0; row < kRows; ++row) {
                if (token != start && !(values[row] > block_similarities[row])) continue;
                block_similarities[row] = values[row];
                block_best[row] = static_cast<std::int64_t>(token - start);
            }
        }
    }
}

// Calls job with the bits and the rows of a block as types.
template <typename Job>
inline void with_sizes(const Scan& scan, const Job& job) {
    with_rows(scan.query.block_rows, [&](auto rows) {
        switch (scan.tokens.bits) {
            case 1:
                return job(Known<1>(), rows);
            case 2:
                return job(Known<2>(), rows);
            case 4:
                return job(Known<4>(), rows);
            default:
                return job(Known<kFresh>(), rows);
        }
    });
}

void maxsim(const Scan& scan, float* scores) {
    with_sizes(scan, [&](auto bits, auto rows) {
        maxsim_of<decltype(bits)::value, decltype(rows)::value>(scan, scores);
    });
}

void best_rows(const Scan& scan, std::size_t start, std::size_t end, std::int64_t* best,
               float* similarities) {
    with_sizes(scan, [&](auto bits, auto rows) {
        best_rows_of<decltype(bits)::value, decltype(rows)::value>(scan, start, end, best,
                                                                   similarities);
    });
}

//: Tokens whose entries are looked up without asking whether they were the last.
constexpr std::size_t kStep = 8;

// The largest entries of `count` tokens, at least one. The last step may go over tokens for a
// second time, which changes no maximum: a processor foresees how many steps there are more easily
// than how many tokens.
template <std::size_t kRows>
inline Entries<kRows> largest_entries(const std::int16_t* table, const std::uint16_t* ids,
                                      std::size_t count) {
    Entries<kRows> best = Entries<kRows>::lowest();
    if (count < kStep) {
        for (std::size_t i = 0; i < count; ++i) best.raise(table + ids[i] * kRows);
        return best;
    }
    for (std::size_t at = 0; at < count; at += kStep) {
        const std::uint16_t* step = ids + (at + kStep < count ? at : count - kStep);
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kStep; ++i) best.raise(table + step[i] * kRows);
    }
    return best;
}

template <std::size_t kRows>
void centroid_maxsim_of(const Scan& scan, std::int32_t* scores) {
    const std::uint16_t* ids = scan.tokens.centroid_ids;
    for (std::size_t i = 0; i < scan.ranges.count; ++i) {
        const std::size_t pattern = pattern_at(scan.ranges, i);
        const std::size_t start = bound_at(scan.ranges, pattern);
        const std::size_t end = bound_at(scan.ranges, pattern + 1);
        prefetch_candidate<false>(scan, i);
        std::int32_t total = 0;
        for (std::size_t block = 0; block < scan.query.blocks && start < end; ++block) {
            const std::int16_t* table = scan.tokens.table + block * kTableRows * kRows;
            total += largest_entries<kRows>(table, ids + start, end - start).sum();
        }
        scores[i] = total;
    }
}

void centroid_maxsim(const Scan& scan, std::int32_t* scores) {
    with_rows(scan.query.block_rows, [&](auto rows) {
        centroid_maxsim_of<decltype(rows)::value>(scan, scores);
    });
}

//: Tokens compared with a group of centroids before the next one: 48 of 96 dims are 4.5 KiB, and
//: with what is known of them and 64 centroids they fill half of the smallest L1 cache.
constexpr std::size_t kChunk = 48;

//: Lanes that each keep a best centroid of their own, so that comparing is vector work.
constexpr std::size_t kLanes = 16;

struct Found {
    alignas(64) float values[kChunk][kLanes];
    alignas(64) std::int32_t centroids[kChunk][kLanes];
};

// Raises what is known of one token by the dot products with a group of centroids.
inline void raise_found(const Nearest& job, std::size_t first, const std::int32_t* dots,
                        float scale, float* values, std::int32_t* centroids) {
    for (std::size_t at = 0; at < kCentroidGroup; at += kLanes) {
        const float* scales = job.centroid_scales + first + at;
        const float* halves = job.half_squares + first + at;
        const auto number = static_cast<std::int32_t>(first + at);
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const float product = static_cast<float>(dots[at + lane]) * scales[lane];
            const float value = product * scale - halves[lane];
            const bool is_better = value > values[lane];
            values[lane] = is_better ? value : values[lane];
            centroids[lane] = is_better ? number : centroids[lane];
        }
    }
}

// The largest value, and of equals the lowest centroid; lane l holds the number of its group + l.
inline std::uint16_t lowest_best(const float* values, const std::int32_t* centroids) {
    std::size_t best = 0;
    for (std::size_t lane = 1; lane < kLanes; ++lane) {
        const bool is_lower = centroids[lane] + lane < centroids[best] + best;
        if (values[lane] > values[best] || (values[lane] == values[best] && is_lower)) best = lane;
    }
    return static_cast<std::uint16_t>(centroids[best] + best);
}

// `job` has its centroids padded to whole groups: scale 0 and an infinite half square never win.
void nearest(const Nearest& job) {
    Found found;
    alignas(64) std::int32_t dots[kTile][kCentroidGroup];
    alignas(64) TileToken tokens[kChunk * kDimMax];
    pack_centroids(job);
    for (std::size_t start = 0; start < job.tokens; start += kChunk) {
        const std::size_t count = job.tokens - start < kChunk ? job.tokens - start : kChunk;
        pack_tokens(job, start, count, tokens);
        for (std::size_t i = 0; i < kChunk; ++i)
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
                found.values[i][lane] = -__builtin_inff();
                found.centroids[i][lane] = 0;
            }
        for (std::size_t first = 0; first < job.count; first += kCentroidGroup)
            for (std::size_t tile = 0; tile < count; tile += kTile) {
                dot_tile(job, first, tokens + tile * job.dim, dots);
                for (std::size_t i = 0; i < kTile && tile + i < count; ++i)
                    raise_found(job, first, dots[i], job.scales[start + tile + i],
                                found.values[tile + i], found.centroids[tile + i]);
            }
        for (std::size_t i = 0; i < count; ++i)
            job.found[start + i] = lowest_best(found.values[i], found.centroids[i]);
    }
}

// Rounds to the nearest whole number, halves to even, by what float32 holds beyond 2**22.
inline std::int16_t table_entry(float value) {
    constexpr float kRound = 12'582'912.0F;
    value = value < -32'767.0F ? -32'767.0F : value;
    value = value > 32'767.0F ? 32'767.0F : value;
    return static_cast<std::int16_t>(static_cast<std::int32_t>((value + kRound) - kRound));
}

template <std::size_t kRows>
void fill_table_of(const Table& job) {
    constexpr std::size_t kCentroids = kAtOnce<kRows>;
    alignas(64) std::int32_t dots[kCentroids][kRows];
    for (std::size_t block = 0; block < job.blocks; ++block) {
        pack_wide<kRows>(job.rows + block * kRows * job.dim, job.dim,
                         static_cast<std::int16_t*>(job.workspace));
        const float* factors = job.factors + block * kRows;
        std::int16_t* table = job.table + block * kTableRows * kRows;
        for (std::size_t k = 0; k < job.count; k += kCentroids) {
            const std::size_t count = job.count - k < kCentroids ? job.count - k : kCentroids;
            dot_centroids<kRows>(job, k, count, dots);
            for (std::size_t i = 0; i < count; ++i)
                for (std::size_t row = 0; row < kRows; ++row)
                    table[(k + i) * kRows + row] =
                        table_entry(static_cast<float>(dots[i][row]) * job.centroid_scales[k + i] *
                                    factors[row]);
        }
    }
}

void fill_table(const Table& job) {
    with_rows(job.block_rows, [&](auto rows) { fill_table_of<decltype(rows)::value>(job); });
}

void row_dots(const RowDots& job) {
    for (std::size_t i = 0; i < job.count; ++i) {
        const std::size_t row = job.rows ? job.rows[i] : i;
        if (job.rows && i + kPrefetchBounds < job.count)
            prefetch_lines(job.codes + job.rows[i + kPrefetchBounds] * job.dim, job.dim);
        const auto dot = static_cast<float>(dot_row(job, job.codes + row * job.dim));
        job.dots[i] = dot * job.scales[row] * job.query_scale;
    }
}

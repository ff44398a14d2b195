// The loops around the inner products, compiled anew for each instruction set.
//
// A file of an instruction set defines, in its anonymous namespace, what is listed here, and then
// includes this header there. Nothing here allocates, and nothing has external linkage.
//
//   pack_query<bits>(scan): lays the query out in the workspace, maybe by pack_quads
//   Best: the largest similarity of each query row so far; lowest(), store(float*)
//   score_tokens<bits, tokens>(scan, block, token, best): raises it by tokens that lie side by side
//   Entries: 32 table entries; lowest(), raise(const int16*), sum()
//   kTile, TileToken, pack_centroids, pack_tokens, dot_tile: kTile tokens with a centroid group
//   pack_wide, dot_centroids: centroids with a block of int16 query rows
//   dot_row: one row with one int16 query

//: Lines fetched ahead for the next candidate: 24 tokens of 96 dims at 4 bits are 18.
constexpr std::size_t kPrefetchLines = 32, kLineBytes = 64;

//: How many candidates ahead the bounds of a pattern are fetched.
constexpr std::size_t kPrefetchBounds = 8;

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
    const std::size_t start = bound_at(ranges, ranges.patterns[i + 1]);
    const std::size_t count = bound_at(ranges, ranges.patterns[i + 1] + std::size_t{1}) - start;
    if (tokens.centroid_ids) prefetch_lines(tokens.centroid_ids + start, count * 2);
    if (!kHasBytes) return;
    if (tokens.norms) prefetch_lines(tokens.norms + start, count);
    if (tokens.scales) prefetch_lines(tokens.scales + start, count * sizeof(float));
    prefetch_lines(tokens.bytes + start * tokens.width, count * tokens.width);
}

// The sum over a block's rows by halves, as reference.py adds them.
inline double total_of(const Best& best, const float* row_scales) {
    alignas(64) float values[kQueryRows];
    alignas(64) double sums[kQueryRows];
    best.store(values);
    for (std::size_t row = 0; row < kQueryRows; ++row)
        sums[row] = static_cast<double>(values[row]) * static_cast<double>(row_scales[row]);
    for (std::size_t half = kQueryRows / 2; half > 0; half /= 2)
        for (std::size_t row = 0; row < half; ++row) sums[row] += sums[row + half];
    return sums[0];
}

template <int kBits>
inline void score_range(const Scan& scan, std::size_t block, std::size_t start, std::size_t end,
                        Best& best) {
    std::size_t token = start;
    for (; token + 4 <= end; token += 4) score_tokens<kBits, 4>(scan, block, token, best);
    if (token + 2 <= end) {
        score_tokens<kBits, 2>(scan, block, token, best);
        token += 2;
    }
    if (token < end) score_tokens<kBits, 1>(scan, block, token, best);
}

template <int kBits>
void maxsim_of(const Scan& scan, float* scores) {
    pack_query<kBits>(scan);
    for (std::size_t i = 0; i < scan.ranges.count; ++i) {
        const std::size_t pattern = pattern_at(scan.ranges, i);
        const std::size_t start = bound_at(scan.ranges, pattern);
        const std::size_t end = bound_at(scan.ranges, pattern + 1);
        prefetch_candidate<true>(scan, i);
        double total = 0;
        for (std::size_t block = 0; block < scan.query.blocks && start < end; ++block) {
            Best best = Best::lowest();
            score_range<kBits>(scan, block, start, end, best);
            total += total_of(best, scan.query.row_scales + block * kQueryRows);
        }
        scores[i] = static_cast<float>(scan.query.unit * total);
    }
}

template <int kBits>
void best_rows_of(const Scan& scan, std::size_t start, std::size_t end, std::int64_t* best,
                  float* similarities) {
    pack_query<kBits>(scan);
    alignas(64) float values[kQueryRows];
    for (std::size_t block = 0; block < scan.query.blocks; ++block) {
        std::int64_t* block_best = best + block * kQueryRows;
        float* block_similarities = similarities + block * kQueryRows;
        for (std::size_t token = start; token < end; ++token) {
            Best one = Best::lowest();
            score_tokens<kBits, 1>(scan, block, token, one);
            one.store(values);
            for (std::size_t row = 0; row < kQueryRows; ++row) {
                if (token != start && !(values[row] > block_similarities[row])) continue;
                block_similarities[row] = values[row];
                block_best[row] = static_cast<std::int64_t>(token - start);
            }
        }
    }
}

void maxsim(const Scan& scan, float* scores) {
    switch (scan.tokens.bits) {
        case 1:
            return maxsim_of<1>(scan, scores);
        case 2:
            return maxsim_of<2>(scan, scores);
        case 4:
            return maxsim_of<4>(scan, scores);
        default:
            return maxsim_of<kFresh>(scan, scores);
    }
}

void best_rows(const Scan& scan, std::size_t start, std::size_t end, std::int64_t* best,
               float* similarities) {
    switch (scan.tokens.bits) {
        case 1:
            return best_rows_of<1>(scan, start, end, best, similarities);
        case 2:
            return best_rows_of<2>(scan, start, end, best, similarities);
        case 4:
            return best_rows_of<4>(scan, start, end, best, similarities);
        default:
            return best_rows_of<kFresh>(scan, start, end, best, similarities);
    }
}

void centroid_maxsim(const Scan& scan, std::int32_t* scores) {
    const std::uint16_t* ids = scan.tokens.centroid_ids;
    for (std::size_t i = 0; i < scan.ranges.count; ++i) {
        const std::size_t pattern = pattern_at(scan.ranges, i);
        const std::size_t start = bound_at(scan.ranges, pattern);
        const std::size_t end = bound_at(scan.ranges, pattern + 1);
        prefetch_candidate<false>(scan, i);
        std::int32_t total = 0;
        for (std::size_t block = 0; block < scan.query.blocks && start < end; ++block) {
            const std::int16_t* table = scan.tokens.table + block * kTableRows * kQueryRows;
            Entries best = Entries::lowest();
            for (std::size_t token = start; token < end; ++token)
                best.raise(table + ids[token] * kQueryRows);
            total += best.sum();
        }
        scores[i] = total;
    }
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

void fill_table(const Table& job) {
    constexpr std::size_t kAtOnce = 4;
    alignas(64) std::int32_t dots[kAtOnce][kQueryRows];
    for (std::size_t block = 0; block < job.blocks; ++block) {
        pack_wide(job.rows + block * kQueryRows * job.dim, job.dim,
                  static_cast<std::int16_t*>(job.workspace));
        const float* factors = job.factors + block * kQueryRows;
        std::int16_t* table = job.table + block * kTableRows * kQueryRows;
        for (std::size_t k = 0; k < job.count; k += kAtOnce) {
            const std::size_t count = job.count - k < kAtOnce ? job.count - k : kAtOnce;
            dot_centroids(job, k, count, dots);
            for (std::size_t i = 0; i < count; ++i)
                for (std::size_t row = 0; row < kQueryRows; ++row)
                    table[(k + i) * kQueryRows + row] =
                        table_entry(static_cast<float>(dots[i][row]) * job.centroid_scales[k + i] *
                                    factors[row]);
        }
    }
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

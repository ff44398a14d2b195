#include "select.hpp"

#include <algorithm>
#include <cstring>

#include "score.hpp"

namespace dejalog {

template <typename Bound, typename Number>
bool is_within(const Bound* bounds, std::size_t size, const Number* numbers, std::size_t count,
               std::size_t limit) {
    // Negative bounds become huge, so that one comparison covers both ends.
    const auto at = [&](std::size_t i) { return static_cast<std::uint64_t>(bounds[i]); };
    if (!numbers) {
        bool is_good = size == 0 || at(size - 1) <= limit;
        for (std::size_t i = 1; i < size; ++i) is_good &= at(i - 1) <= at(i);
        return is_good;
    }
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t number = numbers[i];
        if (number + 1 >= size) return false;
        if (at(number) > at(number + 1) || at(number + 1) > limit) return false;
    }
    return true;
}

template bool is_within(const std::int64_t*, std::size_t, const std::uint32_t*, std::size_t,
                        std::size_t);
template bool is_within(const std::uint32_t*, std::size_t, const std::uint32_t*, std::size_t,
                        std::size_t);
template bool is_within(const std::uint32_t*, std::size_t, const std::uint16_t*, std::size_t,
                        std::size_t);

namespace {

// Puts an entry among the best of its column, which are sorted; the worst falls out.
void insert(std::size_t number, std::int32_t value, std::size_t count, std::uint16_t* numbers,
            std::int32_t* values) {
    std::size_t at = count - 1;
    for (; at > 0 && values[at - 1] < value; --at) {
        values[at] = values[at - 1];
        numbers[at] = numbers[at - 1];
    }
    values[at] = value;
    numbers[at] = static_cast<std::uint16_t>(number);
}

// `rows` is a multiple of eight.
bool is_any_greater(const std::int16_t* row, const std::int16_t* floors, std::size_t rows) {
    std::int16_t is_greater = 0;
    for (std::size_t start = 0; start < rows; start += 8)
        for (std::size_t i = start; i < start + 8; ++i)
            is_greater |= static_cast<std::int16_t>(row[i] > floors[i] ? -1 : 0);
    return is_greater != 0;
}

}  // namespace

void best_centroids(const std::int16_t* table, std::size_t block_rows, std::size_t centroids,
                    std::size_t width, std::size_t count, std::uint16_t* numbers,
                    std::int32_t* values) {
    constexpr std::int16_t kNone = -32768;  // below every entry
    std::int16_t floors[kQueryRows];
    std::fill_n(floors, kQueryRows, kNone);
    // Columns of padding never pass.
    std::fill(floors + width, floors + kQueryRows, static_cast<std::int16_t>(32767));
    std::fill_n(values, width * count, std::int32_t{kNone});
    for (std::size_t k = 0; k < centroids; ++k) {
        const std::int16_t* row = table + k * block_rows;
        if (!is_any_greater(row, floors, block_rows)) continue;
        for (std::size_t column = 0; column < width; ++column) {
            if (row[column] <= floors[column]) continue;
            std::int32_t* best = values + column * count;
            insert(k, row[column], count, numbers + column * count, best);
            floors[column] = static_cast<std::int16_t>(best[count - 1]);
        }
    }
}

void probe(const Probing& probing, const Postings& postings, std::int32_t* scores,
           std::uint8_t* marks) {
    std::uint8_t mark = 0;
    for (std::size_t row = 0; row < probing.rows; ++row) {
        // Marks of 255 rows differ; then they start over.
        if (++mark == 0) {
            std::memset(marks, 0, kTableRows);
            mark = 1;
        }
        for (std::size_t i = row * probing.probes; i < (row + 1) * probing.probes; ++i) {
            const std::size_t centroid = probing.centroids[i];
            const std::int32_t gain = probing.gains[i];
            const std::uint32_t end = postings.starts[centroid + 1];
            for (std::uint32_t at = postings.starts[centroid]; at < end; ++at) {
                const std::uint16_t pattern = postings.patterns[at];
                // Lists come best first, so only the first that has a pattern counts.
                scores[pattern] += marks[pattern] == mark ? 0 : gain;
                marks[pattern] = mark;
            }
            if (i + 2 < probing.rows * probing.probes)
                __builtin_prefetch(postings.patterns + postings.starts[probing.centroids[i + 2]]);
        }
    }
}

namespace {

// Orders by score, of equals the first place highest.
template <typename Score>
std::uint64_t key_of(Score score, std::size_t place) {
    std::uint32_t bits;
    if constexpr (sizeof(Score) == 4 && Score(0.5) != 0) {
        const float positive = score + 0.0F;  // -0 becomes 0, its equal
        std::memcpy(&bits, &positive, 4);
        bits = bits >> 31 ? ~bits : bits | 0x8000'0000U;
    } else {
        bits = static_cast<std::uint32_t>(score) ^ 0x8000'0000U;
    }
    return std::uint64_t{bits} << 32 | static_cast<std::uint32_t>(~place);
}

template <typename Score>
bool is_any_above(const Score* scores, std::size_t count, Score floor) {
    std::int32_t is_above = 0;
    for (std::size_t i = 0; i < count; ++i) is_above |= scores[i] > floor ? -1 : 0;
    return is_above != 0;
}

// Keeps the `count` largest keys.
void cut(std::vector<std::uint64_t>& keys, std::size_t count) {
    if (keys.size() <= count) return;
    std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count), keys.end(),
                     std::greater<>());
    keys.resize(count);
}

}  // namespace

template <typename Score>
void find_top(const Score* scores, std::size_t size, std::size_t count, Score least,
              bool has_least, std::vector<std::uint32_t>& places) {
    constexpr std::size_t kStride = 64;
    places.clear();
    if (count == 0) return;
    // Cut when twice as full as needed: each cut is linear, and drops at least half.
    const std::size_t room = 2 * count + 1024;
    std::vector<std::uint64_t> keys;
    keys.reserve(room + kStride);
    for (std::size_t start = 0; start < size; start += kStride) {
        const std::size_t end = std::min(start + kStride, size);
        if (has_least && !is_any_above(scores + start, end - start, least)) continue;
        for (std::size_t i = start; i < end; ++i) {
            const bool is_taken = has_least ? scores[i] > least : scores[i] == scores[i];
            if (is_taken) keys.push_back(key_of(scores[i], i));
        }
        if (keys.size() < room) continue;
        cut(keys, count);
        // What comes later and is not above the worst of these cannot displace it.
        const std::uint64_t worst = *std::min_element(keys.begin(), keys.end());
        least = scores[static_cast<std::uint32_t>(~worst)];
        has_least = true;
    }
    cut(keys, count);
    for (std::uint64_t key : keys) places.push_back(static_cast<std::uint32_t>(~key));
    std::sort(places.begin(), places.end());
}

template void find_top(const std::int32_t*, std::size_t, std::size_t, std::int32_t, bool,
                       std::vector<std::uint32_t>&);
template void find_top(const float*, std::size_t, std::size_t, float, bool,
                       std::vector<std::uint32_t>&);

}  // namespace dejalog

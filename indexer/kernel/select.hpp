// What is done between and after scoring: choosing centroids, adding up lists, the best scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dejalog {

// Whether bounds[i] to bounds[i + 1] lie in 0 to `limit` for all `count` numbers i, or, where
// `numbers` is null, for each i of `size` bounds.
template <typename Bound, typename Number>
bool is_within(const Bound* bounds, std::size_t size, const Number* numbers, std::size_t count,
               std::size_t limit);

// Replaces `numbers` and `values`, both [width][count], by the `count` largest entries of each of
// the first `width` columns of table[centroids][block_rows], best first, ties to the lower number.
void best_centroids(const std::int16_t* table, std::size_t block_rows, std::size_t centroids,
                    std::size_t width, std::size_t count, std::uint16_t* numbers,
                    std::int32_t* values);

struct Postings {
    const std::uint32_t* starts;
    const std::uint16_t* patterns;
};

struct Probing {
    const std::uint16_t* centroids;  // [rows][probes], best first
    const std::int32_t* gains;       // [rows][probes]
    std::size_t rows, probes;
};

// Adds each row's largest gain to every pattern of its lists; `scores` and `marks` have room for
// kTableRows patterns, all zero.
void probe(const Probing& probing, const Postings& postings, std::int32_t* scores,
           std::uint8_t* marks);

// Replaces `places` by where the `count` largest scores above `least` are, ascending.
template <typename Score>
void find_top(const Score* scores, std::size_t size, std::size_t count, Score least,
              bool has_least, std::vector<std::uint32_t>& places);

}  // namespace dejalog

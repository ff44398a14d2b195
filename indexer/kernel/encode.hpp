// Coding: the residual of each vector in few bits a dim, and the inverse norm of what is restored.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dejalog {

struct Encoding {
    const std::int8_t* codes;  // [tokens][dim]
    const float* scales;       // [tokens]
    const std::uint16_t* centroid_ids;
    std::size_t tokens, dim;
    const std::int8_t* centroids;  // [k][dim]
    const float* centroid_scales;
    const float* deviations;          // [dim]
    const float* inverse_deviations;  // [dim]
    const float* cutoffs;             // [2**bits - 1], ascending
    const float* weight_values;       // [2**bits]
    int bits;                         // 1, 2 or 4
    double norm_low, norm_step;
    std::uint8_t* residuals;  // [tokens][dim * bits / 8]
    std::uint8_t* norms;      // [tokens]
};

// As reference.encode, which says what is rounded when.
void encode(const Encoding& job);

}  // namespace dejalog

#include "encode.hpp"

#include <cmath>

#include "score.hpp"

namespace dejalog {
namespace {

constexpr std::size_t kLanes = 8;

// Eight lanes of squares, added by halves.
double square_sum(const float* numbers, std::size_t dim) {
    double lanes[kLanes] = {};
    for (std::size_t start = 0; start < dim; start += kLanes)
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const double number = numbers[start + lane];
            lanes[lane] += number * number;
        }
    for (std::size_t half = kLanes / 2; half > 0; half /= 2)
        for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

std::uint8_t norm_number(const Encoding& job, double squares) {
    if (!(job.norm_step > 0)) return 0;
    const double number = std::nearbyint((1 / std::sqrt(squares) - job.norm_low) / job.norm_step);
    if (!(number > 0)) return 0;
    return number < 255 ? static_cast<std::uint8_t>(number) : 255;
}

template <int kBits>
void encode_token(const Encoding& job, std::size_t token) {
    constexpr int kCutoffs = (1 << kBits) - 1;
    float centroid[kDimMax], restored[kDimMax];
    std::int32_t buckets[kDimMax];
    const std::int8_t* code = job.codes + token * job.dim;
    const std::size_t id = job.centroid_ids[token];
    const std::int8_t* numbers = job.centroids + id * job.dim;
    const float scale = job.scales[token], centroid_scale = job.centroid_scales[id];
    for (std::size_t i = 0; i < job.dim; ++i) {
        centroid[i] = static_cast<float>(numbers[i]) * centroid_scale;
        const float difference = static_cast<float>(code[i]) * scale - centroid[i];
        const float residual = difference * job.inverse_deviations[i];
        std::int32_t bucket = 0;
        for (int cut = 0; cut < kCutoffs; ++cut) bucket += job.cutoffs[cut] <= residual;
        buckets[i] = bucket;
    }
    for (std::size_t i = 0; i < job.dim; ++i)
        restored[i] = centroid[i] + job.deviations[i] * job.weight_values[buckets[i]];
    job.norms[token] = norm_number(job, square_sum(restored, job.dim));

    const std::size_t width = job.dim * kBits / 8;
    std::uint8_t* packed = job.residuals + token * width;
    for (std::size_t i = 0; i < width; ++i) {
        std::int32_t byte = 0;
        for (int field = 0; field < 8 / kBits; ++field)
            byte |= buckets[static_cast<std::size_t>(field) * width + i] << (field * kBits);
        packed[i] = static_cast<std::uint8_t>(byte);
    }
}

}  // namespace

void encode(const Encoding& job) {
    for (std::size_t token = 0; token < job.tokens; ++token) {
        if (job.bits == 1) encode_token<1>(job, token);
        if (job.bits == 2) encode_token<2>(job, token);
        if (job.bits == 4) encode_token<4>(job, token);
    }
}

}  // namespace dejalog

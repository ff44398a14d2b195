// Masking: finds the volatile values of a text. See docs/MASKING.md for what counts as volatile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dejalog {

//: Raised whenever the same text could give another pattern.
inline constexpr int kMaskVersion = 1;

enum Placeholder : std::uint8_t {
    kTime, kDuration, kNumber, kHexId, kUuid, kAddress, kMac, kEmail, kPod, kToken
};

//: Indexed by Placeholder.
inline constexpr std::array<std::string_view, 10> kPlaceholders = {
    "<time>", "<dur>", "<num>", "<hex>", "<uuid>", "<ip>", "<mac>", "<email>", "<pod>", "<token>"};

struct Span {
    Placeholder type;
    std::size_t start, end;  // bytes
};

// Replaces `spans` by the volatile values of `bytes`, in order and disjoint. The text is UTF-8 and
// must end in a NUL, which `size` leaves out. One pass: time grows with `size`.
void find_spans(const char* bytes, std::size_t size, std::vector<Span>& spans);

// Replaces `pattern` by the text with each span's placeholder in place of its value.
void build_pattern(std::string_view text, const std::vector<Span>& spans, std::string& pattern);

}  // namespace dejalog

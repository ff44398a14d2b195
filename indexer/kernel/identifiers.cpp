// Identifiers of fixed shape, random tokens, e-mail addresses, and the words that numbers follow.
#include <array>
#include <initializer_list>

#include "scan.hpp"

namespace dejalog {
namespace {

std::size_t hex_digits_from(const Text& text, std::size_t i, std::size_t limit) {
    std::size_t count = 0;
    while (count < limit && is_hex(text[i + count])) ++count;
    return count;
}

bool is_made_of(const Text& text, std::size_t start, std::size_t end, std::string_view alphabet) {
    for (std::size_t i = start; i < end; ++i)
        if (!is_one_of(text[i], alphabet)) return false;
    return true;
}

// Which kinds of characters a word holds, and how often the kind changes from one to the next.
struct Mixture {
    std::size_t digits = 0, digit_runs = 0, changes = 0;
    bool has_lower = false, has_upper = false;
};

Mixture mixture_of(const Text& text, std::size_t start, std::size_t end) {
    Mixture mix;
    std::uint8_t last = 0;
    for (std::size_t i = start; i < end; ++i) {
        const std::uint8_t kind = class_of(text[i]) & kAlnum;
        mix.has_lower |= kind == kLower;
        mix.has_upper |= kind == kUpper;
        mix.digits += kind == kDigit;
        mix.digit_runs += kind == kDigit && last != kDigit;
        mix.changes += last != 0 && kind != last;
        last = kind;
    }
    return mix;
}

//: Random text changes between capitals, small letters and digits at 62 of 100 places, names in
//: CamelCase at about 30 to 40.
bool is_random(const Text& text, std::size_t start, std::size_t end) {
    const Mixture mix = mixture_of(text, start, end);
    if (!mix.has_lower || !mix.has_upper) return mix.digits >= 4 && mix.digit_runs >= 3;
    return mix.digits >= 2 && mix.changes * 20 >= (end - start) * 9;
}

// The letters that end before `start`, a few marks between them skipped, in lower case; the
// result holds at most as many as `buffer`.
std::string_view word_before(const Text& text, std::size_t start, std::string_view marks,
                             std::array<char, 12>& buffer) {
    std::size_t back = 1;
    while (back <= 4 && is_one_of(text.before(start, back), marks)) ++back;
    std::size_t count = 0;
    while (count < buffer.size() && is_alpha(text.before(start, back + count))) {
        buffer[buffer.size() - 1 - count] = to_lower(text.before(start, back + count));
        ++count;
    }
    return {buffer.data() + buffer.size() - count, count};
}

bool ends_with(std::string_view word, std::string_view end) {
    return word.size() >= end.size() && word.substr(word.size() - end.size()) == end;
}

}  // namespace

std::size_t match_uuid(const Text& text, std::size_t start) {
    std::size_t i = start;
    for (std::size_t length : {8, 4, 4, 4, 12}) {
        if (i != start && text[i++] != '-') return 0;
        if (hex_digits_from(text, i, length) != length) return 0;
        i += length;
    }
    return text.is_boundary(i) ? i : 0;
}

// Six or more pairs of hexadecimal digits between colons, or between hyphens.
std::size_t match_mac(const Text& text, std::size_t start) {
    const char mark = text[start + 2];
    if (mark != ':' && mark != '-') return 0;
    std::size_t i = start, pairs = 0;
    while (hex_digits_from(text, i, 2) == 2 && text.is_boundary(i + 2)) {
        ++pairs;
        i += 2;
        if (text[i] != mark) break;
        ++i;
    }
    if (pairs < 6) return 0;
    return text[i - 1] == mark ? i - 1 : i;
}

// Eight groups, or fewer around a "::" where the first is that of an address in use (2000::/3,
// fc00::/7, fe80::/10, ff00::/8), so that scopes such as "abc::d1" stay.
std::size_t match_ipv6(const Text& text, std::size_t start) {
    std::size_t i = start, end = start, groups = 0;
    bool has_gap = false;
    while (groups < 8) {
        const std::size_t count = hex_digits_from(text, i, 5);
        if (count == 0 || count > 4 || !text.is_boundary(i + count)) break;
        ++groups;
        end = i += count;
        if (text[i] != ':') break;
        ++i;
        if (text[i] == ':' && !has_gap) {
            has_gap = true;
            end = ++i;
        }
    }
    if (!has_gap) return groups == 8 ? end : 0;
    const char first = to_lower(text[start]), second = to_lower(text[start + 1]);
    const bool is_in_use =
        first == '2' || first == '3' || (first == 'f' && is_one_of(second, "cdef"));
    return is_in_use && hex_digits_from(text, start, 5) == 4 ? end : 0;
}

// The last two parts of a Kubernetes pod's name: a hash of its template, which is a decimal number
// spelt in ten characters, and five random characters of an alphabet without vowels
// (k8s.io/apimachinery/pkg/util/rand).
std::size_t match_pod_suffix(const Text& text, std::size_t start, std::size_t word_end) {
    constexpr std::string_view kHashAlphabet = "456789bcdf";
    constexpr std::string_view kRandomAlphabet = "bcdfghjklmnpqrstvwxz2456789";
    const std::size_t length = word_end - start, end = word_end + 6;
    if (text[word_end] != '-' || length < 7 || length > 10) return 0;
    if (text.before(start, 1) != '-' || !is_alnum(text.before(start, 2))) return 0;
    if (!is_made_of(text, start, word_end, kHashAlphabet)) return 0;
    if (!is_made_of(text, word_end + 1, end, kRandomAlphabet)) return 0;
    return text.is_boundary(end) ? end : 0;
}

// A JSON Web Token, by the "{" and quote in base64 that each starts with.
std::size_t match_jwt(const Text& text, std::size_t start, std::size_t word_end) {
    if (word_end - start < 10 || !text.has(start, "eyJ")) return 0;
    std::size_t i = word_end;
    while (true) {
        while (is_alnum(text[i]) || text[i] == '-' || text[i] == '_') ++i;
        if (text[i] != '.' || !is_alnum(text[i + 1])) return i;
        ++i;
    }
}

// A word of 24 or more random characters, with what base64 joins to it.
std::size_t match_random_token(const Text& text, std::size_t start, std::size_t word_end) {
    if (word_end - start < 24 || !is_random(text, start, word_end)) return 0;
    std::size_t end = word_end;
    while (is_one_of(text[end], "+/_-")) {
        const std::size_t part_end = text.alnum_end(end + 1);
        const Mixture mix = mixture_of(text, end + 1, part_end);
        if (!mix.has_lower || !mix.has_upper) break;
        end = part_end;
    }
    for (int count = 0; count < 2 && text[end] == '='; ++count) ++end;
    return end;
}

// The random part of a temporary file's name: all of tmpab12cd3x, or what follows "tmp.".
std::size_t match_temporary_name(const Text& text, std::size_t start, std::size_t word_end) {
    const std::size_t length = word_end - start;
    if (length == 11 && text.has(start, "tmp")) {
        const Mixture mix = mixture_of(text, start + 3, word_end);
        return mix.has_upper || mix.digits == 0 ? 0 : word_end;
    }
    if (length < 6 || length > 12) return 0;
    for (std::size_t back = 1; back <= 4; ++back)
        if (text.before(start, back) != ".pmt"[back - 1]) return 0;
    const Mixture mix = mixture_of(text, start, word_end);
    return mix.has_lower && mix.has_upper && mix.digits > 0 ? word_end : 0;
}

Range match_email(const Text& text, std::size_t at) {
    //: The longest local part of RFC 5321, and the longest domain.
    constexpr std::size_t kLocalBytes = 64, kDomainBytes = 255;
    std::size_t start = at;
    while (start > text.masked_to && at - start <= kLocalBytes &&
           (is_alnum(text[start - 1]) || is_one_of(text[start - 1], "._%+-")))
        --start;
    if (at - start > kLocalBytes || start == at || !is_alnum(text[at - 1])) return {0, 0};
    while (!is_alnum(text[start])) ++start;

    std::size_t end = 0, i = at + 1, labels = 0;
    bool is_word_alone = true;  // the label holds no hyphen so far
    while (i - at < kDomainBytes) {
        const std::size_t word = i;
        while (is_alpha(text[i])) ++i;
        const bool is_letters = i - word >= 2 && text.is_boundary(i);
        if (is_letters && is_word_alone && labels > 0) end = i;
        i = text.alnum_end(i);
        if (i == word || (text[i] != '.' && text[i] != '-')) break;
        is_word_alone = text[i] == '.';
        labels += is_word_alone;
        ++i;
    }
    return {start, end};
}

bool follows_code_word(const Text& text, std::size_t start) {
    std::array<char, 12> buffer{};
    const std::string_view word = word_before(text, start, " :=#(\"'[-", buffer);
    for (std::string_view end : {"error", "errno", "code", "status", "fault", "alarm", "eventid",
                                 "exception", "hresult", "reason", "diagnostic", "register"})
        if (ends_with(word, end)) return true;
    return word == "err" || word == "rc" || word == "dtc";
}

bool follows_process_word(const Text& text, std::size_t start) {
    std::array<char, 12> buffer{};
    const std::string_view word = word_before(text, start, " :=\"'", buffer);
    return word == "pid" || word == "ppid" || word == "tid";
}

bool follows_version_word(const Text& text, std::size_t start) {
    std::array<char, 12> buffer{};
    const std::string_view word = word_before(text, start, " :=\"'(", buffer);
    for (std::string_view name :
         {"ver", "version", "rev", "revision", "rel", "release", "firmware", "fw", "software",
          "sw", "hw", "build", "driver", "patch", "tls", "tlsv", "ssl", "sslv", "http", "api",
          "java", "jdk", "python", "kernel", "linux", "ua", "protocol", "section"})
        if (word == name) return true;
    return ends_with(word, "version");
}

}  // namespace dejalog

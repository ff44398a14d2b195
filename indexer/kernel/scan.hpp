// What a matcher may know about the text around it: character classes and context.
//
// Masking a pattern again must change nothing. Three rules keep that true; every matcher obeys:
//  1. Left context is read through before(), which shows '>' in place of a value already masked,
//     so the left of a value looks the same in the text and in its pattern.
//  2. A match is refused only for what it covers or for the one byte behind it, by is_boundary().
//     A match that could go on further and fails there is taken as far as it was good.
//  3. No value contains '<' or '>'.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dejalog {

enum CharClass : std::uint8_t {
    kDigit = 1,
    kLower = 2,
    kUpper = 4,
    kBeyondHex = 8,  // a letter after f
    kAlpha = kLower | kUpper,
    kAlnum = kDigit | kAlpha,
};

constexpr std::array<std::uint8_t, 256> make_classes() {
    std::array<std::uint8_t, 256> table{};
    for (int c = '0'; c <= '9'; ++c) table[c] = kDigit;
    for (int c = 'a'; c <= 'z'; ++c) table[c] = kLower | (c > 'f' ? kBeyondHex : 0);
    for (int c = 'A'; c <= 'Z'; ++c) table[c] = kUpper | (c > 'F' ? kBeyondHex : 0);
    return table;
}

inline constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

inline std::uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
inline bool is_digit(char c) { return class_of(c) & kDigit; }
inline bool is_upper(char c) { return class_of(c) & kUpper; }
inline bool is_alpha(char c) { return class_of(c) & kAlpha; }
inline bool is_alnum(char c) { return class_of(c) & kAlnum; }
inline bool is_hex(char c) { return is_alnum(c) && !(class_of(c) & kBeyondHex); }
inline char to_lower(char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; }

inline bool is_one_of(char c, std::string_view set) {
    return c != '\0' && set.find(c) != std::string_view::npos;
}

//: A run of digits this long is a value even inside a word.
inline constexpr std::size_t kLongRun = 7;

// UTF-8 bytes that end in a NUL (not counted), and how far they have been masked. A matcher reads
// forward byte by byte and stops at the first that does not fit, so the NUL bounds every read.
struct Text {
    const char* bytes;
    std::size_t size;
    std::size_t masked_to = 0;  // end of the last masked value

    char operator[](std::size_t i) const { return bytes[i]; }

    // The byte `back` places before `i`, as the pattern shows it; a newline before the text.
    char before(std::size_t i, std::size_t back) const {
        if (i < back) return '\n';
        return i - back < masked_to ? '>' : bytes[i - back];
    }

    // True where nothing goes on from the byte before `i`. A long run of digits after a letter is
    // cut out of its word, so a word ends before it too.
    bool is_boundary(std::size_t i) const {
        if (!is_alnum(bytes[i])) return true;
        return is_alpha(bytes[i - 1]) && digits_from(i, kLongRun) == kLongRun;
    }

    // Number of digits from `i` on, at most `limit`.
    std::size_t digits_from(std::size_t i, std::size_t limit) const {
        std::size_t count = 0;
        while (count < limit && is_digit(bytes[i + count])) ++count;
        return count;
    }

    std::size_t alnum_end(std::size_t i) const {
        while (is_alnum(bytes[i])) ++i;
        return i;
    }

    bool has(std::size_t i, std::string_view expected) const {
        for (std::size_t k = 0; k < expected.size(); ++k)
            if (bytes[i + k] != expected[k]) return false;
        return true;
    }
};

// Matchers take the start of a word and return the end of the value, or 0 where there is none.

// A date, a time of day, or both, in any form that docs/MASKING.md lists (times.cpp).
std::size_t match_time(const Text& text, std::size_t start);
// The same, where it starts with the name of a month or weekday.
std::size_t match_named_time(const Text& text, std::size_t start);
// End of a unit of time at `start`, one space before it allowed; `fast` takes only those below a
// second, which are measured far more often than they are set.
std::size_t match_time_unit(const Text& text, std::size_t start, bool fast);
// Durations as Go writes them: 1h2m3.5s, 4m0s.
std::size_t match_compound_duration(const Text& text, std::size_t start);

// Addresses and identifiers of fixed shape (identifiers.cpp).
std::size_t match_uuid(const Text& text, std::size_t start);
std::size_t match_mac(const Text& text, std::size_t start);
std::size_t match_ipv6(const Text& text, std::size_t start);
std::size_t match_pod_suffix(const Text& text, std::size_t start, std::size_t word_end);
std::size_t match_jwt(const Text& text, std::size_t start, std::size_t word_end);
std::size_t match_random_token(const Text& text, std::size_t start, std::size_t word_end);
std::size_t match_temporary_name(const Text& text, std::size_t start, std::size_t word_end);
// Both ends of the e-mail address around the '@' at `at`; end 0 where there is none.
struct Range {
    std::size_t start, end;
};
Range match_email(const Text& text, std::size_t at);

// What stands before a number tells what it is: "error 10061", "pid 2088", "firmware 2.4".
bool follows_code_word(const Text& text, std::size_t start);
bool follows_process_word(const Text& text, std::size_t start);
bool follows_version_word(const Text& text, std::size_t start);

}  // namespace dejalog

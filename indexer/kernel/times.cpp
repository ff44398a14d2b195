// Dates, times of day and durations.
#include <initializer_list>

#include "scan.hpp"

namespace dejalog {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view kWeekdays = "MonTueWedThuFriSatSun";

bool is_name_of(const Text& text, std::size_t i, std::string_view names) {
    for (std::size_t k = 0; k < names.size(); k += 3)
        if (text.has(i, names.substr(k, 3))) return true;
    return false;
}

// Reads `least` to `most` digits at `i` whose value lies in [low, high] and moves `i` past them.
bool read_number(const Text& text, std::size_t& i, std::size_t least, std::size_t most, int low,
                 int high) {
    const std::size_t count = text.digits_from(i, most);
    if (count < least) return false;
    int value = 0;
    for (std::size_t k = 0; k < count; ++k) value = value * 10 + (text[i + k] - '0');
    if (value < low || value > high) return false;
    i += count;
    return true;
}

bool read_year(const Text& text, std::size_t& i) { return read_number(text, i, 4, 4, 1900, 2099); }
bool read_month(const Text& text, std::size_t& i, std::size_t least) {
    return read_number(text, i, least, 2, 1, 12);
}
bool read_day(const Text& text, std::size_t& i, std::size_t least) {
    return read_number(text, i, least, 2, 1, 31);
}

// End of a UTC offset at `i` (+01:00, -0800), else 0.
std::size_t match_offset(const Text& text, std::size_t i) {
    if (text[i] != '+' && text[i] != '-') return 0;
    ++i;
    if (!read_number(text, i, 2, 2, 0, 14)) return 0;
    if (text[i] == ':') ++i;
    if (!read_number(text, i, 2, 2, 0, 45)) return 0;
    return is_one_of(text[i - 1], "05") && text.is_boundary(i) ? i : 0;
}

std::size_t match_zone_name(const Text& text, std::size_t i) {
    for (std::string_view name : {"UTC", "GMT", "CST", "CET", "CEST", "EST", "EDT", "PST", "PDT",
                                  "MST", "MDT", "CDT", "JST", "BST", "IST", "EET", "MSK", "Z"})
        if (text.has(i, name) && text.is_boundary(i + name.size())) return i + name.size();
    return 0;
}

std::size_t skip_half(const Text& text, std::size_t i) {
    const std::size_t half = text[i] == ' ' ? i + 1 : i;
    for (std::string_view name : {"AM", "PM", "am", "pm"})
        if (text.has(half, name) && text.is_boundary(half + 2)) return half + 2;
    return i;
}

// Half of the day and zone behind a time of day that ends at `i`; `i` itself where there are none.
std::size_t skip_half_and_zone(const Text& text, std::size_t i) {
    i = skip_half(text, i);
    if (std::size_t end = match_offset(text, i)) return end;
    const std::size_t zone = text[i] == ' ' ? i + 1 : i;
    if (std::size_t end = match_zone_name(text, zone)) return end;
    if (std::size_t end = match_offset(text, zone)) return end;
    return i;
}

// End of the fraction of a second at `i`, zone included; 0 where there is none.
std::size_t match_fraction(const Text& text, std::size_t i, bool loose) {
    const char mark = text[i];
    if (mark != '.' && mark != ',' && !(loose && mark == ':')) return 0;
    const std::size_t count = text.digits_from(i + 1, 10);
    if (count == 0 || count > 9 || text[i + 1 + count] == ':') return 0;
    const std::size_t end = skip_half_and_zone(text, i + 1 + count);
    return text.is_boundary(end) ? end : 0;
}

// h:mm:ss with fraction and zone. `loose` also takes single digits and a colon before the
// fraction: "0:5:9:323".
std::size_t match_clock(const Text& text, std::size_t i, bool loose, char mark = ':') {
    const std::size_t least = loose ? 1 : 2;
    if (!read_number(text, i, 1, 2, 0, 24) || text[i] != mark) return 0;
    if (!read_number(text, ++i, least, 2, 0, 59) || text[i] != mark) return 0;
    if (!read_number(text, ++i, least, 2, 0, 60)) return 0;
    if (std::size_t end = match_fraction(text, i, loose)) return end;
    const std::size_t end = skip_half_and_zone(text, i);
    return text.is_boundary(end) ? end : 0;
}

// hh:mm, which is a time only behind a date or (`needs_half`) before AM and PM.
std::size_t match_short_clock(const Text& text, std::size_t i, bool needs_half) {
    if (!read_number(text, i, 1, 2, 0, 24) || text[i] != ':') return 0;
    if (!read_number(text, ++i, 2, 2, 0, 59)) return 0;
    if (needs_half && skip_half(text, i) == i) return 0;
    const std::size_t end = skip_half_and_zone(text, i);
    return text.is_boundary(end) ? end : 0;
}

// hhmmss[.fraction][zone]
std::size_t match_packed_clock(const Text& text, std::size_t i) {
    for (int high : {23, 59, 60})
        if (!read_number(text, i, 2, 2, 0, high)) return 0;
    if (std::size_t end = match_fraction(text, i, false)) return end;
    const std::size_t end = skip_half_and_zone(text, i);
    return text.is_boundary(end) ? end : 0;
}

// The end of a date that ends at `date_end`, with the time of day behind it where there is one.
std::size_t extend_date(const Text& text, std::size_t date_end) {
    std::size_t i = date_end;
    if (text[i] == ',') ++i;
    if (is_one_of(text[i], "Tt -:_/")) {
        if (std::size_t end = match_clock(text, i + 1, false)) return end;
        if (std::size_t end = match_short_clock(text, i + 1, false)) return end;
        if (text[i] == '-')
            if (std::size_t end = match_clock(text, i + 1, false, '.')) return end;
    }
    return text.is_boundary(date_end) ? date_end : 0;
}

// 2023-01-29, 2023/1/9, 2005.06.03
std::size_t match_year_first(const Text& text, std::size_t start) {
    std::size_t i = start;
    if (!read_year(text, i) || !is_one_of(text[i], "-/.")) return 0;
    const char mark = text[i];
    const std::size_t least = mark == '/' ? 1 : 2;
    if (!read_month(text, ++i, least) || text[i] != mark) return 0;
    if (!read_day(text, ++i, least)) return 0;
    if (mark == '.') {  // else a version: 2023.01.29.1
        if (text[i] == '.' && is_digit(text[i + 1])) return 0;
        if (follows_version_word(text, start)) return 0;
    }
    return extend_date(text, i);
}

// 29/01/2023, 1/29/2023, 29.01.2023, 01-29-2023
std::size_t match_year_last(const Text& text, std::size_t start) {
    std::size_t i = start;
    const std::size_t least = text[start + 1] == '/' ? 1 : 2;
    if (!read_day(text, i, least) || !is_one_of(text[i], "/.-")) return 0;
    const char mark = text[i];
    if (!read_day(text, ++i, mark == '/' ? 1 : 2) || text[i] != mark) return 0;
    return read_year(text, ++i) ? extend_date(text, i) : 0;
}

// 29 Jan 2023, 29/Jan/2023:08:48:16 +0000, 29-Jan-2023
std::size_t match_day_and_name(const Text& text, std::size_t start) {
    std::size_t i = start;
    if (!read_day(text, i, 1) || !is_one_of(text[i], " /-")) return 0;
    const char mark = text[i];
    if (!is_name_of(text, i + 1, kMonths) || text[i + 4] != mark) return 0;
    i += 5;
    return read_year(text, i) ? extend_date(text, i) : 0;
}

// 03-17 16:13:38.859
std::size_t match_month_and_day(const Text& text, std::size_t i) {
    if (!read_month(text, i, 2) || text[i] != '-') return 0;
    if (!read_day(text, ++i, 2) || text[i] != ' ') return 0;
    return match_clock(text, i + 1, false);
}

// 20171223-22:15:29:635, 20230129T084816Z
std::size_t match_packed_date(const Text& text, std::size_t i) {
    if (!read_year(text, i) || !read_month(text, i, 2) || !read_day(text, i, 2)) return 0;
    if (!is_one_of(text[i], "Tt-_ ")) return 0;
    if (std::size_t end = match_clock(text, i + 1, true)) return end;
    return match_packed_clock(text, i + 1);
}

// 081109 204106, which is six digits and six digits and so a time only where a line starts.
std::size_t match_short_packed(const Text& text, std::size_t i) {
    if (text.before(i, 1) != '\n' || !read_number(text, i, 2, 2, 0, 99)) return 0;
    if (!read_month(text, i, 2) || !read_day(text, i, 2) || text[i] != ' ') return 0;
    return match_packed_clock(text, i + 1);
}

// End of " 2013" behind a time that ends at `i`, a zone's name between them allowed.
std::size_t skip_year_behind(const Text& text, std::size_t i) {
    std::size_t year = i;
    if (text[year] == ' ' && is_upper(text[year + 1])) {
        ++year;
        for (std::size_t count = 0; count < 5 && is_upper(text[year]); ++count) ++year;
    }
    if (text[year] != ' ') return i;
    ++year;
    return read_year(text, year) && text.is_boundary(year) ? year : i;
}

// Jun 15 02:04:59, May 04 12:46:52 CST 2013, Jan 29, 2023 8:48:16 AM
std::size_t match_month_name(const Text& text, std::size_t i) {
    if (!is_name_of(text, i, kMonths) || text[i + 3] != ' ') return 0;
    i += text[i + 4] == ' ' ? 5 : 4;
    if (!read_day(text, i, 1)) return 0;
    if (text[i] == ' ')
        if (std::size_t end = match_clock(text, i + 1, false)) return skip_year_behind(text, end);
    if (text[i] == ',') ++i;
    if (text[i] != ' ') return 0;
    return read_year(text, ++i) ? extend_date(text, i) : 0;
}

}  // namespace

std::size_t match_time(const Text& text, std::size_t start) {
    // How many digits the value starts with names the few forms it can have.
    switch (text.digits_from(start, 9)) {
        case 1:
        case 2: {
            const std::size_t mark = start + text.digits_from(start, 2);
            if (text[mark] == ':') {
                if (std::size_t end = match_clock(text, start, false)) return end;
                return match_short_clock(text, start, true);
            }
            if (!is_one_of(text[mark], "-/. ")) return 0;
            if (std::size_t end = match_day_and_name(text, start)) return end;
            if (std::size_t end = match_year_last(text, start)) return end;
            return match_month_and_day(text, start);
        }
        case 4:
            return match_year_first(text, start);
        case 6:
            return match_short_packed(text, start);
        case 8:
            return match_packed_date(text, start);
        default:
            return 0;
    }
}

std::size_t match_named_time(const Text& text, std::size_t start) {
    if (std::size_t end = match_month_name(text, start)) return end;
    if (!is_name_of(text, start, kWeekdays)) return 0;
    std::size_t i = start + 3;
    if (text[i] == ',') ++i;
    if (text[i] != ' ') return 0;
    if (std::size_t end = match_month_name(text, i + 1)) return end;
    return match_day_and_name(text, i + 1);
}

std::size_t match_time_unit(const Text& text, std::size_t start, bool fast) {
    const std::size_t i = text[start] == ' ' ? start + 1 : start;
    // The two micro signs of Unicode, as UTF-8.
    for (std::string_view name :
         {"ms", "us", "ns", "msec", "msecs", "millis", "millisecond", "milliseconds", "usec",
          "microsecond", "microseconds", "nanosecond", "nanoseconds", "\xc2\xb5s", "\xce\xbcs"})
        if (text.has(i, name) && text.is_boundary(i + name.size())) return i + name.size();
    if (fast) return 0;
    for (std::string_view name : {"s", "sec", "secs", "second", "seconds", "min", "mins", "minute",
                                  "minutes", "hr", "hrs", "hour", "hours"})
        if (text.has(i, name) && text.is_boundary(i + name.size())) return i + name.size();
    return 0;
}

std::size_t match_compound_duration(const Text& text, std::size_t start) {
    std::size_t i = start, parts = 0;
    for (char unit : {'h', 'm'}) {
        const std::size_t count = text.digits_from(i, 6);
        if (count == 0 || text[i + count] != unit) continue;
        i += count + 1;
        ++parts;
    }
    const std::size_t count = text.digits_from(i, 6);
    if (parts == 0 || count == 0) return 0;
    i += count;
    if (text[i] == '.' && is_digit(text[i + 1])) i += 1 + text.digits_from(i + 1, 9);
    return text[i] == 's' && text.is_boundary(i + 1) ? i + 1 : 0;
}

}  // namespace dejalog

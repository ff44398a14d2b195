// Walks over a text word by word and decides for each whether it is a volatile value.
#include "mask.hpp"

#include "scan.hpp"

namespace dejalog {
namespace {

//: Longer words are kept or masked whole, which keeps the walk linear.
constexpr std::size_t kLongestCutWord = 64;

class Scanner {
  public:
    Scanner(const char* bytes, std::size_t size, std::vector<Span>& spans)
        : text_{bytes, size}, spans_(spans) {}

    void run() {
        while (at_ < text_.size) {
            const char c = text_[at_];
            if (is_alnum(c)) {
                take_word();
            } else if (c == '<') {
                skip_placeholder();
            } else if (c == '@') {
                take_email();
            } else {
                ++at_;
            }
        }
    }

  private:
    void mask(Placeholder type, std::size_t start, std::size_t end) {
        spans_.push_back({type, start, end});
        text_.masked_to = at_ = end;
    }

    bool mask_if(Placeholder type, std::size_t end) {
        if (end == 0) return false;
        mask(type, at_, end);
        return true;
    }

    // A minus sign belongs to the number behind it, where it does not join two words.
    void mask_number(std::size_t end, Placeholder type = kNumber) {
        const bool is_signed = text_.before(at_, 1) == '-' &&
                               (is_one_of(text_.before(at_, 2), " \t\n([{=:,;|\"'_/#"));
        mask(type, is_signed ? at_ - 1 : at_, end);
    }

    void skip_placeholder() {
        for (std::string_view name : kPlaceholders) {
            if (!text_.has(at_, name)) continue;
            const bool opens_line = text_.before(at_, 1) == '\n';
            at_ += name.size();
            if (opens_line && name == kPlaceholders[kTime]) mask_header_numbers();
            return;
        }
        ++at_;
    }

    void take_email() {
        const Range email = match_email(text_, at_);
        if (email.end != 0) {
            mask(kEmail, email.start, email.end);
        } else {
            ++at_;
        }
    }

    // A word is a run of ASCII letters and digits. Most hold letters only and are passed over.
    void take_word() {
        std::uint8_t classes = 0;
        std::size_t end = at_;
        while (std::uint8_t kind = class_of(text_[end]) & (kAlnum | kBeyondHex)) {
            classes |= kind;
            ++end;
        }
        const std::size_t length = end - at_;
        if (!(classes & kBeyondHex) && take_grouped(end, length)) return;
        if (length >= 10 && mask_if(kToken, match_jwt(text_, at_, end))) return;
        if (classes & kDigit) {
            take_word_with_digit(end, classes);
        } else {
            const bool may_be_name = length == 3 && is_upper(text_[at_]);
            if (!may_be_name || !take_time(match_named_time(text_, at_))) at_ = end;
        }
    }

    bool take_grouped(std::size_t end, std::size_t length) {
        const char mark = text_[end];
        if (mark == '-' && length == 8 && mask_if(kUuid, match_uuid(text_, at_))) return true;
        if ((mark == ':' || mark == '-') && length == 2 && mask_if(kMac, match_mac(text_, at_)))
            return true;
        return mark == ':' && length <= 4 && mask_if(kAddress, match_ipv6(text_, at_));
    }

    bool take_time(std::size_t end) {
        const bool opens_line = text_.before(at_, 1) == '\n';
        if (!mask_if(kTime, end)) return false;
        if (opens_line) mask_header_numbers();
        return true;
    }

    void take_word_with_digit(std::size_t end, std::uint8_t classes) {
        if (!(classes & (kUpper | kBeyondHex)) && mask_if(kPod, match_pod_suffix(text_, at_, end)))
            return;
        if (is_digit(text_[at_]) && take_time(match_time(text_, at_))) return;
        const std::size_t digits_end = is_digit(text_[at_]) ? skip_digits(at_) : at_;
        if (digits_end > at_ && text_[digits_end] == '.' && is_digit(text_[digits_end + 1])) {
            take_dotted(digits_end);
        } else if (digits_end == end) {
            take_integer(end);
        } else {
            take_mixed(end, classes);
        }
    }

    std::size_t skip_digits(std::size_t i) const {
        while (is_digit(text_[i])) ++i;
        return i;
    }

    // Whether the word at at_ goes on from a word before it: "-2" in "P-2", ".2" in "v1.2".
    bool is_joined() const {
        return is_one_of(text_.before(at_, 1), "-_.") && is_alnum(text_.before(at_, 2));
    }

    // Digits this many are a value; behind a capital or another digit they may be part of a code.
    std::size_t long_run_here() const {
        if (!is_joined()) return kLongRun;
        return is_code_joined() ? kLongRun + 1 : kLongRun;
    }

    bool is_code_joined() const {
        const char last = text_.before(at_, 2);
        return is_joined() && (is_upper(last) || is_digit(last));
    }

    // Digits with dots between them: a decimal, an IPv4 address, or a version or object identifier.
    void take_dotted(std::size_t end) {
        std::size_t dots = 0, widest = end - at_;
        bool is_bytes = octet(at_, end);
        while (text_[end] == '.' && is_digit(text_[end + 1])) {
            const std::size_t part = end + 1;
            end = skip_digits(part);
            widest = end - part > widest ? end - part : widest;
            is_bytes = is_bytes && octet(part, end);
            ++dots;
        }
        if (dots == 3 && is_bytes && text_.is_boundary(end) && !is_joined() &&
            !follows_version_word(text_, at_)) {
            mask(kAddress, at_, skip_ephemeral_port(end));
        } else if (dots != 1 || !take_decimal(end)) {
            at_ = text_.alnum_end(end);
        }
    }

    bool octet(std::size_t start, std::size_t end) const {
        int value = 0;
        for (std::size_t i = start; i < end; ++i) value = value * 10 + (text_[i] - '0');
        return end - start <= 3 && value <= 255;
    }

    // Ports of five digits are handed out at random; shorter ones name a service (502 is Modbus).
    std::size_t skip_ephemeral_port(std::size_t i) const {
        const bool has_port = text_[i] == ':' && text_.digits_from(i + 1, 6) == 5;
        return has_port && text_.is_boundary(i + 6) ? i + 6 : i;
    }

    bool take_decimal(std::size_t end) {
        const bool is_product = text_.before(at_, 1) == '/' && is_alpha(text_.before(at_, 2));
        if (is_joined() || is_product || follows_version_word(text_, at_)) return false;
        if (std::size_t unit_end = match_time_unit(text_, end, false)) {
            mask_number(unit_end, kDuration);
            return true;
        }
        end = skip_exponent(end);
        std::size_t letters_end = end;
        while (letters_end - end <= 4 && is_alpha(text_[letters_end])) ++letters_end;
        if (letters_end - end > 4 || !text_.is_boundary(letters_end)) return false;
        mask_number(end);
        return true;
    }

    std::size_t skip_exponent(std::size_t i) const {
        if ((text_[i] | 32) != 'e') return i;
        const std::size_t digits = text_[i + 1] == '-' || text_[i + 1] == '+' ? i + 2 : i + 1;
        const std::size_t count = text_.digits_from(digits, 4);
        return count > 0 && count < 4 && text_.is_boundary(digits + count) ? digits + count : i;
    }

    void take_integer(std::size_t end) {
        const std::size_t length = end - at_;
        if (!is_joined()) {
            if (std::size_t unit_end = match_time_unit(text_, end, true)) {
                mask_number(unit_end, kDuration);
                return;
            }
        }
        const bool is_long = length >= 5 && !(length < kLongRun + 1 && is_code_joined());
        const bool is_code = length <= 10 && is_long && follows_code_word(text_, at_);
        if (is_process_id(end) || (is_long && !is_code)) {
            //: Eight digits that start with a zero are a register more often than a count.
            mask_number(end, length == 8 && text_[at_] == '0' ? kHexId : kNumber);
        } else {
            at_ = end;
        }
    }

    // "sshd[2088]:" and "pid 2088"; one or two digits name something that is always there.
    bool is_process_id(std::size_t end) const {
        if (end - at_ < 3) return false;
        const char owner = text_.before(at_, 2);
        const bool is_tag = text_.before(at_, 1) == '[' && (is_alnum(owner) || owner == ')');
        return (is_tag && text_.has(end, "]:")) || follows_process_word(text_, at_);
    }

    // A word of letters and digits: a hexadecimal or random identifier, or a code that stays.
    void take_mixed(std::size_t end, std::uint8_t classes) {
        const std::size_t length = end - at_;
        if (text_[at_] == '0' && (text_[at_ + 1] | 32) == 'x' && is_all_hex(at_ + 2, end)) {
            //: Up to eight digits are a status or an error code.
            if (length - 2 > 8) return mask(kHexId, at_, end);
            at_ = end;
            return;
        }
        const bool is_one_case = (classes & kAlpha) != kAlpha;
        if (!(classes & kBeyondHex) && is_one_case && length >= 6) {
            if (length >= 8 && !is_hex_code(end)) return mask(kHexId, at_, end);
            if (length >= 8) {
                at_ = end;
                return;
            }
            // What Java and Android print for an object: Job@1b2c6e2, Token{78af589.
            if (!(classes & kUpper) && is_one_of(text_.before(at_, 1), "@{") &&
                is_alnum(text_.before(at_, 2)))
                return mask(kHexId, at_, end);
        }
        if (mask_if(kToken, match_random_token(text_, at_, end))) return;
        if (mask_if(kToken, match_temporary_name(text_, at_, end))) return;
        if (is_digit(text_[at_]) && !is_joined() && take_attached_duration()) return;
        take_long_run(end);
    }

    bool is_all_hex(std::size_t start, std::size_t end) const {
        for (std::size_t i = start; i < end; ++i)
            if (!is_hex(text_[i])) return false;
        return true;
    }

    // Eight hexadecimal digits that are a code: behind a word such as "status", or E1234567.
    bool is_hex_code(std::size_t end) const {
        if (end - at_ != 8) return false;
        return (is_upper(text_[at_]) && text_.digits_from(at_ + 1, 8) == 7) ||
               follows_code_word(text_, at_);
    }

    bool take_attached_duration() {
        std::size_t end = match_time_unit(text_, skip_digits(at_), true);
        if (end == 0) end = match_compound_duration(text_, at_);
        if (end == 0) return false;
        mask_number(end, kDuration);
        return true;
    }

    // Masks the first long run of digits inside a word; what stands before it is a word by itself.
    void take_long_run(std::size_t end) {
        if (end - at_ > kLongestCutWord) {
            at_ = end;
            return;
        }
        for (std::size_t i = at_; i < end;) {
            if (!is_digit(text_[i])) {
                ++i;
                continue;
            }
            const std::size_t run_end = skip_digits(i);
            const std::size_t least = i == at_                   ? long_run_here()
                                      : is_upper(text_[i - 1])   ? kLongRun + 1
                                                                 : kLongRun;
            if (run_end - i >= least) {
                take_part(i);
                mask(kNumber, i, run_end);
                return;
            }
            i = run_end;
        }
        at_ = end;
    }

    void take_part(std::size_t end) {
        std::uint8_t classes = 0;
        for (std::size_t i = at_; i < end; ++i) classes |= class_of(text_[i]);
        if (classes & kDigit) take_mixed(end, classes);
    }

    // Columns of process and thread between a line's time and its level.
    void mask_header_numbers() {
        std::size_t columns[2][2], count = 0, i = at_;
        while (count < 2 && text_[i] == ' ') {
            std::size_t start = i;
            for (int spaces = 0; spaces < 8 && text_[start] == ' '; ++spaces) ++start;
            const std::size_t digits = text_.digits_from(start, 8);
            if (digits == 0 || digits == 8 || text_[start + digits] != ' ') break;
            columns[count][0] = start;
            columns[count++][1] = i = start + digits;
        }
        if (count == 0 || !is_level(i + 1, count)) return;
        for (std::size_t k = 0; k < count; ++k) mask(kNumber, columns[k][0], columns[k][1]);
    }

    bool is_level(std::size_t i, std::size_t columns) const {
        for (std::string_view name : {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING",
                                      "ERROR", "FATAL", "CRITICAL", "SEVERE"})
            if (text_.has(i, name) && text_.is_boundary(i + name.size())) return true;
        return columns == 2 && is_one_of(text_[i], "VDIWEF") && text_[i + 1] == ' ';
    }

    Text text_;
    std::vector<Span>& spans_;
    std::size_t at_ = 0;
};

}  // namespace

void find_spans(const char* bytes, std::size_t size, std::vector<Span>& spans) {
    spans.clear();
    Scanner(bytes, size, spans).run();
}

void build_pattern(std::string_view text, const std::vector<Span>& spans, std::string& pattern) {
    pattern.clear();
    std::size_t copied_to = 0;
    for (const Span& span : spans) {
        pattern.append(text, copied_to, span.start - copied_to).append(kPlaceholders[span.type]);
        copied_to = span.end;
    }
    pattern.append(text, copied_to, std::string_view::npos);
}

}  // namespace dejalog

// SPDX-License-Identifier: Apache-2.0
//
// Authority and path. An authority becomes the key that chooses a site, so only one spelling of it
// may come out; a path is normalised for matching only, and refused where an origin that decodes
// more than adit does could end up somewhere else than the route that matched.

#include <arpa/inet.h>

#include "base/ensure.h"
#include "base/error.h"
#include "base/num.h"
#include "http/head.h"

enum {
    HOST_BYTES_MAX = 255, // RFC 1035 2.3.4
    LABEL_BYTES_MAX = 63,
    IPV6_TEXT_MAX = 45,
};

// ---- authority -------------------------------------------------------------------------------------

// What a byte of a registered name becomes; 0 for those that are not allowed. The underscore is in
// no host name by RFC 1123 and in many by use.
static const uint8_t host_bytes[256] = {
    ['-'] = '-', ['.'] = '.', ['_'] = '_', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3',
    ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['A'] = 'a',
    ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o',
    ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v',
    ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',
    ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j',
    ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q',
    ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
};

// Copies a registered name in lower case; returns its length, 0 when it is none. It ends at the
// first byte that cannot belong to it.
static size_t copy_name(struct slice in, char *out)
{
    size_t label = 0; // where the current label begins
    size_t i = 0;
    for (; i < in.len; i++) {
        uint8_t c = host_bytes[(unsigned char)in.ptr[i]];
        if (c == 0) {
            break;
        }
        if (c == '.') {
            if (i == label || i - label > LABEL_BYTES_MAX) {
                return 0;
            }
            label = i + 1;
        }
        out[i] = (char)c;
    }
    return i - label > LABEL_BYTES_MAX || i > HOST_BYTES_MAX ? 0 : i;
}

// Copies "[...]" in lower case; returns its length, 0 when it is not an IPv6 address (zones and
// IPvFuture are refused: nothing that adit serves has such a name).
static size_t copy_literal(struct slice in, char *out)
{
    char text[IPV6_TEXT_MAX + 1];
    size_t len = 0;
    while (len + 1 < in.len && in.ptr[len + 1] != ']') {
        char c = in.ptr[len + 1];
        bool ok = (http_byte_class[(unsigned char)c] & HTTP_BYTE_HEX) != 0 || c == ':' || c == '.';
        if (!ok || len == IPV6_TEXT_MAX) {
            return 0;
        }
        text[len++] = (char)(c >= 'A' && c <= 'F' ? c | 0x20 : c);
    }
    if (len + 2 > in.len) {
        return 0;
    }
    text[len] = '\0';
    struct in6_addr addr;
    if (inet_pton(AF_INET6, text, &addr) != 1) {
        return 0;
    }
    out[0] = '[';
    memcpy(out + 1, text, len);
    out[len + 1] = ']';
    return len + 2;
}

// ":port" or ":" at s, copied to `out`; returns how many bytes were written (0 for an empty port, which
// means the same as none), -1 when it is bad.
static int copy_port(struct slice s, char *out)
{
    unsigned port = 0;
    if (s.len > 6) {
        return -1;
    }
    for (size_t i = 1; i < s.len; i++) {
        if ((http_byte_class[(unsigned char)s.ptr[i]] & HTTP_BYTE_DIGIT) == 0) {
            return -1;
        }
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
    }
    if (port > 65535) {
        return -1;
    }
    size_t len = s.len == 1 ? 0 : s.len;
    memmove(out, s.ptr, len);
    return (int)len;
}

int http_authority_parse(struct slice in, char *out, struct slice *authority, struct slice *host)
{
    if (in.len == 0) {
        return E_BAD_HOST;
    }
    size_t len = in.ptr[0] == '[' ? copy_literal(in, out) : copy_name(in, out);
    if (len == 0) {
        return E_BAD_HOST;
    }
    size_t total = len;
    if (len < in.len) {
        int port = in.ptr[len] == ':' ? copy_port(slice_from(in, len), out + len) : -1;
        if (port < 0) {
            return E_BAD_HOST;
        }
        total += (size_t)port;
    }
    *authority = slice_of(out, total);
    *host = slice_of(out, out[len - 1] == '.' ? len - 1 : len);
    return host->len == 0 ? E_BAD_HOST : 0;
}

// ---- path ------------------------------------------------------------------------------------------

static bool is_unreserved(int c)
{
    return c == '-' || c == '.' || c == '_' || c == '~' ||
           (c < 0x80 && (http_byte_class[c] & HTTP_BYTE_HOST) != 0);
}

// Decodes what is unreserved, writes other escapes in upper case (RFC 3986 6.2.2). Returns the
// length or a negative code.
static ptrdiff_t decode_path(struct slice path, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c != '%') {
            out[n++] = c;
            continue;
        }
        int high = i + 2 < path.len ? num_hex_digit(path.ptr[i + 1]) : -1;
        int low = i + 2 < path.len ? num_hex_digit(path.ptr[i + 2]) : -1;
        int value = high * 16 + low;
        if (high < 0 || low < 0 || value == 0) {
            return E_BAD_TARGET;
        }
        i += 2;
        if (is_unreserved(value)) {
            out[n++] = (char)value;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[high];
        out[n++] = digits[low];
    }
    return (ptrdiff_t)n;
}

static bool is_dots(struct slice s)
{
    return (s.len == 1 && s.ptr[0] == '.') || (s.len == 2 && s.ptr[0] == '.' && s.ptr[1] == '.');
}

// True when s begins with an encoded slash or backslash.
static bool at_encoded_slash(struct slice s)
{
    return s.len >= 3 && (memcmp(s.ptr, "%2F", 3) == 0 || memcmp(s.ptr, "%5C", 3) == 0);
}

// True when an origin that decodes once more, takes a backslash for a slash or cuts parameters off
// after ';' would see dots in this segment where adit sees none.
static bool hides_dots(struct slice segment)
{
    size_t from = 0;
    for (size_t i = 0; i <= segment.len; i++) {
        struct slice rest = slice_from(segment, i);
        bool cut = i < segment.len && (rest.ptr[0] == '\\' || rest.ptr[0] == ';');
        bool encoded = at_encoded_slash(rest);
        if (i < segment.len && !cut && !encoded) {
            continue;
        }
        struct slice part = slice_sub(segment, from, i - from);
        if (is_dots(part) && part.len < segment.len) {
            return true;
        }
        i += encoded ? 2 : 0;
        from = i + 1;
    }
    return false;
}

// Removes dot segments in place (RFC 3986 5.2.4); returns the length or a negative code.
static ptrdiff_t remove_dots(char *p, size_t len)
{
    size_t out = 0;
    for (size_t in = 0; in < len;) {
        const char *next = memchr(p + in + 1, '/', len - in - 1);
        size_t end = next == NULL ? len : (size_t)(next - p);
        struct slice segment = slice_of(p + in + 1, end - in - 1);
        if (hides_dots(segment)) {
            return E_BAD_TARGET;
        }
        if (!is_dots(segment)) {
            memmove(p + out, p + in, end - in);
            out += end - in;
            in = end;
            continue;
        }
        if (segment.len == 2) {
            if (out == 0) {
                return E_BAD_TARGET;
            }
            do {
                out--;
            } while (p[out] != '/');
        }
        if (end == len) {
            p[out++] = '/';
        }
        in = end;
    }
    return (ptrdiff_t)out;
}

int http_path_normalise(struct slice path, char *out, struct slice *normal)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        *normal = path;
        return path.len == 1 && path.ptr[0] == '*' ? 0 : E_BAD_TARGET;
    }
    bool plain =
        memchr(path.ptr, '%', path.len) == NULL && memchr(path.ptr, '\\', path.len) == NULL &&
        (memchr(path.ptr, '.', path.len) == NULL || memmem(path.ptr, path.len, "/.", 2) == NULL);
    if (plain) {
        *normal = path;
        return 0;
    }
    ptrdiff_t len = decode_path(path, out);
    if (len >= 0) {
        len = remove_dots(out, (size_t)len);
    }
    if (len < 0) {
        return (int)len;
    }
    *normal = slice_of(out, (size_t)len);
    return 0;
}

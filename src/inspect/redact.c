// SPDX-License-Identifier: Apache-2.0
//
// Leaving out secrets (inspect/redact.h). Names are compared without regard to case; one that only sounds
// like a secret is left out as well, with the few exceptions that people test webhooks by.

#include "inspect/redact.h"

#include "base/ensure.h"
#include "base/num.h"
#include "http/fields.h"

enum { NAME_MAX_BYTES = 64, SCHEME_MAX = 16 };

static const struct slice MARK = SLICE_INIT("[redacted]");

/** Parts of names. */
static const char *const inside[] = {"token",   "secret", "apikey", "api-key",
                                     "api_key", "passwo", "passwd", "credential",
                                     "session", "jwt",    "csrf",   "xsrf"};
/** The whole name, or its end behind a dash, an underscore or a dot. */
static const char *const ends[] = {"key", "auth", "pwd", "pass", "sig", "sid"};
static const char *const exceptions[] = {"idempotency-key", "sec-websocket-key"};

struct name {
    char bytes[NAME_MAX_BYTES];
    struct slice text; // in lower case; of a longer one the beginning
};

static void read_name(struct name *n, struct slice s, bool encoded)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len && len < NAME_MAX_BYTES; i++) {
        char c = s.ptr[i];
        int high = encoded && c == '%' && s.len - i > 2 ? num_hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? num_hex_digit(s.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        n->bytes[len++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    n->text = slice_of(n->bytes, len);
}

static bool is_listed(struct slice s, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(s, slice_str(list[i]))) {
            return true;
        }
    }
    return false;
}

static bool sounds_secret(struct slice s)
{
    for (size_t i = 0; i < array_len(inside); i++) {
        if (slice_find(s, slice_str(inside[i])) >= 0) {
            return true;
        }
    }
    size_t last = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool cut = s.ptr[i] == '-' || s.ptr[i] == '_' || s.ptr[i] == '.' || s.ptr[i] == '[';
        last = cut ? i + 1 : last;
    }
    return is_listed(slice_from(s, last), ends, array_len(ends));
}

bool redact_is_secret_field(struct slice name)
{
    static const char *const whole[] = {"authorization", "proxy-authorization", "cookie",
                                        "set-cookie", "authentication"};
    struct name n;
    read_name(&n, name, false);
    return !is_listed(n.text, exceptions, array_len(exceptions)) &&
           (is_listed(n.text, whole, array_len(whole)) || sounds_secret(n.text));
}

bool redact_is_secret_parameter(struct slice name)
{
    // An OAuth code is good for a token; a signature in a URL opens what the URL names.
    static const char *const whole[] = {"code", "authorization"};
    struct name n;
    read_name(&n, name, true);
    return is_listed(n.text, whole, array_len(whole)) ||
           slice_find(n.text, SLICE("signature")) >= 0 || sounds_secret(n.text);
}

/** Up to the next of these bytes. */
static size_t span(struct slice s, const char *stops)
{
    size_t n = 0;
    while (n < s.len && (s.ptr[n] == '\0' || strchr(stops, s.ptr[n]) == NULL)) {
        n++;
    }
    return n;
}

void redact_url(struct text *out, struct slice url)
{
    size_t n = span(url, "?");
    text_put(out, slice_sub(url, 0, n));
    url = slice_from(url, n);
    while (url.len > 0) { // at the byte before a parameter
        text_char(out, url.ptr[0]);
        url = slice_from(url, 1);
        n = span(url, "=&;?# ");
        struct slice name = slice_sub(url, 0, n);
        text_put(out, name);
        url = slice_from(url, n);
        if (url.len == 0 || url.ptr[0] != '=') {
            continue;
        }
        text_char(out, '=');
        url = slice_from(url, 1);
        n = span(url, "&;# ");
        bool hidden = n > 0 && redact_is_secret_parameter(name);
        text_put(out, hidden ? MARK : slice_sub(url, 0, n));
        url = slice_from(url, n);
    }
}

void redact_field(struct text *out, struct slice name, struct slice value)
{
    if (!redact_is_secret_field(name)) {
        redact_url(out, value);
        return;
    }
    ptrdiff_t blank = slice_find_char(value, ' ');
    struct slice scheme = slice_sub(value, 0, blank > 0 ? (size_t)blank : 0);
    bool credentials = slice_eq_nocase(name, SLICE("authorization")) ||
                       slice_eq_nocase(name, SLICE("proxy-authorization"));
    if (credentials && scheme.len > 0 && scheme.len <= SCHEME_MAX && http_is_token(scheme)) {
        text_put(out, scheme);
        text_char(out, ' ');
    }
    text_put(out, value.len > 0 ? MARK : value);
}

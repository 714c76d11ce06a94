// SPDX-License-Identifier: Apache-2.0
//
// gRPC's answers and deadlines (proxy/grpc.h). The codes are those of the gRPC documentation "HTTP to
// gRPC Status Code Mapping", which a client would choose by itself if it saw the HTTP status; what adit
// knows better, that the client's own time is over or that something is too large, it says.

#include "proxy/grpc.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "loop/loop.h"
#include "proxy/exchange.h"

enum {
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

enum { TIMEOUT_DIGITS_MAX = 8, MESSAGE_MAX = 400 };

static const struct slice TIMEOUT = SLICE_INIT("grpc-timeout");

bool grpc_is_request(const struct exchange *x)
{
    static const struct slice type = SLICE_INIT("application/grpc");
    struct slice value = fields_get_id(&x->request.fields, HTTP_CONTENT_TYPE);
    if (value.len < type.len || !slice_eq_nocase(slice_sub(value, 0, type.len), type)) {
        return false;
    }
    char next = value.len > type.len ? value.ptr[type.len] : ';';
    return next == ';' || next == '+' || next == ' ' || next == '\t';
}

unsigned grpc_status_of(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
    case 405:
    case 501:
        return GRPC_UNIMPLEMENTED;
    case 413:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 408:
    case 421:
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

uint32_t grpc_timeout_ms(struct slice value)
{
    uint64_t n = 0;
    value = slice_trim(value);
    if (value.len < 2 || value.len > TIMEOUT_DIGITS_MAX + 1 ||
        num_parse_u64(slice_sub(value, 0, value.len - 1), UINT32_MAX, &n) != 0) {
        return 0;
    }
    uint64_t ms = 0;
    switch (value.ptr[value.len - 1]) {
    case 'H':
        ms = n * 3600000;
        break;
    case 'M':
        ms = n * 60000;
        break;
    case 'S':
        ms = n * 1000;
        break;
    case 'm':
        ms = n;
        break;
    case 'u':
        ms = (n + 999) / 1000;
        break;
    case 'n':
        ms = (n + 999999) / 1000000;
        break;
    default:
        return 0;
    }
    return ms == 0 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

// UINT32_MAX: no deadline; 0: it is over.
static uint32_t time_left_ms(const struct exchange *x)
{
    if (!grpc_is_request(x)) {
        return UINT32_MAX;
    }
    uint32_t all = grpc_timeout_ms(fields_get(&x->request.fields, TIMEOUT));
    if (all == 0 || all == UINT32_MAX) {
        return UINT32_MAX;
    }
    uint64_t spent = (x->loop->now_ns - x->times.start) / 1000000;
    return spent < all ? all - (uint32_t)spent : 0;
}

uint32_t grpc_time_left_ms(const struct exchange *x)
{
    uint32_t left = time_left_ms(x);
    return left == 0 ? 1 : left;
}

// Percent-encoded as gRPC wants it: what is not printable ASCII, and the percent sign.
static struct slice encode(struct exchange *x, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    s = slice_sub(s, 0, MESSAGE_MAX);
    char *bytes = arena_bytes(&x->arena, s.len * 3 + 1);
    if (bytes == NULL) {
        return slice_of("", 0);
    }
    struct text t = text_on(bytes, s.len * 3);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            text_char(&t, (char)c);
        } else {
            char code[] = {'%', hex[c >> 4], hex[c & 15]};
            text_put(&t, slice_of(code, sizeof(code)));
        }
    }
    return text_slice(&t);
}

void grpc_answer(struct exchange *x, unsigned status, struct slice message)
{
    bool late = status >= 500 && time_left_ms(x) == 0;
    unsigned code = late ? GRPC_DEADLINE_EXCEEDED : grpc_status_of(status);
    struct slice words = late ? SLICE("the deadline has passed") : message;
    exchange_begin_answer(x, 200);
    struct fields *f = &x->response.fields;
    char digits[NUM_U64_DIGITS];
    size_t n = num_format_u64(digits, code);
    int rc = fields_add(f, SLICE("grpc-status"), slice_of(digits, n));
    rc = rc != 0 ? rc : fields_add(f, SLICE("grpc-message"), encode(x, words));
    rc = rc != 0
             ? rc
             : fields_add_id(f, HTTP_X_REQUEST_ID, slice_of(x->id, strnlen(x->id, sizeof(x->id))));
    if (rc != 0 && x->down != NULL) {
        x->down->ops->reset(x->down, E_NO_MEMORY);
        return;
    }
    exchange_answer_kept(x, SLICE("application/grpc"), slice_of("", 0));
}

// SPDX-License-Identifier: Apache-2.0
//
// Fills templates (conf/template.h) in for an exchange: one pass over the pieces that finds the
// values and their length, one that copies. A text without variables costs nothing.
//
// What a value may hold depends on where the text goes. Into a line of a head goes no CR, LF or NUL,
// whoever sent it; into an HTML body values go with their markup escaped.

#include "proxy/vars.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "proxy/exchange.h"

struct vars_text {
    struct conf_template pieces;
    bool constant;
    bool one_line;     // no CR, LF or NUL in the constant parts
    struct slice text; // when constant
};

static bool is_one_line(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

int vars_compile(struct conf_node n, struct arena *arena, struct conf_diags *diags,
                 const struct vars_text **out)
{
    struct vars_text *t = arena_zalloc(arena, sizeof(*t));
    if (t == NULL) {
        return E_NO_MEMORY;
    }
    struct conf_template_error e;
    int rc = conf_template_parse(conf_text(n), arena, &t->pieces, &e);
    if (rc == E_NO_MEMORY) {
        return rc;
    }
    if (rc != 0) { // the check has seen to it, but for values only modules know as templates
        conf_error(diags, n, "%s", e.message);
        if (e.hint[0] != '\0') {
            conf_hint(diags, "%s", e.hint);
        }
        return E_CONFIG;
    }
    t->constant = conf_template_is_text(&t->pieces, &t->text);
    t->one_line = !t->constant || is_one_line(t->text);
    for (uint32_t i = 0; i < t->pieces.count; i++) {
        const struct conf_piece *p = &t->pieces.pieces[i];
        t->one_line = t->one_line && (p->variable != CONF_VAR_TEXT || is_one_line(p->text));
    }
    *out = t;
    return 0;
}

bool vars_is_line(const struct vars_text *t)
{
    return t->one_line;
}

// ---- values ---------------------------------------------------------------------------------------

static struct slice client_path(const struct exchange *x)
{
    if (x->original_target.len == 0) {
        return x->request.path;
    }
    ptrdiff_t mark = slice_find_char(x->original_target, '?');
    return mark < 0 ? x->original_target : slice_sub(x->original_target, 0, (size_t)mark);
}

// With its '?', or nothing.
static struct slice client_query(const struct exchange *x)
{
    struct slice target = x->original_target.len > 0 ? x->original_target : x->request.target;
    ptrdiff_t mark = slice_find_char(target, '?');
    return mark < 0 ? slice_of("", 0) : slice_from(target, (size_t)mark);
}

static int field_text(struct exchange *x, struct slice name, struct slice *out)
{
    const struct fields *f = &x->request.fields;
    enum http_name id = http_name_of(name);
    size_t len = 0;
    unsigned count = 0;
    *out = id == HTTP_HOST ? x->request.authority : slice_of("", 0);
    for (unsigned i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (e->id != id || (id == HTTP_OTHER && !slice_eq_nocase(field_name(f, e), name))) {
            continue;
        }
        *out = field_value(f, e);
        len += e->value_len + 2;
        count++;
    }
    if (count < 2) {
        return 0;
    }
    char *bytes = arena_bytes(&x->arena, len);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, len);
    for (unsigned i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (e->id == id && (id != HTTP_OTHER || slice_eq_nocase(field_name(f, e), name))) {
            text_put(&t, t.len > 0 ? SLICE(", ") : SLICE(""));
            text_put(&t, field_value(f, e));
        }
    }
    *out = text_slice(&t);
    return 0;
}

static int number_text(struct exchange *x, unsigned value, struct slice *out)
{
    char *bytes = arena_bytes(&x->arena, NUM_U64_DIGITS);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    *out = slice_of(bytes, num_format_u64(bytes, value));
    return 0;
}

static int client_text(struct exchange *x, struct slice *out)
{
    char *bytes = arena_bytes(&x->arena, OS_ADDR_TEXT_MAX);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, OS_ADDR_TEXT_MAX);
    os_addr_ip_text(&x->client, &t);
    *out = text_slice(&t);
    return 0;
}

// Of a connection with TLS; of one in clear and of a client that showed no certificate: nothing.
static struct slice security_text(const struct exchange *x, enum conf_variable v)
{
    const struct http_security *s = x->down != NULL ? x->down->peer->security : NULL;
    bool verified = s != NULL && s->client_verified;
    switch ((int)v) {
    case CONF_VAR_TLS_VERSION:
        return s != NULL ? s->version : slice_of("", 0);
    case CONF_VAR_TLS_CIPHER:
        return s != NULL ? s->cipher : slice_of("", 0);
    case CONF_VAR_TLS_SERVER_NAME:
        return s != NULL ? s->server_name : slice_of("", 0);
    case CONF_VAR_CLIENT_CERT_VERIFIED:
        return verified ? SLICE("on") : SLICE("off");
    case CONF_VAR_CLIENT_CERT_NAME:
        return verified ? s->client_name : slice_of("", 0);
    case CONF_VAR_CLIENT_CERT_SUBJECT:
        return verified ? s->client_subject : slice_of("", 0);
    case CONF_VAR_CLIENT_CERT_SERIAL:
        return verified ? s->client_serial : slice_of("", 0);
    case CONF_VAR_CLIENT_CERT_FINGERPRINT:
        return verified ? s->client_fingerprint : slice_of("", 0);
    default:
        return verified ? s->client_certificate : slice_of("", 0);
    }
}

static int value_of(const struct conf_piece *p, struct exchange *x, struct slice *out)
{
    switch ((enum conf_variable)p->variable) {
    case CONF_VAR_TEXT:
        *out = p->text;
        return 0;
    case CONF_VAR_HOST:
        *out = x->request.host;
        return 0;
    case CONF_VAR_PATH:
        *out = client_path(x);
        return 0;
    case CONF_VAR_QUERY:
        *out = client_query(x);
        return 0;
    case CONF_VAR_METHOD:
        *out = x->request.method_text;
        return 0;
    case CONF_VAR_SCHEME:
        *out = x->client_secure ? SLICE("https") : SLICE("http");
        return 0;
    case CONF_VAR_CLIENT:
        return client_text(x, out);
    case CONF_VAR_ID:
        *out = slice_of(x->id, strnlen(x->id, sizeof(x->id)));
        return 0;
    case CONF_VAR_STATUS:
        return number_text(x, x->response.status, out);
    case CONF_VAR_TLS_VERSION:
    case CONF_VAR_TLS_CIPHER:
    case CONF_VAR_TLS_SERVER_NAME:
    case CONF_VAR_CLIENT_CERT_VERIFIED:
    case CONF_VAR_CLIENT_CERT_NAME:
    case CONF_VAR_CLIENT_CERT_SUBJECT:
    case CONF_VAR_CLIENT_CERT_SERIAL:
    case CONF_VAR_CLIENT_CERT_FINGERPRINT:
    case CONF_VAR_CLIENT_CERT:
        *out = security_text(x, (enum conf_variable)p->variable);
        return 0;
    case CONF_VAR_HEADER:
        return field_text(x, p->text, out);
    case CONF_VAR_MATCH:
        *out = p->number < EXCHANGE_CAPTURES_MAX ? x->captures[p->number] : slice_of("", 0);
        return 0;
    case CONF_VAR_ENV:
    case CONF_VAR_FILE:
    case CONF_VAR_COUNT:
        break; // put in when the configuration was loaded
    }
    *out = slice_of("", 0);
    return 0;
}

// ---- expansion ------------------------------------------------------------------------------------

enum vars_use { VARS_LINE, VARS_BODY, VARS_HTML };

static bool allowed(const struct conf_piece *p, struct slice value, enum vars_use use)
{
    return use != VARS_LINE || p->variable == CONF_VAR_TEXT || is_one_line(value);
}

static int expand(const struct vars_text *t, struct exchange *x, enum vars_use use,
                  struct slice *out)
{
    if (t->constant) {
        *out = t->text;
        return 0;
    }
    struct slice values[CONF_PIECES_MAX];
    size_t len = 0;
    size_t filled = 0;
    ensure(t->pieces.count <= CONF_PIECES_MAX);
    for (uint32_t i = 0; i < t->pieces.count; i++) {
        const struct conf_piece *p = &t->pieces.pieces[i];
        int rc = value_of(p, x, &values[i]);
        if (rc != 0) {
            return rc;
        }
        if (!allowed(p, values[i], use)) {
            return E_INVALID;
        }
        // An entity takes at most six bytes.
        size_t room = values[i].len * (use == VARS_HTML && p->variable != CONF_VAR_TEXT ? 6 : 1);
        len += room;
        filled += p->variable != CONF_VAR_TEXT ? room : 0;
    }
    if (filled > VARS_VALUE_MAX) {
        return E_TOO_LARGE;
    }
    char *bytes = arena_bytes(&x->arena, len + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text text = text_on(bytes, len);
    for (uint32_t i = 0; i < t->pieces.count; i++) {
        if (use == VARS_HTML && t->pieces.pieces[i].variable != CONF_VAR_TEXT) {
            text_html(&text, values[i]);
        } else {
            text_put(&text, values[i]);
        }
    }
    ensure(!text.overflow);
    *out = text_slice(&text);
    return 0;
}

int vars_expand(const struct vars_text *t, struct exchange *x, struct slice *out)
{
    return t->one_line ? expand(t, x, VARS_LINE, out) : E_INVALID;
}

int vars_expand_body(const struct vars_text *t, struct exchange *x, bool html, struct slice *out)
{
    return expand(t, x, html ? VARS_HTML : VARS_BODY, out);
}

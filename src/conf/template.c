// SPDX-License-Identifier: Apache-2.0
//
// The parser of templates (conf/template.h). Linear, no state; pieces are gathered on the stack and
// copied to the arena at their true number.

#include "conf/template.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "conf/nearest.h"
#include "conf/value.h"

static const struct conf_variable_info variables[CONF_VAR_COUNT] = {
#define VARIABLE_INFO(id, name, argument, what) [CONF_VAR_##id] = {name, (#argument)[0], what},
    CONF_VARIABLE_TABLE(VARIABLE_INFO)
#undef VARIABLE_INFO
};

// What other programs call them.
static const struct {
    const char *theirs;
    const char *ours;
} foreign[] = {
    {"uri", "$path"},
    {"request_uri", "$path$query"},
    {"args", "$query"},
    {"is_args", "$query"},
    {"query_string", "$query"},
    {"remote_addr", "$client"},
    {"request_id", "$id"},
    {"request_method", "$method"},
    {"http_host", "$host"},
    {"client_ip", "$client"},
    {"remote_ip", "$client"},
    {"http_x_name", "$header(x-name)"},
    {"ssl_protocol", "$tls_version"},
    {"ssl_cipher", "$tls_cipher"},
    {"ssl_server_name", "$tls_server_name"},
    {"ssl_client_s_dn", "$client_cert_subject"},
    {"ssl_client_serial", "$client_cert_serial"},
    {"ssl_client_fingerprint", "$client_cert_fingerprint"},
    {"ssl_client_verify", "$client_cert_verified"},
    {"ssl_client_cert", "$client_cert"},
    {"ssl_client_escaped_cert", "$client_cert"},
};

struct scan {
    struct slice s;
    size_t at;
    struct conf_piece pieces[CONF_PIECES_MAX];
    uint32_t count;
    struct conf_template_error *e;
};

const struct conf_variable_info *conf_variable_info(enum conf_variable v)
{
    ensure(v > CONF_VAR_TEXT);
    ensure(v < CONF_VAR_COUNT);
    return &variables[v];
}

static int fail(struct scan *sc, size_t offset, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(struct scan *sc, size_t offset, const char *hint, const char *format, ...)
{
    if (sc->e != NULL) {
        va_list args;
        va_start(args, format);
        sc->e->offset = offset;
        (void)vsnprintf(sc->e->message, sizeof sc->e->message, format, args);
        (void)snprintf(sc->e->hint, sizeof sc->e->hint, "%s", hint);
        va_end(args);
    }
    return E_INVALID;
}

static int add(struct scan *sc, struct conf_piece piece)
{
    if (sc->count == CONF_PIECES_MAX) {
        (void)fail(sc, sc->at, "", "more than %d variables and pieces of text", CONF_PIECES_MAX);
        return E_TOO_LARGE;
    }
    sc->pieces[sc->count++] = piece;
    return 0;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct slice take_name(struct scan *sc)
{
    size_t start = sc->at;
    while (sc->at < sc->s.len && is_name_char(sc->s.ptr[sc->at])) {
        sc->at++;
    }
    return slice_sub(sc->s, start, sc->at - start);
}

static enum conf_variable find(struct slice name)
{
    for (int v = CONF_VAR_TEXT + 1; v < CONF_VAR_COUNT; v++) {
        if (slice_eq(name, slice_str(variables[v].name))) {
            return (enum conf_variable)v;
        }
    }
    return CONF_VAR_TEXT;
}

static int fail_unknown(struct scan *sc, size_t offset, struct slice name)
{
    char hint[CONF_TEMPLATE_MESSAGE_MAX] = "a dollar sign itself is written $$";
    struct conf_nearest nearest = conf_nearest_to(name);
    for (int v = CONF_VAR_TEXT + 1; v < CONF_VAR_COUNT; v++) {
        struct slice known = slice_str(variables[v].name);
        conf_nearest_offer(&nearest, known);
        if (nearest.best.len == 0 && slice_starts(name, known)) {
            (void)snprintf(hint, sizeof hint, "braces end a name: ${%.*s}%.*s", SLICE_ARG(known),
                           SLICE_ARG(slice_from(name, known.len)));
        }
    }
    if (nearest.best.len > 0) {
        (void)snprintf(hint, sizeof hint, "did you mean $%.*s?", SLICE_ARG(nearest.best));
    }
    if (name.len > 0 && name.ptr[0] >= '0' && name.ptr[0] <= '9') {
        (void)snprintf(hint, sizeof hint, "what the path caught is $match(%c)", name.ptr[0]);
    }
    for (size_t i = 0; i < array_len(foreign); i++) {
        if (slice_eq(name, slice_str(foreign[i].theirs))) {
            (void)snprintf(hint, sizeof hint, "here it is called %s", foreign[i].ours);
        }
    }
    if (name.len == 0) {
        return fail(sc, offset, hint, "a `$` without a name");
    }
    return fail(sc, offset, hint, "unknown variable `$%.*s`", SLICE_ARG(slice_sub(name, 0, 40)));
}

static int check_argument(struct scan *sc, size_t offset, struct conf_piece *piece)
{
    char kind = variables[piece->variable].argument;
    if (kind == 'D') {
        if (piece->text.len != 1 || piece->text.ptr[0] < '0' || piece->text.ptr[0] > '9') {
            return fail(sc, offset, "", "`$match(%.*s)`: the number is one digit, 0 to 9",
                        SLICE_ARG(slice_sub(piece->text, 0, 40)));
        }
        piece->number = (uint8_t)(piece->text.ptr[0] - '0');
    } else if (kind == 'F' && !conf_is_token(piece->text)) {
        return fail(sc, offset, "", "`%.*s` is not a field name",
                    SLICE_ARG(slice_sub(piece->text, 0, 40)));
    } else if (piece->text.len == 0) {
        return fail(sc, offset, "", "`$%s()` needs something in its parentheses",
                    variables[piece->variable].name);
    }
    return 0;
}

// The "(...)" behind a name.
static int take_argument(struct scan *sc, size_t offset, struct conf_piece *piece)
{
    const struct conf_variable_info *info = &variables[piece->variable];
    bool open = sc->at < sc->s.len && sc->s.ptr[sc->at] == '(';
    if (info->argument == 'N') {
        return 0; // a parenthesis behind it is text
    }
    if (!open) {
        const char *hint = info->argument == 'D'   ? "write $match(1)"
                           : info->argument == 'F' ? "write $header(x-name)"
                                                   : "write its name in parentheses";
        return fail(sc, offset, hint, "`$%s` needs an argument", info->name);
    }
    struct slice rest = slice_from(sc->s, sc->at + 1);
    ptrdiff_t end = slice_find_char(rest, ')');
    if (end < 0) {
        return fail(sc, offset, "", "`$%s(` without its closing parenthesis", info->name);
    }
    piece->text = slice_sub(rest, 0, (size_t)end);
    sc->at += (size_t)end + 2;
    return check_argument(sc, offset, piece);
}

static int take_variable(struct scan *sc)
{
    size_t offset = sc->at++;
    bool braces = sc->at < sc->s.len && sc->s.ptr[sc->at] == '{';
    if (sc->at < sc->s.len && sc->s.ptr[sc->at] == '$') {
        sc->at++;
        return add(sc, (struct conf_piece){.text = slice_sub(sc->s, offset, 1)});
    }
    sc->at += braces;
    struct slice name = take_name(sc);
    struct conf_piece piece = {.variable = (uint8_t)find(name), .text = SLICE("")};
    if (piece.variable == CONF_VAR_TEXT) {
        return fail_unknown(sc, offset, name);
    }
    int rc = take_argument(sc, offset, &piece);
    if (rc == 0 && braces) {
        if (sc->at >= sc->s.len || sc->s.ptr[sc->at] != '}') {
            return fail(sc, offset, "", "`${%.*s` without its closing brace", SLICE_ARG(name));
        }
        sc->at++;
    }
    return rc == 0 ? add(sc, piece) : rc;
}

int conf_template_parse(struct slice s, struct arena *a, struct conf_template *out,
                        struct conf_template_error *e)
{
    struct scan sc = {.s = s, .e = e};
    int rc = 0;
    while (rc == 0 && sc.at < s.len) {
        ptrdiff_t dollar = slice_find_char(slice_from(s, sc.at), '$');
        size_t text = dollar < 0 ? s.len - sc.at : (size_t)dollar;
        if (text > 0) {
            rc = add(&sc, (struct conf_piece){.text = slice_sub(s, sc.at, text)});
            sc.at += text;
        }
        if (rc == 0 && sc.at < s.len) {
            rc = take_variable(&sc);
        }
    }
    if (rc != 0) {
        return rc;
    }
    struct conf_piece *pieces = NULL;
    if (sc.count > 0) {
        pieces = arena_alloc(a, sc.count * sizeof *pieces);
        if (pieces == NULL) {
            return E_NO_MEMORY;
        }
        memcpy(pieces, sc.pieces, sc.count * sizeof *pieces);
    }
    *out = (struct conf_template){pieces, sc.count};
    return 0;
}

bool conf_template_is_text(const struct conf_template *t, struct slice *out)
{
    *out = SLICE("");
    if (t->count == 1 && t->pieces[0].variable == CONF_VAR_TEXT) {
        *out = t->pieces[0].text;
        return true;
    }
    return t->count == 0;
}

void conf_template_escape(struct text *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '$') {
            text_char(out, '$');
        }
        text_char(out, s.ptr[i]);
    }
}

void conf_template_write(struct text *out, const struct conf_piece *piece)
{
    if (piece->variable == CONF_VAR_TEXT) {
        conf_template_escape(out, piece->text);
        return;
    }
    const struct conf_variable_info *info = &variables[piece->variable];
    text_str(out, "${");
    text_str(out, info->name);
    if (info->argument != 'N') {
        text_char(out, '(');
        text_put(out, piece->text);
        text_char(out, ')');
    }
    text_char(out, '}');
}

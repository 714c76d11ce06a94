// SPDX-License-Identifier: Apache-2.0
//
// Error answers. The words are chosen by status, so that a client cannot tell from them which server,
// address or limit is behind; only a rule of HTTP that the client's own request broke is named in
// full, because that helps its author and reveals nothing.
//
// Pages are built in the exchange's arena. When even that is used up the answer goes out without a
// body: the status still tells.

#include "proxy/error_page.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/value.h"
#include "http/accept.h"
#include "proxy/exchange.h"
#include "proxy/grpc.h"
#include "proxy/vars.h"

enum {
    PAGE_BYTES_MAX = 3072,         // a page of our own; it is about half of that
    PAGES_MAX = 64,                // custom pages of one route, over all levels
    TEMPLATE_FILE_MAX = 64 * 1024, // larger files are sent as they are
    RETRY_AFTER_SECONDS = 5,       // long enough for a restart, short enough for people
};

struct custom_page {
    uint16_t from; // statuses
    uint16_t to;
    bool html;
    struct slice type;
    const struct vars_text *body; // NULL: `fixed`
    struct slice fixed;           // of a file without variables
};

struct error_pages {
    uint16_t count;
    struct custom_page pages[]; // the first that covers a status is taken
};

// ---- custom pages ---------------------------------------------------------------------------------

static int compile_page(struct conf_node at, struct arena *arena, struct conf_diags *diags,
                        struct custom_page *p)
{
    unsigned status = 0;
    if (conf_value_status(conf_key(at), true, &status) != 0) {
        conf_error(diags, at, "not a status nor a class of them");
        return E_CONFIG;
    }
    p->from = (uint16_t)(status < 10 ? status * 100 : status);
    p->to = (uint16_t)(status < 10 ? status * 100 + 99 : status);
    bool map = conf_kind_of(at) == CONF_MAP;
    struct conf_node body = map ? conf_get(at, "body") : at;
    struct conf_node file = map ? conf_get(at, "file") : (struct conf_node){at.doc, 0};
    if (!conf_exists(body) && !conf_exists(file)) {
        conf_error(diags, at, "an error page has a body or a file");
        return E_CONFIG;
    }
    p->type = conf_string(map ? conf_get(at, "type") : (struct conf_node){at.doc, 0},
                          "text/html; charset=utf-8");
    p->html = slice_starts(p->type, SLICE("text/html"));
    if (conf_exists(body)) {
        return vars_compile(body, arena, diags, &p->body);
    }
    p->fixed = conf_text(file); // the check has read it (conf/schema.h)
    // A file may be full of dollars that mean something else: then it is sent as it is.
    int rc = p->fixed.len <= TEMPLATE_FILE_MAX ? vars_compile(file, arena, NULL, &p->body) : 0;
    return rc == E_CONFIG ? 0 : rc;
}

// Of one level: single statuses first, then classes.
static int compile_level(struct conf_node errors, struct arena *arena, struct conf_diags *diags,
                         struct error_pages *pages)
{
    for (int classes = 0; classes < 2; classes++) {
        conf_each(at, errors)
        {
            if (slice_ends_nocase(conf_key(at), SLICE("xx")) != (classes == 1)) {
                continue;
            }
            if (pages->count == PAGES_MAX) {
                conf_error(diags, at, "more than %d error pages for one route", PAGES_MAX);
                return E_CONFIG;
            }
            int rc = compile_page(at, arena, diags, &pages->pages[pages->count]);
            if (rc != 0) {
                return rc;
            }
            pages->count++;
        }
    }
    return 0;
}

int error_pages_compile(const struct conf_scope *scope, struct arena *arena,
                        struct conf_diags *diags, const struct error_pages **out)
{
    uint32_t count = 0;
    *out = NULL;
    for (size_t i = 0; i < array_len(scope->level); i++) {
        struct conf_node errors = conf_get(scope->level[i], "errors");
        count += conf_exists(errors) && conf_kind_of(errors) == CONF_MAP ? conf_count(errors) : 0;
    }
    if (count == 0) {
        return 0;
    }
    count = count < PAGES_MAX ? count : PAGES_MAX;
    struct error_pages *pages =
        arena_zalloc(arena, sizeof(*pages) + count * sizeof(pages->pages[0]));
    if (pages == NULL) {
        return E_NO_MEMORY;
    }
    for (size_t i = 0; i < array_len(scope->level); i++) {
        struct conf_node errors = conf_get(scope->level[i], "errors");
        if (!conf_exists(errors) || conf_kind_of(errors) != CONF_MAP) {
            continue;
        }
        int rc = compile_level(errors, arena, diags, pages);
        if (rc != 0) {
            return rc;
        }
    }
    *out = pages;
    return 0;
}

static const struct custom_page *custom_page(const struct exchange *x, unsigned status)
{
    const struct error_pages *pages = x->route != NULL      ? x->route->errors
                                      : x->snapshot != NULL ? x->snapshot->fallback_route.errors
                                                            : NULL;
    for (unsigned i = 0; pages != NULL && i < pages->count; i++) {
        if (status >= pages->pages[i].from && status <= pages->pages[i].to) {
            return &pages->pages[i];
        }
    }
    return NULL;
}

// ---- words ----------------------------------------------------------------------------------------

struct words {
    uint16_t status;
    const char *text;
};

static const struct words words[] = {
    {400, "The request broke a rule of HTTP, so it was not passed on."},
    {401, "This page asks for a login."},
    {403, "Access to this page is not allowed."},
    {404, "There is nothing at this address."},
    {405, "This method is not allowed here."},
    {408, "The request took too long to arrive."},
    {411, "The request has to say how long its body is."},
    {413, "The request is larger than this server accepts."},
    {414, "The address is longer than this server accepts."},
    {417, "The request expects something this server does not do."},
    {421, "This server does not serve that host."},
    {426, "The request has to be made with another protocol."},
    {429, "Too many requests; please slow down."},
    {431, "The request's header fields are larger than this server accepts."},
    {500, "Something went wrong in this server. It is not your fault."},
    {501, "This server does not know how to do that."},
    {502, "The server behind this one gave no valid answer. It is not your fault."},
    {503, "The service cannot answer right now. Please try again in a moment."},
    {504, "The server behind this one took too long to answer. Please try again in a moment."},
    {505, "This version of HTTP is not supported."},
    {508, "The request goes round in circles between servers."},
};

/** Where names are given to agents a visitor can be told more: it is a machine that is missing. */
static const char *tunnel_words(const struct exchange *x)
{
    const struct upstream *u = x->route != NULL ? x->route->upstream : NULL;
    if (u == NULL || u->ops->choose == NULL) {
        return NULL;
    }
    switch (x->error) {
    case E_NO_TUNNEL:
        return "No tunnel is open at this address. It may have ended, or the address has a "
               "mistake.";
    case E_NO_SERVER:
    case E_QUEUE_TIMEOUT:
        return "The machine behind this address is away or busy. Please try again in a moment.";
    default:
        return NULL;
    }
}

static struct slice words_of(const struct exchange *x, unsigned status)
{
    const char *more = tunnel_words(x);
    if (more != NULL) {
        return slice_str(more);
    }
    for (size_t i = 0; i < array_len(words); i++) {
        if (words[i].status == status) {
            return slice_str(words[i].text);
        }
    }
    return status < 500 ? SLICE("The request cannot be answered.")
                        : SLICE("The service has a problem. It is not your fault.");
}

static struct slice side_of(unsigned status)
{
    if (status < 500 || status == 501 || status == 505) {
        return SLICE("request");
    }
    return status == 502 || status == 504 ? SLICE("origin") : SLICE("server");
}

// The rule that the client's request broke, or nothing.
static struct slice rule_of(const struct exchange *x, unsigned status)
{
    bool theirs = x->error != 0 && x->error_side == HTTP_DOWN && status >= 400 && status < 500 &&
                  (unsigned)error_status(x->error) == status &&
                  error_class_of(x->error) != ERROR_CLASS_LOCAL;
    return theirs ? slice_str(error_text(x->error)) : slice_of("", 0);
}

static struct slice id_of(const struct exchange *x)
{
    return slice_of(x->id, strnlen(x->id, sizeof(x->id)));
}

// ---- pages ----------------------------------------------------------------------------------------

static void put_html(struct text *t, const struct exchange *x, unsigned status)
{
    struct slice reason = http_status_reason(status);
    struct slice rule = rule_of(x, status);
    text_put(t, SLICE("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width\">\n"
                      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>"));
    text_u64(t, status);
    text_char(t, ' ');
    text_put(t, reason);
    text_put(t, SLICE("</title>\n<style>\n"
                      "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;"
                      "padding:0 1.5rem}\n"
                      "h1{font-size:1.4rem;margin:0}\nb{font-weight:400;opacity:.6}\n"
                      "small{opacity:.6}\n</style>\n<h1><b>"));
    text_u64(t, status);
    text_put(t, SLICE("</b> "));
    text_put(t, reason);
    text_put(t, SLICE("</h1>\n<p>"));
    text_html(t, words_of(x, status));
    if (rule.len > 0) {
        text_put(t, SLICE("</p>\n<p>"));
        text_html(t, rule);
    }
    text_put(t, SLICE("</p>\n<p><small>Request "));
    text_html(t, id_of(x));
    text_put(t, SLICE("</small></p>\n</html>\n"));
}

static void put_json(struct text *t, const struct exchange *x, unsigned status)
{
    struct slice rule = rule_of(x, status);
    text_put(t, SLICE("{\"type\":\"about:blank\",\"title\":\""));
    text_json(t, http_status_reason(status));
    text_put(t, SLICE("\",\"status\":"));
    text_u64(t, status);
    text_put(t, SLICE(",\"detail\":\""));
    text_json(t, words_of(x, status));
    if (rule.len > 0) {
        text_put(t, SLICE("\",\"rule\":\""));
        text_json(t, rule);
    }
    text_put(t, SLICE("\",\"side\":\""));
    text_put(t, side_of(status));
    text_put(t, SLICE("\",\"id\":\""));
    text_json(t, id_of(x));
    text_put(t, SLICE("\"}\n"));
}

static void put_plain(struct text *t, const struct exchange *x, unsigned status)
{
    struct slice rule = rule_of(x, status);
    text_u64(t, status);
    text_char(t, ' ');
    text_put(t, http_status_reason(status));
    text_put(t, SLICE("\n\n"));
    text_put(t, words_of(x, status));
    text_char(t, '\n');
    if (rule.len > 0) {
        text_put(t, rule);
        text_char(t, '\n');
    }
    text_put(t, SLICE("Request "));
    text_put(t, id_of(x));
    text_char(t, '\n');
}

static struct slice own_page(struct exchange *x, unsigned status, struct slice *type)
{
    char *bytes = arena_bytes(&x->arena, PAGE_BYTES_MAX);
    if (bytes == NULL) {
        return slice_of("", 0);
    }
    struct text t = text_on(bytes, PAGE_BYTES_MAX);
    switch (http_page_wanted(&x->request.fields)) {
    case HTTP_PAGE_HTML:
        *type = SLICE("text/html; charset=utf-8");
        put_html(&t, x, status);
        break;
    case HTTP_PAGE_JSON:
        *type = SLICE("application/problem+json");
        put_json(&t, x, status);
        break;
    case HTTP_PAGE_TEXT:
        *type = SLICE("text/plain; charset=utf-8");
        put_plain(&t, x, status);
        break;
    }
    ensure(!t.overflow);
    return text_slice(&t);
}

// When it is worth asking again (RFC 9110 10.2.3): at least a second, which is what the field can say.
static uint64_t retry_after_s(const struct exchange *x)
{
    uint64_t ms = x->first.ticket.retry_ms;
    return ms == 0 ? RETRY_AFTER_SECONDS : (ms + 999) / 1000;
}

// What a status demands (RFC 9110 15.5.6, 15.5.22, 15.6.4). A field that finds no room is left out:
// the answer matters more.
static void put_fields(struct exchange *x, unsigned status)
{
    struct fields *f = &x->response.fields;
    bool whole = fields_set_id(f, HTTP_CACHE_CONTROL, SLICE("no-store")) == 0;
    if (x->id[0] != '\0') {
        whole = fields_set_id(f, HTTP_X_REQUEST_ID, id_of(x)) == 0 && whole;
    }
    if (status == 503) {
        char digits[NUM_U64_DIGITS];
        size_t n = num_format_u64(digits, retry_after_s(x));
        whole = fields_set_id(f, HTTP_RETRY_AFTER, slice_of(digits, n)) == 0 && whole;
    } else if (status == 405) {
        struct slice allow = SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        whole = fields_set_id(f, HTTP_ALLOW, allow) == 0 && whole;
    } else if (status == 426) {
        x->response.upgrade = SLICE("HTTP/1.1");
    }
    (void)whole;
}

unsigned error_page_status(int error, enum http_side side)
{
    int status = error_status(error);
    if (side == HTTP_UP && (status < 500 || status == 501 || status == 505)) {
        // The limits and local troubles of talking to an origin keep their own status (all 5xx).
        return status == 0 && error_class_of(error) != ERROR_CLASS_PEER ? 500 : 502;
    }
    return status == 0 ? 500 : (unsigned)status;
}

void error_page_answer(struct exchange *x, unsigned status)
{
    ensure(status >= 400);
    ensure(status < 600);
    struct slice type = slice_of("", 0);
    struct slice body = slice_of("", 0);
    if (grpc_is_request(x)) { // its clients read no pages
        struct slice rule = rule_of(x, status);
        grpc_answer(x, status, rule.len > 0 ? rule : words_of(x, status));
        return;
    }
    exchange_begin_answer(x, status);
    const struct custom_page *p = custom_page(x, status);
    if (p != NULL && p->body == NULL) {
        type = p->type;
        body = p->fixed;
    } else if (p != NULL && vars_expand_body(p->body, x, p->html, &body) == 0) {
        type = p->type;
    } else {
        body = own_page(x, status, &type);
    }
    put_fields(x, status);
    exchange_answer_kept(x, type, body);
}

// SPDX-License-Identifier: Apache-2.0
//
// The inspector's site (inspect/answer.h).
//
//   GET  /                               the page; /inspect.js and /inspect.css belong to it
//   GET  /api/requests?after=CHANGE      the requests that came or changed since
//   GET  /api/requests/ID                one
//   GET  /api/requests/ID/curl           the same as a command
//   POST /api/requests/ID/replay         once more; the answer is the service's
//
// It is on a loopback address without a password, so a browser on this machine is what has to be kept at
// bay: pages of other sites. They cannot read answers (same-origin policy); by a name that leads to
// 127.0.0.1 they could, so no other Host is taken; and they can cause no repeat, for which a field is
// required that a form cannot send and another origin not without asking first.

#include "inspect/answer.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "proxy/exchange.h"
#include "proxy/match.h"

#include "inspect/capture.h"
#include "inspect/page.h"
#include "inspect/show.h"

enum { FIELDS_MORE = 16, AUTHORITY_MAX = 64 };

static const struct slice JSON = SLICE_INIT("application/json");
static const struct slice PLAIN = SLICE_INIT("text/plain; charset=utf-8");

// ---- answers ---------------------------------------------------------------------------------------

/** 0, E_HEAD_TOO_LARGE... */
static int put_guards(struct fields *f)
{
    static const char *const guards[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
         "require-trusted-types-for 'script'"},
    };
    int e = 0;
    for (size_t i = 0; e == 0 && i < array_len(guards); i++) {
        e = fields_set(f, slice_str(guards[i][0]), slice_str(guards[i][1]));
    }
    return e;
}

static enum stage_result answer(struct exchange *x, unsigned status, struct slice type,
                                struct slice body)
{
    exchange_begin_answer(x, status);
    int e = put_guards(&x->response.fields);
    if (e != 0) {
        exchange_fail(x, e, HTTP_DOWN);
    } else {
        exchange_answer_kept(x, type, body);
    }
    return STAGE_ANSWER;
}

static enum stage_result refuse(struct exchange *x, unsigned status, const char *why)
{
    size_t len = strlen(why);
    char *line = arena_bytes(&x->arena, len + 1);
    if (line == NULL) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    memcpy(line, why, len);
    line[len] = '\n';
    return answer(x, status, PLAIN, slice_of(line, len + 1));
}

/** What show_...() has made. */
static enum stage_result answer_made(struct exchange *x, int error, struct slice type,
                                     struct slice made)
{
    if (error == 0 && arena_on_fini(&x->arena, mem_free, (void *)(uintptr_t)made.ptr) != 0) {
        mem_free((void *)(uintptr_t)made.ptr);
        error = E_NO_MEMORY;
    }
    if (error != 0) {
        exchange_fail(x, error == E_NO_MEMORY ? error : E_INTERNAL, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    return answer(x, 200, type, made);
}

// ---- who may ask -----------------------------------------------------------------------------------

/** Whether the authority is a name of the loopback's own, with the port that was connected to. */
static bool is_own_authority(struct slice authority, uint16_t port)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < array_len(hosts); i++) {
        char buffer[AUTHORITY_MAX];
        struct text t = text_on(buffer, sizeof(buffer));
        text_str(&t, hosts[i]);
        if (port == 80 && slice_eq(authority, text_slice(&t))) {
            return true;
        }
        text_printf(&t, ":%u", port);
        if (slice_eq(authority, text_slice(&t))) {
            return true;
        }
    }
    return false;
}

/** Whether the browser, if it is one, says that the page which asks is ours. */
static bool is_same_origin(const struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    struct slice origin = fields_get_id(f, HTTP_ORIGIN);
    struct slice site = fields_get(f, SLICE("sec-fetch-site"));
    static const struct slice http = SLICE_INIT("http://");
    bool own = origin.ptr == NULL || (slice_starts(origin, http) &&
                                      slice_eq(slice_from(origin, http.len), x->request.authority));
    return own && (site.ptr == NULL || slice_eq(site, SLICE("same-origin")) ||
                   slice_eq(site, SLICE("none")));
}

/** A form of another site's page can send none of these, and a script of it not without leave. */
static bool has_proof(const struct fields *f)
{
    struct slice type = fields_get_id(f, HTTP_CONTENT_TYPE);
    ptrdiff_t end = slice_find_char(type, ';');
    type = slice_trim(slice_sub(type, 0, end < 0 ? type.len : (size_t)end));
    return slice_eq_nocase(type, JSON) || fields_get(f, SLICE("adit-inspect")).ptr != NULL;
}

// ---- once more -------------------------------------------------------------------------------------

static int take_fields(struct fields *f, struct slice rest)
{
    struct slice name;
    struct slice value;
    int e = 0;
    while (e == 0 && show_next(&rest, &name) && show_next(&rest, &value)) {
        e = fields_add(f, name, value);
    }
    return e;
}

/** Makes the request what the entry's head says. */
static int take_head(struct exchange *x, const struct ring_entry *e)
{
    struct http_head *h = &x->request;
    const struct ring_text *t = &e->text[RING_REQUEST_HEAD];
    char *bytes = arena_bytes(&x->arena, t->len);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    ring_copy(t, bytes);
    struct slice rest = slice_of(bytes, t->len);
    struct slice part[5]; // method, scheme, authority, target, protocol
    for (size_t i = 0; i < array_len(part); i++) {
        if (!show_next(&rest, &part[i])) {
            return E_NOT_FOUND;
        }
    }
    bool keep_alive = h->keep_alive;
    uint8_t minor = h->version_minor;
    http_head_init(h, &x->arena, x->snapshot->head_bytes * 2,
                   (uint16_t)(x->snapshot->head_fields + FIELDS_MORE));
    h->keep_alive = keep_alive;
    h->version_minor = minor;
    h->method_text = part[0];
    h->method = (uint8_t)http_method_of(part[0]);
    h->scheme = part[1];
    h->target = part[3];
    ptrdiff_t mark = slice_find_char(h->target, '?');
    h->path = mark < 0 ? h->target : slice_sub(h->target, 0, (size_t)mark);
    h->query = mark < 0 ? (struct slice){NULL, 0} : slice_from(h->target, (size_t)mark + 1);
    char *room = arena_bytes(&x->arena, part[2].len + h->path.len + 1);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    int error = part[2].len > 0 ? http_authority_parse(part[2], room, &h->authority, &h->host) : 0;
    error = error != 0 ? error : http_path_normalise(h->path, room + part[2].len, &x->normal_path);
    return error != 0 ? error : take_fields(&h->fields, rest);
}

/** Gives it the entry's body. */
static int take_body(struct exchange *x, const struct ring_entry *e)
{
    const struct ring_text *t = &e->text[RING_REQUEST_BODY];
    struct http_head *h = &x->request;
    int error = 0;
    if (t->len == 0) {
        return 0;
    }
    const struct ring_block *at = NULL;
    for (struct slice s = ring_next(t, &at); error == 0 && s.len > 0; s = ring_next(t, &at)) {
        error = http_body_write(&x->request_body, &x->loop->chunks, s.ptr, s.len);
    }
    if (error == 0) {
        http_body_end(&x->request_body, NULL);
        h->body = HTTP_BODY_LENGTH;
        h->has_length = true;
        h->content_length = (int64_t)t->len;
    }
    return error;
}

/** From here on it is a request of that tunnel, as if it had come through it. */
static enum stage_result repeat(const struct answer_place *p, struct exchange *x,
                                const struct ring_entry *e)
{
    const struct site *site = snapshot_site(x->snapshot, slice_of(e->site, e->site_len));
    uint64_t id = e->id;
    x->client = e->client;
    x->client_secure = e->secure;
    int error = take_head(x, e);
    error = error != 0 ? error : take_body(x, e);
    const struct route *route = error == 0 && site != NULL ? match_route(site, x) : NULL;
    if (route == NULL) {
        exchange_fail(x, error != 0 ? error : E_NO_ROUTE, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    x->site = site;
    x->route = route;
    x->original_target = x->request.target;
    struct capture *c = capture_begin(p->ring, x, id);
    x->slots[p->slot] = c;
    if (c != NULL) {
        capture_request(c, x);
    }
    return STAGE_CONTINUE;
}

static enum stage_result on_replay(const struct answer_place *p, struct exchange *x,
                                   const struct ring_entry *e)
{
    if (!is_same_origin(x) || !has_proof(&x->request.fields)) {
        return refuse(
            x, 403,
            "a repeat is asked for by the inspector's own page, or by a program that sends "
            "the field `Adit-Inspect: 1`");
    }
    if (x->request.body != HTTP_BODY_NONE) {
        return refuse(x, 400, "a repeat is asked for without a body: it has that of the request");
    }
    const char *why_not = show_why_not(e);
    return why_not != NULL ? refuse(x, 409, why_not) : repeat(p, x, e);
}

void answer_defuse(struct exchange *x)
{
    static const char *const acted_upon[] = {"Set-Cookie",
                                             "Clear-Site-Data",
                                             "Alt-Svc",
                                             "Location",
                                             "Refresh",
                                             "Link",
                                             "Strict-Transport-Security",
                                             "NEL",
                                             "Report-To",
                                             "Reporting-Endpoints",
                                             "SourceMap",
                                             "Service-Worker-Allowed",
                                             "Access-Control-Allow-Origin",
                                             "WWW-Authenticate"};
    struct fields *f = &x->response.fields;
    for (size_t i = 0; i < array_len(acted_upon); i++) {
        (void)fields_remove(f, slice_str(acted_upon[i]));
    }
    (void)fields_remove(f, SLICE("Content-Security-Policy"));
    if (x->request.method == HTTP_METHOD_HEAD) { // here it answers a POST: no body is to follow
        x->response.has_length = x->response.status != 204;
        x->response.content_length = 0;
    }
    (void)put_guards(f); // without room for them it is a script's answer all the same
}

// ---- what is asked for -----------------------------------------------------------------------------

static enum stage_result on_list(const struct answer_place *p, struct exchange *x)
{
    static const struct slice name = SLICE_INIT("after=");
    uint64_t after = 0;
    struct slice made = {NULL, 0};
    struct slice query = x->request.query;
    if (query.len > 0 && (!slice_starts(query, name) ||
                          num_parse_u64(slice_from(query, name.len), UINT64_MAX, &after) != 0)) {
        return refuse(x, 400, "write ?after=N, with the number that `last` was");
    }
    return answer_made(x, show_list(p->ring, after, &made), JSON, made);
}

static enum stage_result on_entry(const struct answer_place *p, struct exchange *x,
                                  struct slice rest)
{
    ptrdiff_t slash = slice_find_char(rest, '/');
    struct slice number = slice_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash);
    struct slice what = slash < 0 ? slice_of("", 0) : slice_from(rest, (size_t)slash);
    uint64_t id = 0;
    struct slice made = {NULL, 0};
    bool post = x->request.method == HTTP_METHOD_POST;
    const struct ring_entry *e =
        num_parse_u64(number, UINT64_MAX, &id) == 0 ? ring_find(p->ring, id) : NULL;
    if (e == NULL) {
        return refuse(x, 404, "there is no request of that number, or no more");
    }
    if (slice_eq(what, SLICE("/replay"))) {
        return post ? on_replay(p, x, e) : refuse(x, 405, "a repeat is asked for with POST");
    }
    if (post) {
        return refuse(x, 405, "this is read with GET");
    }
    if (what.len == 0) {
        return answer_made(x, show_entry(e, &made), JSON, made);
    }
    if (slice_eq(what, SLICE("/curl"))) {
        return answer_made(x, show_curl(e, &made), PLAIN, made);
    }
    return refuse(x, 404, "there is nothing here");
}

enum stage_result answer_request(const struct answer_place *p, struct exchange *x)
{
    static const struct slice api = SLICE_INIT("/api/requests");
    struct slice path = x->request.path;
    bool post = x->request.method == HTTP_METHOD_POST;
    if (!is_own_authority(x->request.authority, x->down->peer->port)) {
        return refuse(x, 403, "the inspector is at 127.0.0.1 and localhost, by no other name");
    }
    if (!post && x->request.method != HTTP_METHOD_GET && x->request.method != HTTP_METHOD_HEAD) {
        return refuse(x, 405, "only GET and POST are known here");
    }
    if (slice_starts(path, api)) {
        if (!is_same_origin(x)) {
            return refuse(x, 403, "another site's page cannot ask the inspector");
        }
        struct slice rest = slice_from(path, api.len);
        if (rest.len == 0) {
            return post ? refuse(x, 405, "this is read with GET") : on_list(p, x);
        }
        return rest.ptr[0] == '/' ? on_entry(p, x, slice_from(rest, 1))
                                  : refuse(x, 404, "there is nothing here");
    }
    for (const struct page_file *f = page_files; f->path != NULL; f++) {
        if (!post && slice_eq(path, slice_str(f->path))) {
            return answer(x, 200, slice_str(f->type), slice_str(f->text));
        }
    }
    return refuse(x, post ? 405 : 404, post ? "this is read with GET" : "there is nothing here");
}

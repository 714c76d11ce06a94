// SPDX-License-Identifier: Apache-2.0
//
// Cookies of tunnels, and what agents are told of visitors (tunnel/cookies.h).

#include "tunnel/cookies.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/doc.h"
#include "http/fields.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "tunnel/registry.h"
#include "tunnel/zone.h"

/** The next attribute after the first ';', without blanks around it; *rest is what follows. */
static struct slice next_part(struct slice *rest)
{
    ptrdiff_t end = slice_find_char(*rest, ';');
    struct slice part = end < 0 ? *rest : slice_sub(*rest, 0, (size_t)end);
    *rest = end < 0 ? slice_of(rest->ptr, 0) : slice_from(*rest, (size_t)end + 1);
    return slice_trim(part);
}

/** The value of `Domain=`; false: it is another attribute. */
static bool is_domain(struct slice part, struct slice *value)
{
    ptrdiff_t equals = slice_find_char(part, '=');
    if (equals < 0 ||
        !slice_eq_nocase(slice_trim(slice_sub(part, 0, (size_t)equals)), SLICE("domain"))) {
        return false;
    }
    *value = slice_trim(slice_from(part, (size_t)equals + 1));
    if (value->len > 0 && value->ptr[0] == '.') { // RFC 6265 5.2.3
        *value = slice_from(*value, 1);
    }
    return true;
}

static bool is_within(struct slice domain, struct slice host)
{
    if (domain.len < host.len) {
        return false;
    }
    size_t before = domain.len - host.len;
    return slice_eq_nocase(slice_from(domain, before), host) &&
           (before == 0 || domain.ptr[before - 1] == '.');
}

bool tunnel_cookie_ok(struct slice set_cookie, struct slice host)
{
    struct slice rest = set_cookie;
    (void)next_part(&rest); // name and value
    // Of several the last one counts for a browser: all of them must do.
    while (rest.len > 0) {
        struct slice part = next_part(&rest);
        struct slice domain;
        if (is_domain(part, &domain) && domain.len > 0 && !is_within(domain, host)) {
            return false;
        }
    }
    return true;
}

// ---- Clear-Site-Data --------------------------------------------------------------------------------

#define CLEAR_SITE_DATA SLICE("Clear-Site-Data")

static const struct slice stays_with_origin[] = {
    SLICE_INIT("\"cache\""),         SLICE_INIT("\"storage\""),
    SLICE_INIT("\"clientHints\""),   SLICE_INIT("\"executionContexts\""),
    SLICE_INIT("\"prefetchCache\""), SLICE_INIT("\"prerenderCache\""),
};

enum { CACHE_AND_STORAGE = 3, CLEAR_MAX = 128 };

/** Bits of what a value names that stays with its origin. Cut at every comma, as browsers do. */
static unsigned clears(struct slice value)
{
    unsigned bits = 0;
    for (ptrdiff_t comma = 0; comma >= 0; value = slice_from(value, (size_t)comma + 1)) {
        comma = slice_find_char(value, ',');
        struct slice one = slice_trim(comma < 0 ? value : slice_sub(value, 0, (size_t)comma));
        bits |= slice_eq(one, SLICE("\"*\"")) ? CACHE_AND_STORAGE : 0;
        for (size_t i = 0; i < array_len(stays_with_origin); i++) {
            bits |= slice_eq(one, stays_with_origin[i]) ? 1U << i : 0;
        }
        if (comma < 0) {
            break;
        }
    }
    return bits;
}

/** Takes all of them away; the bits of what they named. */
static unsigned remove_clears(struct fields *f)
{
    unsigned bits = 0;
    for (uint16_t i = f->count; i > 0; i--) {
        const struct field *e = &f->entries[i - 1];
        if (slice_eq_nocase(field_name(f, e), CLEAR_SITE_DATA)) {
            bits |= clears(field_value(f, e));
            fields_remove_at(f, (uint16_t)(i - 1));
        }
    }
    return bits;
}

void tunnel_narrow_clear_site_data(struct fields *f)
{
    char room[CLEAR_MAX];
    struct text t = text_on(room, sizeof(room));
    if (fields_find(f, CLEAR_SITE_DATA) == NULL) {
        return;
    }
    unsigned bits = remove_clears(f);
    for (size_t i = 0; i < array_len(stays_with_origin); i++) {
        if ((bits & 1U << i) != 0) {
            text_str(&t, t.len > 0 ? ", " : "");
            text_put(&t, stays_with_origin[i]);
        }
    }
    ensure(!t.overflow);
    if (t.len > 0) {
        int ignored = fields_add(f, CLEAR_SITE_DATA, text_slice(&t)); // without room there is none
        (void)ignored;
    }
}

// ---- the module -------------------------------------------------------------------------------------

/** The name that a host belongs to: the last label in front of the zone's suffix, with it. */
static struct slice own_name(struct slice host, struct slice suffix)
{
    if (suffix.len == 0 || !slice_ends(host, suffix)) {
        return host;
    }
    size_t begin = host.len - suffix.len;
    while (begin > 0 && host.ptr[begin - 1] != '.') {
        begin--;
    }
    return slice_from(host, begin);
}

struct conf {
    struct slice suffix; // ".tunnel.example.com"; empty: whole domains
};

static int compile(const struct module_compile *c, void **conf)
{
    const struct conf_node *level = c->scope->level;
    if (!conf_exists(conf_get(level[0], "tunnels"))) {
        return 0;
    }
    struct conf *own = arena_zalloc(c->arena, sizeof(*own));
    if (own == NULL) {
        return E_NO_MEMORY;
    }
    struct slice site = conf_key(level[conf_exists(level[2]) ? 1 : 0]);
    if (site.len > 1 && site.ptr[0] == '*') {
        own->suffix = slice_from(site, 1);
    }
    *conf = own;
    return 0;
}

/** An agent believes whatever its edge says of the visitor, and passes the chain on to who may take its
 * first address: what a visitor wrote in front of his own, and a proxy of the operator's passed on, must
 * not come first. */
static enum stage_result on_request(struct exchange *x, const void *conf)
{
    (void)conf;
    int e = forwarded_begin_at_client(x);
    e = e < 0 ? e : forwarded_tell_visitor(x);
    if (e < 0) {
        exchange_fail(x, e, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    return STAGE_CONTINUE;
}

/** Browsers take cookies from a 101, and some clients from any interim response as well. */
static void drop_wide_cookies(struct exchange *x, struct http_head *head, const void *conf)
{
    const struct conf *own = conf;
    struct fields *f = &head->fields;
    if (!fields_has(f, HTTP_SET_COOKIE)) {
        return;
    }
    struct slice name = own_name(x->request.host, own->suffix);
    for (uint16_t i = f->count; i > 0; i--) {
        const struct field *e = &f->entries[i - 1];
        if (e->id == HTTP_SET_COOKIE && !tunnel_cookie_ok(field_value(f, e), name)) {
            fields_remove_at(f, (uint16_t)(i - 1));
        }
    }
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    drop_wide_cookies(x, &x->response, conf);
    tunnel_narrow_clear_site_data(&x->response.fields);
    return STAGE_CONTINUE;
}

/** Nobody clears by an interim answer, so nothing is left of it. */
static void on_interim(struct exchange *x, struct http_head *head, const void *conf)
{
    drop_wide_cookies(x, head, conf);
    if (fields_find(&head->fields, CLEAR_SITE_DATA) != NULL) {
        (void)remove_clears(&head->fields);
    }
}

static void on_done(struct exchange *x, const void *conf)
{
    (void)conf;
    struct tunnel *t = zone_tunnel(x->upstream);
    if (t != NULL) {
        tunnel_count_bytes(t, x->request_body.put_total, x->response_body.taken_total);
    }
}

const struct module tunnel_module = {
    .name = "tunnels",
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_interim = on_interim,
    .on_done = on_done,
};

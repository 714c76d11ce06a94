// SPDX-License-Identifier: Apache-2.0
//
// Cookies of tunnels, and what agents are told of visitors (tunnel/cookies.h).

#include "tunnel/cookies.h"

#include "base/error.h"
#include "conf/doc.h"
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
    return STAGE_CONTINUE;
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
    .on_interim = drop_wide_cookies,
    .on_done = on_done,
};

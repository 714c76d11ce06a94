// SPDX-License-Identifier: Apache-2.0
//
// The module `hsts`: tells browsers to keep to https (RFC 6797). The field goes only into answers that
// the client gets by https (RFC 6797 7.2), errors and redirects of ours as well, and it is ours alone:
// one that an origin sent is replaced.

#include "base/error.h"
#include "base/text.h"
#include "conf/diag.h"
#include "proxy/exchange.h"
#include "tls/plan.h"

#include "https/https.h"

static const struct slice NAME = SLICE_INIT("Strict-Transport-Security");

enum { VALUE_MAX = 80 };

struct hsts {
    struct slice value;
};

// The level below the top one; does not exist for requests that no site takes.
static struct conf_node site_of(const struct conf_scope *scope)
{
    struct conf_node site = {NULL, 0};
    for (size_t i = 0; i + 1 < array_len(scope->level); i++) {
        if (conf_exists(scope->level[i + 1])) {
            site = scope->level[i];
        }
    }
    return site;
}

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node site = site_of(c->scope);
    if (!conf_exists(site)) {
        return 0;
    }
    struct conf_node root = conf_root(site.doc);
    struct conf_node n = tls_plan_get(root, site, "hsts");
    if (!conf_exists(n) || conf_is_off(n) ||
        tls_plan_source(root, site, conf_key(site)) == TLS_SOURCE_NONE) {
        return 0;
    }
    struct hsts *h = arena_alloc(c->arena, sizeof(*h));
    char *bytes = arena_bytes(c->arena, VALUE_MAX);
    if (h == NULL || bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, VALUE_MAX);
    text_str(&t, "max-age=");
    text_u64(&t, conf_duration_ms(conf_get(n, "max_age"), 365ull * 86400 * 1000) / 1000);
    text_str(&t, conf_bool(conf_get(n, "subdomains"), false) ? "; includeSubDomains" : "");
    text_str(&t, conf_bool(conf_get(n, "preload"), false) ? "; preload" : "");
    ensure(!t.overflow);
    h->value = text_slice(&t);
    *conf = h;
    return 0;
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    const struct hsts *h = conf;
    if (x->client_secure) {
        // Without room for it the answer goes out as it is.
        int rc = fields_set(&x->response.fields, NAME, h->value);
        (void)rc;
    }
    return STAGE_CONTINUE;
}

const struct module hsts_module = {
    .name = "hsts",
    .compile = compile,
    .on_response = on_response,
};

// SPDX-License-Identifier: Apache-2.0
//
// The module `redirect`: answers with a Location (RFC 9110 15.4). The target is a template; what it
// becomes is encoded, backslashes too, and a path that a capture would have turned into "//host" loses
// its second slash: a redirect within the site stays within the site, whatever the client asked for.

#include "base/error.h"
#include "conf/diag.h"
#include "proxy/exchange.h"
#include "proxy/vars.h"

#include "headers/headers.h"
#include "headers/headers_int.h"
#include "headers/target.h"

struct redirect {
    const struct vars_text *to;
    uint16_t status;
    bool scheme_relative; // the configuration itself begins with "//"
};

static void check_redirect(struct conf_diags *d, struct conf_node value)
{
    struct conf_node status = conf_get(value, "status");
    headers_check_line(d, conf_get(value, "to"));
    int64_t code = conf_int(status, 302);
    if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308) {
        conf_error(d, status, "%lld is no redirect", (long long)code);
        conf_hint(d, "301 and 308 are for good, 302 and 307 for now, 303 after a form; 307 and 308 "
                     "keep the method");
    }
}

static const struct conf_directive redirect_rows[] = {
    {
        .name = "to",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_TEMPLATE,
        .required = true,
        .text = "Where to: a path, or a whole URL.",
    },
    {
        .name = "status",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_STATUS,
        .min = 301,
        .max = 308,
        .fallback = "302",
        .text = "301, 302, 303, 307 or 308.",
    },
    CONF_END,
};

const struct conf_directive redirect_directives[] = {
    {
        .name = "redirect",
        .contexts = CONF_IN_ROUTING,
        .type = CONF_TYPE_OBJECT,
        .merge = CONF_MERGE_REPLACE,
        .action = true,
        .rows = redirect_rows,
        .shorthand = "to",
        .aka = "redir return moved",
        .since = "0.1",
        .text = "Sends the client elsewhere; the query is not carried on unless $query says so.",
        .example = "sites:\n"
                   "  example.com:\n"
                   "    routes:\n"
                   "      - {path: /old/*, redirect: {to: /new/$match(1), status: 301}}\n"
                   "      - {proxy: 3000}\n",
        .check = check_redirect,
    },
    CONF_END,
};

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node n = conf_get(c->scope->level[0], "redirect"); // an action is not inherited
    if (!conf_exists(n)) {
        return 0;
    }
    struct redirect *r = arena_zalloc(c->arena, sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    struct conf_node to = conf_get(n, "to");
    r->status = (uint16_t)conf_int(conf_get(n, "status"), 302);
    r->scheme_relative = slice_starts(conf_text(to), SLICE("//"));
    int rc = vars_compile(to, c->arena, c->diags, &r->to);
    if (rc == 0 && !vars_is_line(r->to)) {
        conf_error(c->diags, to, "a target is one line");
        rc = E_CONFIG;
    }
    *conf = r;
    return rc;
}

static int location_of(const struct redirect *r, struct exchange *x, struct slice *out)
{
    int rc = vars_expand(r->to, x, out);
    if (rc != 0) {
        return rc;
    }
    if (!r->scheme_relative && out->len > 1 && out->ptr[0] == '/') {
        while (out->len > 1 && out->ptr[1] == '/') {
            *out = slice_from(*out, 1);
        }
    }
    return target_encode(*out, true, &x->arena, out);
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct redirect *r = conf;
    struct slice location;
    int rc = location_of(r, x, &location);
    if (rc != 0) {
        exchange_fail(x, rc == E_INVALID ? E_BAD_TARGET : rc, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    exchange_begin_answer(x, r->status);
    if (fields_set_id(&x->response.fields, HTTP_LOCATION, location) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    exchange_answer(x, slice_of("", 0), slice_of("", 0));
    return STAGE_ANSWER;
}

const struct module redirect_module = {
    .name = "redirect",
    .directives = redirect_directives,
    .compile = compile,
    .on_request = on_request,
};

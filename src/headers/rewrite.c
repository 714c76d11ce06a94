// SPDX-License-Identifier: Apache-2.0
//
// The module `rewrite`: what the origin gets to see as target. Routing is over by then; logs and
// $path keep what the client wrote. Three forms: a new path with variables, a prefix that is taken
// off, a regular expression on the path with a new path for what matches.
//
// The query goes on unchanged unless the new path has a '?' of its own. The result is encoded once
// more and begins with '/', or the request is refused: a rewrite never makes another request line.

#include "base/error.h"
#include "base/text.h"
#include "conf/diag.h"
#include "proxy/exchange.h"
#include "proxy/regex.h"
#include "proxy/vars.h"

#include "headers/headers.h"
#include "headers/headers_int.h"
#include "headers/target.h"

struct rewrite {
    const struct vars_text *to;
    const struct regex *regex; // NULL: always
    struct slice strip;        // .len 0: none
};

static void check_rewrite(struct conf_diags *d, struct conf_node value)
{
    bool to = conf_exists(conf_get(value, "to"));
    struct conf_node strip = conf_get(value, "strip");
    struct conf_node regex = conf_get(value, "regex");
    if (conf_kind_of(value) != CONF_MAP) {
        return;
    }
    if (conf_exists(strip) && (to || conf_exists(regex))) {
        conf_error(d, strip, "`strip` stands alone");
        conf_hint(d, "what a prefix becomes is said with `to`, as in rewrite: /new/$match(1)");
    } else if (conf_exists(regex) && !to) {
        conf_error(d, regex, "`regex` needs `to`");
    } else if (!conf_exists(strip) && !to) {
        conf_error(d, value, "a rewrite says `to` or `strip`");
    }
    headers_check_line(d, conf_get(value, "to"));
    if (conf_exists(strip) && !slice_starts(conf_text(strip), SLICE("/"))) {
        conf_error(d, strip, "a path begins with /");
    }
}

static const struct conf_directive rewrite_rows[] = {
    {
        .name = "to",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_TEMPLATE,
        .text = "The new path; with a `?` in it the query is replaced as well.",
    },
    {
        .name = "strip",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_STRING,
        .text = "A leading part of the path that is taken off.",
    },
    {
        .name = "regex",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_REGEX,
        .text = "Only paths that match are rewritten; $match(1) is the first group.",
    },
    CONF_END,
};

const struct conf_directive rewrite_directives[] = {
    {
        .name = "rewrite",
        .contexts = CONF_IN_ROUTING,
        .type = CONF_TYPE_OBJECT,
        .merge = CONF_MERGE_REPLACE,
        .off_ok = true,
        .rows = rewrite_rows,
        .shorthand = "to",
        .aka = "uri strip_prefix replace-path set-path",
        .since = "0.1",
        .text = "Changes the path before the request goes to the origin; the route is chosen "
                "before that and logs keep the client's path.",
        .example = "sites:\n"
                   "  example.com:\n"
                   "    rewrite: {strip: /app}\n"
                   "    proxy: 3000\n",
        .check = check_rewrite,
    },
    CONF_END,
};

static int compile_regex(const struct module_compile *c, struct conf_node at,
                         const struct regex **out)
{
    struct regex_error error;
    int rc = regex_compile(conf_text(at), c->arena, out, &error);
    if (rc == E_INVALID) {
        conf_error(c->diags, at, "regular expression, at character %zu: %s", error.offset + 1,
                   error.message);
        return E_CONFIG;
    }
    return rc;
}

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node n = (struct conf_node){c->scope->level[0].doc, 0};
    for (size_t i = 0; i < array_len(c->scope->level) && !conf_exists(n); i++) {
        n = conf_get(c->scope->level[i], "rewrite");
    }
    if (!conf_exists(n) || conf_kind_of(n) != CONF_MAP) {
        return 0;
    }
    struct rewrite *r = arena_zalloc(c->arena, sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    struct conf_node to = conf_get(n, "to");
    struct conf_node regex = conf_get(n, "regex");
    r->strip = conf_string(conf_get(n, "strip"), "");
    while (r->strip.len > 0 && r->strip.ptr[r->strip.len - 1] == '/') {
        r->strip.len--; // "/app/" and "/app" mean the same
    }
    int rc = conf_exists(to) ? vars_compile(to, c->arena, c->diags, &r->to) : 0;
    if (rc == 0 && conf_exists(regex)) {
        rc = compile_regex(c, regex, &r->regex);
    }
    if (rc == 0 && r->to != NULL && !vars_is_line(r->to)) {
        conf_error(c->diags, to, "a path is one line");
        rc = E_CONFIG;
    }
    *conf = r;
    return rc;
}

static struct slice strip_prefix(struct slice path, struct slice prefix)
{
    bool whole =
        slice_starts(path, prefix) && (path.len == prefix.len || path.ptr[prefix.len] == '/');
    if (!whole || prefix.len == 0) {
        return path;
    }
    return path.len == prefix.len ? SLICE("/") : slice_from(path, prefix.len);
}

// The new path, or .ptr NULL: nothing changes.
static int new_path(const struct rewrite *r, struct exchange *x, struct slice *out)
{
    *out = slice_of(NULL, 0);
    if (r->to == NULL) {
        *out = strip_prefix(x->request.path, r->strip);
        return 0;
    }
    if (r->regex != NULL &&
        !regex_match(r->regex, x->request.path, x->captures, EXCHANGE_CAPTURES_MAX)) {
        return 0;
    }
    return vars_expand(r->to, x, out);
}

static int set_target(struct exchange *x, struct slice path)
{
    struct http_head *h = &x->request;
    struct slice target;
    if (path.len == 0 || path.ptr[0] != '/') {
        return E_BAD_TARGET;
    }
    int rc = target_encode(path, false, &x->arena, &target);
    if (rc != 0) {
        return rc;
    }
    ptrdiff_t mark = slice_find_char(target, '?');
    if (mark < 0 && h->query.ptr != NULL) {
        size_t len = target.len + 1 + h->query.len;
        char *bytes = arena_bytes(&x->arena, len);
        if (bytes == NULL) {
            return E_NO_MEMORY;
        }
        struct text t = text_on(bytes, len);
        mark = (ptrdiff_t)target.len;
        text_put(&t, target);
        text_char(&t, '?');
        text_put(&t, h->query);
        target = text_slice(&t);
    }
    if (target.len > x->snapshot->target_bytes) {
        return E_TARGET_TOO_LONG;
    }
    h->target = target;
    h->path = mark < 0 ? target : slice_sub(target, 0, (size_t)mark);
    h->query = mark < 0 ? slice_of(NULL, 0) : slice_from(target, (size_t)mark + 1);
    return 0;
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    struct slice path;
    if (x->request.path.len == 0 || x->request.path.ptr[0] != '/') {
        return STAGE_CONTINUE; // OPTIONS *
    }
    int rc = new_path(conf, x, &path);
    if (rc == 0 && path.ptr != NULL) {
        rc = set_target(x, path);
    }
    if (rc != 0) {
        exchange_fail(x, rc == E_INVALID ? E_BAD_TARGET : rc, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    return STAGE_CONTINUE;
}

const struct module rewrite_module = {
    .name = "rewrite",
    .directives = rewrite_directives,
    .compile = compile,
    .on_request = on_request,
};

// SPDX-License-Identifier: Apache-2.0
//
// The module `respond`: a fixed answer, with variables in its body and fields. A bare status of 400
// and above gets the error page of that status; any other bare status has no body.

#include "base/error.h"
#include "base/num.h"
#include "conf/diag.h"
#include "conf/value.h"
#include "proxy/exchange.h"
#include "proxy/vars.h"

#include "headers/headers.h"
#include "headers/headers_int.h"

struct respond_field {
    struct slice name;
    const struct vars_text *value;
};

struct respond {
    const struct vars_text *body; // NULL: none
    bool html;                    // values in the body are escaped
    uint16_t status;
    uint16_t field_count;
    struct slice type; // .len 0: a field says it
    struct respond_field *fields;
};

// `respond: 204`: a number that stands by itself is a status (0: it is none).
static bool is_bare_status(struct conf_node value, unsigned *status)
{
    struct conf_node body = conf_get(value, "body");
    uint64_t number = 0;
    if (!conf_exists(body) || conf_count(value) != 1 ||
        num_parse_u64(conf_text(body), UINT64_MAX, &number) != 0) {
        return false;
    }
    if (conf_value_status(conf_text(body), false, status) != 0) {
        *status = 0;
    }
    return true;
}

static void check_respond(struct conf_diags *d, struct conf_node value)
{
    struct conf_node status = conf_get(value, "status");
    struct conf_node body = conf_get(value, "body");
    unsigned bare = 0;
    bool is_bare = is_bare_status(value, &bare);
    int64_t code = conf_int(status, is_bare ? (int64_t)bare : 200);
    if (is_bare && (code < 200 || code > 599)) {
        conf_error(d, body, "%.*s is no final status", SLICE_ARG(conf_text(body)));
        conf_hint(d, "a number as text is respond: {status: 200, body: \"...\"}");
    } else if ((code == 204 || code == 205 || code == 304) && bare == 0 && conf_exists(body) &&
               conf_text(body).len > 0) {
        conf_error(d, body, "an answer with status %lld has no body", (long long)code);
    }
    conf_each(field, conf_get(value, "headers"))
    {
        headers_check_field(d, field);
    }
    if (conf_count(value) == 0) {
        conf_error(d, value, "an answer has a `status` or a `body`");
    }
}

static const struct conf_directive value_row[] = {
    {
        .name = "value",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_TEMPLATE,
        .text = "The field's value.",
    },
    CONF_END,
};

static const struct conf_directive respond_rows[] = {
    {
        .name = "status",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_STATUS,
        .min = 200,
        .max = 599,
        .fallback = "200",
        .text = "The status of the answer.",
    },
    {
        .name = "body",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_TEMPLATE,
        .text = "The body; plain text unless `headers` names another type.",
    },
    {
        .name = "headers",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_MAP,
        .key_type = CONF_TYPE_FIELD,
        .rows = value_row,
        .text = "Fields of the answer.",
    },
    CONF_END,
};

const struct conf_directive respond_directives[] = {
    {
        .name = "respond",
        .contexts = CONF_IN_ROUTING,
        .type = CONF_TYPE_OBJECT,
        .merge = CONF_MERGE_REPLACE,
        .action = true,
        .rows = respond_rows,
        .shorthand = "body",
        .aka = "return static_response http-request-return",
        .since = "0.1",
        .text =
            "Answers by itself: a text, a status (`respond: 404` gives the error page), or both "
            "with fields of their own.",
        .example = "sites:\n"
                   "  example.com:\n"
                   "    routes:\n"
                   "      - {path: /health, respond: ok}\n"
                   "      - {path: /gone/*, respond: 410}\n"
                   "      - {proxy: 3000}\n",
        .check = check_respond,
    },
    CONF_END,
};

static int compile_fields(const struct module_compile *c, struct conf_node map, struct respond *r)
{
    uint32_t count = conf_count(map);
    if (count == 0) {
        return 0;
    }
    r->fields = arena_alloc(c->arena, count * sizeof(*r->fields));
    if (r->fields == NULL || count > UINT16_MAX) {
        return E_NO_MEMORY;
    }
    conf_each(at, map)
    {
        struct respond_field *f = &r->fields[r->field_count];
        f->name = conf_key(at);
        int rc = vars_compile(at, c->arena, c->diags, &f->value);
        if (rc != 0) {
            return rc;
        }
        if (!vars_is_line(f->value)) {
            conf_error(c->diags, at, "a field's value is one line");
            return E_CONFIG;
        }
        if (slice_eq_nocase(f->name, SLICE("content-type"))) {
            r->type = slice_of("", 0);
            r->html = slice_starts(conf_text(at), SLICE("text/html"));
        }
        r->field_count++;
    }
    return 0;
}

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node n = conf_get(c->scope->level[0], "respond"); // an action is not inherited
    if (!conf_exists(n)) {
        return 0;
    }
    struct respond *r = arena_zalloc(c->arena, sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    *conf = r;
    unsigned bare = 0;
    if (is_bare_status(n, &bare)) {
        r->status = (uint16_t)bare;
        return 0;
    }
    struct conf_node body = conf_get(n, "body");
    r->status = (uint16_t)conf_int(conf_get(n, "status"), 200);
    int rc = 0;
    if (conf_exists(body)) {
        r->type = SLICE("text/plain; charset=utf-8");
        rc = vars_compile(body, c->arena, c->diags, &r->body);
    }
    return rc != 0 ? rc : compile_fields(c, conf_get(n, "headers"), r);
}

static int put_fields(const struct respond *r, struct exchange *x)
{
    for (unsigned i = 0; i < r->field_count; i++) {
        struct slice value;
        int rc = vars_expand(r->fields[i].value, x, &value);
        value = slice_trim(rc == 0 ? value : slice_of("", 0));
        if (rc == E_INVALID || !http_value_ok(value)) {
            continue; // a value that a client spoilt is left out
        }
        rc = rc != 0 ? rc : fields_set(&x->response.fields, r->fields[i].name, value);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct respond *r = conf;
    if (r->body == NULL && r->field_count == 0 && r->status >= 400) {
        exchange_fail_status(x, r->status);
        return STAGE_ANSWER;
    }
    struct slice body = slice_of("", 0);
    exchange_begin_answer(x, r->status);
    int rc = r->body != NULL ? vars_expand_body(r->body, x, r->html, &body) : 0;
    rc = rc != 0 ? rc : put_fields(r, x);
    if (rc != 0) {
        exchange_fail(x, rc == E_TOO_LARGE ? E_NO_MEMORY : rc, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    exchange_answer_kept(x, body.len > 0 ? r->type : slice_of("", 0), body);
    return STAGE_ANSWER;
}

const struct module respond_module = {
    .name = "respond",
    .directives = respond_directives,
    .compile = compile,
    .on_request = on_request,
};

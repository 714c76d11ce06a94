// SPDX-License-Identifier: Apache-2.0
//
// The module `headers`: fields of the request on its way to the origin and of the response on its way
// to the client are removed, set and added, in this order, for each level from the outside in (top,
// site, route), so what is said nearer to the route has the last word.
//
// Fields that belong to a connection (Connection, Content-Length and the like) cannot be edited: they
// are made anew on each side. A value that would not be a legal field value once its variables are
// filled in is refused: the request with 400, on the response the edit is left out.

#include "base/error.h"
#include "conf/diag.h"
#include "proxy/exchange.h"
#include "proxy/vars.h"

#include "headers/headers.h"
#include "headers/headers_int.h"

enum edit_op { EDIT_REMOVE, EDIT_SET, EDIT_ADD };

struct edit {
    uint8_t op; // enum edit_op
    uint8_t id; // enum http_name
    struct slice name;
    const struct vars_text *value; // not for EDIT_REMOVE
};

struct edit_list {
    struct edit *edits;
    uint32_t count;
};

struct edits {
    struct edit_list request;
    struct edit_list response;
};

// ---- rows -----------------------------------------------------------------------------------------

static void check_name(struct conf_diags *d, struct conf_node field, bool request)
{
    headers_check_field(d, field);
    if (request && http_name_of(conf_key(field)) == HTTP_HOST) {
        conf_error(d, field, "`host` is not set here");
        conf_hint(d, "an upstream's `host` says what its servers get to see");
    }
}

static void check_edits(struct conf_diags *d, struct conf_node value)
{
    static const char *const parts[] = {"request", "response"};
    static const char *const ops[] = {"set", "add"};
    for (size_t i = 0; i < array_len(parts); i++) {
        for (size_t j = 0; j < array_len(ops); j++) {
            conf_each(field, conf_get(conf_get(value, parts[i]), ops[j]))
            {
                check_name(d, field, i == 0);
            }
        }
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

static const struct conf_directive edit_rows[] = {
    {
        .name = "remove",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_FIELD,
        .list = true,
        .text = "Names of fields to take out, whoever sent them.",
    },
    {
        .name = "set",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_MAP,
        .key_type = CONF_TYPE_FIELD,
        .rows = value_row,
        .text = "Fields to set; what was there under the name is replaced.",
    },
    {
        .name = "add",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_MAP,
        .key_type = CONF_TYPE_FIELD,
        .rows = value_row,
        .text = "Fields to add beside what is there under the name.",
    },
    CONF_END,
};

static const struct conf_directive direction_rows[] = {
    {
        .name = "request",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_OBJECT,
        .rows = edit_rows,
        .text = "Fields of the request, before it goes to the origin.",
    },
    {
        .name = "response",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_OBJECT,
        .rows = edit_rows,
        .text = "Fields of the response, before it goes to the client.",
    },
    CONF_END,
};

const struct conf_directive headers_directives[] = {
    {
        .name = "headers",
        .contexts = CONF_IN_ALL,
        .type = CONF_TYPE_OBJECT,
        .merge = CONF_MERGE_ALL,
        .rows = direction_rows,
        .aka = "header_up header_down add_header proxy_set_header http-response http-request",
        .since = "0.1",
        .text = "Changes header fields of requests and responses: remove, then set, then add; the "
                "site's edits come before the route's.",
        .example = "sites:\n"
                   "  example.com:\n"
                   "    headers: {response: {remove: server, set: {x-frame-options: DENY}}}\n"
                   "    proxy: 3000\n",
        .check = check_edits,
    },
    CONF_END,
};

// ---- compile --------------------------------------------------------------------------------------

static int put_edit(const struct module_compile *c, struct edit_list *list, enum edit_op op,
                    struct conf_node node)
{
    struct edit *e = &list->edits[list->count];
    struct slice name = op == EDIT_REMOVE ? conf_text(node) : conf_key(node);
    *e = (struct edit){.op = (uint8_t)op, .id = (uint8_t)http_name_of(name), .name = name};
    if (op != EDIT_REMOVE) {
        int rc = vars_compile(node, c->arena, c->diags, &e->value);
        if (rc != 0) {
            return rc;
        }
        if (!vars_is_line(e->value)) {
            conf_error(c->diags, node, "a field's value is one line");
            return E_CONFIG;
        }
    }
    list->count++;
    return 0;
}

static int compile_level(const struct module_compile *c, struct conf_node direction,
                         struct edit_list *list)
{
    static const struct {
        const char *key;
        enum edit_op op;
    } ops[] = {{"remove", EDIT_REMOVE}, {"set", EDIT_SET}, {"add", EDIT_ADD}};
    for (size_t i = 0; i < array_len(ops); i++) {
        conf_each(node, conf_get(direction, ops[i].key))
        {
            int rc = put_edit(c, list, ops[i].op, node);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

static int compile_direction(const struct module_compile *c, const char *key,
                             struct edit_list *list)
{
    uint32_t count = 0;
    size_t levels = array_len(c->scope->level);
    for (size_t i = 0; i < levels; i++) {
        struct conf_node n = conf_get(conf_get(c->scope->level[i], "headers"), key);
        count += conf_count(conf_get(n, "remove")) + conf_count(conf_get(n, "set")) +
                 conf_count(conf_get(n, "add"));
    }
    if (count == 0) {
        return 0;
    }
    list->edits = arena_alloc(c->arena, count * sizeof(struct edit));
    if (list->edits == NULL) {
        return E_NO_MEMORY;
    }
    int rc = 0;
    for (size_t i = levels; i > 0 && rc == 0; i--) { // outermost first
        struct conf_node headers = conf_get(c->scope->level[i - 1], "headers");
        rc = compile_level(c, conf_get(headers, key), list);
    }
    return rc;
}

static int compile(const struct module_compile *c, void **conf)
{
    struct edits found = {{NULL, 0}, {NULL, 0}};
    int rc = compile_direction(c, "request", &found.request);
    rc = rc != 0 ? rc : compile_direction(c, "response", &found.response);
    if (rc != 0 || found.request.count + found.response.count == 0) {
        return rc;
    }
    struct edits *e = arena_alloc(c->arena, sizeof(*e));
    if (e == NULL) {
        return E_NO_MEMORY;
    }
    *e = found;
    *conf = e;
    return 0;
}

// ---- apply ----------------------------------------------------------------------------------------

static void remove_field(struct fields *f, const struct edit *e)
{
    if (e->id == HTTP_OTHER) {
        (void)fields_remove(f, e->name);
    } else if (fields_has(f, (enum http_name)e->id)) {
        (void)fields_remove_id(f, (enum http_name)e->id);
    }
}

static int apply_one(struct exchange *x, struct fields *f, const struct edit *e)
{
    if (e->op == EDIT_REMOVE) {
        remove_field(f, e);
        return 0;
    }
    struct slice value;
    int rc = vars_expand(e->value, x, &value);
    if (rc != 0) {
        return rc;
    }
    value = slice_trim(value);
    if (!http_value_ok(value)) {
        return E_INVALID;
    }
    return e->op == EDIT_SET ? fields_set(f, e->name, value) : fields_add(f, e->name, value);
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct edits *all = conf;
    for (uint32_t i = 0; i < all->request.count; i++) {
        int rc = apply_one(x, &x->request.fields, &all->request.edits[i]);
        if (rc != 0) {
            exchange_fail(x, rc == E_INVALID ? E_BAD_FIELD_VALUE : rc, HTTP_DOWN);
            return STAGE_ANSWER;
        }
    }
    return STAGE_CONTINUE;
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    const struct edits *all = conf;
    for (uint32_t i = 0; i < all->response.count; i++) {
        // No answer is better for one without the edit than the answer itself.
        int rc = apply_one(x, &x->response.fields, &all->response.edits[i]);
        if (rc == E_NO_MEMORY) {
            break;
        }
    }
    return STAGE_CONTINUE;
}

const struct module headers_module = {
    .name = "headers",
    .directives = headers_directives,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};

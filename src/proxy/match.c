// SPDX-License-Identifier: Apache-2.0
//
// A match is a chain of tests, each a small fixed struct that points to what it compares with; a
// route with one path prefix costs one comparison of lengths and one memcmp. Compound matches are
// tests that hold chains of their own. Everything lies in the snapshot's arena and is read-only, so
// that all cores share it; what matching writes is the exchange's captures.
//
// Regular expressions are behind proxy/regex.h with its limits, wildcards behind proxy/glob.h.

#include "proxy/match.h"

#include "base/error.h"
#include "conf/diag.h"
#include "os/addr.h"
#include "proxy/exchange.h"
#include "proxy/glob.h"
#include "proxy/key.h"
#include "proxy/query.h"
#include "proxy/regex.h"

enum match_op { // in the order of their cost, which is the order of evaluation
    MATCH_METHOD,
    MATCH_PATH,
    MATCH_HOST,
    MATCH_CLIENT,
    MATCH_FIELD,
    MATCH_COOKIE,
    MATCH_QUERY,
    MATCH_ANY,
    MATCH_ALL,
    MATCH_NOT,
};

enum path_kind { PATH_EXACT, PATH_PREFIX, PATH_GLOB, PATH_REGEX };

struct path_pattern {
    uint8_t kind; // enum path_kind
    struct slice text;
    const struct glob *glob;
    const struct regex *regex;
};

enum value_kind { VALUE_PRESENT, VALUE_ABSENT, VALUE_EXACT, VALUE_REGEX };

struct value_pattern {
    uint8_t kind;      // enum value_kind
    uint8_t id;        // enum http_name, for a field
    struct slice name; // of the field or query parameter
    struct slice text;
    const struct regex *regex;
};

struct client_pattern {
    struct os_cidr net;
    bool negated;
};

struct match_test {
    const struct match_test *next; // and
    uint8_t op;                    // enum match_op
    bool positive;                 // MATCH_CLIENT: there are ranges without `not`
    uint16_t count;
    uint32_t methods; // MATCH_METHOD: bit per enum http_method
    union {
        const struct path_pattern *paths;
        const struct slice *texts; // hosts, and methods that have no id
        const struct client_pattern *clients;
        const struct value_pattern *values;
        const struct match_test *const *chains;
    } u;
};

struct match {
    const struct match_test *tests;
};

// ---- compile --------------------------------------------------------------------------------------

struct compile {
    struct arena *arena;
    struct conf_diags *diags;
    unsigned depth;
};

typedef int compile_test_fn(struct compile *c, struct conf_node value, struct match_test *t);

static struct slice without_mark(struct slice text, char mark)
{
    return text.len > 0 && text.ptr[0] == mark ? slice_trim(slice_from(text, 1))
                                               : slice_of(NULL, 0);
}

static int compile_regex(struct compile *c, struct conf_node at, struct slice pattern,
                         const struct regex **out)
{
    struct regex_error error;
    int rc = regex_compile(pattern, c->arena, out, &error);
    if (rc == E_INVALID) {
        conf_error(c->diags, at, "regular expression, at character %zu: %s", error.offset + 1,
                   error.message);
        return E_CONFIG;
    }
    return rc;
}

// What cannot stand in a path as sent is encoded, so that a pattern may be written as people read it.
static int encode_path(struct arena *arena, struct slice text, struct slice *out)
{
    static const char hex[] = "0123456789ABCDEF";
    char *bytes = arena_bytes(arena, text.len * 3 + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char b = (unsigned char)text.ptr[i];
        if (b <= ' ' || b >= 0x7f || strchr("\"<>\\^`{|}", b) != NULL) {
            bytes[n++] = '%';
            bytes[n++] = hex[b >> 4];
            bytes[n++] = hex[b & 15];
        } else {
            bytes[n++] = (char)b;
        }
    }
    *out = slice_of(bytes, n);
    return 0;
}

static int normal_pattern(struct compile *c, struct conf_node at, struct slice text,
                          struct slice *out)
{
    struct slice encoded;
    int rc = encode_path(c->arena, text, &encoded);
    if (rc != 0) {
        return rc;
    }
    char *normal = arena_bytes(c->arena, encoded.len + 1);
    if (normal == NULL) {
        return E_NO_MEMORY;
    }
    if (http_path_normalise(encoded, normal, out) != 0) {
        conf_error(c->diags, at, "no request can have this path: it climbs above / or holds a NUL");
        return E_CONFIG;
    }
    return 0;
}

static int compile_path(struct compile *c, struct conf_node at, struct path_pattern *p)
{
    struct slice text = conf_text(at);
    struct slice pattern = without_mark(text, '~');
    *p = (struct path_pattern){.kind = PATH_REGEX, .text = text};
    if (pattern.ptr != NULL) {
        return compile_regex(c, at, pattern, &p->regex);
    }
    int rc = normal_pattern(c, at, text, &p->text);
    if (rc != 0) {
        return rc;
    }
    struct slice head = slice_sub(p->text, 0, p->text.len > 0 ? p->text.len - 1 : 0);
    if (!glob_is_pattern(p->text)) {
        p->kind = PATH_EXACT;
        return 0;
    }
    if (slice_ends(p->text, SLICE("/*")) && !glob_is_pattern(head)) {
        p->kind = PATH_PREFIX;
        p->text = head;
        return 0;
    }
    p->kind = PATH_GLOB;
    rc = glob_compile(p->text, c->arena, &p->glob);
    if (rc == E_TOO_LARGE) {
        conf_error(c->diags, at, "too many wildcards in one path");
        return E_CONFIG;
    }
    return rc;
}

static void *array_for(struct compile *c, struct conf_node value, size_t size, uint16_t *count)
{
    uint32_t n = conf_kind_of(value) == CONF_SCALAR ? 1 : conf_count(value);
    if (n > UINT16_MAX) {
        return NULL;
    }
    *count = (uint16_t)n;
    return arena_zalloc(c->arena, n * size + 1);
}

// A directive with one value or a list of them: the first one, then the next.
static struct conf_node first_value(struct conf_node value)
{
    return conf_kind_of(value) == CONF_SCALAR ? value : conf_first(value);
}

static struct conf_node next_value(struct conf_node value, struct conf_node at)
{
    return conf_kind_of(value) == CONF_SCALAR ? (struct conf_node){value.doc, 0} : conf_next(at);
}

static int compile_paths(struct compile *c, struct conf_node value, struct match_test *t)
{
    struct path_pattern *paths = array_for(c, value, sizeof(*paths), &t->count);
    int rc = paths == NULL ? E_NO_MEMORY : 0;
    struct path_pattern *p = paths;
    for (struct conf_node at = first_value(value); rc == 0 && conf_exists(at);
         at = next_value(value, at)) {
        rc = compile_path(c, at, p++);
    }
    t->op = MATCH_PATH;
    t->u.paths = paths;
    return rc;
}

static int compile_methods(struct compile *c, struct conf_node value, struct match_test *t)
{
    struct slice *texts = array_for(c, value, sizeof(*texts), &t->count);
    if (texts == NULL) {
        return E_NO_MEMORY;
    }
    t->count = 0;
    for (struct conf_node at = first_value(value); conf_exists(at); at = next_value(value, at)) {
        enum http_method m = http_method_of(conf_text(at));
        if (m == HTTP_METHOD_OTHER) {
            texts[t->count++] = conf_text(at);
        } else {
            t->methods |= 1U << m;
        }
    }
    t->op = MATCH_METHOD;
    t->u.texts = texts;
    return 0;
}

static int compile_hosts(struct compile *c, struct conf_node value, struct match_test *t)
{
    struct slice *texts = array_for(c, value, sizeof(*texts), &t->count);
    if (texts == NULL) {
        return E_NO_MEMORY;
    }
    struct slice *to = texts;
    for (struct conf_node at = first_value(value); conf_exists(at); at = next_value(value, at)) {
        struct slice text = conf_text(at);
        char *lower = arena_bytes(c->arena, text.len + 1);
        if (lower == NULL) {
            return E_NO_MEMORY;
        }
        for (size_t i = 0; i < text.len; i++) {
            char b = text.ptr[i];
            lower[i] = b >= 'A' && b <= 'Z' ? (char)(b - 'A' + 'a') : b;
        }
        *to++ = slice_of(lower, text.len);
    }
    t->op = MATCH_HOST;
    t->u.texts = texts;
    return 0;
}

static int compile_clients(struct compile *c, struct conf_node value, struct match_test *t)
{
    struct client_pattern *clients = array_for(c, value, sizeof(*clients), &t->count);
    if (clients == NULL) {
        return E_NO_MEMORY;
    }
    struct client_pattern *p = clients;
    for (struct conf_node at = first_value(value); conf_exists(at); at = next_value(value, at)) {
        struct slice text = conf_text(at);
        p->negated = slice_starts(text, SLICE("not "));
        if (os_cidr_parse(p->negated ? slice_trim(slice_from(text, 4)) : text, &p->net) != 0) {
            conf_error(c->diags, at, "not a network");
            return E_CONFIG;
        }
        t->positive = t->positive || !p->negated;
        p++;
    }
    t->op = MATCH_CLIENT;
    t->u.clients = clients;
    return 0;
}

static int compile_values(struct compile *c, struct conf_node map, struct match_test *t)
{
    struct value_pattern *values = array_for(c, map, sizeof(*values), &t->count);
    int rc = values == NULL ? E_NO_MEMORY : 0;
    struct value_pattern *v = values;
    for (struct conf_node at = conf_first(map); rc == 0 && conf_exists(at); at = conf_next(at)) {
        struct slice text = conf_text(at);
        struct slice pattern = without_mark(text, '~');
        v->name = conf_key(at);
        v->id = (uint8_t)http_name_of(v->name);
        v->text = text;
        if (pattern.ptr != NULL) {
            v->kind = VALUE_REGEX;
            rc = compile_regex(c, at, pattern, &v->regex);
        } else if (slice_eq(text, SLICE("on")) || slice_eq(text, SLICE("true"))) {
            v->kind = VALUE_PRESENT;
        } else if (slice_eq(text, SLICE("off")) || slice_eq(text, SLICE("false"))) {
            v->kind = VALUE_ABSENT;
        } else {
            v->kind = VALUE_EXACT;
        }
        v++;
    }
    t->u.values = values;
    return rc;
}

static int compile_fields(struct compile *c, struct conf_node map, struct match_test *t)
{
    t->op = MATCH_FIELD;
    return compile_values(c, map, t);
}

static int compile_cookies(struct compile *c, struct conf_node map, struct match_test *t)
{
    t->op = MATCH_COOKIE;
    return compile_values(c, map, t);
}

static int compile_query(struct compile *c, struct conf_node map, struct match_test *t)
{
    t->op = MATCH_QUERY;
    return compile_values(c, map, t);
}

static int compile_chain(struct compile *c, struct conf_node map, const struct match_test **out);

static int compile_alternatives(struct compile *c, struct conf_node list, struct match_test *t)
{
    const struct match_test **chains =
        array_for(c, list, sizeof(const struct match_test *), &t->count);
    int rc = chains == NULL ? E_NO_MEMORY : 0;
    size_t n = 0;
    for (struct conf_node at = conf_first(list); rc == 0 && conf_exists(at); at = conf_next(at)) {
        rc = compile_chain(c, at, &chains[n++]);
    }
    t->u.chains = chains;
    return rc;
}

static int compile_any(struct compile *c, struct conf_node list, struct match_test *t)
{
    t->op = MATCH_ANY;
    return compile_alternatives(c, list, t);
}

static int compile_all(struct compile *c, struct conf_node list, struct match_test *t)
{
    t->op = MATCH_ALL;
    return compile_alternatives(c, list, t);
}

static int compile_not(struct compile *c, struct conf_node map, struct match_test *t)
{
    const struct match_test **chain = arena_zalloc(c->arena, sizeof(const struct match_test *));
    if (chain == NULL) {
        return E_NO_MEMORY;
    }
    t->op = MATCH_NOT;
    t->count = 1;
    t->u.chains = chain;
    return compile_chain(c, map, chain);
}

// `match:` is a group of further tests that must hold as well.
static int compile_group(struct compile *c, struct conf_node map, struct match_test *t)
{
    const struct match_test **chain = arena_zalloc(c->arena, sizeof(const struct match_test *));
    if (chain == NULL) {
        return E_NO_MEMORY;
    }
    t->op = MATCH_ALL;
    t->count = 1;
    t->u.chains = chain;
    return compile_chain(c, map, chain);
}

static void sort_by_cost(struct match_test **tests, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && tests[j - 1]->op > tests[j]->op; j--) {
            struct match_test *later = tests[j - 1];
            tests[j - 1] = tests[j];
            tests[j] = later;
        }
    }
}

static const struct {
    const char *key;
    compile_test_fn *compile;
} keys[] = {
    {"path", compile_paths},     {"method", compile_methods}, {"host", compile_hosts},
    {"header", compile_fields},  {"query", compile_query},    {"client", compile_clients},
    {"cookie", compile_cookies}, {"match", compile_group},    {"any", compile_any},
    {"all", compile_all},        {"not", compile_not},
};

static int compile_chain(struct compile *c, struct conf_node map, const struct match_test **out)
{
    *out = NULL;
    if (++c->depth > MATCH_DEPTH_MAX) {
        conf_error(c->diags, map, "matches are nested too deep");
        return E_CONFIG;
    }
    struct match_test *tests[array_len(keys)];
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < array_len(keys) && rc == 0; i++) {
        struct conf_node value = conf_get(map, keys[i].key);
        if (conf_exists(value)) {
            struct match_test *t = arena_zalloc(c->arena, sizeof(*t));
            rc = t == NULL ? E_NO_MEMORY : keys[i].compile(c, value, t);
            tests[count++] = t;
        }
    }
    c->depth--;
    if (rc != 0) {
        return rc;
    }
    sort_by_cost(tests, count);
    for (size_t i = count; i > 0; i--) {
        tests[i - 1]->next = *out;
        *out = tests[i - 1];
    }
    return 0;
}

uint64_t match_hash(struct conf_node route)
{
    uint64_t h = 0;
    for (size_t i = 0; i < array_len(keys); i++) {
        h = h * UINT64_C(0x9e3779b97f4a7c15) + conf_hash(conf_get(route, keys[i].key));
    }
    return h;
}

int match_compile(struct conf_node route, struct arena *arena, struct conf_diags *diags,
                  const struct match **out)
{
    struct compile c = {arena, diags, 0};
    const struct match_test *tests = NULL;
    *out = NULL;
    int rc = compile_chain(&c, route, &tests);
    if (rc != 0 || tests == NULL) {
        return rc;
    }
    struct match *m = arena_alloc(arena, sizeof(*m));
    if (m == NULL) {
        return E_NO_MEMORY;
    }
    m->tests = tests;
    *out = m;
    return 0;
}

// ---- evaluate -------------------------------------------------------------------------------------

// The glob writes captures while it searches, so it gets a place of its own.
static bool glob_holds(const struct glob *g, struct exchange *x)
{
    struct slice captures[EXCHANGE_CAPTURES_MAX] = {{NULL, 0}};
    if (!glob_match(g, x->normal_path, captures, EXCHANGE_CAPTURES_MAX)) {
        return false;
    }
    memcpy(x->captures, captures, sizeof(captures));
    return true;
}

// As slice_starts(), in place: this is all that most routes cost.
static inline bool begins_with(struct slice path, struct slice prefix)
{
    return path.len >= prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) == 0;
}

static bool path_holds(const struct path_pattern *p, struct exchange *x)
{
    struct slice path = x->normal_path;
    switch ((enum path_kind)p->kind) {
    case PATH_PREFIX:
        if (!begins_with(path, p->text)) {
            return false;
        }
        x->captures[0] = path;
        x->captures[1] = slice_of(path.ptr + p->text.len, path.len - p->text.len);
        return true;
    case PATH_EXACT:
        if (!slice_eq(path, p->text)) {
            return false;
        }
        x->captures[0] = path;
        return true;
    case PATH_GLOB:
        return glob_holds(p->glob, x);
    case PATH_REGEX:
        return regex_match(p->regex, path, x->captures, EXCHANGE_CAPTURES_MAX);
    }
    return false;
}

static bool any_path(const struct match_test *t, struct exchange *x)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (path_holds(&t->u.paths[i], x)) {
            return true;
        }
    }
    return false;
}

static bool method_holds(const struct match_test *t, const struct exchange *x)
{
    if (x->request.method != HTTP_METHOD_OTHER) {
        return (t->methods >> x->request.method & 1) != 0;
    }
    for (unsigned i = 0; i < t->count; i++) {
        if (slice_eq(t->u.texts[i], x->request.method_text)) {
            return true;
        }
    }
    return false;
}

static bool host_holds(const struct match_test *t, struct slice host)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct slice want = t->u.texts[i];
        if (want.len > 1 && want.ptr[0] == '*') {
            struct slice suffix = slice_from(want, 1);
            if (host.len > suffix.len && slice_ends(host, suffix)) {
                return true;
            }
        } else if (slice_eq(want, host)) {
            return true;
        }
    }
    return false;
}

static bool client_holds(const struct match_test *t, const struct os_addr *client)
{
    bool inside = !t->positive;
    for (unsigned i = 0; i < t->count; i++) {
        const struct client_pattern *p = &t->u.clients[i];
        if ((p->negated || !inside) && os_cidr_contains(&p->net, client)) {
            if (p->negated) {
                return false;
            }
            inside = true;
        }
    }
    return inside;
}

// `text`.ptr NULL: not there.
static bool value_holds(const struct value_pattern *v, struct slice text)
{
    switch ((enum value_kind)v->kind) {
    case VALUE_PRESENT:
        return text.ptr != NULL;
    case VALUE_ABSENT:
        return text.ptr == NULL;
    case VALUE_EXACT:
        return text.ptr != NULL && slice_eq(text, v->text);
    case VALUE_REGEX:
        return text.ptr != NULL && regex_match(v->regex, text, NULL, 0);
    }
    return false;
}

// Host and Upgrade never are in the field block (http/head.h) but may be asked for like any field.
static bool connection_field_holds(const struct value_pattern *v, const struct exchange *x)
{
    struct slice text = v->id == HTTP_HOST ? x->request.authority : x->request.upgrade;
    return value_holds(v, text.len > 0 ? text : slice_of(NULL, 0));
}

static bool field_holds(const struct value_pattern *v, const struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    if (v->id == HTTP_HOST || v->id == HTTP_UPGRADE) {
        return connection_field_holds(v, x);
    }
    bool there = false;
    if (v->id == HTTP_OTHER || fields_has(f, (enum http_name)v->id)) {
        for (unsigned i = 0; i < f->count; i++) {
            const struct field *e = &f->entries[i];
            if (e->id != v->id ||
                (v->id == HTTP_OTHER && !slice_eq_nocase(field_name(f, e), v->name))) {
                continue;
            }
            there = true;
            if (v->kind != VALUE_ABSENT && value_holds(v, field_value(f, e))) {
                return true;
            }
        }
    }
    return !there && v->kind == VALUE_ABSENT;
}

static bool cookie_holds(const struct value_pattern *v, const struct exchange *x)
{
    struct key_cookies at = {0};
    struct slice value;
    bool there = false;
    while (key_next_cookie(&x->request.fields, v->name, &at, &value)) {
        there = true;
        if (v->kind != VALUE_ABSENT && value_holds(v, value)) {
            return true;
        }
    }
    return !there && v->kind == VALUE_ABSENT;
}

static bool query_holds(const struct value_pattern *v, struct exchange *x)
{
    struct slice rest = x->request.query;
    struct slice value;
    bool there = false;
    while (query_next(&rest, v->name, &value)) {
        there = true;
        if (v->kind == VALUE_PRESENT || (v->kind == VALUE_EXACT && query_eq(value, v->text))) {
            return true;
        }
        struct slice plain;
        if (v->kind == VALUE_REGEX && query_decode(value, &x->arena, &plain) == 0 &&
            value_holds(v, plain)) {
            return true;
        }
    }
    return !there && v->kind == VALUE_ABSENT;
}

static bool all_values(const struct match_test *t, struct exchange *x)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct value_pattern *v = &t->u.values[i];
        bool holds = t->op == MATCH_FIELD    ? field_holds(v, x)
                     : t->op == MATCH_COOKIE ? cookie_holds(v, x)
                                             : query_holds(v, x);
        if (!holds) {
            return false;
        }
    }
    return true;
}

static bool chain_holds(const struct match_test *tests, struct exchange *x);

static bool chains_hold(const struct match_test *t, struct exchange *x)
{
    bool any = t->op == MATCH_ANY;
    for (unsigned i = 0; i < t->count; i++) {
        if (chain_holds(t->u.chains[i], x) == any) {
            return any;
        }
    }
    return !any;
}

static bool test_holds(const struct match_test *t, struct exchange *x)
{
    switch ((enum match_op)t->op) {
    case MATCH_METHOD:
        return method_holds(t, x);
    case MATCH_PATH:
        return any_path(t, x);
    case MATCH_HOST:
        return host_holds(t, x->request.host);
    case MATCH_CLIENT:
        return client_holds(t, &x->client);
    case MATCH_FIELD:
    case MATCH_COOKIE:
    case MATCH_QUERY:
        return all_values(t, x);
    case MATCH_ANY:
    case MATCH_ALL:
        return chains_hold(t, x);
    case MATCH_NOT:
        return !chain_holds(t->u.chains[0], x);
    }
    return false;
}

static bool chain_holds(const struct match_test *tests, struct exchange *x)
{
    for (const struct match_test *t = tests; t != NULL; t = t->next) {
        if (!test_holds(t, x)) {
            return false;
        }
    }
    return true;
}

bool match_eval(const struct match *m, struct exchange *x)
{
    if (chain_holds(m->tests, x)) {
        return true;
    }
    if (x->captures[0].ptr != NULL) { // a path held, but another test did not
        memset(x->captures, 0, sizeof(x->captures));
    }
    return false;
}

const struct route *match_route(const struct site *site, struct exchange *x)
{
    for (uint32_t i = 0; i < site->route_count; i++) {
        const struct route *r = &site->routes[i];
        if (r->match == NULL || match_eval(r->match, x)) {
            return r;
        }
    }
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
//
// The module `compress`. On the request it notes whether the client takes gzip, before other stages
// edit the field; on the response it decides, mends the head and puts a filter into the body
// (compress/filter.h).
//
// What is left alone: answers without a body, partial content, bodies that have a coding already,
// Cache-Control: no-transform on either message, types that are not in the list, small bodies. A
// response that some client would get compressed says so in Vary, also to those who get it plain.

#include "base/error.h"
#include "conf/diag.h"
#include "http/accept.h"
#include "http/etag.h"
#include "proxy/exchange.h"

#include "compress/compress.h"
#include "compress/deflate.h"
#include "compress/filter.h"

enum {
    COMPRESS_BYTES_MIN = 1024, // below it a packet is a packet
};

struct compress {
    unsigned slot;
    uint64_t bytes_min;
    int level;
    uint32_t type_count;
    const struct slice *types;
};

// ---- configuration --------------------------------------------------------------------------------

static const struct slice default_types[] = {
    SLICE_INIT("text/*"),
    SLICE_INIT("application/json"),
    SLICE_INIT("application/javascript"),
    SLICE_INIT("application/xml"),
    SLICE_INIT("application/wasm"),
    SLICE_INIT("application/manifest+json"),
    SLICE_INIT("*+json"),
    SLICE_INIT("*+xml"),
    SLICE_INIT("image/svg+xml"),
    SLICE_INIT("image/bmp"),
    SLICE_INIT("font/ttf"),
    SLICE_INIT("font/otf"),
};

static void check_compress(struct conf_diags *d, struct conf_node value)
{
    if (conf_kind_of(value) != CONF_MAP) {
        return;
    }
    conf_each(type, conf_get(value, "types"))
    {
        struct slice text = conf_text(type);
        bool suffix = slice_starts(text, SLICE("*+"));
        if (text.len < 3 || (!suffix && slice_find_char(text, '/') <= 0)) {
            conf_error(d, type, "not a media type");
            conf_hint(d, "as in text/html, text/* or *+json");
        }
    }
}

static const struct conf_directive compress_rows[] = {
    {
        .name = "types",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_STRING,
        .list = true,
        .fallback = "text/*, application/json, application/javascript, application/xml, "
                    "application/wasm, *+json, *+xml, image/bmp, font/ttf, font/otf",
        .text = "Media types that are worth it: whole, text/* or *+json.",
    },
    {
        .name = "min",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_SIZE,
        .fallback = "1KiB",
        .text = "Shorter bodies go out as they are; bodies of unknown length are compressed.",
    },
    {
        .name = "level",
        .contexts = CONF_IN_OBJECT,
        .type = CONF_TYPE_INT,
        .min = 1,
        .max = 9,
        .fallback = "3",
        .text = "1 to 3 are fast (ISA-L), 4 to 9 smaller and several times slower (zlib).",
    },
    CONF_END,
};

const struct conf_directive compress_directives[] = {
    {
        .name = "compress",
        .contexts = CONF_IN_ALL,
        .type = CONF_TYPE_OBJECT,
        .merge = CONF_MERGE_REPLACE,
        .off_ok = true,
        .on_ok = true,
        .rows = compress_rows,
        .fallback = "off",
        .aka = "gzip encode compression",
        .since = "0.1",
        .text = "Compresses responses with gzip for clients that take it, as a stream: what the "
                "origin sends passes at once.",
        .example = "sites:\n"
                   "  example.com:\n"
                   "    compress: on\n"
                   "    proxy: 3000\n",
        .check = check_compress,
    },
    CONF_END,
};

static int compile_types(const struct module_compile *c, struct compress *conf)
{
    struct conf_node list = conf_scope_get(c->scope, "compress.types");
    conf->types = default_types;
    conf->type_count = array_len(default_types);
    if (!conf_exists(list)) {
        return 0;
    }
    struct slice *types = arena_alloc(c->arena, (conf_count(list) + 1) * sizeof(*types));
    if (types == NULL) {
        return E_NO_MEMORY;
    }
    uint32_t n = 0;
    conf_each(at, list)
    {
        types[n++] = conf_text(at);
    }
    conf->types = types;
    conf->type_count = n;
    return 0;
}

static int compile(const struct module_compile *c, void **out)
{
    struct conf_node n = conf_scope_get(c->scope, "compress");
    if (!conf_exists(n) || conf_kind_of(n) != CONF_MAP) {
        return 0;
    }
    struct compress *conf = arena_zalloc(c->arena, sizeof(*conf));
    if (conf == NULL) {
        return E_NO_MEMORY;
    }
    conf->slot = module_index(&compress_module);
    conf->bytes_min = conf_size(conf_scope_get(c->scope, "compress.min"), COMPRESS_BYTES_MIN);
    conf->level = (int)conf_int(conf_scope_get(c->scope, "compress.level"), DEFLATE_LEVEL_DEFAULT);
    *out = conf;
    return compile_types(c, conf);
}

// ---- decisions ------------------------------------------------------------------------------------

static bool type_matches(struct slice pattern, struct slice type)
{
    if (pattern.ptr[0] == '*' && pattern.len > 1 && pattern.ptr[1] == '+') {
        return slice_ends_nocase(type, slice_from(pattern, 1));
    }
    if (pattern.ptr[pattern.len - 1] == '*') {
        size_t len = pattern.len - 1;
        return type.len > len &&
               slice_eq_nocase(slice_sub(type, 0, len), slice_sub(pattern, 0, len));
    }
    return slice_eq_nocase(pattern, type);
}

static bool type_is_listed(const struct compress *conf, const struct fields *f)
{
    struct slice type = fields_get_id(f, HTTP_CONTENT_TYPE);
    ptrdiff_t end = slice_find_char(type, ';');
    type = slice_trim(end < 0 ? type : slice_sub(type, 0, (size_t)end));
    if (type.len == 0) {
        return false;
    }
    for (uint32_t i = 0; i < conf->type_count; i++) {
        if (type_matches(conf->types[i], type)) {
            return true;
        }
    }
    return false;
}

static bool has_coding(const struct fields *f)
{
    return fields_has(f, HTTP_CONTENT_ENCODING) &&
           !slice_eq_nocase(fields_get_id(f, HTTP_CONTENT_ENCODING), SLICE("identity"));
}

// Whether some client would get this response compressed; then all of them get Vary.
static bool is_eligible(const struct compress *conf, const struct exchange *x)
{
    const struct http_head *r = &x->response;
    bool head = x->request.method == HTTP_METHOD_HEAD;
    if (r->status < 200 || r->status == 204 || r->status == 206 || r->status == 304 ||
        r->upgrade.len > 0) {
        return false;
    }
    if (!head && r->body != HTTP_BODY_LENGTH && r->body != HTTP_BODY_STREAM) {
        return false;
    }
    if (r->has_length && (uint64_t)r->content_length < conf->bytes_min) {
        return false;
    }
    if (has_coding(&r->fields) || fields_has(&r->fields, HTTP_CONTENT_RANGE) ||
        fields_list_has(&r->fields, HTTP_CACHE_CONTROL, SLICE("no-transform"))) {
        return false;
    }
    return type_is_listed(conf, &r->fields);
}

static int add_vary(struct fields *f)
{
    if (fields_list_has(f, HTTP_VARY, SLICE("accept-encoding")) ||
        fields_list_has(f, HTTP_VARY, SLICE("*"))) {
        return 0;
    }
    return fields_add_id(f, HTTP_VARY, SLICE("Accept-Encoding"));
}

// RFC 9110 8.8.3.3: another coding is another representation, so a strong tag no longer tells the
// truth; a weak one does.
static int weaken_etag(struct exchange *x)
{
    struct fields *f = &x->response.fields;
    struct slice tag = fields_get_id(f, HTTP_ETAG);
    if (tag.ptr == NULL || http_etag_is_weak(tag)) {
        return 0;
    }
    if (!http_etag_ok(tag)) {
        (void)fields_remove_id(f, HTTP_ETAG);
        return 0;
    }
    char *bytes = arena_bytes(&x->arena, tag.len + 2);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    memcpy(bytes, "W/", 2);
    memcpy(bytes + 2, tag.ptr, tag.len);
    return fields_set_id(f, HTTP_ETAG, slice_of(bytes, tag.len + 2));
}

static int mend_head(struct exchange *x)
{
    struct fields *f = &x->response.fields;
    int rc = weaken_etag(x);
    rc = rc != 0 ? rc : fields_set_id(f, HTTP_CONTENT_ENCODING, SLICE("gzip"));
    // Ranges and digests are of the bytes that were (RFC 9110 14.3, RFC 9530).
    (void)fields_remove_id(f, HTTP_ACCEPT_RANGES);
    (void)fields_remove(f, SLICE("Content-Digest"));
    (void)fields_remove(f, SLICE("Repr-Digest"));
    (void)fields_remove(f, SLICE("Digest"));
    (void)fields_remove(f, SLICE("Content-MD5"));
    return rc;
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct compress *c = conf;
    const struct fields *f = &x->request.fields;
    // The slot tells the response's side; any pointer that is not NULL means yes.
    // x-gzip is another name of gzip (RFC 9110 8.4.1.3).
    bool takes = http_coding_weight(f, SLICE("gzip")) > 0 ||
                 fields_list_has(f, HTTP_ACCEPT_ENCODING, SLICE("x-gzip"));
    bool wanted = takes && !fields_list_has(f, HTTP_CACHE_CONTROL, SLICE("no-transform"));
    x->slots[c->slot] = wanted ? x : NULL;
    return STAGE_CONTINUE;
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    const struct compress *c = conf;
    if (!is_eligible(c, x)) {
        return STAGE_CONTINUE;
    }
    // A field that finds no room: an answer without Vary must not be compressed either.
    if (add_vary(&x->response.fields) != 0 || exchange_slot(x, c->slot) == NULL) {
        return STAGE_CONTINUE;
    }
    if (x->request.method == HTTP_METHOD_HEAD) { // the fields a GET would get, as far as known
        x->response.has_length = false;
        (void)mend_head(x);
        return STAGE_CONTINUE;
    }
    if (gzip_filter_install(x, c->level) && mend_head(x) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN); // the body no longer is what the head says
        return STAGE_ANSWER;
    }
    return STAGE_CONTINUE;
}

const struct module compress_module = {
    .name = "compress",
    .directives = compress_directives,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};

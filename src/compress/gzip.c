// SPDX-License-Identifier: Apache-2.0
//
// The module `compress`. On the request it notes whether the client takes gzip, before other stages
// edit the field; on the response it decides, mends the head and puts a filter into the body.
//
// The filter consumes one pipe and produces another. It never holds bytes back: when the origin's pipe
// runs empty, what has been compressed so far is flushed to a byte boundary, so an event stream
// arrives event by event. It never gets ahead: it works only as far as its output pipe has room, and
// goes on when that pipe's consumer asks. One deflate state per live stream, bounded per core
// (compress/deflate.h); with none left the body goes out as it is.
//
// What is left alone: answers without a body, partial content, bodies that have a coding already,
// Cache-Control: no-transform on either message, types that are not in the list, small bodies.

#include "base/error.h"
#include "compress/compress.h"
#include "compress/deflate.h"
#include "conf/diag.h"
#include "http/accept.h"
#include "http/etag.h"
#include "proxy/exchange.h"

enum {
    GZIP_MAGIC = 0x677a6970,
    COMPRESS_BYTES_MIN = 1024, // below it a packet is a packet
    // With less room than this it is not worth to go on: libraries need some bytes for a flush.
    GZIP_ROOM_MIN = 256,
};

struct compress {
    unsigned slot;
    uint64_t bytes_min;
    int level;
    uint32_t type_count;
    const struct slice *types;
};

struct gzip_filter {
    uint32_t magic;
    bool dirty;      // something went in since the last flush
    bool busy;       // in pump(), perhaps below one of its own notifications
    bool again;      // pump() was called while busy
    bool finished;   // the last byte is out, or the body was cut
    uint8_t pending; // enum deflate_flush that has more to give
    struct exchange *x;
    struct http_body *in;
    struct http_body *out;
    struct deflate *deflate;
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

// ---- the filter -----------------------------------------------------------------------------------

static void release(void *arg)
{
    struct gzip_filter *g = arg;
    ensure_magic(g, GZIP_MAGIC);
    if (g->deflate != NULL) {
        deflate_free(g->deflate);
        g->deflate = NULL;
    }
}

static void finish(struct gzip_filter *g, int error)
{
    g->finished = true;
    if (error == 0) {
        http_body_end(g->out, g->in->trailers);
    } else {
        http_body_fail(g->out, error);
    }
    release(g);
}

// What the next step is for, or false when there is nothing to do.
static bool next_purpose(const struct gzip_filter *g, struct slice front,
                         enum deflate_flush *purpose)
{
    if (g->pending != DEFLATE_RUN) {
        *purpose = (enum deflate_flush)g->pending;
        return true;
    }
    *purpose = DEFLATE_RUN;
    if (front.len > 0) {
        return true;
    }
    *purpose = g->in->ended ? DEFLATE_FINISH : DEFLATE_FLUSH;
    return g->in->ended || g->dirty;
}

// One step of the library. False: wait for bytes or for room.
static bool compress_some(struct gzip_filter *g)
{
    static _Thread_local char buffer[CHUNK_BYTES];
    enum deflate_flush purpose;
    struct slice front = bufq_front(&g->in->q);
    if (!next_purpose(g, front, &purpose)) {
        return false;
    }
    size_t room = http_body_room(g->out);
    if (room < GZIP_ROOM_MIN) {
        g->out->wants_room = true;
        return false;
    }
    struct deflate_io io = {
        .in = front.ptr,
        .in_len = purpose == DEFLATE_RUN ? front.len : 0,
        .out = buffer,
        .out_len = room < sizeof(buffer) ? room : sizeof(buffer),
    };
    bool done = deflate_step(g->deflate, &io, purpose);
    http_body_take(g->in, io.consumed);
    g->dirty = purpose == DEFLATE_RUN || !done;
    g->pending = done || purpose == DEFLATE_RUN ? DEFLATE_RUN : (uint8_t)purpose;
    if (io.produced > 0) {
        int rc = http_body_write(g->out, &g->x->loop->chunks, buffer, io.produced);
        if (rc != 0) {
            finish(g, rc);
            return false;
        }
    }
    if (done && purpose == DEFLATE_FINISH) {
        finish(g, 0);
        return false;
    }
    return true;
}

static void compress_all(struct gzip_filter *g)
{
    if (g->out->discarding) { // the client has gone: let the origin's bytes go the same way
        g->finished = true;
        release(g);
        http_body_discard(g->in);
        return;
    }
    while (compress_some(g)) {
    }
    if (!g->finished && g->in->error != 0 && g->in->q.bytes == 0) {
        finish(g, g->in->error);
    }
}

// A notification may call back into the other end and so come here again, or end the exchange. The
// filter itself lives in the exchange's arena, which outlives the turn.
static void pump(struct gzip_filter *g)
{
    g->again = true;
    if (g->busy) {
        return;
    }
    g->busy = true;
    while (g->again && !g->finished && g->x->state != EXCHANGE_DONE) {
        g->again = false;
        uint64_t put = g->out->put_total;
        uint64_t taken = g->in->taken_total;
        compress_all(g);
        if (g->out->put_total != put || g->finished) {
            http_body_notify(g->out);
        }
        if (g->x->state != EXCHANGE_DONE && g->in->taken_total != taken) {
            http_body_pull(g->in);
        }
    }
    g->busy = false;
}

static void on_data(struct http_body *b, void *consumer)
{
    struct gzip_filter *g = consumer;
    ensure_magic(g, GZIP_MAGIC);
    ensure(b == g->in);
    pump(g);
}

static void on_room(struct http_body *b, void *producer)
{
    struct gzip_filter *g = producer;
    ensure_magic(g, GZIP_MAGIC);
    ensure(b == g->out);
    pump(g);
}

// False: no state or no memory; nothing has been changed.
static bool install(struct exchange *x, int level)
{
    struct gzip_filter *g = arena_zalloc(&x->arena, sizeof(*g));
    if (g == NULL) {
        return false;
    }
    g->magic = GZIP_MAGIC;
    g->x = x;
    if (arena_on_fini(&x->arena, release, g) != 0) {
        return false;
    }
    g->deflate = deflate_new(level);
    if (g->deflate == NULL) {
        return false;
    }
    g->out = exchange_filter_response(x, &g->in);
    if (g->out == NULL) {
        release(g);
        return false;
    }
    http_body_set_consumer(g->in, g, on_data);
    http_body_set_producer(g->out, g, on_room);
    pump(g);
    struct http_head *r = &x->response;
    r->body = HTTP_BODY_STREAM;
    r->has_length = false;
    if (g->finished && g->out->error == 0) { // all of it was there: its length is known after all
        r->body = HTTP_BODY_LENGTH;
        r->has_length = true;
        r->content_length = (int64_t)g->out->put_total;
    }
    return true;
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
    if (install(x, c->level) && mend_head(x) != 0) {
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

// SPDX-License-Identifier: Apache-2.0
//
// The module `files` (files/files.h). A request is one of these:
//
//   a file      its bytes, or one range of them, or 304 when the client has them
//   a folder    its index.html, or a list; without a slash behind it a redirect to itself with one
//   neither     404; also what begins with a dot, and whatever leads out of the folder
//
// The body is read a chunk at a time, when there is room for it. Reading may wait for a disk: this is for
// an agent, which serves its user's folder; an edge will not read here.

#include "files/files.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/diag.h"
#include "http/etag.h"
#include "proxy/exchange.h"

#include "files/listing.h"
#include "files/path.h"
#include "files/range.h"

enum { ETAG_MAX = 64, DATE_BYTES = 29, RANGE_TEXT_MAX = 80, FOLDER_MAX = 900 };

struct files {
    int root;
};

/** A file on its way, on the exchange's arena. */
struct sending {
    struct exchange *x;
    int fd; // -1: closed
    uint64_t at;
    uint64_t left;
};

static bool allowed;

void files_allow(void)
{
    allowed = true;
}

int files_find(int root, const char *path, struct os_found *out)
{
    return os_folder_find(root, path, out);
}

// ---- configuration ------------------------------------------------------------------------------

static void check_files(struct conf_diags *d, struct conf_node value)
{
    if (!allowed) {
        conf_error(d, value, "an edge does not serve files yet");
        conf_hint(d, "`adit ./folder` serves one through a tunnel");
    }
}

const struct conf_directive files_directives[] = {
    {.name = "files",
     .contexts = CONF_IN_ROUTING,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = FOLDER_MAX,
     .merge = CONF_MERGE_REPLACE,
     .action = true,
     .aka = "root file_server static alias",
     .text =
         "Answers from a folder. For now in agents alone: `adit ./folder` makes use of it, an edge "
         "refuses it.",
     .example = "sites:\n"
                "  default: {files: /srv/www}\n",
     .check = check_files},
    CONF_END,
};

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node n = conf_get(c->scope->level[0], "files"); // an action is not inherited
    if (!conf_exists(n)) {
        return 0;
    }
    char *path = arena_strdup(c->arena, conf_text(n));
    struct files *f = arena_alloc(c->arena, sizeof(*f));
    if (path == NULL || f == NULL) {
        return E_NO_MEMORY;
    }
    f->root = os_folder_open(path);
    if (f->root < 0) {
        conf_error(c->diags, n, "cannot open `%s`: %s", path, error_text(f->root));
        return E_CONFIG;
    }
    *conf = f;
    return 0;
}

static void dispose(void *conf)
{
    struct files *f = conf;
    os_folder_close(f->root);
}

// ---- the body -----------------------------------------------------------------------------------

static void close_file(void *arg)
{
    struct sending *s = arg;
    if (s->fd >= 0) {
        os_folder_close(s->fd);
        s->fd = -1;
    }
}

/** A chunk's worth of the file into the pipe. 0, or why not. */
static int put_some(struct sending *s, struct http_body *b)
{
    struct chunk *c = chunk_new(&s->x->loop->chunks);
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    size_t room = http_body_room(b);
    size_t want = chunk_room(c) < room ? chunk_room(c) : room;
    want = want < s->left ? want : (size_t)s->left;
    ptrdiff_t n = os_folder_read(s->fd, c->data, want, s->at);
    int e = n < 0 ? (int)n : n == 0 ? E_IO : 0; // it has become shorter: the answer is cut
    if (e == 0) {
        c->used = (uint32_t)n;
        e = http_body_put(b, c, 0, (size_t)n);
        s->at += (uint64_t)n;
        s->left -= (uint64_t)n;
    }
    chunk_unref(c);
    return e;
}

static void on_room(struct http_body *b, void *producer)
{
    struct sending *s = producer;
    int e = 0;
    if (s->fd < 0) {
        return;
    }
    while (e == 0 && s->left > 0 && !b->discarding && http_body_room(b) > 0) {
        e = put_some(s, b);
    }
    if (e != 0) {
        http_body_fail(b, e);
        close_file(s);
    } else if (s->left == 0 || b->discarding) {
        http_body_end(b, NULL);
        close_file(s);
    }
    http_body_notify(b);
}

// ---- the head -----------------------------------------------------------------------------------

struct validators {
    struct slice etag;
    struct slice date;
    char etag_bytes[ETAG_MAX];
    char date_bytes[DATE_BYTES];
};

static void make_validators(struct validators *v, const struct os_found *found)
{
    struct text t = text_on(v->etag_bytes, sizeof(v->etag_bytes));
    text_char(&t, '"');
    text_hex(&t, found->inode);
    text_char(&t, '-');
    text_hex(&t, found->size);
    text_char(&t, '-');
    text_hex(&t, found->modified_ns);
    text_char(&t, '"');
    ensure(!t.overflow);
    v->etag = text_slice(&t);
    http_date_format(v->date_bytes, found->modified_ns / 1000000000u);
    v->date = slice_of(v->date_bytes, sizeof(v->date_bytes));
}

/** RFC 9110 13.2.2. 0: go on; else the status. A date counts when it is the one that was given. */
static unsigned precondition(const struct fields *f, const struct validators *v)
{
    if (fields_has(f, HTTP_IF_MATCH) &&
        !http_etag_listed(fields_get_id(f, HTTP_IF_MATCH), v->etag, true)) {
        return 412;
    }
    if (fields_has(f, HTTP_IF_NONE_MATCH)) {
        return http_etag_listed(fields_get_id(f, HTTP_IF_NONE_MATCH), v->etag, false) ? 304 : 0;
    }
    bool same = fields_has(f, HTTP_IF_MODIFIED_SINCE) &&
                slice_eq(fields_get_id(f, HTTP_IF_MODIFIED_SINCE), v->date);
    return same ? 304 : 0;
}

/** Whether a range may be given: of this version of the file (RFC 9110 13.1.5). */
static bool range_counts(const struct exchange *x, const struct validators *v)
{
    const struct fields *f = &x->request.fields;
    struct slice condition = fields_get_id(f, HTTP_IF_RANGE);
    return x->request.method == HTTP_METHOD_GET && fields_has(f, HTTP_RANGE) &&
           (condition.len == 0 || http_etag_match_strong(condition, v->etag) ||
            slice_eq(condition, v->date));
}

static int put_validators(struct exchange *x, const struct validators *v)
{
    struct fields *f = &x->response.fields;
    int e = fields_set_id(f, HTTP_ETAG, v->etag);
    e = e != 0 ? e : fields_set_id(f, HTTP_LAST_MODIFIED, v->date);
    e = e != 0 ? e : fields_set_id(f, HTTP_ACCEPT_RANGES, SLICE("bytes"));
    return e != 0 ? e : fields_set(f, SLICE("X-Content-Type-Options"), SLICE("nosniff"));
}

static int put_content_range(struct exchange *x, enum files_range kind, uint64_t first,
                             uint64_t len, uint64_t size)
{
    char bytes[RANGE_TEXT_MAX];
    struct text t = text_on(bytes, sizeof(bytes));
    if (kind == FILES_WHOLE) {
        return 0;
    }
    text_str(&t, "bytes ");
    if (kind == FILES_PART) {
        text_u64(&t, first);
        text_char(&t, '-');
        text_u64(&t, first + len - 1);
    } else {
        text_char(&t, '*');
    }
    text_char(&t, '/');
    text_u64(&t, size);
    ensure(!t.overflow);
    return fields_set_id(&x->response.fields, HTTP_CONTENT_RANGE, text_slice(&t));
}

// ---- answers ------------------------------------------------------------------------------------

static enum stage_result fail(struct exchange *x, int error)
{
    if (error == E_NOT_FOUND || error == E_DENIED) {
        exchange_fail_status(x, error == E_DENIED ? 403 : 404);
    } else {
        exchange_fail(x, error == E_UNSUPPORTED ? E_INTERNAL : error, HTTP_DOWN);
    }
    return STAGE_ANSWER;
}

/** Takes the descriptor in any case. */
static enum stage_result answer_file(struct exchange *x, const struct os_found *found,
                                     struct slice name)
{
    struct sending *s = arena_alloc(&x->arena, sizeof(*s));
    if (s == NULL || arena_on_fini(&x->arena, close_file, s) != 0) {
        os_folder_close(found->fd);
        return fail(x, E_NO_MEMORY);
    }
    *s = (struct sending){.x = x, .fd = found->fd, .left = found->size};
    struct validators v;
    make_validators(&v, found);
    unsigned status = precondition(&x->request.fields, &v);
    enum files_range kind = FILES_WHOLE;
    if (status == 0 && range_counts(x, &v)) {
        struct slice field = fields_get_id(&x->request.fields, HTTP_RANGE);
        kind = files_range_read(field, found->size, &s->at, &s->left);
    }
    status = status != 0 ? status : kind == FILES_PART ? 206 : 200;
    status = kind == FILES_UNSATISFIABLE ? 416 : status;
    if (status == 412) {
        exchange_fail_status(x, status);
        return STAGE_ANSWER;
    }
    exchange_begin_answer(x, status);
    int e = put_validators(x, &v);
    e = e != 0 ? e : put_content_range(x, kind, s->at, s->left, found->size);
    if (e != 0) {
        return fail(x, e);
    }
    bool empty = status == 304 || status == 416;
    exchange_answer_stream(x, empty ? SLICE("") : files_type_of(name), empty ? 0 : s->left, s,
                           on_room);
    return STAGE_ANSWER;
}

/** To the same with a slash behind it: a path of this host whatever was asked for. */
static enum stage_result redirect_to_folder(struct exchange *x)
{
    struct slice path = x->request.path;
    while (path.len > 1 && path.ptr[1] == '/') {
        path = slice_from(path, 1);
    }
    bool query = x->request.query.ptr != NULL;
    size_t room = path.len + 2 + x->request.query.len;
    char *bytes = arena_bytes(&x->arena, room);
    if (bytes == NULL) {
        return fail(x, E_NO_MEMORY);
    }
    struct text t = text_on(bytes, room);
    text_put(&t, path);
    text_char(&t, '/');
    text_str(&t, query ? "?" : "");
    text_put(&t, query ? x->request.query : SLICE(""));
    exchange_begin_answer(x, 308);
    if (fields_set_id(&x->response.fields, HTTP_LOCATION, text_slice(&t)) != 0) {
        return fail(x, E_NO_MEMORY);
    }
    exchange_answer(x, SLICE(""), SLICE(""));
    return STAGE_ANSWER;
}

static enum stage_result answer_listing(struct exchange *x, int fd, bool is_root)
{
    struct slice page = SLICE("");
    int e = files_listing(fd, x->normal_path, is_root, &x->arena, &page);
    os_folder_close(fd);
    if (e != 0) {
        return fail(x, e);
    }
    exchange_begin_answer(x, 200);
    // Without room for it the page goes out as it is.
    e = fields_set_id(&x->response.fields, HTTP_CACHE_CONTROL, SLICE("no-cache"));
    exchange_answer_kept(x, SLICE("text/html; charset=utf-8"), page);
    return STAGE_ANSWER;
}

static enum stage_result answer_folder(struct exchange *x, const struct os_found *folder,
                                       bool is_root)
{
    struct os_found index;
    int e = files_find(folder->fd, "index.html", &index);
    if (e == 0 && index.folder) {
        os_folder_close(index.fd);
        e = E_NOT_FOUND;
    }
    if (e == E_NOT_FOUND) {
        return answer_listing(x, folder->fd, is_root);
    }
    os_folder_close(folder->fd);
    return e != 0 ? fail(x, e) : answer_file(x, &index, SLICE("index.html"));
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct files *f = conf;
    char path[FILES_PATH_MAX];
    struct os_found found;
    if (x->request.method != HTTP_METHOD_GET && x->request.method != HTTP_METHOD_HEAD) {
        return fail(x, E_METHOD_REFUSED);
    }
    int e = files_path_read(x->normal_path, path);
    e = e != 0 ? e : files_find(f->root, path, &found);
    if (e != 0) {
        return fail(x, e);
    }
    bool slash = slice_ends(x->normal_path, SLICE("/"));
    if (found.folder && slash) {
        return answer_folder(x, &found, path[0] == '\0');
    }
    if (found.folder || slash) {
        os_folder_close(found.fd);
        return found.folder ? redirect_to_folder(x) : fail(x, E_NOT_FOUND);
    }
    return answer_file(x, &found, slice_str(path));
}

const struct module files_module = {
    .name = "files",
    .directives = files_directives,
    .compile = compile,
    .dispose = dispose,
    .on_request = on_request,
};

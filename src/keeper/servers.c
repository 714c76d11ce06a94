// SPDX-License-Identifier: Apache-2.0
//
// Watched lists of servers and the servers document (keeper/servers.h). Values are held as JSON, in
// the shape that the document has; whatever becomes part of it went through the rows of
// upstream/servers.h, which say what is wrong with file, line and column.

#include "keeper/servers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/load.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/memfd.h"

#include "keeper/keeper_int.h"
#include "keeper/shelf.h"

enum {
    LOOK_MS = 1000,
    SETTLE_MS = 200, // until a changed file is looked at again
    NAMES_LOOK_MS = 2000,
    DONE_WAIT_MS = 3000,
    SAVED_BYTES_MAX = 4 << 20,
    WALK_DEPTH_MAX = 32,
};

static const char saved_name[] = "servers.json";

void servers_init(struct keeper_servers *s)
{
    static const char *const variables[] = {"ADIT_RESOLV_CONF", "ADIT_HOSTS"}; // for tests
    static const char *const paths[] = {"/etc/resolv.conf", "/etc/hosts"};
    *s = (struct keeper_servers){.known = json_object(), .overrides = json_array()};
    for (size_t i = 0; i < array_len(s->names); i++) {
        const char *other = getenv(variables[i]);
        ipc_set_text(s->names[i].path, IPC_PATH_MAX, slice_str(other != NULL ? other : paths[i]));
    }
}

void servers_fini(struct keeper_servers *s)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        json_decref(s->files[i].list);
    }
    json_decref(s->known);
    json_decref(s->staged);
    json_decref(s->overrides);
    *s = (struct keeper_servers){.known = NULL};
}

// ---- documents and JSON ---------------------------------------------------------------------------

static json_t *text_value(struct slice s)
{
    return json_stringn(s.ptr, s.len);
}

static json_t *entry_value(struct conf_node n)
{
    json_t *entry = json_object();
    conf_each(field, n)
    {
        char key[32];
        if (conf_kind_of(field) == CONF_SCALAR && conf_key(field).len < sizeof key) {
            ipc_set_text(key, sizeof key, conf_key(field));
            (void)json_object_set_new(entry, key, text_value(conf_text(field)));
        }
    }
    return entry;
}

static json_t *list_value(struct conf_node list)
{
    json_t *all = json_array();
    conf_each(n, list)
    {
        (void)json_array_append_new(all, entry_value(n));
    }
    return all;
}

bool servers_is_secure(struct slice at)
{
    return slice_starts(at, SLICE("https://")) || slice_starts(at, SLICE("srvs://")) ||
           slice_starts(at, SLICE("tls://"));
}

// A list in a watched file. NULL: something was reported.
static json_t *parse_list(const char *path, struct slice text, bool secure, struct conf_diags *d)
{
    // Without a source: a list is often written by others than the configuration, so it cannot
    // name files or variables.
    struct conf_load in = {
        .path = path, .text = text, .tables = servers_file_tables, .root = "servers"};
    struct conf_doc *doc = NULL;
    if (text.ptr == NULL) {
        in.text = SLICE("");
    }
    if (conf_load(&in, d, &doc) != 0) {
        return NULL;
    }
    struct conf_node list = conf_get(conf_root(doc), "servers");
    conf_each(n, list)
    {
        if (!secure && servers_is_secure(conf_string(conf_get(n, "at"), ""))) {
            conf_error(d, conf_get(n, "at"),
                       "TLS with a server that the configuration does not "
                       "know needs the name in its certificate");
            conf_hint(d, "say it in the upstream: tls: {name: app.internal}");
        }
    }
    json_t *value = conf_diags_errors(d) == 0 ? list_value(list) : NULL;
    conf_doc_free(doc);
    return value;
}

// ---- what a document has ----------------------------------------------------------------------------

typedef void upstream_fn(void *arg, struct slice name, struct conf_node upstream,
                         struct conf_node servers);

// Every upstream, named or in a route: whatever map has a list `servers`.
static void walk(struct conf_node n, int depth, upstream_fn *fn, void *arg)
{
    if (conf_kind_of(n) == CONF_SCALAR || depth == WALK_DEPTH_MAX) {
        return;
    }
    struct conf_node servers = {n.doc, 0};
    if (conf_kind_of(n) == CONF_MAP) {
        servers = conf_get(n, "servers");
    }
    if (conf_exists(servers) && conf_kind_of(servers) == CONF_LIST) {
        fn(arg, SLICE(""), n, servers);
        return;
    }
    conf_each(child, n)
    {
        walk(child, depth + 1, fn, arg);
    }
}

static void each_upstream(const struct conf_doc *doc, upstream_fn *fn, void *arg)
{
    conf_each(top, conf_root(doc))
    {
        if (!slice_eq(conf_key(top), SLICE("upstreams"))) {
            walk(top, 0, fn, arg);
            continue;
        }
        conf_each(u, top)
        {
            fn(arg, conf_key(u), u, conf_get(u, "servers"));
        }
    }
}

static bool speaks_tls(struct conf_node upstream)
{
    return conf_exists(conf_get(conf_get(upstream, "tls"), "name"));
}

static void know_upstream(void *arg, struct slice name, struct conf_node upstream,
                          struct conf_node servers)
{
    json_t *known = arg;
    char key[IPC_NAME_MAX];
    if (name.len == 0 || name.len >= sizeof key) {
        return;
    }
    ipc_set_text(key, sizeof key, name);
    json_t *at = json_object();
    json_t *files = json_array();
    conf_each(n, servers)
    {
        struct conf_node file = conf_get(n, "file");
        char address[IPC_PATH_MAX];
        ipc_set_text(address, sizeof address, conf_string(conf_get(n, "at"), ""));
        if (conf_exists(file)) {
            (void)json_array_append_new(files, text_value(conf_text(file)));
        } else {
            (void)json_object_set_new(at, address, entry_value(n));
        }
    }
    (void)json_object_set_new(known, key,
                              json_pack("{s:b, s:o, s:o}", "secure", (int)speaks_tls(upstream),
                                        "at", at, "files", files));
}

// ---- watched files ----------------------------------------------------------------------------------

/** Looking through a document for files. */
struct files_look {
    struct keeper_servers *servers; // NULL: they are only checked
    struct conf_source *source;
    struct conf_diags *diags;
    bool too_many;
};

static struct watched_file *file_of(struct keeper_servers *s, struct slice path)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        if (slice_eq(slice_str(s->files[i].path), path)) {
            return &s->files[i];
        }
    }
    return NULL;
}

static json_t *read_list(struct files_look *look, struct conf_node file, bool secure)
{
    struct arena a;
    struct slice text = {0};
    char path[IPC_PATH_MAX];
    ipc_set_text(path, sizeof path, conf_text(file));
    arena_init(&a, NULL, 0, NULL, 2 * SERVERS_FILE_BYTES_MAX);
    int error = look->source->read(look->source, path, SERVERS_FILE_BYTES_MAX, &a, &text);
    json_t *list = NULL;
    if (error != 0) {
        conf_error(look->diags, file, "cannot read `%s`: %s", path, error_text(error));
        conf_hint(look->diags, "a list without servers is `[]`");
    } else {
        list = parse_list(path, text, secure, look->diags);
    }
    arena_fini(&a);
    return list;
}

static void want_file(struct files_look *look, struct conf_node file, bool secure)
{
    struct keeper_servers *s = look->servers;
    struct slice path = conf_text(file);
    struct watched_file *w = s != NULL ? file_of(s, path) : NULL;
    if (w != NULL) {
        w->secure = (w->secure || !w->wanted) && secure;
        w->wanted = true;
        return;
    }
    if (path.len >= IPC_PATH_MAX || (s != NULL && s->file_count == SERVERS_FILES_MAX)) {
        conf_error(look->diags, file, "more than %d watched files, or too long a path",
                   SERVERS_FILES_MAX);
        return;
    }
    json_t *list = read_list(look, file, secure);
    if (s == NULL || list == NULL) {
        json_decref(list);
        return;
    }
    w = &s->files[s->file_count++];
    *w = (struct watched_file){.wanted = true, .secure = secure, .list = list};
    ipc_set_text(w->path, sizeof w->path, path);
}

static void look_for_files(void *arg, struct slice name, struct conf_node upstream,
                           struct conf_node servers)
{
    (void)name;
    conf_each(n, servers)
    {
        struct conf_node file = conf_get(n, "file");
        if (conf_exists(file)) {
            want_file(arg, file, speaks_tls(upstream));
        }
    }
}

int servers_check_files(const struct conf_doc *doc, struct conf_source *source,
                        struct conf_diags *d)
{
    struct files_look look = {.source = source, .diags = d};
    each_upstream(doc, look_for_files, &look);
    conf_diags_sort(d);
    return conf_diags_errors(d) > 0 ? E_CONFIG : 0;
}

// ---- the document -----------------------------------------------------------------------------------

static json_t *document(const struct keeper_servers *s)
{
    json_t *files = json_array();
    for (uint32_t i = 0; i < s->file_count; i++) {
        const struct watched_file *w = &s->files[i];
        (void)json_array_append_new(files,
                                    json_pack("{s:s, s:O}", "path", w->path, "servers", w->list));
    }
    return json_pack("{s:o, s:O}", "files", files, "overrides", s->overrides);
}

static int make_document(const struct keeper_servers *s)
{
    json_t *all = document(s);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    int error = text == NULL || d == NULL ? E_NO_MEMORY : 0;
    if (error == 0) {
        error = conf_load_text("servers", text, servers_doc_tables, d, &doc);
    }
    const struct conf_diag *first = error == E_CONFIG ? conf_diags_first(d) : NULL;
    if (first != NULL) {
        log_line(LOG_ERROR, "the lists of servers stay as they were: %.*s",
                 SLICE_ARG(first->message));
    }
    int fd = error == 0 ? os_memfd_make("adit-servers", conf_doc_bytes(doc)) : error;
    conf_doc_free(doc);
    conf_diags_free(d);
    free(text);
    json_decref(all);
    return fd;
}

bool servers_send(struct keeper *k, bool wait)
{
    struct keeper_servers *s = &k->servers;
    int fd = make_document(s);
    if (fd < 0) {
        return false;
    }
    struct ipc_message m;
    struct ipc_fds fds;
    ipc_init(&m, IPC_servers);
    m.u.servers.number = ++s->number;
    int error = keeper_send(k, &m, &fd, 1);
    (void)close(fd);
    while (error == 0 && wait) {
        error = keeper_await_for(k, IPC_servers_done, &m, &fds, DONE_WAIT_MS);
        if (error == 0 && m.u.servers_done.number == s->number) {
            return m.u.servers_done.error == 0;
        }
    }
    return false;
}

void servers_save(const struct keeper *k)
{
    json_t *all = json_pack("{s:O}", "overrides", k->servers.overrides);
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    int error = text == NULL   ? E_NO_MEMORY
                : k->state < 0 ? 0
                               : shelf_write(k->state, saved_name, slice_str(text), SHELF_PUBLIC);
    if (error != 0) {
        log_line(LOG_ERROR,
                 "%s/%s cannot be written: %s; what was said of servers is forgotten "
                 "when adit ends",
                 k->state_path, saved_name, error_text(error));
    }
    free(text);
    json_decref(all);
}

// Takes the overrides, and the lists of files that have none yet, from a document.
static void take_document(struct keeper_servers *s, const struct conf_doc *doc)
{
    json_decref(s->overrides);
    s->overrides = list_value(conf_get(conf_root(doc), "overrides"));
    conf_each(file, conf_get(conf_root(doc), "files"))
    {
        struct slice path = conf_string(conf_get(file, "path"), "");
        struct watched_file *w = file_of(s, path);
        if (w == NULL && s->file_count < SERVERS_FILES_MAX && path.len < IPC_PATH_MAX) {
            w = &s->files[s->file_count++];
            *w = (struct watched_file){.wanted = true};
            ipc_set_text(w->path, sizeof w->path, path);
        }
        if (w != NULL) {
            json_decref(w->list);
            w->list = list_value(conf_get(file, "servers"));
        }
    }
}

static void load_saved(struct keeper *k)
{
    struct keeper_servers *s = &k->servers;
    struct arena a;
    struct slice text = {0};
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    s->loaded = true;
    arena_init(&a, NULL, 0, NULL, 2 * SAVED_BYTES_MAX);
    int error = shelf_read(k->state, saved_name, SAVED_BYTES_MAX, &a, &text);
    if (error == 0 && d != NULL) {
        struct conf_load in = {.path = saved_name, .text = text, .tables = servers_doc_tables};
        error = conf_load(&in, d, &doc);
    }
    if (error == 0 && doc != NULL) {
        take_document(s, doc);
    } else if (error != E_NOT_FOUND) {
        const struct conf_diag *first = d != NULL ? conf_diags_first(d) : NULL;
        log_line(LOG_ERROR, "%s/%s is not used, so what was said of servers is forgotten: %.*s",
                 k->state_path, saved_name,
                 SLICE_ARG(first != NULL ? first->message : slice_str(error_text(error))));
    }
    conf_doc_free(doc);
    conf_diags_free(d);
    arena_fini(&a);
}

// ---- with a load ------------------------------------------------------------------------------------

static bool send_names(struct keeper *k, bool always);

int servers_stage(struct keeper *k, const struct conf_doc *doc, struct conf_diags *d)
{
    struct keeper_servers *s = &k->servers;
    if (!s->loaded) {
        load_saved(k);
        (void)send_names(k, true);
    }
    for (uint32_t i = 0; i < s->file_count; i++) {
        s->files[i].wanted = false;
    }
    struct files_look look = {.servers = s, .source = &k->source, .diags = d};
    each_upstream(doc, look_for_files, &look);
    conf_diags_sort(d);
    if (conf_diags_errors(d) > 0) {
        return E_CONFIG;
    }
    json_decref(s->staged);
    s->staged = json_object();
    each_upstream(doc, know_upstream, s->staged);
    if (s->file_count > 0 || json_array_size(s->overrides) > 0) {
        (void)servers_send(k, false);
    }
    return 0;
}

static bool lists(const json_t *list, const char *at)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        const char *has = json_string_value(json_object_get(one, "at"));
        if (has != NULL && strcmp(has, at) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_listed(struct keeper_servers *s, const json_t *upstream, const char *at)
{
    if (at == NULL || json_object_get(json_object_get(upstream, "at"), at) != NULL) {
        return at != NULL;
    }
    size_t i = 0;
    json_t *path = NULL;
    json_array_foreach(json_object_get(upstream, "files"), i, path)
    {
        const struct watched_file *w = file_of(s, slice_str(json_string_value(path)));
        if (w != NULL && lists(w->list, at)) {
            return true;
        }
    }
    return false;
}

static bool still_there(struct keeper_servers *s, const json_t *override)
{
    const char *upstream = json_string_value(json_object_get(override, "upstream"));
    const char *at = json_string_value(json_object_get(override, "at"));
    const char *of = json_string_value(json_object_get(override, "of"));
    const json_t *known = upstream != NULL ? json_object_get(s->known, upstream) : NULL;
    bool added = json_object_get(override, "added") != NULL;
    return known != NULL && (added || is_listed(s, known, at) || is_listed(s, known, of));
}

static bool drop_overrides(struct keeper_servers *s)
{
    bool dropped = false;
    for (size_t i = json_array_size(s->overrides); i-- > 0;) {
        const json_t *o = json_array_get(s->overrides, i);
        if (!still_there(s, o)) {
            log_line(LOG_WARN,
                     "server %s of upstream %s is no longer in the configuration: what `adit "
                     "server` said of it is dropped",
                     json_string_value(json_object_get(o, "at")),
                     json_string_value(json_object_get(o, "upstream")));
            (void)json_array_remove(s->overrides, i);
            dropped = true;
        }
    }
    return dropped;
}

static bool drop_files(struct keeper_servers *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->file_count; i++) {
        if (s->files[i].wanted) {
            s->files[kept++] = s->files[i];
        } else {
            json_decref(s->files[i].list);
        }
    }
    bool dropped = kept != s->file_count;
    s->file_count = kept;
    return dropped;
}

void servers_commit(struct keeper *k)
{
    struct keeper_servers *s = &k->servers;
    json_decref(s->known);
    s->known = s->staged;
    s->staged = NULL;
    bool files = drop_files(s);
    bool overrides = drop_overrides(s);
    if (overrides) {
        servers_save(k);
    }
    if (files || overrides) {
        (void)servers_send(k, false);
    }
}

// ---- taking over ------------------------------------------------------------------------------------

static void want_again(void *arg, struct slice name, struct conf_node upstream,
                       struct conf_node servers)
{
    struct keeper_servers *s = arg;
    (void)name;
    conf_each(n, servers)
    {
        struct conf_node file = conf_get(n, "file");
        struct watched_file *w = conf_exists(file) ? file_of(s, conf_text(file)) : NULL;
        if (conf_exists(file) && w == NULL && s->file_count < SERVERS_FILES_MAX) {
            w = &s->files[s->file_count++];
            *w = (struct watched_file){.secure = true, .list = json_array()};
            ipc_set_text(w->path, sizeof w->path, conf_text(file));
        }
        if (w != NULL) {
            w->wanted = true;
            w->secure = w->secure && speaks_tls(upstream);
        }
    }
}

void servers_recover_document(struct keeper *k, int fd)
{
    struct keeper_servers *s = &k->servers;
    struct slice bytes = {0};
    const struct conf_doc *doc = NULL;
    s->loaded = true;
    if (os_memfd_map(fd, IPC_DOC_MAX, &bytes) == 0 &&
        conf_doc_open(bytes.ptr, bytes.len, &doc) == 0) {
        each_upstream(doc, know_upstream, s->known);
        each_upstream(doc, want_again, s);
    }
    os_memfd_unmap(bytes);
}

void servers_recover(struct keeper *k, uint64_t number, int fd)
{
    struct slice bytes = {0};
    const struct conf_doc *doc = NULL;
    k->servers.number = number;
    if (os_memfd_map(fd, SERVERS_DOC_BYTES_MAX, &bytes) == 0 &&
        conf_doc_open(bytes.ptr, bytes.len, &doc) == 0) {
        take_document(&k->servers, doc);
    }
    os_memfd_unmap(bytes);
}

// ---- looking ----------------------------------------------------------------------------------------

static struct watch_mark mark_of(const struct stat *st)
{
    return (struct watch_mark){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .changed_ns = st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec,
        .modified_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec,
    };
}

static bool same_mark(const struct watch_mark *a, const struct watch_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_ns == b->changed_ns && a->modified_ns == b->modified_ns;
}

enum look { LOOK_SAME, LOOK_UNSETTLED, LOOK_CHANGED };

// Opens and compares. LOOK_CHANGED: *fd is the caller's. `error`: why it cannot be looked at.
static enum look look_at(struct keeper *k, struct watched_file *w, int *fd, int *error)
{
    struct stat st;
    *error = 0;
    *fd = keeper_open_file(k, w->path);
    if (*fd < 0 || fstat(*fd, &st) != 0) {
        *error = *fd < 0 ? *fd : E_IO;
        w->seen = (struct watch_mark){0};
        return LOOK_SAME;
    }
    struct watch_mark now = mark_of(&st);
    enum look what = LOOK_CHANGED;
    if (same_mark(&now, &w->taken)) {
        what = LOOK_SAME;
    } else if (!same_mark(&now, &w->seen)) {
        w->seen = now;
        what = LOOK_UNSETTLED;
    } else {
        w->taken = now;
    }
    if (what != LOOK_CHANGED) {
        (void)close(*fd);
    }
    return what;
}

static void tell_broken(struct watched_file *w, const struct conf_diags *d, int error)
{
    const char *list = json_array_size(w->list) > 0 ? "its last list stays" : "its list is empty";
    if (d == NULL || conf_diags_first(d) == NULL) {
        if (!w->broken) {
            log_line(LOG_ERROR, "servers: %s: %s; %s", w->path, error_text(error), list);
        }
    }
    for (const struct conf_diag *one = d != NULL ? conf_diags_first(d) : NULL; one != NULL;
         one = one->next) {
        log_line(one->severity == CONF_ERROR ? LOG_ERROR : LOG_WARN, "servers: %s:%u:%u: %.*s; %s",
                 w->path, one->spot.line, one->spot.column, SLICE_ARG(one->message),
                 one->severity == CONF_ERROR ? list : "");
    }
    w->broken = true;
}

// True: the list is another one.
static bool take_list(struct watched_file *w, int fd)
{
    struct arena a;
    struct slice text = {0};
    struct conf_diags *d = conf_diags_new();
    json_t *list = NULL;
    arena_init(&a, NULL, 0, NULL, 2 * SERVERS_FILE_BYTES_MAX);
    int error = os_file_read(fd, SERVERS_FILE_BYTES_MAX, &a, &text);
    if (error == 0 && d != NULL) {
        list = parse_list(w->path, text, w->secure, d);
        error = E_CONFIG;
    }
    bool changed = false;
    if (list == NULL) {
        tell_broken(w, d, error);
    } else {
        changed = !json_equal(list, w->list);
        if (changed || w->broken) {
            log_line(LOG_INFO, "servers: %s: a list of %u", w->path,
                     (unsigned)json_array_size(list));
        }
        w->broken = false;
        json_decref(w->list);
        w->list = list;
    }
    conf_diags_free(d);
    arena_fini(&a);
    return changed;
}

static bool look_at_lists(struct keeper *k, bool *unsettled)
{
    struct keeper_servers *s = &k->servers;
    bool changed = false;
    for (uint32_t i = 0; i < s->file_count && !k->ending; i++) {
        struct watched_file *w = &s->files[i];
        int fd;
        int error;
        enum look look = look_at(k, w, &fd, &error);
        *unsettled = *unsettled || look == LOOK_UNSETTLED;
        if (error != 0) {
            tell_broken(w, NULL, error);
            w->taken = (struct watch_mark){0};
        } else if (look == LOOK_CHANGED) {
            changed = take_list(w, fd) || changed;
            (void)close(fd);
        }
    }
    return changed;
}

static int text_memfd(int fd)
{
    struct arena a;
    struct slice text = SLICE("");
    arena_init(&a, NULL, 0, NULL, 2 * IPC_NAMES_MAX);
    int error = fd >= 0 ? os_file_read(fd, IPC_NAMES_MAX, &a, &text) : 0;
    int out = error == 0 ? os_memfd_make("adit-names", text) : error;
    arena_fini(&a);
    return out;
}

// Both texts whenever one has changed; a file that is not there is empty.
static bool send_names(struct keeper *k, bool always)
{
    struct keeper_servers *s = &k->servers;
    bool changed = always;
    bool unsettled = false;
    for (size_t i = 0; i < array_len(s->names); i++) {
        int fd;
        int error;
        enum look look = look_at(k, &s->names[i], &fd, &error);
        if (error != 0) {
            changed = changed || s->names[i].taken.inode != 0;
            s->names[i].taken = (struct watch_mark){0};
        } else if (look == LOOK_CHANGED) {
            changed = true;
            (void)close(fd);
        }
        unsettled = unsettled || look == LOOK_UNSETTLED;
        s->names[i].taken = always ? s->names[i].seen : s->names[i].taken;
    }
    if (!changed || k->ending) {
        return unsettled;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_names);
    int fds[2] = {-1, -1};
    for (size_t i = 0; i < array_len(fds); i++) {
        int file = keeper_open_file(k, s->names[i].path);
        fds[i] = text_memfd(file);
        if (file >= 0) {
            (void)close(file);
        }
    }
    if (fds[0] >= 0 && fds[1] >= 0) {
        int ignored = keeper_send(k, &m, fds, 2); // when it is gone, the loop ends
        (void)ignored;
        if (s->names_sent) { // a keeper that takes over cannot know whether they are others
            log_line(LOG_INFO, "resolv.conf or hosts has changed: names are resolved anew");
        }
        s->names_sent = true;
    }
    for (size_t i = 0; i < array_len(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return unsettled;
}

void servers_tick(struct keeper *k)
{
    struct keeper_servers *s = &k->servers;
    uint64_t now = os_clock_ms();
    if (!s->loaded || k->ending) {
        return;
    }
    if (now >= s->names_at_ms) {
        s->names_at_ms = now + (send_names(k, false) ? SETTLE_MS : NAMES_LOOK_MS);
    }
    if (s->file_count > 0 && now >= s->look_at_ms) {
        bool unsettled = false;
        if (look_at_lists(k, &unsettled)) {
            (void)servers_send(k, false);
        }
        s->look_at_ms = now + (unsettled ? SETTLE_MS : LOOK_MS);
    }
}

int servers_wait_ms(const struct keeper *k)
{
    const struct keeper_servers *s = &k->servers;
    if (!s->loaded) {
        return -1;
    }
    uint64_t now = os_clock_ms();
    uint64_t due = s->names_at_ms;
    due = s->file_count > 0 && s->look_at_ms < due ? s->look_at_ms : due;
    return due > now ? (int)(due - now) : 0;
}

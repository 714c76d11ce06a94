// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 through the real proxy, with nghttp2 at both other ends: clients that keep many streams going
// on one connection, and an origin that answers them. Bodies are known bytes in both directions,
// windows are small and of random size, streams are reset now and then. What is answered must be
// answered whole and right; when the proxy drains, no request may be lost without its client being
// told that it was not processed.
//
// nghttp2 is an oracle here: it ends its session when we break a rule that it knows.

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slab.h"
#include "edge.h"

enum {
    CLIENTS_MAX = 4,
    ASKS_MAX = 64, // of one client
    AT_ONCE = 20,  // streams of a client that live at once
    ORIGIN_CONNECTIONS = 512,
    BODY_MAX = 300 * 1000,
    WIDE = 64 << 20,
};

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};

static const char config[] = "log: error\nlisten: ':8080'\n"
                             "sites: {default: {proxy: 'h2c://10.1.0.1:80'}}\n";

/** A message that is sent or received. */
struct flow {
    uint32_t size;
    uint32_t done;
    uint32_t seed;
    bool wrong;
};

struct ask {
    struct client *client;
    int32_t id;
    struct flow up;   // request content
    struct flow down; // response content
    unsigned status;
    bool trailers;
    bool begun;
    bool closed;
    bool ours; // we reset it
    uint32_t code;
};

/** One nghttp2 session on one end of a connection. */
struct peer {
    struct sim_end *end;
    nghttp2_session *session;
    const uint8_t *out; // what nghttp2 gave and the network did not take
    size_t out_len;
    bool gone;
    bool heard; // something came
};

struct client {
    struct world *w;
    struct peer peer;
    struct ask asks[ASKS_MAX];
    unsigned count;
    unsigned next;
    unsigned live;
    bool told_goaway;
};

/** A stream at the origin; kept until the world ends. */
struct job {
    struct job *next;
    struct flow up;
    struct flow down;
};

struct world {
    struct sim_case *c;
    struct sim *sim;
    struct edge *edge;
    struct client clients[CLIENTS_MAX];
    unsigned client_count;
    struct peer origins[ORIGIN_CONNECTIONS];
    unsigned origin_count;
    nghttp2_session_callbacks *client_callbacks;
    nghttp2_session_callbacks *origin_callbacks;
    struct job *jobs;
    bool resets;
    bool draining;
    bool starved;      // allocations fail
    bool wide;         // the origin's windows are no limit
    bool falls_silent; // the origin does, with the first request
    bool silent;
};

static uint8_t byte_at(const struct flow *f, uint32_t i)
{
    return (uint8_t)(f->seed + i * 31 + (i >> 8));
}

static void check_bytes(struct flow *f, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f->wrong |= p[i] != byte_at(f, f->done + (uint32_t)i);
    }
    f->done += (uint32_t)n;
}

static ssize_t give_bytes(struct flow *f, uint8_t *p, size_t room, uint32_t *flags)
{
    uint32_t n = f->size - f->done < room ? f->size - f->done : (uint32_t)room;
    for (uint32_t i = 0; i < n; i++) {
        p[i] = byte_at(f, f->done + i);
    }
    f->done += n;
    if (f->done == f->size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return n;
}

// ---- the transport of a peer -----------------------------------------------------------------------

static void end_peer(struct peer *p)
{
    if (p->gone) {
        return;
    }
    p->gone = true;
    sim_close(p->end);
}

static void flush(struct peer *p)
{
    while (!p->gone) {
        if (p->out_len == 0) {
            ssize_t n = nghttp2_session_mem_send(p->session, &p->out);
            if (n <= 0) {
                break;
            }
            p->out_len = (size_t)n;
        }
        size_t took = sim_send(p->end, slice_of((const char *)p->out, p->out_len));
        p->out += took;
        p->out_len -= took;
        if (p->out_len > 0) {
            return;
        }
    }
    if (!p->gone && !nghttp2_session_want_read(p->session) &&
        !nghttp2_session_want_write(p->session)) {
        end_peer(p);
    }
}

static void receive(struct world *w, struct peer *p)
{
    uint8_t buffer[4096];
    size_t n;
    while (!p->gone && (n = sim_recv(p->end, buffer, sizeof(buffer))) > 0) {
        p->heard = true;
        ssize_t used = nghttp2_session_mem_recv(p->session, buffer, n);
        if (used < 0) {
            sim_fail(w->c, "nghttp2 says %s", nghttp2_strerror((int)used));
            end_peer(p);
        }
    }
    if (!p->gone && (sim_is_reset(p->end) || sim_at_eof(p->end))) {
        end_peer(p);
    }
    flush(p);
}

// ---- the origin --------------------------------------------------------------------------------------

static ssize_t origin_body(nghttp2_session *session, int32_t id, uint8_t *p, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct job *j = source->ptr;
    (void)user;
    ssize_t n = give_bytes(&j->down, p, room, flags);
    if ((*flags & NGHTTP2_DATA_FLAG_EOF) != 0 && j->down.seed % 2 == 0) {
        static uint8_t name[] = "x-checked";
        static uint8_t value[] = "yes";
        nghttp2_nv nv = {name, value, sizeof(name) - 1, sizeof(value) - 1, 0};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        int rc = nghttp2_submit_trailer(session, id, &nv, 1);
        ensure(rc == 0);
    }
    return n;
}

static int origin_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct world *w = user;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct job *j = calloc(1, sizeof(*j));
        ensure(j != NULL);
        j->next = w->jobs;
        w->jobs = j;
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, j);
    }
    return 0;
}

/** "/SEED/UP/DOWN": what the client will send and wants to get. */
static int origin_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                         void *user)
{
    struct job *j = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (j != NULL && name_len == 5 && memcmp(name, ":path", 5) == 0) {
        char text[64] = {0};
        ensure(value_len < sizeof(text));
        memcpy(text, value, value_len);
        int n = sscanf(text, "/%u/%u/%u", &j->up.seed, &j->up.size, &j->down.size);
        ensure(n == 3);
        j->down.seed = j->up.seed + 1;
    }
    return 0;
}

static int origin_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                       size_t n, void *user)
{
    struct job *j = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    (void)user;
    if (j != NULL) {
        check_bytes(&j->up, p, n);
    }
    return 0;
}

static int origin_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct world *w = user;
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!message || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct job *j = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (j == NULL) {
        return 0;
    }
    if (j->up.wrong || j->up.done != j->up.size) {
        sim_fail(w->c, "the origin got %u of %u bytes%s", j->up.done, j->up.size,
                 j->up.wrong ? ", wrong ones" : "");
    }
    if (w->falls_silent) {
        w->silent = true;
        return 0;
    }
    static uint8_t name[] = ":status";
    static uint8_t value[] = "200";
    nghttp2_nv nv = {name, value, sizeof(name) - 1, sizeof(value) - 1, 0};
    nghttp2_data_provider provider = {.source = {.ptr = j}, .read_callback = origin_body};
    int rc = nghttp2_submit_response(session, frame->hd.stream_id, &nv, 1,
                                     j->down.size > 0 ? &provider : NULL);
    ensure(rc == 0);
    return 0;
}

static struct world *the_world;

static void on_origin(struct sim_end *e, unsigned events, void *user)
{
    (void)e;
    (void)events;
    if (!the_world->silent) {
        receive(the_world, user);
    }
}

static void on_accept(struct sim_end *e, void *user)
{
    struct world *w = user;
    ensure(w->origin_count < ORIGIN_CONNECTIONS);
    struct peer *p = &w->origins[w->origin_count++];
    *p = (struct peer){.end = e};
    int rc = nghttp2_session_server_new(&p->session, w->origin_callbacks, w);
    ensure(rc == 0);
    struct rng *rng = sim_rng(w->sim);
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100 + (uint32_t)rng_below(rng, 100)},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)rng_below(rng, 100000) + 1},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, (uint32_t)rng_below(rng, 5000)},
    };
    if (w->wide) {
        entries[1].value = WIDE;
    }
    rc = nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, entries, array_len(entries));
    if (w->wide) {
        rc |= nghttp2_session_set_local_window_size(p->session, NGHTTP2_FLAG_NONE, 0, WIDE);
    }
    ensure(rc == 0);
    sim_set_actor(e, on_origin, p);
    flush(p);
}

// ---- clients ---------------------------------------------------------------------------------------

static ssize_t client_body(nghttp2_session *session, int32_t id, uint8_t *p, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct ask *a = source->ptr;
    (void)session;
    (void)id;
    (void)user;
    return give_bytes(&a->up, p, room, flags);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

static void ask(struct client *cl, struct ask *a)
{
    char path[64];
    char length[16];
    char priority[16];
    snprintf(path, sizeof(path), "/%u/%u/%u", a->up.seed, a->up.size, a->down.size);
    snprintf(length, sizeof(length), "%u", a->up.size);
    snprintf(priority, sizeof(priority), "u=%u%s", a->up.seed % 8,
             a->up.seed % 3 == 0 ? ", i" : "");
    nghttp2_nv nv[] = {field(":method", a->up.size > 0 ? "POST" : "GET"),
                       field(":scheme", "http"),
                       field(":path", path),
                       field(":authority", "sim"),
                       field("cookie", "a=1"),
                       field("cookie", "b=2"),
                       field("priority", priority),
                       field("content-length", length)};
    size_t count = array_len(nv) - (a->up.seed % 2 == 0 || a->up.size == 0 ? 1 : 0);
    nghttp2_data_provider provider = {.source = {.ptr = a}, .read_callback = client_body};
    a->begun = true;
    a->client = cl;
    a->id = nghttp2_submit_request(cl->peer.session, NULL, nv, count,
                                   a->up.size > 0 ? &provider : NULL, a);
    if (a->id < 0) { // GOAWAY has come
        a->begun = false;
        a->closed = true;
        return;
    }
    cl->live++;
}

static void ask_more(struct client *cl)
{
    while (!cl->peer.gone && !cl->told_goaway && cl->live < AT_ONCE && cl->next < cl->count) {
        ask(cl, &cl->asks[cl->next++]);
    }
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                         void *user)
{
    struct ask *a = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (a != NULL && name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3) {
        a->status = (unsigned)atoi((const char *)value);
    }
    if (a != NULL && name_len == 9 && memcmp(name, "x-checked", 9) == 0) {
        a->trailers = true;
    }
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                       size_t n, void *user)
{
    struct ask *a = nghttp2_session_get_stream_user_data(session, id);
    struct client *cl = user;
    (void)flags;
    check_bytes(&a->down, p, n);
    if (cl->w->resets && rng_below(sim_rng(cl->w->sim), 40) == 0) {
        a->ours = true;
        int rc = nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        ensure(rc == 0);
    }
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *cl = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        cl->told_goaway = true;
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !cl->w->starved) {
            sim_fail(cl->w->c, "GOAWAY with %u", frame->goaway.error_code);
        }
    }
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct ask *a = nghttp2_session_get_stream_user_data(session, id);
    struct client *cl = user;
    a->closed = true;
    a->code = code;
    ensure(cl->live > 0);
    cl->live--;
    return 0;
}

static void on_client(struct sim_end *e, unsigned events, void *user)
{
    struct client *cl = user;
    (void)e;
    (void)events;
    receive(cl->w, &cl->peer);
    ask_more(cl);
    flush(&cl->peer);
}

static void open_client(struct world *w, struct client *cl)
{
    struct rng *rng = sim_rng(w->sim);
    cl->w = w;
    cl->count = (unsigned)rng_below(rng, ASKS_MAX) + 1;
    for (unsigned i = 0; i < cl->count; i++) {
        struct ask *a = &cl->asks[i];
        bool big = rng_below(rng, 8) == 0;
        a->up.seed = (uint32_t)rng_below(rng, 1000);
        a->down.seed = a->up.seed + 1;
        a->up.size = rng_below(rng, 2) == 0 ? 0 : (uint32_t)rng_below(rng, big ? BODY_MAX : 3000);
        a->down.size = (uint32_t)rng_below(rng, big ? BODY_MAX : 3000);
    }
    int rc = nghttp2_session_client_new(&cl->peer.session, w->client_callbacks, cl);
    ensure(rc == 0);
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)rng_below(rng, 200000) + 1},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, (uint32_t)rng_below(rng, 5000)},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    rc = nghttp2_submit_settings(cl->peer.session, NGHTTP2_FLAG_NONE, entries, array_len(entries));
    ensure(rc == 0);
    cl->peer.end = sim_connect(w->sim, &edge_at, on_client, cl);
}

// ---- runs ------------------------------------------------------------------------------------------

static bool all_done(void *user)
{
    const struct world *w = user;
    for (unsigned i = 0; i < w->client_count; i++) {
        const struct client *cl = &w->clients[i];
        if (!cl->peer.gone && (cl->live > 0 || (cl->next < cl->count && !cl->told_goaway))) {
            return false;
        }
    }
    return true;
}

static void check_ask(struct world *w, const struct client *cl, const struct ask *a)
{
    if (!a->begun || a->ours || (w->draining && !cl->peer.heard)) {
        return; // the last: nobody listened any more
    }
    if (w->starved && (cl->peer.gone || (a->closed && (a->code != 0 || a->status != 200)))) {
        return; // it may fail, but not lie
    }
    if (w->falls_silent) {
        if (a->status != 504) {
            sim_fail(w->c, "status %u from a silent origin", a->status);
        }
        return;
    }
    if (!a->closed) {
        sim_fail(w->c, "stream %d of %u was left open (%u of %u bytes)", a->id, cl->count,
                 a->down.done, a->down.size);
        return;
    }
    if (w->draining && a->code == NGHTTP2_REFUSED_STREAM && a->status == 0) {
        return; // told that it was not processed
    }
    bool good = a->code == NGHTTP2_NO_ERROR && a->status == 200 && !a->down.wrong &&
                a->down.done == a->down.size;
    bool trailers = a->down.size > 0 && a->down.seed % 2 == 0;
    if (!good || a->trailers != trailers) {
        sim_fail(w->c, "stream %d: status %u, code %u, %u of %u bytes%s%s", a->id, a->status,
                 a->code, a->down.done, a->down.size, a->down.wrong ? ", wrong ones" : "",
                 a->trailers != trailers ? ", trailers wrong" : "");
    }
}

static void make_callbacks(struct world *w)
{
    int rc = nghttp2_session_callbacks_new(&w->client_callbacks);
    rc |= nghttp2_session_callbacks_new(&w->origin_callbacks);
    ensure(rc == 0);
    nghttp2_session_callbacks_set_on_header_callback(w->client_callbacks, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(w->client_callbacks, client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(w->client_callbacks, client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(w->client_callbacks, client_close);
    nghttp2_session_callbacks_set_on_begin_headers_callback(w->origin_callbacks, origin_begin);
    nghttp2_session_callbacks_set_on_header_callback(w->origin_callbacks, origin_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(w->origin_callbacks, origin_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(w->origin_callbacks, origin_frame);
}

static void drain(void *user)
{
    struct world *w = user;
    w->draining = true;
    edge_drain(w->edge);
}

struct way {
    const struct sim_faults *faults;
    bool resets;
    bool drains;
    double alloc_fail;
    uint32_t upload; // one client sends so much and nothing else
    bool falls_silent;
};

static struct world *new_world(struct sim_case *c, const struct way *way)
{
    struct world *w = calloc(1, sizeof(*w));
    ensure(w != NULL);
    the_world = w;
    w->c = c;
    w->resets = way->resets;
    w->starved = way->alloc_fail > 0;
    w->wide = way->upload > 0;
    w->falls_silent = way->falls_silent;
    w->sim = sim_new(c->seed, way->faults);
    make_callbacks(w);
    sim_listen(w->sim, &origin_at, on_accept, w);
    struct edge_limits limits = {.cores = 1, .chunks_max = 4096, .connections_max = 100};
    w->edge = edge_open(c, w->sim, &edge_at, config, &limits);
    w->client_count = way->upload > 0 ? 1 : (unsigned)rng_below(sim_rng(w->sim), CLIENTS_MAX) + 1;
    for (unsigned i = 0; i < w->client_count; i++) {
        open_client(w, &w->clients[i]);
    }
    if (way->upload > 0) {
        w->clients[0].count = 1;
        w->clients[0].asks[0].up.size = way->upload;
        w->clients[0].asks[0].down.size = 0;
    }
    return w;
}

static void free_world(struct world *w)
{
    for (unsigned i = 0; i < w->client_count; i++) {
        end_peer(&w->clients[i].peer);
    }
    for (unsigned i = 0; i < w->origin_count; i++) {
        end_peer(&w->origins[i]);
    }
    // What the edge still does may bring further connections to the origin.
    (void)sim_run(w->sim, edge_loops(w->edge), edge_core_count(w->edge),
                  sim_now_ns(w->sim) + UINT64_C(600) * 1000000000, NULL, NULL);
    for (unsigned i = 0; i < w->origin_count; i++) {
        end_peer(&w->origins[i]);
        nghttp2_session_del(w->origins[i].session);
    }
    for (unsigned i = 0; i < w->client_count; i++) {
        nghttp2_session_del(w->clients[i].peer.session);
    }
    nghttp2_session_callbacks_del(w->client_callbacks);
    nghttp2_session_callbacks_del(w->origin_callbacks);
    edge_close(w->c, w->edge);
    sim_free(w->sim);
    while (w->jobs != NULL) {
        struct job *next = w->jobs->next;
        free(w->jobs);
        w->jobs = next;
    }
    free(w);
}

/** Returns how long it took, in virtual nanoseconds. */
static uint64_t run(struct sim_case *c, const struct way *way)
{
    struct world *w = new_world(c, way);
    if (way->drains) {
        sim_after(w->sim, rng_below(sim_rng(w->sim), 50 * 1000000), drain, w);
    }
    uint64_t started = sim_now_ns(w->sim);
    alloc_fail_rate(way->alloc_fail, c->seed);
    (void)sim_run(w->sim, edge_loops(w->edge), edge_core_count(w->edge),
                  started + UINT64_C(600) * 1000000000, all_done, w);
    alloc_fail_rate(0, 0);
    uint64_t took = sim_now_ns(w->sim) - started;
    for (unsigned i = 0; i < w->client_count; i++) {
        for (unsigned k = 0; k < w->clients[i].count; k++) {
            check_ask(w, &w->clients[i], &w->clients[i].asks[k]);
        }
    }
    free_world(w);
    return took;
}

static const struct sim_faults calm = {.latency_max_ns = 5000000};

static const struct sim_faults rough = {
    .latency_max_ns = 10000000,
    .short_read = 0.3,
    .short_write = 0.3,
    .write_again = 0.2,
    .late_event = 0.2,
    .spurious_event = 0.1,
    .buffer_min = 500,
    .buffer_max = 20000,
};

static void answers_all_on_a_calm_network(struct sim_case *c)
{
    (void)run(c, &(struct way){.faults = &calm});
}

static void answers_all_on_a_rough_network(struct sim_case *c)
{
    (void)run(c, &(struct way){.faults = &rough});
}

static void bears_resets(struct sim_case *c)
{
    (void)run(c, &(struct way){.faults = &rough, .resets = true});
}

static void loses_nothing_when_it_drains(struct sim_case *c)
{
    (void)run(c, &(struct way){.faults = &calm, .drains = true});
}

static void bears_lack_of_memory(struct sim_case *c)
{
    (void)run(c, &(struct way){.faults = &rough, .alloc_fail = c->seed % 2 == 0 ? 0.01 : 0.1});
}

// With the first window alone, 16 MiB would take 128 round trips.
static void fills_a_long_path(struct sim_case *c)
{
    struct sim_faults f = {
        .latency_max_ns = 100000000, .buffer_min = 8 << 20, .buffer_max = 8 << 20};
    uint64_t took = run(c, &(struct way){.faults = &f, .upload = 16 << 20});
    if (took > UINT64_C(12) * 1000000000) {
        sim_fail(c, "16 MiB took %llu ms", (unsigned long long)(took / 1000000));
    }
    sim_note(c, "16 MiB took %llu ms", (unsigned long long)(took / 1000000));
}

// The response time-out is longer than the silence that is borne, and the PING than that.
static void asks_a_silent_origin(struct sim_case *c)
{
    uint64_t took = run(c, &(struct way){.faults = &calm, .upload = 100, .falls_silent = true});
    uint64_t seconds = took / 1000000000;
    if (seconds < 24 || seconds > 26) {
        sim_fail(c, "it was given up after %llu s", (unsigned long long)seconds);
    }
}

static const struct sim_scenario scenarios[] = {
    {"answers_all_on_a_calm_network", answers_all_on_a_calm_network, 60},
    {"answers_all_on_a_rough_network", answers_all_on_a_rough_network, 60},
    {"bears_resets", bears_resets, 60},
    {"loses_nothing_when_it_drains", loses_nothing_when_it_drains, 100},
    {"bears_lack_of_memory", bears_lack_of_memory, 100},
    {"fills_a_long_path", fills_a_long_path, 4},
    {"asks_a_silent_origin", asks_a_silent_origin, 10},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}

// SPDX-License-Identifier: Apache-2.0
//
// Talks of datagrams (l4/talk.h). One that has ended keeps its memory until the loop's turn is over,
// since who ended it may still look at it.

#include "l4/talk.h"

#include "base/error.h"

enum {
    TALKS_MAGIC = 0x6c34746b,
    DATAGRAM_BYTES = 65536, // one more than any has
    ARENA_MAX = 20 * 1024,
};

// ---- the kind -------------------------------------------------------------------------------------

static void reap(struct task *task)
{
    struct l4_talks *all = container_of(task, struct l4_talks, reap);
    ensure_magic(all, TALKS_MAGIC);
    struct list *node;
    while ((node = list_first(&all->dead)) != NULL) {
        struct l4_talk *k = list_entry(node, struct l4_talk, link);
        list_remove(node);
        arena_fini(&k->arena);
        snapshot_unref(k->snapshot, all->loop->core);
        k->magic = 0;
        slab_give(&all->slab, k);
    }
}

void l4_talks_init(struct l4_talks *all, struct l4_core *c, const char *name, size_t size,
                   uint32_t most)
{
    *all = (struct l4_talks){.magic = TALKS_MAGIC, .core = c, .loop = c->with.loop};
    slab_init(&all->slab, name, size, most);
    list_init(&all->dead);
    task_init(&all->reap, reap);
}

void l4_talks_fini(struct l4_talks *all)
{
    ensure_magic(all, TALKS_MAGIC);
    reap(&all->reap);
    loop_cancel(all->loop, &all->reap);
    slab_fini(&all->slab);
    mem_free(all->bytes);
    all->magic = 0;
}

int l4_talks_make_room(struct l4_talks *all)
{
    if (all->bytes == NULL) {
        all->bytes = mem_alloc((size_t)(TALK_BATCH + 1) * DATAGRAM_BYTES);
    }
    return all->bytes != NULL ? 0 : E_NO_MEMORY;
}

int l4_talks_receive(struct l4_talks *all, int fd, struct sys_datagram d[TALK_BATCH])
{
    struct sys *sys = all->loop->sys;
    for (unsigned i = 0; i < TALK_BATCH; i++) {
        d[i] = (struct sys_datagram){.bytes = all->bytes + (size_t)i * DATAGRAM_BYTES,
                                     .room = DATAGRAM_BYTES};
    }
    return sys->ops->receive(sys, fd, d, TALK_BATCH);
}

void l4_talks_count(struct l4_talks *all, enum counter id, uint64_t n)
{
    counter_add(all->core->with.counters, id, n);
}

// ---- one ------------------------------------------------------------------------------------------

void l4_talk_begin(struct l4_talk *k, struct l4_talks *all, const struct l4_stream *stream)
{
    ensure_magic(all, TALKS_MAGIC);
    k->all = all;
    k->up.fd = -1;
    k->snapshot = all->core->snapshot;
    k->stream = stream;
    k->started_ms = all->loop->now_ms;
    k->active_ms = all->loop->now_ms;
    list_init(&k->link);
    list_init(&k->rq.link);
    arena_init(&k->arena, k->first, sizeof(k->first), &all->loop->chunks, ARENA_MAX);
    snapshot_ref(k->snapshot, all->loop->core);
    l4_talks_count(all, COUNTER_udp_sessions, 1);
    l4_talks_count(all, COUNTER_udp_sessions_open, 1);
}

void l4_talk_ask(struct l4_talk *k, struct upstream *u,
                 void (*on_transport)(struct upstream_request *rq, struct transport *t),
                 void (*on_failed)(struct upstream_request *rq, int error))
{
    k->subject.client = &k->client;
    k->subject.peer = &k->peer;
    k->subject.path = SLICE("");
    k->subject.arena = &k->arena;
    k->rq = (struct upstream_request){
        .loop = k->all->loop,
        .upstream = u,
        .subject = &k->subject,
        .connect_ms = k->stream->connect_ms,
        .raw = true,
        .datagram = true,
        .on_transport = on_transport,
        .on_failed = on_failed,
    };
    list_init(&k->rq.link);
    if (u->ops->choose != NULL) {
        struct upstream *chosen = u->ops->choose(u, &k->rq);
        k->rq.upstream = chosen != NULL ? chosen : u;
    }
    k->waiting = true;
    k->rq.upstream->ops->acquire(k->rq.upstream, &k->rq);
}

int l4_talk_connect(struct l4_talk *k, void (*on_up)(struct io *io, unsigned events))
{
    struct loop *l = k->all->loop;
    int fd = l->sys->ops->connect_datagrams(l->sys, k->rq.server_addr);
    if (fd < 0) {
        return fd;
    }
    io_init(&k->up, fd, on_up);
    int e = loop_watch(l, &k->up, false);
    if (e < 0) {
        l->sys->ops->close(l->sys, fd, false);
        k->up.fd = -1;
    }
    return e;
}

int l4_talk_send(struct l4_talk *k, const void *bytes, size_t len)
{
    struct sys *sys = k->all->loop->sys;
    struct slice header = k->rq.prologue;
    struct sys_datagram d = {.len = header.len + len};
    memcpy(&d.bytes, &bytes, sizeof(bytes)); // it is only read
    if (header.len > 0) {
        if (d.len > DATAGRAM_BYTES) {
            return E_TOO_LARGE;
        }
        char *room = k->all->bytes + (size_t)TALK_BATCH * DATAGRAM_BYTES;
        memcpy(room, header.ptr, header.len);
        memcpy(room + header.len, bytes, len);
        d.bytes = room;
    }
    int n = sys->ops->send(sys, k->up.fd, &d, 1);
    return n < 0 ? n : 0;
}

void l4_talk_sent(struct l4_talk *k, size_t len)
{
    k->bytes_in += len;
    k->datagrams_in++;
    l4_talks_count(k->all, COUNTER_udp_datagrams_in, 1);
}

static void write_line(struct l4_talk *k, int error, const char *side)
{
    const struct l4_line line = {
        .stream = k->stream,
        .format = k->snapshot->access_format,
        .protocol = "udp",
        .id = k->peer.connection_id,
        .client = k->client,
        .server = k->rq.server_text,
        .bytes_in = k->bytes_in,
        .bytes_out = k->bytes_out,
        .datagrams_in = k->datagrams_in,
        .datagrams_out = k->datagrams_out,
        .total_ms = k->all->loop->now_ms - k->started_ms,
        .error = error,
        .side = side,
    };
    l4_log(k->all->core, &line);
}

void l4_talk_end(struct l4_talk *k, int error, const char *side)
{
    struct l4_talks *all = k->all;
    ensure(!k->dead);
    k->dead = true;
    write_line(k, error, side);
    if (k->waiting) {
        k->rq.upstream->ops->cancel(k->rq.upstream, &k->rq);
        k->waiting = false;
    } else {
        const struct upstream_outcome o = {.error = side[0] == 'o' ? error : 0,
                                           .bytes_in = k->bytes_in,
                                           .bytes_out = k->bytes_out,
                                           .abandoned = error == 0 && k->datagrams_out == 0};
        upstream_release(&k->rq, &o);
    }
    loop_close(all->loop, &k->up, false);
    counter_sub(all->core->with.counters, COUNTER_udp_sessions_open, 1);
    list_push_back(&all->dead, &k->link);
    loop_defer(all->loop, &all->reap);
}

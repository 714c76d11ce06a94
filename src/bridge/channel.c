// SPDX-License-Identifier: Apache-2.0
//
// Channels: what the cores' bridges tell each other. One per pair of cores and direction, shared by all
// bridges between the two. Messages are written one behind the other into a chunk, which at the end of
// the turn goes to the other core as one mail, and by way of its last reference back to its pool.
//
// Mails go through a gate, so none is lost when a core ends; a channel to a core that has ended is
// down, and what was to go over it is undone here.

#include "base/error.h"
#include "bridge/bridge_int.h"

/** At the beginning of a mail's first chunk. */
struct batch {
    struct gate_mail mail;
    struct bridge_core *from;
    struct bridge_core *to;
    struct chunk *first;
};

static_assert(sizeof(struct batch) % 8 == 0, "messages behind it are aligned");
static_assert(sizeof(struct bridge_message) == 16, "its payload is aligned");

enum { INBOUND_MAX = 1 << 30 }; // mails are bounded by what they carry

// ---- writing ---------------------------------------------------------------------------------------

/** The spare one, when it has come back. */
static struct chunk *take_spare(struct bridge_channel *c)
{
    if (c->spare == NULL || !chunk_is_sole(c->spare)) {
        return NULL;
    }
    c->spare->next = NULL;
    return chunk_ref(c->spare);
}

static struct chunk *new_chunk(struct bridge_channel *c, size_t size)
{
    struct chunk_pool *pool = &c->from->loop->chunks;
    if (size > CHUNK_BYTES) {
        return chunk_new_large(pool, (uint32_t)size);
    }
    if (c->spare == NULL) {
        c->spare = chunk_new(pool);
        if (c->spare != NULL) {
            chunk_share(c->spare);
        }
    }
    struct chunk *k = chunk_new(pool);
    return k != NULL ? k : take_spare(c);
}

static struct chunk *more(struct bridge_channel *c, size_t size)
{
    size_t head = c->first == NULL ? sizeof(struct batch) : 0;
    struct chunk *k = new_chunk(c, head + size);
    if (k == NULL) {
        return NULL;
    }
    chunk_share(k);
    k->used = (uint32_t)head;
    if (c->first == NULL) {
        c->first = k;
    } else {
        c->last->next = k;
    }
    c->last = k;
    return k;
}

void *bridge_write(struct bridge_channel *c, enum bridge_type type, bool to_far, void *to,
                   size_t size)
{
    if (c->down) {
        return NULL;
    }
    size = sizeof(struct bridge_message) + (size + 7) / 8 * 8;
    struct chunk *k = c->last;
    if (k == NULL || chunk_room(k) < size) {
        k = more(c, size);
    }
    if (k == NULL) {
        return NULL;
    }
    struct bridge_message *m = (struct bridge_message *)(void *)(k->data + k->used);
    *m = (struct bridge_message){
        .type = (uint8_t)type, .to_far = to_far, .size = (uint32_t)size, .to = to};
    k->used += (uint32_t)size;
    loop_defer(c->from->loop, &c->flush);
    return m + 1;
}

void bridge_voice_init(struct bridge_voice *v, bool (*speak)(struct bridge_voice *v))
{
    list_init(&v->link);
    v->say = 0;
    v->speak = speak;
}

void bridge_say(struct bridge_channel *c, struct bridge_voice *v, unsigned what, bool lazy)
{
    v->say |= (uint16_t)what;
    if (c->down) {
        return;
    }
    if (list_empty(&v->link)) {
        list_push_back(&c->voices, &v->link);
    }
    if (!lazy) {
        loop_defer(c->from->loop, &c->flush);
    } else if (!wheel_timer_is_set(&c->later)) {
        loop_timer_set(c->from->loop, &c->later, BRIDGE_LAZY_MS);
    }
}

void bridge_hush(struct bridge_voice *v)
{
    list_remove(&v->link);
    v->say = 0;
}

// ---- reading ---------------------------------------------------------------------------------------

static struct bridge_message *message_at(struct chunk *k, uint32_t at)
{
    struct bridge_message *m = (struct bridge_message *)(void *)(k->data + at);
    ensure(m->size >= sizeof(*m) && m->size <= k->used - at);
    return m;
}

/** What is not read gives back the references that it carries. */
static void drop_message(const struct bridge_message *m)
{
    if (m->type == BRIDGE_VIEW) {
        const struct bridge_view *v = (const void *)(m + 1);
        chunk_unref(v->chunk);
    }
}

static void read_message(struct bridge_core *c, struct bridge_channel *back,
                         const struct bridge_message *m, struct chunk *k)
{
    if (c->closed) {
        drop_message(m);
    } else if (m->to_far) {
        bridge_far_message(c, back, m, k);
    } else {
        bridge_near_message(c, m, k);
    }
}

static void on_batch(struct gate_mail *mail)
{
    struct batch *b = container_of(mail, struct batch, mail);
    struct bridge_core *c = b->to;
    ensure_magic(c, BRIDGE_CORE_MAGIC);
    struct bridge_channel *back = &c->channels[b->from->loop->core];
    back->to = b->from;
    uint32_t at = sizeof(*b);
    for (struct chunk *k = b->first, *next; k != NULL; k = next) {
        next = k->next;
        while (at < k->used) {
            struct bridge_message *m = message_at(k, at);
            read_message(c, back, m, k);
            at += m->size;
        }
        at = 0;
        chunk_unref(k);
    }
}

// ---- the end of a turn -----------------------------------------------------------------------------

/** The other core has ended before this came: it is as if it had not been said. */
static void go_down(struct bridge_channel *c)
{
    struct chunk *first = c->first;
    uint32_t at = sizeof(struct batch);
    c->down = true;
    c->first = NULL;
    c->last = NULL;
    for (struct chunk *k = first, *next; k != NULL; k = next) {
        next = k->next;
        for (; at < k->used; at += message_at(k, at)->size) {
            drop_message(message_at(k, at));
        }
        at = 0;
        chunk_unref(k);
    }
    struct list *node;
    while ((node = list_first(&c->voices)) != NULL) {
        list_remove(node);
    }
    loop_timer_stop(c->from->loop, &c->later);
    bridge_near_lost(c);
}

static void post(struct bridge_channel *c)
{
    if (gate_enter(&c->to->gate) < 0) {
        go_down(c);
        return;
    }
    struct batch *b = (struct batch *)(void *)c->first->data;
    *b = (struct batch){.mail.fn = on_batch, .from = c->from, .to = c->to, .first = c->first};
    c->first = NULL;
    c->last = NULL;
    gate_post(&c->to->gate, &b->mail);
}

/** All who have something to say, and whom they make speak. */
static void flush(struct bridge_channel *c)
{
    struct list *node;
    while ((node = list_first(&c->voices)) != NULL) {
        struct bridge_voice *v = list_entry(node, struct bridge_voice, link);
        list_remove(node);
        if (v->speak(v)) {
            continue;
        }
        if (list_empty(&v->link)) {
            list_push_front(&c->voices, &v->link);
        }
        loop_timer_set(c->from->loop, &c->later, BRIDGE_RETRY_MS);
        break;
    }
    if (c->first != NULL) {
        post(c);
    }
}

static void on_flush(struct task *t)
{
    struct bridge_channel *c = container_of(t, struct bridge_channel, flush);
    ensure_magic(c->from, BRIDGE_CORE_MAGIC);
    flush(c);
}

static void on_later(struct wheel_timer *t)
{
    struct bridge_channel *c = container_of(t, struct bridge_channel, later);
    ensure_magic(c->from, BRIDGE_CORE_MAGIC);
    flush(c);
}

// ---- life ------------------------------------------------------------------------------------------

int bridges_new(uint32_t cores, struct bridges **out)
{
    ensure(cores > 0);
    struct bridges *b = mem_zalloc(sizeof(*b) + cores * sizeof(b->cores[0]));
    if (b == NULL) {
        return E_NO_MEMORY;
    }
    b->magic = BRIDGES_MAGIC;
    b->count = cores;
    *out = b;
    return 0;
}

struct bridge_core *bridge_core_new(struct bridges *b, struct loop *l, struct counters *counters,
                                    const struct bridge_limits *limits)
{
    ensure_magic(b, BRIDGES_MAGIC);
    ensure(l->core < b->count && b->cores[l->core] == NULL);
    size_t size = sizeof(struct bridge_core) + b->count * sizeof(struct bridge_channel);
    size_t align = _Alignof(struct bridge_core);
    struct bridge_core *c = mem_zalloc_aligned((size + align - 1) / align * align, align);
    if (c == NULL) {
        return NULL;
    }
    c->magic = BRIDGE_CORE_MAGIC;
    c->all = b;
    c->loop = l;
    c->counters = counters;
    c->limits = *limits;
    slab_init(&c->sessions, "bridged sessions", sizeof(struct bridge_session),
              limits->sessions_max);
    slab_init(&c->streams, "bridged streams", sizeof(struct bridge_stream), limits->streams_max);
    slab_init(&c->far_slab, "far ends", sizeof(struct bridge_far), limits->streams_max);
    list_init(&c->all_sessions);
    list_init(&c->all_streams);
    list_init(&c->dead);
    list_init(&c->fars);
    list_init(&c->ports);
    task_init(&c->reap, bridge_near_reap);
    gate_init(&c->gate, l, INBOUND_MAX);
    for (uint32_t i = 0; i < b->count; i++) {
        struct bridge_channel *channel = &c->channels[i];
        channel->from = c;
        list_init(&channel->voices);
        task_init(&channel->flush, on_flush);
        wheel_timer_init(&channel->later, on_later);
    }
    b->cores[l->core] = c;
    gate_open(&c->gate);
    return c;
}

static void close_channels(struct bridge_core *c)
{
    for (uint32_t i = 0; i < c->all->count; i++) {
        struct bridge_channel *channel = &c->channels[i];
        if (channel->to != NULL && !channel->down) {
            flush(channel);
        }
    }
}

void bridge_core_close(struct bridge_core *c)
{
    ensure_magic(c, BRIDGE_CORE_MAGIC);
    if (c->closed) {
        return;
    }
    c->closing = true;
    bridge_near_close(c);
    bridge_far_close(c);
    close_channels(c);
    gate_close(&c->gate);
    bridge_near_close(c);
    bridge_far_close(c);
    close_channels(c); // the last answers
    c->closed = true;
    loop_cancel(c->loop, &c->reap);
    bridge_near_reap(&c->reap);
    for (uint32_t i = 0; i < c->all->count; i++) {
        struct bridge_channel *channel = &c->channels[i];
        channel->down = true;
        loop_cancel(c->loop, &channel->flush);
        loop_timer_stop(c->loop, &channel->later);
        if (channel->spare != NULL) {
            chunk_unref(channel->spare);
            channel->spare = NULL;
        }
    }
}

/** No loop runs any more: what the cores could not tell each other is forgotten. */
static void free_core(struct bridge_core *c)
{
    struct list *node;
    while ((node = list_first(&c->all_streams)) != NULL) {
        struct bridge_stream *s = list_entry(node, struct bridge_stream, all);
        list_remove(node);
        slab_give(&c->streams, s);
    }
    while ((node = list_first(&c->all_sessions)) != NULL) {
        struct bridge_session *s = list_entry(node, struct bridge_session, all);
        list_remove(node);
        bridge_port_unref(s->port);
        slab_give(&c->sessions, s);
    }
    slab_fini(&c->sessions);
    slab_fini(&c->streams);
    slab_fini(&c->far_slab);
    c->magic = 0;
    mem_free(c);
}

void bridges_free(struct bridges *b)
{
    if (b == NULL) {
        return;
    }
    ensure_magic(b, BRIDGES_MAGIC);
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->cores[i] != NULL) {
            free_core(b->cores[i]);
        }
    }
    b->magic = 0;
    mem_free(b);
}

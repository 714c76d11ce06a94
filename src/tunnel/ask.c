// SPDX-License-Identifier: Apache-2.0
//
// Requests of the edge's own to an agent (tunnel/ask.h).

#include "tunnel/ask.h"

#include "base/ensure.h"
#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"

enum { ASK_MAGIC = 0x74617361, ASK_ARENA = 2048, ASK_HEAD = 4096, ASK_FIELDS = 16, ASK_MS = 10000 };

struct ask {
    uint32_t magic;
    struct http_stream *stream;
    struct arena arena;
    struct http_head request;
    struct http_head response;
    char memory[ASK_ARENA];
};

static struct ask *ask_of(const struct http_stream *s)
{
    struct ask *a = s->user;
    ensure_magic(a, ASK_MAGIC);
    return a;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    // 204; whatever else it is, nobody reads it.
    if (!http_status_is_interim(head->status) && head->body != HTTP_BODY_NONE) {
        s->ops->reset(s, E_CLIENT_GONE);
    }
}

static void on_bad_message(struct http_stream *s, int error)
{
    (void)s;
    (void)error;
}

static void on_sent(struct http_stream *s)
{
    (void)s;
}

static void on_closed(struct http_stream *s)
{
    struct ask *a = ask_of(s);
    arena_fini(&a->arena);
    a->magic = 0;
    mem_free(a);
}

static const struct http_stream_events events = {
    .on_head = on_head,
    .on_bad_message = on_bad_message,
    .on_error = on_bad_message,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

static int fill(struct ask *a, unsigned count)
{
    struct http_head *h = &a->request;
    http_head_init(&a->response, &a->arena, ASK_HEAD, ASK_FIELDS);
    http_head_init(h, &a->arena, ASK_HEAD, ASK_FIELDS);
    h->method = HTTP_METHOD_POST;
    h->method_text = SLICE("POST");
    h->version_minor = 1;
    h->body = HTTP_BODY_NONE;
    h->scheme = SLICE("https");
    h->authority = SLICE(TUNNEL_AGENT_HOST);
    h->host = h->authority;
    h->target = SLICE("/connections");
    h->path = h->target;
    char room[8];
    struct text text = text_on(room, sizeof(room));
    text_u64(&text, count);
    return fields_add(&h->fields, SLICE("adit-connections"), text_slice(&text));
}

void tunnel_ask_connections(struct up_session *s, unsigned count)
{
    struct ask *a = up_session_has_room(s) ? mem_zalloc(sizeof(*a)) : NULL;
    if (a == NULL) {
        return;
    }
    a->magic = ASK_MAGIC;
    arena_init(&a->arena, a->memory, sizeof(a->memory), NULL, ASK_HEAD);
    if (fill(a, count) < 0 || (a->stream = s->ops->take(s)) == NULL) {
        arena_fini(&a->arena);
        mem_free(a);
        return;
    }
    static const struct http_timeouts timeouts = {.head_ms = ASK_MS, .write_ms = ASK_MS};
    a->stream->events = &events;
    a->stream->user = a;
    a->stream->receive_head = &a->response;
    a->stream->ops->set_timeouts(a->stream, &timeouts);
    a->stream->ops->send_head(a->stream, &a->request, NULL);
}

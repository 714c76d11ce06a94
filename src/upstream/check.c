// SPDX-License-Identifier: Apache-2.0
//
// One check of one server (upstream/check.h): connects, hands the session to check_http.c where
// something is to be asked, and takes everything down again. Sessions and streams are never ended from
// inside their own calls: whoever has had enough says check_over(), and step() does it at the end of
// the turn.

#include "upstream/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "upstream/check_int.h"
#include "upstream/prologue.h"

void check_settings_init(struct check_settings *s)
{
    uint8_t k = 0;
    ensure(s->body.len <= CHECK_BODY_MAX);
    memset(s->body_fail, 0, sizeof(s->body_fail));
    for (size_t i = 1; i < s->body.len; i++) {
        while (k > 0 && s->body.ptr[k] != s->body.ptr[i]) {
            k = s->body_fail[k];
        }
        k = (uint8_t)(k + (s->body.ptr[k] == s->body.ptr[i]));
        s->body_fail[i + 1] = k;
    }
}

void check_judge(struct check *c, enum verdict verdict, const char *format, ...)
{
    if (c->judged) {
        return;
    }
    c->judged = true;
    c->result.verdict = verdict;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->result.text, sizeof(c->result.text), format, args);
    va_end(args);
}

void check_over(struct check *c)
{
    c->over = true;
    loop_defer(c->loop, &c->step);
}

static bool asks(const struct check *c)
{
    uint8_t type = c->order.settings->type;
    return type == CHECK_HTTP || type == CHECK_GRPC;
}

// ---- the end ----------------------------------------------------------------------------------------

static void discard(struct check *c)
{
    ensure(c->dial == NULL && c->session == NULL && c->stream == NULL);
    ensure(c->order.core->checks > 0);
    c->order.core->checks--;
    loop_timer_stop(c->loop, &c->deadline);
    loop_cancel(c->loop, &c->step);
    http_body_fini(&c->request_body, c->loop);
    http_body_fini(&c->response_body, c->loop);
    arena_fini(&c->arena);
    c->magic = 0;
    mem_free(c);
}

/** Takes down what still stands; what cannot go yet will be heard of. */
static void take_down(struct check *c)
{
    if (c->dial != NULL) {
        dial_cancel(c->dial);
        c->dial = NULL;
    }
    if (c->stream != NULL) {
        c->stream->ops->reset(c->stream, E_DRAINING);
    }
    if (c->session != NULL && c->session->streams == 0) {
        struct up_session *s = c->session;
        c->session = NULL;
        s->ops->close(s);
    }
}

static void step(struct task *t)
{
    struct check *c = container_of(t, struct check, step);
    ensure_magic(c, CHECK_MAGIC);
    if (!c->over) {
        return;
    }
    take_down(c);
    if (c->stream != NULL || c->session != NULL) {
        return;
    }
    ensure(c->judged || c->done == NULL);
    struct check_result r = c->result;
    void (*done)(void *arg, const struct check_result *r) = c->done;
    void *arg = c->arg;
    r.took_ns = loop_clock_ns(c->loop) - c->began_ns;
    discard(c);
    if (done != NULL) {
        done(arg, &r);
    }
}

static void on_deadline(struct wheel_timer *t)
{
    struct check *c = container_of(t, struct check, deadline);
    ensure_magic(c, CHECK_MAGIC);
    check_judge(c, VERDICT_BAD, "no answer within %u ms", c->order.settings->timeout_ms);
    check_over(c);
}

void check_cancel(struct check *c)
{
    ensure_magic(c, CHECK_MAGIC);
    c->over = true;
    c->done = NULL;
    loop_timer_stop(c->loop, &c->deadline); // from here on the settings may be gone
    take_down(c);
    if (c->stream == NULL && c->session == NULL) {
        discard(c);
    }
}

// ---- the session ------------------------------------------------------------------------------------

static struct check *check_of_session(const struct up_session *s, void *owner)
{
    struct check *c = owner;
    ensure_magic(c, CHECK_MAGIC);
    ensure(c->session == NULL || c->session == s);
    return c;
}

static void on_room(struct up_session *s, void *owner)
{
    struct check *c = check_of_session(s, owner);
    if (c->over) {
        loop_defer(c->loop, &c->step);
    } else if (c->session != NULL && !c->asked && up_session_has_room(s)) {
        check_http_ask(c);
    }
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    struct check *c = check_of_session(s, owner);
    c->session = NULL;
    check_judge(c, VERDICT_BAD, "%s", error_text(error));
    check_over(c);
}

static const struct up_session_owner owner_ops = {.on_room = on_room, .on_gone = on_gone};

/** What is spoken on the connection: what was agreed on, else what the check or the server needs. */
static const struct up_protocol *choose_protocol(const struct check *c, struct slice alpn)
{
    bool h2 = c->order.settings->type == CHECK_GRPC || c->order.kind->protocol == SERVER_H2;
    struct slice name = alpn;
    if (name.len == 0) {
        name = h2 && c->order.kind->tls == NULL ? SLICE("h2") : SLICE("http/1.1");
    }
    if (h2 && !slice_eq(name, SLICE("h2"))) {
        return NULL;
    }
    const struct up_protocol *p = c->order.core->protocols;
    while (p->alpn != NULL && !slice_eq(slice_str(p->alpn), name)) {
        p++;
    }
    return p->alpn == NULL ? NULL : p;
}

static void open_session(struct check *c, const struct dial_result *r)
{
    const struct up_protocol *p = choose_protocol(c, r->alpn);
    if (p == NULL) {
        transport_close(r->t, false);
        check_judge(c, VERDICT_BAD, "%s", error_text(E_WRONG_PROTOCOL));
        check_over(c);
        return;
    }
    const struct up_session_terms terms = {.peer = &r->peer, .owner = &owner_ops, .owner_arg = c};
    int error = 0;
    c->session = p->open(p->core, r->t, &terms, &error);
    if (c->session == NULL) {
        check_judge(c, VERDICT_NONE, "%s", error_text(error));
        check_over(c);
        return;
    }
    on_room(c->session, c);
}

// ---- connecting -------------------------------------------------------------------------------------

static void judge_dial(struct check *c, const struct dial_result *r)
{
    enum error_class class = error_class_of(r->error);
    bool ours = class == ERROR_CLASS_LOCAL || class == ERROR_CLASS_LIMIT;
    struct slice reason = r->reason.len > 0 ? r->reason : SLICE("");
    check_judge(c, ours ? VERDICT_NONE : VERDICT_BAD, "%s%s%.*s", error_text(r->error),
                reason.len > 0 ? ": " : "", SLICE_ARG(reason));
}

static void on_dialed(struct dial *d, const struct dial_result *r, void *arg)
{
    struct check *c = arg;
    ensure_magic(c, CHECK_MAGIC);
    ensure(c->dial == d);
    c->dial = NULL;
    if (r->error != 0) {
        judge_dial(c, r);
        check_over(c);
    } else if (asks(c)) {
        uint64_t took_ms = r->took_ns / 1000000;
        uint32_t most = c->order.settings->timeout_ms;
        loop_timer_set(c->loop, &c->deadline, took_ms < most ? most - took_ms : 1);
        open_session(c, r);
    } else {
        transport_close(r->t, false);
        check_judge(c, VERDICT_GOOD, r->peer.secure ? "TLS handshake" : "connected");
        check_over(c);
    }
}

/** From the addresses and with the PROXY header that the server's other connections have. */
static void dial_it(struct check *c)
{
    const struct check_settings *s = c->order.settings;
    const struct server_kind *kind = c->order.kind;
    bool tcp = s->type == CHECK_TCP;
    struct dial_order to = {.to = c->order.addr,
                            .sources = kind->sources,
                            .source_count = kind->source_count,
                            .source_first = (uint32_t)rng_below(&c->loop->rng, UINT32_MAX),
                            .prologue_waits = !tcp,
                            .limit_ms = s->timeout_ms,
                            .tls = tcp ? NULL : kind->tls};
    char room[PROLOGUE_MAX];
    struct text prologue = text_on(room, sizeof(room));
    int error = 0;
    if (s->port != 0 && to.to.kind != OS_ADDR_UNIX) {
        to.to.port = s->port;
    }
    if (kind->proxy_header != 0) {
        error = prologue_write(kind->proxy_header, NULL, &prologue);
        to.prologue = text_slice(&prologue);
    }
    if (error == 0) {
        c->dial = dial_begin(c->order.core->dialer, &to, on_dialed, c, &error);
    }
    if (c->dial == NULL) {
        judge_dial(c, &(struct dial_result){.error = error});
        check_over(c);
    }
}

struct check *check_begin(const struct check_order *order,
                          void (*done)(void *arg, const struct check_result *r), void *arg)
{
    struct check *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->magic = CHECK_MAGIC;
    c->order = *order;
    c->loop = order->core->loop;
    c->done = done;
    c->arg = arg;
    c->began_ns = loop_clock_ns(c->loop);
    task_init(&c->step, step);
    wheel_timer_init(&c->deadline, on_deadline);
    arena_init(&c->arena, c->first, sizeof(c->first), &c->loop->chunks, CHECK_ARENA_MAX);
    http_body_init(&c->request_body, HTTP_BODY_LIMIT);
    http_body_init(&c->response_body, HTTP_BODY_LIMIT);
    order->core->checks++;
    if (order->called != NULL) {
        loop_timer_set(c->loop, &c->deadline, order->settings->timeout_ms);
        check_http_ask(c);
    } else {
        dial_it(c);
    }
    return c;
}

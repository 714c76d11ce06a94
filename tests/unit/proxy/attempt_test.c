// SPDX-License-Identifier: Apache-2.0
//
// One place, one release, whatever happens in between. The exchange's use of attempts is in
// forward_test.c.

#include "proxy/attempt.h"

#include "base/error.h"
#include "tap.h"

struct scene {
    struct attempt a;
    struct loop loop;
    struct upstream upstream;
    struct upstream_subject subject;
    struct http_stream stream;
    struct http_head request;
    struct http_head head;
    int fails; // acquire() ends so; 0: a stream; 1: it waits
    unsigned asked;
    unsigned cancels;
    unsigned releases;
    unsigned resets;
    unsigned heads;
    unsigned overs;
    bool reached;
    int over_error;
    struct upstream_outcome outcome;
};

static struct scene s;

static void acquire(struct upstream *u, struct upstream_request *rq)
{
    CHECK(u == &s.upstream);
    s.asked++;
    if (s.fails < 0) {
        rq->on_failed(rq, s.fails);
    } else if (s.fails == 0) {
        rq->place = &s;
        rq->on_ready(rq, &s.stream);
    }
}

static void cancel(struct upstream *u, struct upstream_request *rq)
{
    CHECK(u == &s.upstream && rq == &s.a.ticket);
    s.cancels++;
}

static void release(struct upstream *u, struct upstream_request *rq,
                    const struct upstream_outcome *o)
{
    CHECK(u == &s.upstream);
    rq->place = NULL;
    s.releases++;
    s.outcome = *o;
}

static const struct upstream_ops upstream_ops = {
    .acquire = acquire, .cancel = cancel, .release = release};

static void send_head(struct http_stream *up, const struct http_head *head, struct http_body *body)
{
    CHECK(up == &s.stream && head == &s.request && body == NULL);
}

static void set_timeouts(struct http_stream *up, const struct http_timeouts *t)
{
    CHECK(up == &s.stream && t->head_ms == 5);
}

static void reset(struct http_stream *up, int error)
{
    CHECK(error < 0);
    s.resets++;
    up->events->on_closed(up);
}

static const struct http_stream_ops stream_ops = {
    .send_head = send_head, .set_timeouts = set_timeouts, .reset = reset};

static void on_ready(struct attempt *a)
{
    const struct http_timeouts times = {.head_ms = 5};
    CHECK(a->owner == &s);
    attempt_send(a, &times, &s.request, NULL);
}

static void on_head(struct attempt *a)
{
    CHECK(a->head == &s.head);
    s.heads++;
}

static void on_over(struct attempt *a, int error, bool reached)
{
    CHECK(!attempt_is_alive(a) && !attempt_is_open(a));
    s.overs++;
    s.over_error = error;
    s.reached = reached;
}

static const struct attempt_events events = {
    .on_ready = on_ready, .on_head = on_head, .on_over = on_over};

static void begin(int fails)
{
    s = (struct scene){.upstream = {.ops = &upstream_ops},
                       .stream = {.side = HTTP_UP, .ops = &stream_ops},
                       .fails = fails,
                       .loop = {.now_ns = 1000}};
    attempt_init(&s.a, &events, &s);
    s.a.head = &s.head;
    s.a.ticket.loop = &s.loop;
    s.a.ticket.upstream = &s.upstream;
    s.a.ticket.subject = &s.subject;
    attempt_ask(&s.a);
    CHECK_EQ_INT(s.asked, 1);
}

static void give_head(unsigned status)
{
    s.head.status = (uint16_t)status;
    s.stream.events->on_head(&s.stream, &s.head);
}

static void a_good_end(void)
{
    begin(0);
    s.loop.now_ns += 50;
    give_head(103);
    CHECK_EQ_INT(s.a.status, 0);
    give_head(404);
    s.loop.now_ns += 50;
    s.stream.events->on_closed(&s.stream);
    CHECK_EQ_INT(s.heads, 2);
    CHECK(s.overs == 1 && s.over_error == 0 && s.reached && s.releases == 1);
    CHECK(s.outcome.status == 404 && s.outcome.latency_ns == 50 && !s.outcome.abandoned);
}

static void no_place_no_release(void)
{
    begin(E_REFUSED);
    CHECK(s.overs == 1 && s.over_error == E_REFUSED && !s.reached && s.releases == 0);
    begin(1);
    CHECK(attempt_is_alive(&s.a) && !attempt_is_open(&s.a));
    attempt_abandon(&s.a, E_CLIENT_GONE);
    CHECK(s.cancels == 1 && s.overs == 0 && s.releases == 0);
}

static void failures_are_told_or_excused(void)
{
    static const struct {
        int error;
        bool hurried;
        bool excused;
    } cases[] = {
        {E_EARLY_CLOSE, false, false},    {E_RESPONSE_TIMEOUT, false, false},
        {E_RESPONSE_TIMEOUT, true, true}, {E_EARLY_CLOSE, true, false},
        {E_STALE, false, true},           {E_NOT_PROCESSED, false, true},
        {E_NO_MEMORY, false, true},       {E_BAD_STATUS_LINE, false, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        begin(0);
        s.a.hurried = cases[i].hurried;
        s.stream.events->on_error(&s.stream, cases[i].error);
        CHECK_EQ_INT(s.releases, 0);
        s.stream.events->on_closed(&s.stream);
        CHECK_EQ_INT(s.over_error, cases[i].error);
        CHECK_EQ_INT(s.releases, 1);
        CHECK_EQ_INT(s.outcome.error, cases[i].error);
        CHECK_EQ_INT(s.outcome.abandoned, cases[i].excused);
    }
}

static void it_can_be_left(void)
{
    begin(0);
    attempt_abandon(&s.a, E_CLIENT_GONE);
    CHECK(s.resets == 1 && s.releases == 1 && s.overs == 0 && s.outcome.abandoned);
    begin(0);
    give_head(200);
    attempt_abandon(&s.a, E_CLIENT_GONE);
    CHECK(s.releases == 1 && !s.outcome.abandoned && s.outcome.status == 200);
    attempt_ask(&s.a); // and used again
    CHECK(s.asked == 2 && s.a.status == 0);
    attempt_abandon(&s.a, E_CLIENT_GONE);
    CHECK_EQ_INT(s.releases, 2);
}

TAP_MAIN(a_good_end, no_place_no_release, failures_are_told_or_excused, it_can_be_left)

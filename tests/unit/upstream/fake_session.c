// SPDX-License-Identifier: Apache-2.0
//
// Sessions that only count (upstream/fake_session.h).

#include "upstream/fake_session.h"

#include <stdio.h>

static struct http_stream *take(struct up_session *s)
{
    struct fake_session *f = container_of(s, struct fake_session, session);
    s->streams++;
    s->exchanges++;
    return &f->stream;
}

static void close_it(struct up_session *s)
{
    struct fake_session *f = container_of(s, struct fake_session, session);
    f->closed = true;
    transport_close(f->t, false);
}

static void drain(struct up_session *s, struct slice text)
{
    struct fake_session *f = container_of(s, struct fake_session, session);
    (void)snprintf(f->said, sizeof(f->said), "%.*s", SLICE_ARG(text));
    s->closing = true;
}

static const struct up_session_ops ops = {
    .protocol = "h2", .take = take, .close = close_it, .drain = drain};

static void not_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

struct up_session *fake_session_open(struct fake_session *f, struct transport *t,
                                     const struct up_session_terms *terms, uint32_t streams_max)
{
    *f = (struct fake_session){.t = t, .peer = *terms->peer};
    transport_set_owner(t, f, not_ready);
    f->session = (struct up_session){.ops = &ops,
                                     .owner = terms->owner,
                                     .owner_arg = terms->owner_arg,
                                     .streams_max = streams_max,
                                     .peer = &f->peer};
    list_init(&f->session.link);
    return &f->session;
}

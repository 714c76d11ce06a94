// SPDX-License-Identifier: Apache-2.0
//
// Mirrors as actors (shadow.h). What one does with a request is drawn when its head has come. A copy may
// be cut at any place, but what has come of it must be the plan's own bytes.

#include "shadow.h"

#include <stdlib.h>
#include <string.h>

#include "wire.h"

enum manner { MANNER_ANSWER, MANNER_ENDLESS, MANNER_SILENT, MANNER_DEAF, MANNER_RESET, MANNERS };

struct shadow {
    struct shadow *next;
    struct world *w;
    struct sim_end *end;
    struct wire wire;
    struct plan *plan;
    enum manner manner;
    bool gone;
};

static struct shadow *all;

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nnobody asks";
static const char endless[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

static void leave(struct shadow *s, bool reset)
{
    s->gone = true;
    if (reset) {
        sim_reset(s->end);
    } else {
        sim_close(s->end);
    }
}

static void on_body(void *user, struct slice bytes, uint64_t at)
{
    struct shadow *s = user;
    if (s->plan != NULL) {
        plan_check(s->w, s->plan, false, bytes, at);
    }
}

static void on_head(struct shadow *s)
{
    s->plan = plan_of_path(s->w, wire_word(&s->wire, 1));
    if (s->plan == NULL) {
        sim_fail(s->w->c, "a mirror got a request that nobody sent");
        leave(s, true);
        return;
    }
    s->manner = (enum manner)rng_below(sim_rng(s->w->s), MANNERS);
}

static void respond(struct shadow *s)
{
    if (s->manner == MANNER_RESET) {
        leave(s, true);
    } else if (s->manner == MANNER_ANSWER) {
        (void)sim_send(s->end, slice_of(answer, sizeof(answer) - 1));
        wire_reset(&s->wire);
    } else if (s->manner == MANNER_ENDLESS) {
        (void)sim_send(s->end, slice_of(endless, sizeof(endless) - 1));
    }
}

static void on_event(struct sim_end *e, unsigned events, void *user)
{
    struct shadow *s = user;
    char buffer[4096];
    (void)events;
    while (!s->gone && !(s->plan != NULL && s->manner == MANNER_DEAF)) {
        size_t n = sim_recv(e, buffer, sizeof(buffer));
        if (n == 0) {
            break;
        }
        for (size_t at = 0; at < n && !s->gone && s->wire.state != WIRE_DONE;) {
            bool head = false;
            at += wire_feed(&s->wire, slice_of(buffer + at, n - at), &head);
            if (s->wire.state == WIRE_BAD) {
                sim_fail(s->w->c, "a mirror got a broken request: %s", s->wire.wrong);
                leave(s, true);
            } else if (head) {
                on_head(s);
            }
            if (!s->gone && s->wire.state == WIRE_DONE) {
                respond(s);
            }
        }
    }
    if (!s->gone && (sim_is_reset(e) || sim_at_eof(e))) {
        leave(s, false);
    }
}

static void on_accept(struct sim_end *e, void *user)
{
    struct shadow *s = calloc(1, sizeof(*s));
    ensure(s != NULL);
    s->next = all;
    all = s;
    s->w = user;
    s->end = e;
    s->wire.request = true;
    s->wire.on_body = on_body;
    s->wire.user = s;
    wire_reset(&s->wire);
    sim_set_actor(e, on_event, s);
}

void shadow_open(struct world *w, const struct os_addr *at)
{
    sim_listen(w->s, at, on_accept, w);
}

void shadow_free_all(void)
{
    while (all != NULL) {
        struct shadow *s = all;
        all = s->next;
        free(s);
    }
}

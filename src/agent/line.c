// SPDX-License-Identifier: Apache-2.0
//
// An instance: one run of one tunnel at one edge. It keeps what the edge gave it (name, secret,
// ticket), so that every later handshake continues the same tunnel, and says what follows when a
// connection is let in, refused or lost. The table of docs/design/tunnel.md is agent_line_on_refusal().
//
// People hear of the tunnel, not of each of its connections: it is lost when the last one is.

#include "base/base64.h"
#include "base/error.h"
#include "base/num.h"
#include "base/text.h"

#include "agent/agent_int.h"

static void tell(struct agent_line *n, enum agent_event_kind kind, struct slice text,
                 const struct agent_answer *answer, uint64_t in_ms)
{
    const struct agent_event e = {.kind = kind,
                                  .tunnel = n->tunnel,
                                  .edge = n->place->index,
                                  .text = text,
                                  .answer = answer,
                                  .in_ms = in_ms};
    agent_tell(n->agent, &e);
}

static bool is_connected(const struct agent_line *n)
{
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        if (n->links[i].conn != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_calling(const struct agent_link *k)
{
    return k->state == LINK_LOOKING || k->state == LINK_DIALLING || k->state == LINK_ASKING;
}

bool agent_line_may_call(const struct agent_link *k)
{
    const struct agent_line *n = k->line;
    bool alone = true;
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        alone = alone && (&n->links[i] == k || !is_calling(&n->links[i]));
    }
    return alone || is_connected(n);
}

void agent_line_resume(struct agent_line *n)
{
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        agent_link_resume(&n->links[i]);
    }
}

void agent_line_open(struct agent_line *n, struct agent *a, uint32_t tunnel,
                     struct agent_place *place)
{
    *n = (struct agent_line){.agent = a, .tunnel = tunnel, .place = place, .wanted = 1};
    uint8_t id[AGENT_INSTANCE_BYTES];
    a->loop.sys->ops->random(a->loop.sys, id, sizeof(id));
    struct text t = text_on(n->instance, sizeof(n->instance) - 1);
    base64_put(&t, slice_of((const char *)id, sizeof(id)), BASE64_URL);
    struct text site = text_on(n->site, sizeof(n->site) - 1);
    agent_site_name(tunnel, &site);
    ensure(!t.overflow && !site.overflow);
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        agent_link_init(&n->links[i], n, i);
    }
    agent_link_start(&n->links[0], 0);
}

void agent_line_close(struct agent_line *n)
{
    for (unsigned i = 0; n->agent != NULL && i < AGENT_SLOTS_MAX; i++) {
        agent_link_stop(&n->links[i]);
    }
}

const struct agent_tunnel *agent_line_tunnel(const struct agent_line *n)
{
    return &n->agent->plan->tunnels[n->tunnel];
}

/** For good. */
static void end(struct agent_line *n, struct slice why, const struct agent_answer *answer)
{
    if (n->over) {
        return;
    }
    n->over = true;
    agent_line_close(n);
    tell(n, AGENT_EVENT_ENDED, why, answer, 0);
    agent_line_is_over(n->agent);
}

// ---- what links tell -------------------------------------------------------------------------------

static void keep(char *to, size_t room, const char *from)
{
    if (from[0] != '\0') {
        struct text t = text_on(to, room - 1);
        text_str(&t, from);
        to[t.len] = '\0';
    }
}

/** The port of "tcp://HOST:PORT", by which the tunnel is called; 0: it has none. */
static uint16_t port_of(const char *url)
{
    const char *colon = strrchr(url, ':');
    uint64_t port = 0;
    int e = colon != NULL ? num_parse_u64(slice_str(colon + 1), UINT16_MAX, &port) : E_INVALID;
    return e == 0 ? (uint16_t)port : 0;
}

void agent_line_on_grant(struct agent_link *k, const struct agent_answer *answer)
{
    struct agent_line *n = k->line;
    keep(n->name, sizeof(n->name), answer->name);
    keep(n->secret, sizeof(n->secret), answer->secret);
    keep(n->ticket, sizeof(n->ticket), answer->ticket);
    n->within_ms = answer->within_ms;
    if (agent_line_tunnel(n)->kind != AGENT_HTTP) {
        n->port = port_of(answer->urls[0]);
    }
    if (!n->told || n->down) {
        tell(n, n->told ? AGENT_EVENT_BACK : AGENT_EVENT_READY, SLICE(""), answer, 0);
    }
    n->told = true;
    n->down = false;
    agent_trim_soon(n->agent);
}

/** No attempt of the link is under way now: the next one after a pause. */
static void come_back(struct agent_link *k, uint64_t in_ms, struct slice why,
                      const struct agent_answer *answer)
{
    struct agent_line *n = k->line;
    if (k->slot >= n->wanted) {
        agent_link_stop(k);
        return;
    }
    agent_link_start(k, in_ms);
    if (is_connected(n)) {
        return;
    }
    bool lost = n->told && !n->down;
    n->down = n->told;
    tell(n, lost ? AGENT_EVENT_LOST : AGENT_EVENT_FAILED, why, answer, in_ms);
}

void agent_line_on_loss(struct agent_link *k, uint64_t held_ms, struct slice why)
{
    struct agent_line *n = k->line;
    if (n->agent->leaving || n->over || k->state != LINK_UP) {
        return; // its successor is under way already
    }
    come_back(k, agent_retry_lost(&k->retry, held_ms, n->within_ms, &n->agent->loop.rng), why,
              NULL);
}

void agent_line_on_failure(struct agent_link *k, int error, struct slice why)
{
    struct agent_line *n = k->line;
    bool misplaced_trust =
        error == E_TLS_UNTRUSTED || error == E_TLS_EXPIRED || error == E_TLS_WRONG_NAME;
    if (misplaced_trust && !n->told) {
        end(n, why, NULL);
        return;
    }
    come_back(k, agent_retry_failed(&k->retry, 0, &n->agent->loop.rng), why, NULL);
}

/** What a refusal means, where the edge has no line for people. */
static struct slice words_of(const struct agent_answer *a, struct text *out)
{
    if ((a->status == 404 || a->status == 421) && a->reason[0] == '\0') {
        text_printf(out, "there are no tunnels at that address (HTTP %u%s%s)", a->status,
                    a->text[0] != '\0' ? ": " : "", a->text);
    } else if (a->text[0] != '\0') {
        text_str(out, a->text);
    } else if (a->reason[0] != '\0') {
        text_printf(out, "HTTP %u, %s", a->status, a->reason);
    } else {
        text_printf(out, "HTTP %u", a->status);
    }
    return text_slice(out);
}

/** Who asks is not known to the edge, or may not have what he asks for. Without a reason it may be somebody
 * on the way who says so; a name that is taken may become free; the others are a matter of what serves
 * that address today. */
static bool is_dismissal(const struct agent_answer *a)
{
    return (a->status == 401 || a->status == 403) && a->reason[0] != '\0';
}

void agent_line_on_refusal(struct agent_link *k, const struct agent_answer *a)
{
    struct agent_line *n = k->line;
    char buffer[AGENT_WHY_MAX + ANSWER_BODY_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    bool superseded = a->status == 409 && strcmp(a->reason, "sequence") == 0;
    bool later = a->status == 429 || a->status >= 500;
    bool is_edge = a->status >= 400;
    if (later || superseded || (!is_edge && n->told)) {
        uint64_t least_ms = a->has_retry_after ? (uint64_t)a->retry_after_s * 1000 : 0;
        uint64_t in_ms = agent_retry_failed(&k->retry, least_ms, &n->agent->loop.rng);
        come_back(k, in_ms, words_of(a, &t), a);
        return;
    }
    if (k->slot > 0 && is_connected(n)) {
        n->wanted = k->slot; // the tunnel lives on with what it has
        agent_link_stop(k);
        return;
    }
    if (!is_edge) {
        agent_edge_authority(&t, n->place->edge);
        text_printf(&t, ": what answers there is no edge of adit (HTTP %u)", a->status);
        end(n, text_slice(&t), NULL);
        return;
    }
    n->agent->dismissed += !n->over && is_dismissal(a);
    end(n, words_of(a, &t), a);
}

void agent_line_on_farewell(struct agent_link *k, const struct agent_farewell *f)
{
    struct agent_line *n = k->line;
    struct rng *rng = &n->agent->loop.rng;
    if (n->agent->leaving || n->over || (k->state != LINK_UP && !f->end)) {
        return;
    }
    if (f->end) {
        n->agent->dismissed++;
        end(n, f->text[0] != '\0' ? slice_str(f->text) : SLICE("the edge has ended it"), NULL);
        return;
    }
    uint64_t held_ms = n->agent->loop.now_ms - k->conn->since_ms;
    uint64_t in_ms = f->reconnect && f->within_ms > 0
                         ? agent_retry_asked(&k->retry, held_ms, f->within_ms, rng)
                         : agent_retry_lost(&k->retry, held_ms, n->within_ms, rng);
    agent_link_start(k, in_ms);
}

void agent_line_want(struct agent_line *n, unsigned connections)
{
    ensure(connections >= 1 && connections <= AGENT_SLOTS_MAX);
    n->wanted = (uint8_t)connections;
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        struct agent_link *k = &n->links[i];
        if (i < connections && k->state == LINK_OFF) {
            agent_link_start(k, 0);
        } else if (i >= connections) {
            agent_link_stop(k);
        }
    }
}

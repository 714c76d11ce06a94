// SPDX-License-Identifier: Apache-2.0
//
// From a request to a claim to the 101 (tunnel/handshake.h).
//
// While its claim is judged the exchange waits. What belongs to both, and to the connection until the
// registry has it, is an arrival: it outlives the exchange, for the transport is handed over when the
// exchange has ended. Whatever happens, its claim is answered for exactly once: by tunnel_arrive() or by
// tunnel_abandon().

#include "tunnel/handshake.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "http/websocket.h"
#include "http/websocket_transport.h"
#include "loop/transport.h"
#include "proxy/core.h"
#include "tls/digest.h"
#include "tls/store.h"
#include "tunnel/callers.h"
#include "tunnel/judge.h"
#include "tunnel/names.h"
#include "tunnel/ticket.h"

enum {
    HANDSHAKES_MAGIC = 0x68616e64,
    ARRIVAL_MAGIC = 0x61727276,
    NAME_TRIES = 4,    // names of ours, or ports, until a free one must have been found
    PORT_LOOKS = 8192, // ports that are looked at for a free one: more than may be open
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
    URL_MAX = TUNNEL_NAME_MAX + ZONE_SUFFIX_MAX + 32,
};

struct handshakes {
    uint32_t magic;
    struct reserved base;
    struct core *core;
    struct tunnel_registry *registry;
    struct callers *callers;
    struct key_nonces nonces;
    struct slab slab;
    struct list arrivals; // that wait for a judgment, or for their 101 to be out
};

/** An agent between its judgment and its tunnel. */
struct arrival {
    uint32_t magic;
    struct handshakes *owner;
    struct list link;
    struct http_heir heir;
    struct tunnel_claim *claim;
    struct exchange *x;      // while the claim is judged; NULL: no more
    const struct zone *zone; // of the exchange's snapshot
    uint32_t tries;
    bool any_port;
    bool websocket;      // what follows the 101 is in WebSocket messages
    uint64_t expires_ms; // of the grant and its certificate; 0: never
};

static struct handshakes *of_reserved(const struct reserved *r)
{
    struct handshakes *h = container_of((void *)(uintptr_t)r, struct handshakes, base);
    ensure_magic(h, HANDSHAKES_MAGIC);
    return h;
}

static void random_bytes(const struct handshakes *h, void *out, size_t len)
{
    struct sys *sys = h->core->loop->sys;
    sys->ops->random(sys, out, len);
}

// ---- refusals ---------------------------------------------------------------------------------------

static int add_challenges(struct exchange *x, const struct handshakes *h)
{
    char room[128];
    struct text t = text_on(room, sizeof(room));
    struct fields *f = &x->response.fields;
    int e = fields_add_id(f, HTTP_WWW_AUTHENTICATE, SLICE("Bearer"));
    if (e < 0 || !judge_keys_work(x->down->peer)) {
        return e;
    }
    text_str(&t, "Adit-Key nonce=\"");
    e = key_nonce(&h->nonces, x->down->peer->connection_id, x->loop->now_ms, &t);
    text_char(&t, '"');
    return e < 0 ? e : fields_add_id(f, HTTP_WWW_AUTHENTICATE, text_slice(&t));
}

static int add_number(struct fields *f, enum http_name id, uint64_t n)
{
    char digits[NUM_U64_DIGITS];
    return fields_add_id(f, id, slice_of(digits, num_format_u64(digits, n)));
}

static int fill_refusal(struct exchange *x, const struct handshakes *h, const struct refusal *why)
{
    struct fields *f = &x->response.fields;
    int e = fields_add_id(f, HTTP_CACHE_CONTROL, SLICE("no-store"));
    if (e == 0 && why->reason[0] != '\0') {
        e = fields_add(f, SLICE("Adit-Reason"), slice_str(why->reason));
    }
    if (e == 0 && why->retry_s > 0) {
        e = add_number(f, HTTP_RETRY_AFTER, why->retry_s);
    }
    if (e == 0 && why->status == 401) {
        e = add_challenges(x, h);
    }
    if (why->status == 426) {
        x->response.upgrade = SLICE(HELLO_PROTOCOL);
    }
    return e;
}

static void count(const struct handshakes *h, enum counter what)
{
    counter_add(h->core->counters, what, 1);
}

static enum counter counter_of(const struct refusal *why)
{
    switch (why->status) {
    case 400:
        return COUNTER_tunnel_refused_malformed;
    case 401:
        return strcmp(why->reason, "no-token") == 0 ? COUNTER_tunnel_refused_no_token
                                                    : COUNTER_tunnel_refused_token;
    case 403:
        return COUNTER_tunnel_refused_scope;
    case 409:
        return COUNTER_tunnel_refused_taken;
    case 421:
        return COUNTER_tunnel_refused_host;
    case 426:
        return COUNTER_tunnel_refused_version;
    case 429:
        return strcmp(why->reason, "handshakes") == 0 ? COUNTER_tunnel_refused_rate
                                                      : COUNTER_tunnel_refused_limit;
    default:
        return COUNTER_tunnel_refused_room;
    }
}

/** `text` and `suggestion` may be empty. */
static void refuse_saying(struct exchange *x, const struct handshakes *h, const struct refusal *why,
                          struct slice text, struct slice suggestion)
{
    char room[256];
    struct text line = text_on(room, sizeof(room));
    count(h, counter_of(why));
    exchange_begin_answer(x, why->status);
    int e = fill_refusal(x, h, why);
    if (e == 0 && suggestion.len > 0) {
        e = fields_add(&x->response.fields, SLICE("Adit-Suggestion"), suggestion);
    }
    if (e < 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    text_put(&line, text.len > 0 ? text : slice_str(why->text));
    text_char(&line, '\n');
    exchange_answer(x, SLICE("text/plain; charset=utf-8"), text_slice(&line));
}

static enum stage_result refuse(struct exchange *x, const struct handshakes *h,
                                const struct refusal *why)
{
    refuse_saying(x, h, why, slice_of(NULL, 0), slice_of(NULL, 0));
    return STAGE_ANSWER;
}

// ---- arrivals ---------------------------------------------------------------------------------------

static void forget(struct arrival *a)
{
    struct handshakes *h = a->owner;
    counter_sub(h->core->counters, COUNTER_tunnel_handshakes_pending, 1);
    list_remove(&a->link);
    a->magic = 0;
    slab_give(&h->slab, a);
}

/** It gets no tunnel. */
static void give_up(struct arrival *a)
{
    ensure_magic(a, ARRIVAL_MAGIC);
    tunnel_abandon(a->claim);
    forget(a);
}

static void on_taken(struct http_heir *heir, struct transport *t, const struct http_peer *peer,
                     struct chunk *first, uint32_t pos)
{
    struct arrival *a = container_of(heir, struct arrival, heir);
    ensure_magic(a, ARRIVAL_MAGIC);
    (void)pos;
    if (first != NULL) { // bytes before the 101: it does not keep to the protocol
        chunk_unref(first);
        transport_close(t, true);
        t = NULL;
    }
    if (t != NULL && a->websocket) {
        t = websocket_wrap(t, false, NULL, 0);
    }
    count(a->owner, t != NULL ? COUNTER_tunnel_handshakes_granted : COUNTER_tunnel_handshakes_lost);
    if (t == NULL) {
        give_up(a);
        return;
    }
    struct http_peer here = *peer;
    here.transport = t;
    tunnel_arrive(a->claim, t, &here);
    forget(a);
}

// ---- the 101 ----------------------------------------------------------------------------------------

/** ":8443", as the agent reached the edge by; empty: the scheme's own. */
static struct slice port_of(const struct http_head *r)
{
    ptrdiff_t bracket = slice_find_char(r->authority, ']');
    struct slice rest = bracket < 0 ? r->authority : slice_from(r->authority, (size_t)bracket);
    ptrdiff_t colon = slice_find_char(rest, ':');
    return colon < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)colon);
}

static void put_port(struct text *t, uint16_t port, uint16_t usual)
{
    if (port != usual) {
        text_char(t, ':');
        text_u64(t, port);
    }
}

static void put_host(struct text *t, const struct arrival *a)
{
    text_put(t, slice_of(a->claim->name, a->claim->name_len));
    text_put(t, a->zone->settings.suffix);
}

/** The port of a scheme's URL is the one by which the agent has come, if it came by that scheme: it may
 * be forwarded to ours. */
static int add_web_url(struct exchange *x, const struct arrival *a, bool secure)
{
    char room[URL_MAX];
    struct text t = text_on(room, sizeof(room));
    text_str(&t, secure ? "https://" : "http://");
    put_host(&t, a);
    if (x->down->peer->secure == secure) {
        text_put(&t, port_of(&x->request));
    } else if (secure) {
        put_port(&t, x->core->tls_port, HTTPS_PORT);
    } else {
        put_port(&t, x->core->clear_port, HTTP_PORT);
    }
    ensure(!t.overflow);
    return fields_add(&x->response.fields, SLICE("Adit-Url"), text_slice(&t));
}

/** Whether the name's visitors can come with TLS. */
static bool has_tls(const struct arrival *a)
{
    const struct core *c = a->owner->core;
    char room[URL_MAX];
    struct text host = text_on(room, sizeof(room));
    put_host(&host, a);
    return c->tls != NULL && c->tls_port != 0 && tls_store_serves(c->tls, text_slice(&host));
}

static int add_web_urls(struct exchange *x, const struct arrival *a)
{
    bool secure = a->claim->secure;
    bool clear = x->core->clear_port != 0 || !secure;
    int e = secure ? add_web_url(x, a, true) : 0;
    return e == 0 && clear ? add_web_url(x, a, false) : e;
}

static int add_port_url(struct exchange *x, const struct arrival *a)
{
    char room[URL_MAX];
    struct text t = text_on(room, sizeof(room));
    text_str(&t, a->claim->kind == TUNNEL_TCP ? "tcp://" : "udp://");
    text_put(&t, a->zone->settings.at);
    text_char(&t, ':');
    text_u64(&t, a->claim->port);
    ensure(!t.overflow);
    return fields_add(&x->response.fields, SLICE("Adit-Url"), text_slice(&t));
}

static int add_word(struct exchange *x, struct slice name, const char *word, uint64_t n)
{
    char room[64];
    struct text t = text_on(room, sizeof(room));
    text_str(&t, word);
    text_u64(&t, n);
    return fields_add(&x->response.fields, name, text_slice(&t));
}

/** What proves the instance, and what says its name again. */
static int add_proofs(struct exchange *x, const struct arrival *a, const struct access_secret *key)
{
    const struct tunnel_claim *c = a->claim;
    struct slice site = a->zone->settings.site;
    uint8_t secret[HELLO_SECRET_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    char room[HELLO_TICKET_MAX];
    struct text t = text_on(room, sizeof(room));
    struct ticket ticket = {.expires_ms = x->loop->wall_ms + TICKET_LIFE_S * UINT64_C(1000)};
    int e = ticket_secret(key, site, slice_str(c->owner), c->instance, secret);
    if (e < 0) {
        return e;
    }
    base64_put(&t, slice_of((const char *)secret, sizeof(secret)), BASE64_URL);
    e = fields_add(&x->response.fields, SLICE("Adit-Secret"), text_slice(&t));
    if (e < 0 || c->kind != TUNNEL_HTTP) {
        return e;
    }
    memcpy(ticket.instance, c->instance, sizeof(ticket.instance));
    memcpy(ticket.owner, c->owner, sizeof(ticket.owner));
    memcpy(ticket.name, c->name, sizeof(ticket.name));
    ticket.owner_len = (uint32_t)strlen(c->owner);
    ticket.name_len = c->name_len;
    random_bytes(a->owner, nonce, sizeof(nonce));
    t = text_on(room, sizeof(room));
    e = ticket_seal(&ticket, key, site, nonce, &t);
    return e < 0 ? e : fields_add(&x->response.fields, SLICE("Adit-Ticket"), text_slice(&t));
}

/** The proof that the key was read, and the subprotocol (RFC 6455 4.2.2). */
static int add_websocket(struct exchange *x)
{
    struct fields *f = &x->response.fields;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_accept(fields_get(&x->request.fields, WEBSOCKET_KEY), accept);
    int e = fields_add(f, WEBSOCKET_ACCEPT, slice_of(accept, sizeof(accept)));
    return e < 0 ? e : fields_add(f, SLICE("Sec-WebSocket-Protocol"), SLICE(HELLO_SUBPROTOCOL));
}

static int fill_welcome(struct exchange *x, const struct arrival *a,
                        const struct access_secret *key)
{
    const struct tunnel_claim *c = a->claim;
    struct fields *f = &x->response.fields;
    uint64_t now = x->loop->wall_ms;
    bool web = c->kind == TUNNEL_HTTP;
    int e = web ? fields_add(f, SLICE("Adit-Name"), slice_of(c->name, c->name_len)) : 0;
    if (e == 0) {
        e = web ? add_web_urls(x, a) : add_port_url(x, a);
    }
    if (e == 0) {
        e = add_proofs(x, a, key);
    }
    if (e == 0) {
        e = add_word(x, SLICE("Adit-Connection"), "id=", c->connection_id);
    }
    if (e == 0) {
        e = add_word(x, SLICE("Adit-Retry"), "within=", c->retry_within_ms);
    }
    if (e == 0 && a->expires_ms > now) {
        e = add_word(x, SLICE("Adit-Expires"), "", (a->expires_ms - now) / 1000);
    }
    if (e == 0 && a->websocket) {
        e = add_websocket(x);
    }
    return e;
}

static enum stage_result welcome(struct exchange *x, struct arrival *a)
{
    struct handshakes *h = a->owner;
    const struct access *access = tunnels_access(h->registry, x->loop->core);
    const struct access_secret *keys = NULL;
    bool known = access != NULL && access_secrets(access, &keys) > 0;
    exchange_begin_answer(x, 101);
    a->websocket = hello_in_websocket(&x->request);
    x->response.upgrade = a->websocket ? SLICE("websocket") : SLICE(HELLO_PROTOCOL);
    if (!known || fill_welcome(x, a, &keys[0]) < 0) {
        give_up(a);
        return refuse(x, h, &refused_full);
    }
    a->heir.take = on_taken;
    if (exchange_hand_over(x, &a->heir) < 0) {
        give_up(a);
        return refuse(x, h, &refused_version);
    }
    return STAGE_ANSWER;
}

// ---- the claim --------------------------------------------------------------------------------------

static void make_name(struct arrival *a)
{
    struct tunnel_claim *c = a->claim;
    uint8_t entropy[NAMES_RANDOM_BYTES];
    struct text t = text_on(c->name, sizeof(c->name) - 1);
    random_bytes(a->owner, entropy, sizeof(entropy));
    if (a->zone->settings.names_by_ip) {
        names_of_address(entropy, &c->address, &t);
    } else {
        names_random(entropy, &t);
    }
    c->name_len = (uint32_t)t.len;
    c->name[t.len] = '\0';
}

/** A free port that the grant and the zone have; 0: none was found. When none is free it may be one that is
 * parked for this owner: an agent that was killed and begins anew does not know which was its own. Not
 * sooner, for another agent of the owner may be on its way back to it. */
static uint16_t find_port(const struct arrival *a, const struct access_grant *g)
{
    const struct zone_settings *z = &a->zone->settings;
    uint16_t own = 0;
    uint32_t count = (uint32_t)(z->port_last - z->port_first) + 1;
    uint32_t first = (uint32_t)rng_below(&a->owner->core->loop->rng, count);
    for (uint32_t i = 0; g != NULL && i < count && i < PORT_LOOKS; i++) {
        uint16_t port = (uint16_t)(z->port_first + (first + i) % count);
        if (!access_may_port(g, port)) {
            continue;
        }
        struct tunnel *t = tunnel_find_port(a->zone->runtime, a->claim->kind, port);
        if (t == NULL) {
            return port;
        }
        own = own == 0 && tunnel_waits_for(t, a->claim->owner) ? port : own;
        tunnel_let_go(t);
    }
    return own;
}

static const struct access_grant *grant_of(const struct arrival *a)
{
    const struct handshakes *h = a->owner;
    const struct access *access = tunnels_access(h->registry, h->core->loop->core);
    return access == NULL ? NULL : access_grant_by_id(access, slice_str(a->claim->grant));
}

/** Asks where the name is at home, once more with another one when it is ours to choose. NULL: it is
 * asked; or why not. */
static const struct refusal *ask(struct arrival *a)
{
    struct tunnel_claim *c = a->claim;
    a->tries++;
    if (c->random) {
        make_name(a);
    }
    if (a->any_port) {
        c->port = find_port(a, grant_of(a));
        c->name_len = 0;
        if (c->port == 0) {
            return &refused_port_taken;
        }
    }
    c->secure = c->kind == TUNNEL_HTTP && has_tls(a);
    tunnel_claim(c);
    return NULL;
}

static const struct refusal *refusal_of(const struct tunnel_claim *c)
{
    switch (c->error) {
    case E_TUNNEL_TAKEN:
        return c->kind == TUNNEL_HTTP ? &refused_taken : &refused_port_taken;
    case E_TUNNEL_SEQUENCE:
        return &refused_sequence;
    case E_TUNNEL_PORT:
        return &refused_port;
    case E_TUNNEL_LIMIT:
        return c->grant[0] != '\0' ? &refused_tunnels : &refused_full;
    case E_DRAINING:
        return &refused_draining;
    case E_AGAIN:
        return &refused_changed;
    case E_NO_MEMORY:
    case E_NO_DESCRIPTORS:
        return &refused_full;
    default: // what the system said of a port is told to the operator, not to whoever asks
        return c->kind == TUNNEL_HTTP ? &refused_full : &refused_ports;
    }
}

/** With a name that is likely free, when the grant would allow it. */
static void refuse_taken(struct exchange *x, const struct handshakes *h, struct slice name,
                         const struct access_grant *g)
{
    const struct access *access = tunnels_access(h->registry, h->core->loop->core);
    uint8_t entropy[NAMES_SUGGESTION_BYTES];
    char room[TUNNEL_NAME_MAX + 8];
    struct text t = text_on(room, sizeof(room));
    random_bytes(h, entropy, sizeof(entropy));
    names_suggest(entropy, name, &t);
    bool good = access != NULL && g != NULL && !t.overflow && t.len < TUNNEL_NAME_MAX &&
                access_allows(access, g, text_slice(&t));
    refuse_saying(x, h, &refused_taken, slice_of(NULL, 0),
                  good ? text_slice(&t) : slice_of(NULL, 0));
}

/** The same of a public port. */
static enum stage_result refuse_port(struct exchange *x, struct arrival *a)
{
    struct handshakes *h = a->owner;
    uint16_t port = find_port(a, grant_of(a));
    bool other = port != 0 && port != a->claim->port;
    char room[8];
    struct text t = text_on(room, sizeof(room));
    text_u64(&t, port);
    give_up(a);
    refuse_saying(x, h, &refused_port_taken, slice_of(NULL, 0),
                  other ? text_slice(&t) : slice_of(NULL, 0));
    return STAGE_ANSWER;
}

static enum stage_result refuse_claim(struct exchange *x, struct arrival *a)
{
    struct handshakes *h = a->owner;
    const struct refusal *why = refusal_of(a->claim);
    if (why == &refused_port_taken) {
        return refuse_port(x, a);
    }
    char name[TUNNEL_NAME_MAX];
    struct slice taken = slice_of(name, a->claim->name_len);
    const struct access_grant *g = grant_of(a);
    memcpy(name, a->claim->name, sizeof(name));
    give_up(a);
    if (why == &refused_taken) {
        refuse_taken(x, h, taken, g);
        return STAGE_ANSWER;
    }
    return refuse(x, h, why);
}

/** The claim has been judged. */
static enum stage_result on_resume(const struct reserved *r, struct exchange *x)
{
    struct arrival *a = x->reserved_own;
    ensure_magic(a, ARRIVAL_MAGIC);
    ensure(a->owner == of_reserved(r));
    bool ours = a->claim->random || a->any_port;
    if (a->claim->error == E_TUNNEL_TAKEN && ours && a->tries < NAME_TRIES) {
        const struct refusal *no = ask(a);
        if (no == NULL) {
            a->x = x;
            return STAGE_WAIT;
        }
        struct handshakes *h = a->owner;
        give_up(a);
        return refuse(x, h, no);
    }
    return a->claim->error < 0 ? refuse_claim(x, a) : welcome(x, a);
}

static void on_judged(struct tunnel_claim *c)
{
    struct arrival *a = c->arg;
    ensure_magic(a, ARRIVAL_MAGIC);
    struct exchange *x = a->x;
    a->x = NULL;
    if (x->down == NULL) { // the agent has gone meanwhile
        count(a->owner, COUNTER_tunnel_handshakes_lost);
        give_up(a);
    }
    exchange_resume(x);
}

/** The core has ended before its claim was judged. */
static void on_judged_late(struct tunnel_claim *c)
{
    tunnel_abandon(c);
}

static void fill_claim(struct tunnel_claim *c, const struct hello *hello, const struct judgment *j)
{
    struct text agent = text_on(c->agent, sizeof(c->agent) - 1);
    c->zone = j->zone->runtime;
    c->kind = hello->kind;
    c->port = j->port;
    c->name_len = j->name_len;
    memcpy(c->name, j->name, sizeof(c->name));
    memcpy(c->owner, j->owner, sizeof(c->owner));
    text_put(&agent, hello->agent); // the rest is zero
    c->random = j->random;
    c->ticket = j->by_ticket;
    c->join = hello->join;
    c->wildcard = hello->wildcard;
    c->proven = j->proven;
    c->slot = hello->slot;
    c->sequence = hello->sequence;
    memcpy(c->instance, hello->instance, sizeof(c->instance));
    c->proof_until_ms = j->proof_until_ms;
    if (j->grant != NULL) {
        struct text grant = text_on(c->grant, sizeof(c->grant) - 1);
        text_str(&grant, j->grant->id);
        c->tunnels_max = j->grant->limits.tunnels;
        c->rate = j->grant->limits.rate;
    }
}

/** When what it was let in by is over; 0: never. */
static uint64_t end_of(const struct judgment *j)
{
    uint64_t grant = j->grant != NULL ? j->grant->expires_ms : 0;
    bool proof = j->proof_until_ms != 0 && (grant == 0 || j->proof_until_ms < grant);
    return proof ? j->proof_until_ms : grant;
}

static struct arrival *arrival_new(struct handshakes *h, const struct hello *hello,
                                   const struct judgment *j, const struct os_addr *address)
{
    struct arrival *a = slab_take(&h->slab);
    if (a == NULL) {
        return NULL;
    }
    *a = (struct arrival){.magic = ARRIVAL_MAGIC, .owner = h, .zone = j->zone};
    a->claim = tunnel_claim_new(h->registry, h->core->loop);
    if (a->claim == NULL) {
        slab_give(&h->slab, a);
        return NULL;
    }
    list_init(&a->link);
    list_push_back(&h->arrivals, &a->link);
    count(h, COUNTER_tunnel_handshakes_pending);
    fill_claim(a->claim, hello, j);
    a->claim->judged_by = access_number(tunnels_access(h->registry, h->core->loop->core));
    a->claim->address = *address;
    a->claim->callers = h->callers;
    a->claim->on_judged = on_judged;
    a->claim->arg = a;
    a->any_port = hello->kind != TUNNEL_HTTP && j->port == 0;
    a->expires_ms = end_of(j);
    return a;
}

static enum stage_result claim(struct exchange *x, struct handshakes *h, const struct hello *hello,
                               const struct judgment *j)
{
    uint32_t most = j->zone->settings.per_address;
    if (!callers_enter(h->callers, &x->client, most, x->loop->now_ms)) {
        return refuse(x, h, &refused_connections);
    }
    struct arrival *a = arrival_new(h, hello, j, &x->client);
    if (a == NULL) {
        callers_leave(h->callers, &x->client);
        return refuse(x, h, &refused_full);
    }
    const struct refusal *no = ask(a);
    if (no != NULL) {
        give_up(a);
        return refuse(x, h, no);
    }
    a->x = x;
    x->reserved_own = a;
    return STAGE_WAIT;
}

// ---- the request ------------------------------------------------------------------------------------

/** The zones whose agents call at this host. */
static void find_zones(struct judge_scene *s, struct slice host)
{
    for (const struct upstream *u = s->snapshot->all_upstreams; u != NULL; u = u->next) {
        const struct zone *z = zone_of_upstream(u);
        if (z == NULL || !slice_eq(z->settings.at, host)) {
            continue;
        }
        const struct zone **place = z->settings.suffix.len > 0 ? &s->labels : &s->domains;
        if (*place == NULL) {
            *place = z;
        }
    }
}

static bool is_tunnel_name(const struct snapshot *s, struct slice host)
{
    for (const struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        const struct zone *z = zone_of_upstream(u);
        if (z != NULL && z->settings.suffix.len > 0 && slice_ends(host, z->settings.suffix)) {
            return true;
        }
    }
    return false;
}

/** At the edge's name the path is the edge's, whoever asks. At a tunnel's name it is the tunnel's own,
 * but no agent's: who wants to call there is told that it is the wrong name. */
static bool is_call(const struct reserved *r, const struct exchange *x)
{
    (void)r;
    if (!slice_eq(x->request.path, SLICE(HELLO_PATH))) {
        return false;
    }
    return zone_called_at(x->snapshot, x->request.host) != NULL ||
           (hello_is_asked_for(&x->request) && is_tunnel_name(x->snapshot, x->request.host));
}

static const struct refusal *judge(const struct judge_scene *s, const struct hello *hello,
                                   struct judgment *j)
{
    const struct refusal *no = judge_who(s, hello, j);
    return no != NULL ? no : judge_what(s, hello, j);
}

static enum stage_result on_answer(const struct reserved *r, struct exchange *x)
{
    struct handshakes *h = of_reserved(r);
    struct hello hello;
    struct judgment j = {0};
    struct judge_scene s = {
        .snapshot = x->snapshot,
        .access = tunnels_access(h->registry, x->loop->core),
        .head = &x->request,
        .peer = x->down->peer,
        .client = &x->client,
        .passed_on = x->passed_on,
        .nonces = &h->nonces,
        .now_ms = x->loop->now_ms,
        .wall_ms = x->loop->wall_ms,
    };
    count(h, COUNTER_tunnel_handshakes);
    find_zones(&s, x->request.host);
    if ((s.labels == NULL && s.domains == NULL) || !exchange_host_is_covered(x)) {
        return refuse(x, h, &refused_host);
    }
    if (!callers_knock(h->callers, &x->client, x->loop->now_ms)) {
        return refuse(x, h, &refused_handshakes);
    }
    // A request with a body asks for no switch of protocols: it is told so first.
    const char *wrong = hello_read(&x->request, &hello);
    const struct refusal *no = x->request.body != HTTP_BODY_NONE
                                   ? &refused_malformed
                                   : judge_way(&s, x->down->ops->hand_over != NULL);
    no = no == NULL && wrong != NULL ? &refused_malformed : no;
    if (no == &refused_malformed) {
        refuse_saying(x, h, no, slice_str(wrong), slice_of(NULL, 0));
        return STAGE_ANSWER;
    }
    no = no == NULL ? judge(&s, &hello, &j) : no;
    if (no == &refused_taken) {
        refuse_taken(x, h, slice_of(j.name, j.name_len), j.grant);
        return STAGE_ANSWER;
    }
    return no != NULL ? refuse(x, h, no) : claim(x, h, &hello, &j);
}

// ---- life -------------------------------------------------------------------------------------------

int handshakes_new(struct core *core, struct tunnel_registry *registry, struct handshakes **out)
{
    struct handshakes *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        return E_NO_MEMORY;
    }
    *h = (struct handshakes){
        .magic = HANDSHAKES_MAGIC,
        .base = {.is = is_call, .answer = on_answer, .resume = on_resume},
        .core = core,
        .registry = registry,
        .callers = tunnels_callers(registry),
    };
    int e = digest_random(h->nonces.secret, sizeof(h->nonces.secret));
    if (e < 0) {
        mem_free(h);
        return e;
    }
    slab_init(&h->slab, "handshakes", sizeof(struct arrival), HANDSHAKES_MAX);
    list_init(&h->arrivals);
    reserved_add(core, &h->base);
    *out = h;
    return 0;
}

void handshakes_free(struct handshakes *h)
{
    ensure_magic(h, HANDSHAKES_MAGIC);
    struct list *node;
    while ((node = list_first(&h->arrivals)) != NULL) {
        struct arrival *a = list_entry(node, struct arrival, link);
        struct exchange *x = a->x;
        ensure(x != NULL && x->down == NULL); // else its 101 was on its way, and the heir was told
        a->claim->on_judged = on_judged_late;
        forget(a);
        exchange_resume(x);
    }
    slab_fini(&h->slab);
    explicit_bzero(&h->nonces, sizeof(h->nonces));
    h->magic = 0;
    mem_free(h);
}

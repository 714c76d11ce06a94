// SPDX-License-Identifier: Apache-2.0
//
// The judgment of a call (tunnel/judge.h), in the order of its table: the way, the caller, the wish. A
// refusal says no more than its reader may know: whether a token exists is told to nobody, and what a
// token may do only to who has it.

#include "tunnel/judge.h"

#include "base/error.h"
#include "loop/transport.h"
#include "tls/digest.h"
#include "tls/ed25519.h"
#include "tls/tls.h"
#include "tunnel/names.h"
#include "tunnel/ticket.h"

#define REFUSAL(name, status, reason, text) const struct refusal name = {status, reason, text, 0}
#define REFUSAL_FOR_NOW(name, status, reason, retry_s, text)                                       \
    const struct refusal name = {status, reason, text, retry_s}

REFUSAL(refused_host, 421, "", "Agents call the edge at its own name, which this is not.");
REFUSAL(refused_malformed, 400, "malformed", "The request is malformed.");
REFUSAL_FOR_NOW(refused_handshakes, 429, "handshakes", 2, "Too many handshakes from this address.");
REFUSAL(refused_version, 426, "version",
        "This is where agents of adit call, with HTTP/1.1 and Upgrade: " HELLO_PROTOCOL ".");
REFUSAL(refused_protocol, 426, "version",
        "The TLS handshake must agree on http/1.1: offer this protocol alone (ALPN).");
REFUSAL(refused_clear, 403, "clear",
        "Agents call with TLS (--server https://...), unless the edge says insecure_clear: on.");
REFUSAL_FOR_NOW(refused_no_table, 503, "starting", 1,
                "The edge does not know its tokens yet. Come again.");

REFUSAL(refused_no_token, 401, "no-token",
        "This edge lets in who has a token: adit login, --token or ADIT_TOKEN.");
REFUSAL(refused_bad_token, 401, "bad-token",
        "The edge does not know this token. It may have been revoked.");
REFUSAL(refused_expired, 401, "expired", "The token is over. Ask for a new one.");
REFUSAL(refused_bad_certificate, 401, "bad-certificate",
        "The edge does not know this certificate: adit token create --certificate FILE.");
REFUSAL(refused_certificate_early, 401, "bad-certificate", "The certificate is not good yet.");
REFUSAL(refused_certificate_over, 401, "expired", "The certificate has expired.");
REFUSAL(refused_bad_signature, 401, "bad-signature", "The signature is not the key's.");
REFUSAL(refused_stale_nonce, 401, "stale-nonce", "The nonce is too old, or not this connection's.");
REFUSAL(refused_key_clear, 403, "clear", "Keys need TLS 1.3.");

REFUSAL(refused_kind, 403, "kind", "This edge has no public ports for tcp and udp.");
REFUSAL(refused_kind_grant, 403, "kind", "This token allows no public ports.");
REFUSAL(refused_port, 403, "port", "This port is not allowed here, or not with this token.");
REFUSAL(refused_join, 403, "join", "Without a token no name can be shared.");
REFUSAL(refused_wildcard, 403, "wildcard",
        "Only who asks for a name with a token can have what is below it.");
REFUSAL(refused_anonymous_name, 403, "name", "Without a token only random names are given.");
REFUSAL(refused_name_shape, 403, "name",
        "A name has letters, digits and hyphens, 63 at most, and no two hyphens in front.");
REFUSAL(refused_name_banned, 403, "name", "This name is reserved for the edge.");
REFUSAL(refused_name_lookalike, 403, "name", "This name looks like one that is reserved.");
REFUSAL(refused_name_scope, 403, "name", "This token does not allow this name.");
REFUSAL(refused_name_random, 403, "name", "This token allows certain names only. Ask for one.");
REFUSAL(refused_name_domain, 403, "name",
        "This domain is not proved to be yours, or the edge takes no whole domains.");
REFUSAL(refused_name_served, 403, "name", "The edge's configuration has this name itself.");

REFUSAL(refused_taken, 409, "taken", "The name is taken: somebody else has it.");
REFUSAL(refused_port_taken, 409, "taken", "The port is taken, or all are.");
REFUSAL(refused_sequence, 409, "sequence", "A newer connection of this agent has come before.");

REFUSAL_FOR_NOW(refused_tunnels, 429, "tunnels", 30,
                "There are as many tunnels as this token allows.");
REFUSAL_FOR_NOW(refused_connections, 429, "connections", 10,
                "Too many connections from this address.");
REFUSAL_FOR_NOW(refused_draining, 503, "draining", 1, "The edge is restarting. Come again.");
REFUSAL_FOR_NOW(refused_full, 503, "full", 10, "The edge is full. Come again later.");
REFUSAL_FOR_NOW(refused_changed, 503, "starting", 1,
                "What tokens may do has just changed. Come again.");
REFUSAL_FOR_NOW(refused_ports, 503, "ports", 30,
                "The edge cannot open public ports now; its log says why. Come again later.");

// ---- the way ----------------------------------------------------------------------------------------

static bool is_loopback(const struct os_addr *a)
{
    static const uint8_t six[16] = {[15] = 1};
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    switch ((enum os_addr_kind)a->kind) {
    case OS_ADDR_V4:
        return a->u.ip[0] == 127;
    case OS_ADDR_V6:
        return memcmp(a->u.ip, six, sizeof(six)) == 0 ||
               memcmp(a->u.ip, mapped, sizeof(mapped)) == 0;
    case OS_ADDR_UNIX:
        return true;
    case OS_ADDR_NONE:
        break;
    }
    return false;
}

/** Whether the agent itself is on this machine. Who passes a call on says so in a field or in a
 * PROXY header, and then it is his connection that is from here, not the agent's. */
static bool is_from_here(const struct judge_scene *s)
{
    struct os_addr peer = os_peer_addr(&s->peer->addr);
    return s->peer->proxied == NULL && !s->passed_on && is_loopback(&peer) &&
           is_loopback(s->client);
}

static bool clear_is_allowed(const struct judge_scene *s)
{
    return (s->labels != NULL && s->labels->settings.insecure_clear) ||
           (s->domains != NULL && s->domains->settings.insecure_clear);
}

const struct refusal *judge_way(const struct judge_scene *s, bool can_hand_over)
{
    if (!can_hand_over || !hello_is_spoken(s->head)) {
        return &refused_version;
    }
    if (s->peer->secure) {
        const struct http_security *security = s->peer->security;
        bool agreed = security != NULL && slice_eq(security->alpn, SLICE("http/1.1"));
        return agreed ? NULL : &refused_protocol;
    }
    return is_from_here(s) || clear_is_allowed(s) ? NULL : &refused_clear;
}

bool judge_keys_work(const struct http_peer *peer)
{
    uint8_t exporter[KEY_EXPORTER_BYTES];
    return peer->secure && peer->transport != NULL &&
           tls_export(peer->transport, SLICE(KEY_EXPORTER_LABEL), exporter, sizeof(exporter)) == 0;
}

// ---- who it is --------------------------------------------------------------------------------------

/** Any of the two zones: both are at the same name. */
static const struct zone_settings *settings_of(const struct judge_scene *s)
{
    return s->labels != NULL ? &s->labels->settings : &s->domains->settings;
}

static const struct refusal *judge_token(const struct judge_scene *s, const struct hello *h,
                                         const struct access_grant **out)
{
    uint8_t hash[DIGEST_BYTES];
    if (digest_sha256(h->token, hash) < 0) {
        return &refused_full;
    }
    *out = access_token(s->access, hash);
    return *out == NULL ? &refused_bad_token : NULL;
}

static const struct refusal *judge_key(const struct judge_scene *s, const struct hello *h,
                                       const struct access_grant **out)
{
    uint8_t exporter[KEY_EXPORTER_BYTES];
    char bytes[KEY_MESSAGE_MAX];
    struct text message = text_on(bytes, sizeof(bytes));
    if (!s->peer->secure || s->peer->transport == NULL ||
        tls_export(s->peer->transport, SLICE(KEY_EXPORTER_LABEL), exporter, sizeof(exporter)) < 0) {
        return &refused_key_clear;
    }
    if (!key_nonce_is(s->nonces, s->peer->connection_id, s->now_ms, h->nonce)) {
        return &refused_stale_nonce;
    }
    const struct access_grant *g = access_key(s->access, h->key);
    if (g == NULL) {
        return &refused_bad_token;
    }
    key_message(exporter, settings_of(s)->at, h->nonce, &message);
    if (!ed25519_verify(h->key, text_slice(&message), h->signature)) {
        return &refused_bad_signature;
    }
    *out = g;
    return NULL;
}

static bool takes_anybody(const struct judge_scene *s)
{
    return s->labels != NULL && s->labels->settings.anonymous;
}

/** Who says nothing may have shown a certificate, which nobody but its fingerprint speaks for. One that
 * the site's own authorities stand for may be there for other reasons. */
static const struct refusal *judge_certificate(const struct judge_scene *s, struct judgment *j,
                                               const struct access_grant **out)
{
    const struct http_security *security = s->peer->secure ? s->peer->security : NULL;
    bool shown = security != NULL && security->client_fingerprint.len > 0;
    *out = shown ? access_certificate(s->access, security->client_fingerprint) : NULL;
    if (*out == NULL && takes_anybody(s) && (!shown || security->client_verified)) {
        return NULL;
    }
    if (!shown) {
        return &refused_no_token;
    }
    if (s->wall_ms / 1000 > security->client_until) {
        return &refused_certificate_over;
    }
    if (s->wall_ms / 1000 < security->client_from) {
        return &refused_certificate_early;
    }
    j->proof_until_ms = (security->client_until + 1) * 1000;
    return *out == NULL ? &refused_bad_certificate : NULL;
}

/** An agent without a token is its own owner: nobody else has its instance's id, and who has it still
 * needs its secret. No owner of a grant begins with such a character. */
static void own_itself(const struct hello *h, struct judgment *j)
{
    struct text t = text_on(j->owner, sizeof(j->owner));
    text_char(&t, '*');
    for (size_t i = 0; i < sizeof(h->instance); i++) {
        text_printf(&t, "%02x", h->instance[i]);
    }
    text_char(&t, '\0');
    ensure(!t.overflow);
}

const struct refusal *judge_who(const struct judge_scene *s, const struct hello *h,
                                struct judgment *j)
{
    const struct access_secret *secrets = NULL;
    const struct access_grant *g = NULL;
    const struct refusal *no = NULL;
    if (s->access == NULL || access_secrets(s->access, &secrets) == 0) {
        return &refused_no_table;
    }
    switch (h->proof) {
    case HELLO_TOKEN:
        no = judge_token(s, h, &g);
        break;
    case HELLO_KEY:
        no = judge_key(s, h, &g);
        break;
    case HELLO_NO_PROOF:
        no = judge_certificate(s, j, &g);
        break;
    }
    if (no != NULL) {
        return no;
    }
    j->grant = g;
    if (g == NULL) {
        own_itself(h, j);
        return NULL;
    }
    if (access_expired(g, s->wall_ms)) {
        return &refused_expired;
    }
    struct text t = text_on(j->owner, sizeof(j->owner));
    text_str(&t, g->owner);
    text_char(&t, '\0');
    ensure(!t.overflow); // ACCESS_OWNER_MAX
    return NULL;
}

// ---- what it wants ----------------------------------------------------------------------------------

static void set_name(struct judgment *j, struct slice name)
{
    ensure(name.len < sizeof(j->name));
    memcpy(j->name, name.ptr, name.len);
    j->name[name.len] = '\0';
    j->name_len = (uint32_t)name.len;
}

static struct slice name_of(const struct judgment *j)
{
    return slice_of(j->name, j->name_len);
}

/** The name that a valid ticket of this owner and instance says; empty: none. */
static struct slice name_by_ticket(const struct judge_scene *s, const struct hello *h,
                                   const struct judgment *j, struct ticket *room)
{
    const struct access_secret *keys = NULL;
    uint32_t count = access_secrets(s->access, &keys);
    if (h->ticket.len == 0 ||
        !ticket_open(h->ticket, keys, count, j->zone->settings.site, s->wall_ms, room) ||
        memcmp(room->instance, h->instance, sizeof(h->instance)) != 0 ||
        !slice_eq(slice_of(room->owner, room->owner_len), slice_str(j->owner))) {
        return slice_of(NULL, 0);
    }
    return slice_of(room->name, room->name_len);
}

static const struct refusal *refusal_of(enum names_verdict v)
{
    switch (v) {
    case NAMES_OK:
        return NULL;
    case NAMES_SHAPE:
        return &refused_name_shape;
    case NAMES_BANNED:
        return &refused_name_banned;
    case NAMES_LOOKALIKE:
        return &refused_name_lookalike;
    }
    return &refused_name_shape;
}

/** Whether a site of the configuration has that name for itself. */
static bool is_served(const struct judge_scene *s, const struct judgment *j, struct slice name)
{
    char host[TUNNEL_NAME_MAX + ZONE_SUFFIX_MAX];
    struct text t = text_on(host, sizeof(host));
    const struct zone_settings *z = &j->zone->settings;
    text_put(&t, name);
    text_put(&t, z->suffix);
    const struct site *site = snapshot_site(s->snapshot, text_slice(&t));
    bool own = slice_eq(text_slice(&t), z->at);
    return own || (site != NULL && !slice_eq(site->name, z->site));
}

/** Names that anybody may ask for, given the shape and the zone's rules. What the operator has
 * reserved for this owner, or named in its grant, is his to give. */
static const struct refusal *judge_label(const struct judge_scene *s, const struct judgment *j,
                                         struct slice name, struct slice owner)
{
    struct slice alike = {NULL, 0};
    bool reserved = slice_eq(owner, slice_str(j->owner));
    bool named = false;
    for (uint32_t i = 0; j->grant != NULL && i < j->grant->name_count; i++) {
        named = named || slice_eq(j->grant->names[i], name);
    }
    if (!names_is_label(name)) {
        return &refused_name_shape;
    }
    if (reserved || named) {
        return NULL;
    }
    const struct refusal *no = refusal_of(names_judge(name, j->zone->settings.banned));
    bool imitates = no == NULL && owner.len == 0 &&
                    access_owner_of_alike(s->access, name, &alike) &&
                    !slice_eq(alike, slice_str(j->owner));
    return imitates ? &refused_name_lookalike : no;
}

/** A name that the agent asks for by itself. */
static const struct refusal *judge_name(const struct judge_scene *s, const struct judgment *j,
                                        struct slice name)
{
    struct slice owner = {NULL, 0};
    bool owned = access_owner_of(s->access, name, &owner);
    if (j->grant == NULL) {
        return &refused_anonymous_name;
    }
    if (j->zone->settings.suffix.len > 0) {
        const struct refusal *no = judge_label(s, j, name, owned ? owner : slice_of(NULL, 0));
        if (no != NULL) {
            return no;
        }
    } else if (!names_is_domain(name)) {
        return &refused_name_shape;
    }
    if (!access_may_name(j->grant, name)) {
        return &refused_name_scope;
    }
    if (owned && !slice_eq(owner, slice_str(j->owner))) {
        return &refused_taken;
    }
    if (is_served(s, j, name)) {
        return &refused_name_served;
    }
    return access_allows(s->access, j->grant, name) ? NULL : &refused_name_domain;
}

/** The only name that a grant allows, when it allows only one. */
static struct slice only_name(const struct access_grant *g)
{
    if (g == NULL || g->name_count != 1 || slice_find_char(g->names[0], '*') >= 0) {
        return slice_of(NULL, 0);
    }
    return g->names[0];
}

/** The wish for a name below a zone: "myapp", "myapp.tunnel.example.com" or nothing. */
static struct slice wish_of(const struct hello *h, const struct zone *z)
{
    struct slice wish = hello_name(h);
    struct slice suffix = z->settings.suffix;
    if (suffix.len > 0 && slice_ends(wish, suffix)) {
        return slice_sub(wish, 0, wish.len - suffix.len);
    }
    return wish;
}

/** The zone that a wished name belongs to: whole domains have dots. NULL: there is none. */
static const struct zone *zone_of_wish(const struct judge_scene *s, const struct hello *h)
{
    bool whole = slice_find_char(hello_name(h), '.') >= 0 &&
                 (s->labels == NULL || !slice_ends(hello_name(h), s->labels->settings.suffix));
    return whole ? s->domains : s->labels;
}

static const struct refusal *judge_http(const struct judge_scene *s, const struct hello *h,
                                        struct judgment *j)
{
    struct ticket room;
    j->zone = zone_of_wish(s, h);
    if (j->zone == NULL) {
        return h->name_len > 0 ? &refused_name_domain : &refused_name_random;
    }
    if (h->wildcard && (j->grant == NULL || h->name_len == 0)) {
        return &refused_wildcard;
    }
    struct slice kept = name_by_ticket(s, h, j, &room);
    struct slice wish = wish_of(h, j->zone);
    if (kept.len > 0 && (wish.len == 0 || slice_eq(wish, kept))) {
        // It was given once. What has been taken away since then is seen here.
        j->by_ticket = true;
        set_name(j, kept);
        if (!access_allows(s->access, j->grant, kept)) {
            return &refused_name_scope;
        }
        if (names_is_banned(kept, j->zone->settings.banned)) {
            return &refused_name_banned;
        }
        return is_served(s, j, kept) ? &refused_name_served : NULL;
    }
    if (wish.len == 0) {
        wish = only_name(j->grant);
    }
    if (wish.len == 0) {
        j->random = true;
        return j->grant == NULL || access_may_random(j->grant) ? NULL : &refused_name_random;
    }
    set_name(j, wish);
    return judge_name(s, j, name_of(j));
}

static const struct refusal *judge_port(const struct judge_scene *s, const struct hello *h,
                                        struct judgment *j)
{
    j->zone = s->labels != NULL ? s->labels : s->domains;
    const struct zone_settings *z = &j->zone->settings;
    if (z->port_first == 0) {
        return &refused_kind;
    }
    if (j->grant == NULL || j->grant->port_count == 0) {
        return &refused_kind_grant;
    }
    j->port = h->port;
    bool may = h->port == 0 || (h->port >= z->port_first && h->port <= z->port_last &&
                                access_may_port(j->grant, h->port));
    return may ? NULL : &refused_port;
}

const struct refusal *judge_what(const struct judge_scene *s, const struct hello *h,
                                 struct judgment *j)
{
    const struct access_secret *keys = NULL;
    if (h->join && j->grant == NULL) {
        return &refused_join;
    }
    const struct refusal *no = h->kind == TUNNEL_HTTP ? judge_http(s, h, j) : judge_port(s, h, j);
    if (no != NULL) {
        return no;
    }
    uint32_t count = access_secrets(s->access, &keys);
    j->proven = h->has_secret && ticket_secret_is(h->secret, keys, count, j->zone->settings.site,
                                                  slice_str(j->owner), h->instance);
    return NULL;
}

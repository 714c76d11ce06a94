// SPDX-License-Identifier: Apache-2.0
//
// Writing credentials, and reading them back (keeper/bundle.h). Records are gone through twice: once
// to size the buffer, once to fill it.

#include "keeper/bundle.h"

#include <string.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "ipc/messages.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "tls/credentials.h"
#include "tls/ocsp.h"

#include "keeper/sticky_key.h"

struct bundle {
    struct credential_writer *writer; // NULL: only the size is counted
    size_t bytes;
    int error;
};

static void put(struct bundle *b, const struct credential *c)
{
    if (b->writer == NULL) {
        b->bytes += credential_bytes(c);
    } else if (b->error == 0) {
        b->error = credentials_add(b->writer, c);
    }
}

// The id that the configuration gives it: a second certificate for a name has the same.
static struct slice public_id(struct slice id)
{
    return slice_ends(id, SLICE("#rsa")) ? slice_sub(id, 0, id.len - 4) : id;
}

static void put_holding(struct bundle *b, const struct holding *h)
{
    if (h == NULL || h->chain.len == 0) {
        return;
    }
    struct credential c = {
        .kind = CREDENTIAL_CERTIFICATE,
        .id = public_id(h->id),
        .chain = h->chain,
        .key = h->key,
        .ocsp = h->staple,
    };
    put(b, &c);
}

static void put_need(struct bundle *b, const struct vault *v, const struct need *one)
{
    const struct holding *h = vault_get(v, one->id);
    struct credential c = {.id = one->id, .chain = one->chain, .key = one->secret};
    switch (one->kind) {
    case NEED_AUTHORITY:
        c.kind = CREDENTIAL_AUTHORITY;
        put(b, &c);
        break;
    case NEED_FILES:
        c.kind = CREDENTIAL_CERTIFICATE;
        // The staple belongs to the certificate that it was got for.
        c.ocsp = h != NULL && slice_eq(h->chain, one->chain) ? h->staple : SLICE("");
        put(b, &c);
        break;
    case NEED_LOCAL:
    case NEED_ACME:
        put_holding(b, h);
        break;
    }
}

struct demand {
    struct bundle *bundle;
    const struct needs *needs;
};

static void put_on_demand(void *arg, struct holding *h)
{
    const struct demand *d = arg;
    if (h->on_demand && needs_get(d->needs, h->id) == NULL) {
        put_holding(d->bundle, h);
    }
}

static void put_challenges(struct bundle *b, const struct vault *v)
{
    for (const struct challenge *one = v->challenges; one != NULL; one = one->next) {
        bool http = one->kind == ACME_HTTP_01;
        struct credential c = {
            .kind = http ? CREDENTIAL_HTTP_01 : CREDENTIAL_TLS_ALPN_01,
            .id = one->id,
            .chain = one->chain,
            .key = one->key,
        };
        put(b, &c);
    }
}

static void put_tickets(struct bundle *b, const struct vault *v)
{
    for (uint32_t i = 0; i < v->tickets.count; i++) {
        const struct ticket_key *k = &v->tickets.at[i];
        char buffer[TICKET_ID_MAX];
        struct text id = text_on(buffer, sizeof buffer);
        ticket_id(k, &id);
        struct credential c = {
            .kind = CREDENTIAL_TICKET_KEY,
            .id = text_slice(&id),
            .key = slice_of(k->bytes, sizeof k->bytes),
        };
        put(b, &c);
    }
}

static void put_all(struct bundle *b, struct vault *v, const struct needs *n)
{
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        put_need(b, v, one);
    }
    if (n->on_demand) {
        struct demand d = {b, n};
        vault_each(v, put_on_demand, &d);
    }
    put_challenges(b, v);
    put_tickets(b, v);
    if (v->has_sticky_key) {
        struct credential c = {.kind = CREDENTIAL_STICKY_KEY,
                               .key = slice_of(v->sticky_key, sizeof v->sticky_key)};
        put(b, &c);
    }
}

int bundle_make(struct vault *v, const struct needs *n)
{
    struct bundle b = {.bytes = CREDENTIALS_HEAD_BYTES};
    put_all(&b, v, n);
    if (b.bytes > CREDENTIALS_BYTES_MAX) {
        return E_TOO_LARGE;
    }
    char *room = mem_alloc(b.bytes);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    struct credential_writer w;
    credentials_begin(&w, room, b.bytes);
    b.writer = &w;
    put_all(&b, v, n);
    int fd = b.error != 0 ? b.error : os_memfd_make("adit-credentials", credentials_end(&w));
    explicit_bzero(room, b.bytes);
    mem_free(room);
    return fd;
}

// ---- the way back -------------------------------------------------------------------------------

// With the end of its life, so that it is not shown for longer.
static int recover_staple(struct holding *h, const struct credential *c)
{
    char buffer[128];
    struct text why = text_on(buffer, sizeof buffer);
    uint64_t until = 0;
    uint64_t now = os_clock_wall_ms() / 1000;
    bool good = c->ocsp.len > 0 && ocsp_verify(h->chain, c->ocsp, now, &until, &why) == 0;
    return good ? holding_staple(h, c->ocsp, until) : 0;
}

static void recover_files(struct vault *v, struct needs *n, struct need *one,
                          const struct credential *c)
{
    if (one->chain.len > 0) {
        return;
    }
    struct slice chain = arena_dup(&n->arena, c->chain);
    struct slice key = arena_dup(&n->arena, c->key);
    if (chain.ptr != NULL && key.ptr != NULL) {
        one->chain = chain;
        one->secret = key;
    }
    struct holding *h =
        one->ocsp && c->ocsp.len > 0 ? vault_add(v, one->kind, one->id, one->cert) : NULL;
    int error = h != NULL ? holding_set(h, c->chain, SLICE("")) : 0;
    if (h != NULL && error == 0) {
        error = recover_staple(h, c); // without one another is asked for
    }
    (void)error;
}

static void recover_holding(struct vault *v, enum need_kind kind, struct slice id,
                            struct slice name, const struct credential *c)
{
    struct holding *h = vault_add(v, kind, id, name);
    if (h == NULL || h->chain.len > 0) {
        return;
    }
    int error = holding_set(h, c->chain, c->key);
    if (error == 0) {
        error = recover_staple(h, c);
    }
    h->wanted = h->wanted || error == 0;
}

// The need that a certificate answers; of two with the same public id the second once the first has
// got its own.
static struct need *need_of(const struct vault *v, const struct needs *n, struct slice id)
{
    char buffer[IPC_NAME_MAX + 16];
    struct text second = text_on(buffer, sizeof buffer);
    const struct holding *h = vault_get(v, id);
    text_put(&second, id);
    text_str(&second, "#rsa");
    struct need *other = h != NULL && h->chain.len > 0 && !second.overflow
                             ? needs_get(n, text_slice(&second))
                             : NULL;
    return other != NULL ? other : needs_get(n, id);
}

static void recover_certificate(struct vault *v, struct needs *n, const struct credential *c)
{
    struct need *one = need_of(v, n, c->id);
    bool acme = slice_starts(c->id, SLICE("acme:"));
    if (one != NULL && (one->kind == NEED_FILES || one->kind == NEED_AUTHORITY)) {
        recover_files(v, n, one, c);
    } else if (one != NULL) {
        recover_holding(v, one->kind, one->id, one->name, c);
    } else if (acme && n->on_demand) {
        recover_holding(v, NEED_ACME, c->id, slice_from(c->id, 5), c);
        struct holding *h = vault_get(v, c->id);
        if (h != NULL) {
            h->on_demand = true;
            h->allowed = true;
        }
    }
}

void bundle_recover(struct vault *v, struct needs *n, struct slice credentials)
{
    struct credential_reader r;
    struct credential c;
    if (credentials_open(credentials, &r) != 0) {
        return;
    }
    while (credentials_next(&r, &c)) {
        if (c.kind == CREDENTIAL_TICKET_KEY) {
            tickets_recover(&v->tickets, c.id, c.key);
        } else if (c.kind == CREDENTIAL_STICKY_KEY) {
            sticky_key_recover(v, c.key);
        } else if (c.kind == CREDENTIAL_CERTIFICATE || c.kind == CREDENTIAL_AUTHORITY) {
            recover_certificate(v, n, &c);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the TLS connections of a core share, and how a transport becomes one of them.
//
// A connection holds on to the store it began with: its context, its certificate and the names it was
// given are in there. A store is let go of when the last of its connections is, on whichever core
// that happens.

#include "tls/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/slab.h"
#include "tls/tls_int.h"
#include "tls/x509_int.h"

int tls_core_new(struct loop *l, struct counters *counters, uint32_t connections_max,
                 struct tls_core **out)
{
    x509_library_init();
    *out = NULL;
    struct tls_core *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    c->magic = TLS_CORE_MAGIC;
    c->loop = l;
    c->counters = counters;
    slab_init(&c->slab, "tls", sizeof(struct tls), connections_max);
    slab_init(&c->queues, "tls queues", sizeof(struct bufq), connections_max);
    slab_init(&c->lingerers, "tls lingerers", STREAM_LINGERER_BYTES, connections_max);
    slab_init(&c->names, "tls names", TLS_NAME_MAX + 1, connections_max);
    list_init(&c->waiting);
    list_init(&c->lingering);
    task_init(&c->work, handshake_run_waiting);
    c->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    c->bio = stream_bio_new(c);
    ERR_clear_error();
    if (c->ticket_cipher == NULL || c->bio == NULL) {
        tls_core_free(c);
        return E_NO_MEMORY;
    }
    *out = c;
    return 0;
}

void tls_core_free(struct tls_core *c)
{
    if (c == NULL) {
        return;
    }
    ensure_magic(c, TLS_CORE_MAGIC);
    stream_abort_lingerers(c);
    loop_cancel(c->loop, &c->work);
    ensure(list_empty(&c->waiting));
    tls_store_unref(c->store);
    EVP_CIPHER_free(c->ticket_cipher);
    BIO_free(c->bio);
    BIO_meth_free(c->bio_method);
    slab_fini(&c->names);
    slab_fini(&c->lingerers);
    slab_fini(&c->queues);
    slab_fini(&c->slab);
    c->magic = 0;
    mem_free(c);
}

void tls_core_set_store(struct tls_core *c, struct tls_store *s)
{
    ensure_magic(c, TLS_CORE_MAGIC);
    struct tls_store *before = c->store;
    c->store = s != NULL ? tls_store_ref(s) : NULL;
    tls_store_unref(before);
}

struct tls_store *tls_core_store(const struct tls_core *c)
{
    return c->store;
}

void tls_core_set_wanted(struct tls_core *c, struct tls_wanted *w)
{
    c->wanted = w;
}

void tls_core_serve(struct tls_core *c, struct transport_core *transports)
{
    ensure_magic(c, TLS_CORE_MAGIC);
    transport_core_set_layer(transports, &tls_ops, c);
}

bool tls_core_is_idle(const struct tls_core *c)
{
    return list_empty(&c->lingering);
}

struct tls *tls_new(struct tls_core *c, struct transport *t, tls_done_fn *done, void *arg)
{
    ensure_magic(c, TLS_CORE_MAGIC);
    struct tls *s = slab_take(&c->slab);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct tls){
        .magic = TLS_MAGIC,
        .t = t,
        .core = c,
        .socket_readable = t->readable,
        .last_write_ms = (uint32_t)c->loop->now_ms,
        .done = done,
        .done_arg = arg,
    };
    list_init(&s->link);
    return s;
}

void tls_destroy(struct tls *s)
{
    struct tls_core *c = s->core;
    list_remove(&s->link);
    tls_enter(s);
    SSL_free(s->ssl);
    c->current = NULL;
    stream_drop_ahead(s);
    if (s->name != NULL) {
        slab_give(&c->names, s->name);
    }
    mem_free(s->identity);
    tls_store_unref(s->store);
    tls_origin_unref(s->origin);
    ensure(s->out == NULL);
    s->magic = 0;
    slab_give(&c->slab, s);
}

int tls_accept(struct tls_core *c, struct transport *t,
               void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
{
    if (c->store == NULL || c->store->policy_count == 0) {
        return E_TLS_NO_CERTIFICATE;
    }
    struct tls *s = tls_new(c, t, done, arg);
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    s->server = true;
    s->store = tls_store_ref(c->store);
    s->policy = s->store->policies[0];
    transport_set_filter(t, &tls_ops, s);
    if (s->socket_readable) {
        handshake_begin(s);
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// TLS from one core to another. The library's object knows of no core: it goes as it is, with what it
// has read and not decrypted, or decrypted and not given away. What is of a core stays: the BIO, the
// places in slabs, the certificate as that core has parsed it, and the chunks. Ciphertext that waits in
// chunks, in either direction, is copied; there seldom is any, for what moves is idle.
//
// The context of the old core is still held by the library's object, for its counts; they are atomic,
// and nothing else is asked of it after a handshake. Tickets that an origin sends later are kept on the
// new core, for the callback asks which one that is.

#include <openssl/err.h>

#include "base/error.h"
#include "tls/tls_int.h"

enum { PACKED_MAGIC = 0x746c7370 };

struct packed {
    uint32_t magic;
    struct tls tls;              // its pointers to what belongs to a core are NULL
    char name[TLS_NAME_MAX + 1]; // that was sent and is no host's own
    uint32_t ahead;              // ciphertext that was read
    uint32_t out;                // ciphertext that was not written
    char bytes[];
};

static void keep_ciphertext(struct packed *p, const struct tls *s)
{
    stream_ahead_copy(s, p->bytes);
    struct iovec iov[BUFQ_SPANS];
    int n = s->out != NULL ? bufq_iov(s->out, iov, BUFQ_SPANS) : 0;
    char *to = p->bytes + p->ahead;
    for (int i = 0; i < n; i++) {
        memcpy(to, iov[i].iov_base, iov[i].iov_len);
        to += iov[i].iov_len;
    }
}

// Gives back what the core has lent.
static void leave_core(struct tls *s)
{
    struct tls_core *c = s->core;
    SSL_set_bio(s->ssl, NULL, NULL);
    c->current = NULL;
    stream_drop_ahead(s);
    stream_drop_queue(s);
    if (s->name != NULL) {
        slab_give(&c->names, s->name);
    }
    list_remove(&s->link);
    s->magic = 0;
    slab_give(&c->slab, s);
}

int move_pack(struct transport *t, void **packed)
{
    struct tls *s = tls_of(t);
    if (s->state != TLS_OPEN || s->half_closed || s->error != 0) {
        return E_UNSUPPORTED;
    }
    s->more = false;
    (void)stream_flush(s);
    uint32_t ahead = (uint32_t)stream_ahead_bytes(s);
    uint32_t out = s->out != NULL ? (uint32_t)s->out->bytes : 0;
    struct packed *p = mem_alloc(sizeof(*p) + ahead + out);
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    p->magic = PACKED_MAGIC;
    p->ahead = ahead;
    p->out = out;
    keep_ciphertext(p, s);
    if (s->name != NULL) {
        memcpy(p->name, s->name, s->security.server_name.len);
    }
    p->tls = *s;
    leave_core(s);
    p->tls.core = NULL;
    p->tls.t = NULL;
    p->tls.ahead = NULL;
    p->tls.out = NULL;
    p->tls.cert = NULL;
    p->tls.done = NULL;
    p->tls.done_arg = NULL;
    t->layer = NULL;
    *packed = p;
    return 0;
}

// What waited in chunks of the other core, in chunks of this one. False: out of memory.
static bool take_ciphertext(struct tls *s, const struct packed *p)
{
    s->ahead_off = 0;
    return stream_ahead_restore(s, p->bytes, p->ahead) &&
           (p->out == 0 || stream_queue(s, p->bytes + p->ahead, p->out));
}

// The places in the core's slabs, and what goes there. NULL: out of memory.
static struct tls *enter_core(struct tls_core *c, const struct packed *p)
{
    struct tls *s = slab_take(&c->slab);
    if (s == NULL) {
        return NULL;
    }
    *s = p->tls;
    s->core = c;
    list_init(&s->link);
    bool good = true;
    if (s->name != NULL) {
        s->name = slab_take(&c->names);
        good = s->name != NULL;
    }
    if (good && take_ciphertext(s, p)) {
        return s;
    }
    stream_drop_ahead(s);
    stream_drop_queue(s);
    if (s->name != NULL) {
        slab_give(&c->names, s->name);
    }
    slab_give(&c->slab, s);
    return NULL;
}

int move_unpack(struct transport *t, void *packed)
{
    struct packed *p = packed;
    ensure_magic(p, PACKED_MAGIC);
    struct tls_core *c = transport_core_layer(t->core, &tls_ops);
    ensure_magic(c, TLS_CORE_MAGIC);
    struct tls *s = enter_core(c, p);
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    s->t = t;
    s->socket_readable = true; // nobody knows what came in between
    if (s->name != NULL) {
        size_t len = s->security.server_name.len;
        memcpy(s->name, p->name, len);
        s->security.server_name = slice_of(s->name, len);
    }
    SSL_set_app_data(s->ssl, s);
    BIO_up_ref(c->bio);
    SSL_set_bio(s->ssl, c->bio, c->bio);
    transport_set_filter(t, &tls_ops, s);
    if (!stream_flush(s)) {
        t->writable = false;
    }
    p->magic = 0;
    mem_free(p);
    return 0;
}

void move_drop(void *packed)
{
    struct packed *p = packed;
    ensure_magic(p, PACKED_MAGIC);
    SSL_free(p->tls.ssl);
    ERR_clear_error();
    mem_free(p->tls.identity);
    tls_store_unref(p->tls.store);
    tls_origin_unref(p->tls.origin);
    p->magic = 0;
    mem_free(p);
}

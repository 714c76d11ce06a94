// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading datagrams on a transport (l4/capsule_pipe.h). A transport takes as many bytes as
// it has room for; a capsule that was begun must be finished, so its rest is copied and goes first.

#include "l4/capsule_pipe.h"

#include "base/error.h"

void capsule_pipe_init(struct capsule_pipe *p, struct transport *t)
{
    *p = (struct capsule_pipe){.t = t};
    capsule_reader_init(&p->reader, &t->core->loop->chunks);
}

static void drop(struct chunk **c)
{
    if (*c != NULL) {
        chunk_unref(*c);
        *c = NULL;
    }
}

void capsule_pipe_fini(struct capsule_pipe *p)
{
    drop(&p->in);
    drop(&p->rest);
    capsule_reader_fini(&p->reader);
}

int capsule_pipe_flush(struct capsule_pipe *p)
{
    while (p->rest != NULL) {
        if (!p->t->writable) {
            return E_AGAIN;
        }
        struct iovec iov = {p->rest->data + p->rest_at, p->rest->used - p->rest_at};
        struct io_result w = transport_write(p->t, &iov, 1, false);
        if (w.status != IO_OK) {
            return w.status == IO_AGAIN ? E_AGAIN : w.error != 0 ? w.error : E_RESET;
        }
        p->rest_at += (uint32_t)w.n;
        if (p->rest_at == p->rest->used) {
            drop(&p->rest);
        }
    }
    return 0;
}

/** What is left of head and payload behind the first `done` bytes. */
static int keep_rest(struct capsule_pipe *p, const struct iovec iov[2], size_t done)
{
    size_t left = iov[0].iov_len + iov[1].iov_len - done;
    struct chunk_pool *pool = &p->t->core->loop->chunks;
    p->rest = left > CHUNK_BYTES ? chunk_new_large(pool, (uint32_t)left) : chunk_new(pool);
    if (p->rest == NULL) {
        return E_NO_MEMORY; // the stream cannot go on in the middle of a capsule
    }
    p->rest_at = 0;
    for (unsigned i = 0; i < 2; i++) {
        size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
        size_t part = iov[i].iov_len - skip;
        if (part > 0) {
            memcpy(p->rest->data + p->rest->used, (char *)iov[i].iov_base + skip, part);
        }
        p->rest->used += (uint32_t)part;
        done -= skip;
    }
    return 0;
}

int capsule_pipe_send(struct capsule_pipe *p, const void *bytes, size_t len)
{
    int e = capsule_pipe_flush(p);
    if (e < 0) {
        return e;
    }
    if (!p->t->writable) {
        return E_AGAIN;
    }
    char head[CAPSULE_DATAGRAM_HEAD_MAX];
    struct iovec iov[2] = {{.iov_base = head, .iov_len = capsule_datagram_head(head, len)},
                           {.iov_len = len}};
    memcpy(&iov[1].iov_base, &bytes, sizeof(bytes)); // it is only read
    struct io_result w = transport_write(p->t, iov, 2, false);
    if (w.status != IO_OK) {
        return w.status == IO_AGAIN ? E_AGAIN : w.error != 0 ? w.error : E_RESET;
    }
    return w.n < iov[0].iov_len + len ? keep_rest(p, iov, w.n) : 0;
}

/** More input: 0, E_AGAIN, or why there is none. */
static int fill(struct capsule_pipe *p)
{
    if (!p->t->readable) {
        return E_AGAIN;
    }
    if (p->in == NULL) {
        p->in = chunk_new(&p->t->core->loop->chunks);
        if (p->in == NULL) {
            return E_NO_MEMORY;
        }
    }
    p->in->used = 0;
    p->in_at = 0;
    struct iovec iov = {p->in->data, p->in->capacity};
    struct io_result r = transport_read(p->t, &iov, 1);
    if (r.status == IO_OK) {
        p->in->used = (uint32_t)r.n;
        return 0;
    }
    if (r.status == IO_EOF) {
        return capsule_reader_is_between(&p->reader) ? E_EOF : E_EARLY_CLOSE;
    }
    return r.status == IO_AGAIN ? E_AGAIN : r.error;
}

int capsule_pipe_receive(struct capsule_pipe *p, struct slice *out)
{
    for (;;) {
        if (p->in != NULL && p->in_at < p->in->used) {
            struct slice in = slice_of(p->in->data + p->in_at, p->in->used - p->in_at);
            int e = capsule_read(&p->reader, &in, out);
            p->in_at = p->in->used - (uint32_t)in.len;
            if (e != E_AGAIN) {
                return e;
            }
        }
        int e = fill(p);
        if (e < 0) {
            drop(&p->in); // an idle flow holds nothing
            return e;
        }
    }
}

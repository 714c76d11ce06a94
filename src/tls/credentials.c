// SPDX-License-Identifier: Apache-2.0
//
// The block of credentials: written by the keeper, read by the workers.
//
//   head    magic, bytes of the whole, records, zero         4 x 32 bits
//   record  kind, bytes of id, chain, key and ocsp           5 x 32 bits, then the parts themselves
//
// Numbers are in the machine's order: both sides are the same program on the same machine. Nothing is
// aligned, so every number is copied out. credentials_open() walks the whole block once; after that a
// reader cannot leave it, and going through it needs no further checks but those that cost nothing.

#include "tls/credentials.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"

enum {
    CREDENTIALS_MAGIC = 0x43724564,
    RECORD_HEAD_BYTES = 20,
    RECORD_PARTS = 4,
};

static_assert(CREDENTIALS_HEAD_BYTES == 4 * sizeof(uint32_t), "the head is four numbers");
static_assert(RECORD_HEAD_BYTES == (1 + RECORD_PARTS) * sizeof(uint32_t), "kind and lengths");

struct record_head {
    uint32_t kind;
    uint32_t len[RECORD_PARTS];
};

static_assert(sizeof(struct record_head) == RECORD_HEAD_BYTES, "no padding");

// ---- reading ---------------------------------------------------------------------------------------

static bool kind_is_known(uint32_t kind)
{
    return kind >= CREDENTIAL_CERTIFICATE && kind <= CREDENTIAL_STICKY_KEY;
}

// Takes one record off the front; false when it does not fit what is left.
static bool take_record(struct slice *rest, struct credential *out)
{
    struct record_head head;
    if (rest->len < sizeof(head)) {
        return false;
    }
    memcpy(&head, rest->ptr, sizeof(head));
    struct slice left = slice_from(*rest, sizeof(head));
    struct slice part[RECORD_PARTS];
    for (int i = 0; i < RECORD_PARTS; i++) {
        if (head.len[i] > left.len) {
            return false;
        }
        part[i] = slice_sub(left, 0, head.len[i]);
        left = slice_from(left, head.len[i]);
    }
    *rest = left;
    *out = (struct credential){head.kind, part[0], part[1], part[2], part[3]};
    return true;
}

static bool record_is_sound(const struct credential *c)
{
    return kind_is_known(c->kind) &&
           (c->kind != CREDENTIAL_TICKET_KEY || c->key.len == CREDENTIAL_TICKET_KEY_BYTES) &&
           (c->kind != CREDENTIAL_STICKY_KEY || c->key.len == CREDENTIAL_STICKY_KEY_BYTES);
}

int credentials_open(struct slice bytes, struct credential_reader *r)
{
    uint32_t head[4];
    if (bytes.len < sizeof(head) || bytes.len > CREDENTIALS_BYTES_MAX) {
        return E_INVALID;
    }
    memcpy(head, bytes.ptr, sizeof(head));
    if (head[0] != CREDENTIALS_MAGIC || head[1] != bytes.len || head[2] > CREDENTIALS_RECORDS_MAX ||
        head[3] != 0) {
        return E_INVALID;
    }
    struct credential_reader all = {slice_from(bytes, sizeof(head)), head[2]};
    *r = all;
    while (all.left > 0) {
        struct credential c;
        if (!take_record(&all.rest, &c) || !record_is_sound(&c)) {
            return E_INVALID;
        }
        all.left--;
    }
    return all.rest.len == 0 ? 0 : E_INVALID;
}

bool credentials_next(struct credential_reader *r, struct credential *out)
{
    if (r->left == 0) {
        return false;
    }
    bool taken = take_record(&r->rest, out);
    ensure(taken); // credentials_open() has walked this way
    r->left--;
    return true;
}

// ---- writing ---------------------------------------------------------------------------------------

size_t credential_bytes(const struct credential *c)
{
    return RECORD_HEAD_BYTES + c->id.len + c->chain.len + c->key.len + c->ocsp.len;
}

void credentials_begin(struct credential_writer *w, void *room, size_t capacity)
{
    ensure(capacity >= CREDENTIALS_HEAD_BYTES);
    *w = (struct credential_writer){room, capacity, CREDENTIALS_HEAD_BYTES, 0};
}

static void put(struct credential_writer *w, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(w->ptr + w->len, bytes, len);
        w->len += len;
    }
}

int credentials_add(struct credential_writer *w, const struct credential *c)
{
    ensure(record_is_sound(c));
    const struct slice parts[RECORD_PARTS] = {c->id, c->chain, c->key, c->ocsp};
    size_t limit = num_min_size(w->capacity, CREDENTIALS_BYTES_MAX);
    struct record_head head = {.kind = c->kind};
    size_t bytes = sizeof(head);
    for (int i = 0; i < RECORD_PARTS; i++) {
        if (parts[i].len > CREDENTIALS_BYTES_MAX) {
            return E_TOO_LARGE;
        }
        head.len[i] = (uint32_t)parts[i].len;
        bytes += parts[i].len;
    }
    if (w->len > limit || bytes > limit - w->len || w->count == CREDENTIALS_RECORDS_MAX) {
        return E_TOO_LARGE;
    }
    put(w, &head, sizeof(head));
    for (int i = 0; i < RECORD_PARTS; i++) {
        put(w, parts[i].ptr, parts[i].len);
    }
    w->count++;
    return 0;
}

struct slice credentials_end(struct credential_writer *w)
{
    const uint32_t head[4] = {CREDENTIALS_MAGIC, (uint32_t)w->len, w->count, 0};
    memcpy(w->ptr, head, sizeof(head));
    return slice_of(w->ptr, w->len);
}

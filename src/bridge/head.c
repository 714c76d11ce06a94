// SPDX-License-Identifier: Apache-2.0
//
// A head between two cores: everything in one run of bytes without pointers. It is written from where
// it lives straight into the message, and read from there onto the other exchange's arena: one copy on
// each side. How large it can be was bounded when it was parsed.

#include "base/error.h"
#include "bridge/bridge_int.h"

enum { TEXTS = 9, NOTHING = UINT32_MAX }; // NOTHING: a slice without a pointer

struct packed_head {
    struct http_head head; // without its slices and fields
    uint32_t text;         // bytes behind this
    uint32_t lengths[TEXTS];
};

static void list_texts(struct http_head *h, struct slice *texts[TEXTS])
{
    texts[0] = &h->reason;
    texts[1] = &h->method_text;
    texts[2] = &h->scheme;
    texts[3] = &h->authority;
    texts[4] = &h->host;
    texts[5] = &h->target;
    texts[6] = &h->path;
    texts[7] = &h->query;
    texts[8] = &h->upgrade;
}

static size_t padded(size_t n)
{
    return (n + 7) / 8 * 8;
}

size_t bridge_head_size(const struct http_head *h)
{
    size_t text = h->reason.len + h->method_text.len + h->scheme.len + h->authority.len +
                  h->host.len + h->target.len + h->path.len + h->query.len + h->upgrade.len;
    return sizeof(struct packed_head) + padded(text) + fields_packed_size(&h->fields);
}

void bridge_head_write(const struct http_head *h, void *to)
{
    struct packed_head *p = to;
    struct slice *texts[TEXTS];
    char *text = (char *)(p + 1);
    p->head = *h;
    p->text = 0;
    list_texts(&p->head, texts);
    for (unsigned i = 0; i < TEXTS; i++) {
        struct slice s = *texts[i];
        p->lengths[i] = s.ptr == NULL ? NOTHING : (uint32_t)s.len;
        if (s.len > 0) {
            memcpy(text + p->text, s.ptr, s.len);
        }
        p->text += (uint32_t)s.len;
    }
    fields_pack(&h->fields, text + padded(p->text));
}

int bridge_head_read(struct http_head *h, const void *from)
{
    const struct packed_head *p = from;
    struct fields fields = h->fields;
    char *text = arena_bytes(fields.arena, p->text);
    if (text == NULL) {
        return E_NO_MEMORY;
    }
    const char *packed = (const char *)(p + 1);
    memcpy(text, packed, p->text);
    *h = p->head;
    h->fields = fields;
    struct slice *texts[TEXTS];
    list_texts(h, texts);
    for (unsigned i = 0; i < TEXTS; i++) {
        bool none = p->lengths[i] == NOTHING;
        *texts[i] = none ? (struct slice){NULL, 0} : slice_of(text, p->lengths[i]);
        text += none ? 0 : p->lengths[i];
    }
    return fields_unpack(&h->fields, packed + padded(p->text));
}

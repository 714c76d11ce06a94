// SPDX-License-Identifier: Apache-2.0
//
// Sticky cookies (upstream/sticky.h).

#include "upstream/sticky.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"

enum {
    COOKIE_MAX = KEY_NAME_MAX + STICKY_TOKEN_CHARS + 64,
    TOKENS_MAX = 8, // of one request that are looked at
};

// Tells upstreams apart; no secret.
static const struct hash_key name_key = {{0x6164697420737469, 0x636b79206e616d65}};

#define HOST_PREFIX   "__Host-"
#define SECURE_PREFIX "__Secure-"

static void set_name(struct sticky_name *n, struct slice name)
{
    ensure(name.len < sizeof(n->text));
    n->len = (uint8_t)name.len;
    memcpy(n->text, name.ptr, name.len);
}

static void name_after(struct sticky_plan *p, struct slice upstream)
{
    char buffer[KEY_NAME_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_str(&t, HOST_PREFIX);
    text_printf(&t, "adit-%08x", (unsigned)(hash_bytes(&name_key, upstream) & UINT32_MAX));
    set_name(&p->secure, text_slice(&t));
    set_name(&p->clear, slice_from(text_slice(&t), sizeof(HOST_PREFIX) - 1));
}

bool sticky_parse(struct slice text, struct slice upstream, struct sticky_plan *out)
{
    *out = (struct sticky_plan){0};
    struct key_plan key;
    if (slice_eq(slice_trim(text), SLICE("cookie"))) {
        name_after(out, upstream);
        out->on = true;
        return true;
    }
    if (!key_parse(text, &key) || key.kind != KEY_COOKIE) {
        return false;
    }
    // Browsers refuse these prefixes without TLS.
    struct slice name = slice_of(key.name, key.name_len);
    struct slice plain = name;
    if (slice_starts(name, SLICE(HOST_PREFIX))) {
        plain = slice_from(name, sizeof(HOST_PREFIX) - 1);
    } else if (slice_starts(name, SLICE(SECURE_PREFIX))) {
        plain = slice_from(name, sizeof(SECURE_PREFIX) - 1);
    }
    set_name(&out->secure, name);
    set_name(&out->clear, plain);
    out->on = plain.len > 0;
    return out->on;
}

void sticky_set_key(struct sticky_plan *p, struct slice bytes)
{
    ensure(bytes.len == STICKY_KEY_BYTES);
    memcpy(p->key.k, bytes.ptr, STICKY_KEY_BYTES);
    p->keyed = true;
}

void sticky_set_secret(struct sticky_plan *p, struct slice text)
{
    static const struct hash_key halves[2] = {{{1, 0x73656372657431}}, {{2, 0x73656372657432}}};
    p->key.k[0] = hash_tag(&halves[0], text);
    p->key.k[1] = hash_tag(&halves[1], text);
    p->keyed = true;
}

uint64_t sticky_token(const struct sticky_plan *p, uint64_t server_id)
{
    if (!p->on || !p->keyed) {
        return 0;
    }
    char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (char)(server_id >> (8 * i));
    }
    uint64_t token = hash_tag(&p->key, slice_of(bytes, sizeof bytes));
    return token != 0 ? token : 1;
}

static bool is_secure(const struct upstream_subject *s)
{
    return s->peer != NULL && s->peer->secure;
}

static struct slice name_of(const struct sticky_plan *p, const struct upstream_subject *s)
{
    const struct sticky_name *n = is_secure(s) ? &p->secure : &p->clear;
    return slice_of(n->text, n->len);
}

int sticky_find(const struct sticky_plan *p, const struct balance_server *servers, uint32_t n,
                const struct upstream_subject *s)
{
    if (!p->on || !p->keyed || s == NULL || s->request == NULL) {
        return -1;
    }
    struct key_cookies at = {0};
    struct slice value;
    unsigned left = TOKENS_MAX; // each is compared with all servers
    while (left > 0 && key_next_cookie(&s->request->fields, name_of(p, s), &at, &value)) {
        uint64_t token = 0;
        if (value.len != STICKY_TOKEN_CHARS || num_parse_hex_u64(value, UINT64_MAX, &token) != 0 ||
            token == 0) {
            continue;
        }
        left--;
        for (uint32_t i = 0; i < n; i++) {
            if (servers[i].token == token) {
                return (int)i;
            }
        }
    }
    return -1;
}

int sticky_cookie(const struct sticky_plan *p, uint64_t token, const struct upstream_subject *s,
                  struct slice *out)
{
    char *room = arena_bytes(s->arena, COOKIE_MAX);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(room, COOKIE_MAX);
    text_put(&t, name_of(p, s));
    text_printf(&t, "=%016llx; Path=/; HttpOnly; SameSite=Lax", (unsigned long long)token);
    if (is_secure(s)) {
        text_str(&t, "; Secure");
    }
    ensure(!t.overflow);
    *out = text_slice(&t);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Keys of requests (proxy/key.h).

#include "proxy/key.h"

#include "base/hash.h"
#include "os/addr.h"
#include "proxy/query.h"

// Part of the contract: another value would place every key anew.
static const struct hash_key place_key = {{0x61646974206b6579, 0x706c616365732069}};

static bool is_name(struct slice name)
{
    return http_is_token(name) && name.len < KEY_NAME_MAX;
}

bool key_parse(struct slice text, struct key_plan *out)
{
    static const struct {
        const char *word;
        uint8_t kind;
        bool named;
    } forms[] = {
        {"client", KEY_CLIENT, false}, {"path", KEY_PATH, false},  {"header", KEY_HEADER, true},
        {"cookie", KEY_COOKIE, true},  {"query", KEY_QUERY, true},
    };
    *out = (struct key_plan){0};
    text = slice_trim(text);
    ptrdiff_t blank = slice_find_char(text, ' ');
    struct slice word = blank < 0 ? text : slice_sub(text, 0, (size_t)blank);
    struct slice name = blank < 0 ? slice_of(NULL, 0) : slice_trim(slice_from(text, (size_t)blank));
    for (size_t i = 0; i < array_len(forms); i++) {
        if (!slice_eq(word, slice_str(forms[i].word))) {
            continue;
        }
        if (forms[i].named ? !is_name(name) : name.len > 0) {
            return false;
        }
        out->kind = forms[i].kind;
        out->name_len = (uint8_t)name.len;
        if (name.len > 0) {
            memcpy(out->name, name.ptr, name.len);
        }
        return true;
    }
    return false;
}

// ---- cookies --------------------------------------------------------------------------------------

static struct slice unquoted(struct slice value)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    return quoted ? slice_sub(value, 1, value.len - 2) : value;
}

// The next pair of a Cookie field with that name.
static bool next_pair(struct slice *rest, struct slice name, struct slice *value)
{
    while (rest->len > 0) {
        ptrdiff_t end = slice_find_char(*rest, ';');
        struct slice pair = end < 0 ? *rest : slice_sub(*rest, 0, (size_t)end);
        *rest = end < 0 ? slice_from(*rest, rest->len) : slice_from(*rest, (size_t)end + 1);
        ptrdiff_t equals = slice_find_char(pair, '=');
        if (equals >= 0 && slice_eq(slice_trim(slice_sub(pair, 0, (size_t)equals)), name)) {
            *value = unquoted(slice_trim(slice_from(pair, (size_t)equals + 1)));
            return true;
        }
    }
    return false;
}

bool key_next_cookie(const struct fields *f, struct slice name, struct key_cookies *at,
                     struct slice *value)
{
    if (!fields_has(f, HTTP_COOKIE)) {
        return false;
    }
    for (;;) {
        if (next_pair(&at->rest, name, value)) {
            return true;
        }
        while (at->field < f->count && f->entries[at->field].id != HTTP_COOKIE) {
            at->field++;
        }
        if (at->field >= f->count) {
            return false;
        }
        at->rest = field_value(f, &f->entries[at->field++]);
    }
}

// ---- keys -----------------------------------------------------------------------------------------

static struct slice client_bytes(const struct os_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *ip = (const char *)a->u.ip;
    if (a->kind == OS_ADDR_V4) {
        return slice_of(ip, 4);
    }
    if (a->kind != OS_ADDR_V6) {
        return slice_of(NULL, 0);
    }
    bool is_mapped = memcmp(ip, mapped, sizeof mapped) == 0;
    return is_mapped ? slice_of(ip + 12, 4) : slice_of(ip, 8);
}

static struct slice cookie_of(const struct http_head *h, struct slice name)
{
    struct key_cookies at = {0};
    struct slice value = {NULL, 0};
    return key_next_cookie(&h->fields, name, &at, &value) ? value : slice_of(NULL, 0);
}

static struct slice query_of(const struct upstream_subject *s, struct slice name)
{
    struct slice rest = s->request->query;
    struct slice value;
    struct slice plain;
    bool found = query_next(&rest, name, &value);
    return found && query_decode(value, s->arena, &plain) == 0 ? plain : slice_of(NULL, 0);
}

bool key_of(const struct key_plan *p, const struct upstream_subject *s, uint64_t *key)
{
    struct slice name = slice_of(p->name, p->name_len);
    struct slice text = {NULL, 0};
    bool http = s != NULL && s->request != NULL;
    switch ((enum key_kind)p->kind) {
    case KEY_NONE:
        break;
    case KEY_CLIENT:
        text = s != NULL && s->client != NULL ? client_bytes(s->client) : text;
        break;
    case KEY_HEADER:
        text = http ? fields_get(&s->request->fields, name) : text;
        break;
    case KEY_COOKIE:
        text = http ? cookie_of(s->request, name) : text;
        break;
    case KEY_PATH:
        text = s != NULL ? s->path : text;
        break;
    case KEY_QUERY:
        text = http ? query_of(s, name) : text;
        break;
    }
    *key = text.len > 0 ? hash_bytes(&place_key, text) : 0;
    return text.len > 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// `adit token` on the keeper's side: grants are made, listed, revoked. A token is
//
//     adit_k3Xz9q0A_7Qm3...
//
// its id, which is public and by which it is revoked, and 32 random base62 characters (190 bits). It is
// in the answer to `create` and nowhere else: what is kept is the SHA-256 of all of it, which needs no
// salt, since nobody can guess so much chance.

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"
#include "state/state.h"
#include "tls/jws.h"
#include "tunnel/access.h"

#include "keeper/grants.h"
#include "keeper/keeper_int.h"

enum {
    ID_LEN = 8,
    SECRET_LEN = 32,
    TOKEN_MAX = 64,
    LIST_MAX = 8192,
    EXPIRES_MAX_DAYS = 36500,
};

static const char default_owner[] = "default";

static_assert(ID_LEN < (int)ACCESS_ID_MAX, "an id fits");
static_assert((int)JWS_SHA256_BYTES == STATE_PROOF_BYTES, "a hash is a proof");

// ---- create -------------------------------------------------------------------------------------

struct wanted {
    json_t *order;
    json_t *refusal; // the first one
    char names[LIST_MAX];
    char ports[LIST_MAX];
    char token[TOKEN_MAX];
    char id[ID_LEN + 1];
    struct state_grant grant;
};

static void refuse(struct wanted *w, json_t *refusal)
{
    if (w->refusal == NULL) {
        w->refusal = refusal;
    } else {
        json_decref(refusal);
    }
}

static struct slice text_of(const json_t *order, const char *key)
{
    const json_t *value = json_object_get(order, key);
    const char *text = json_string_value(value);
    return text != NULL ? slice_of(text, json_string_length(value)) : SLICE("");
}

static bool name_ok(struct slice s)
{
    return access_pattern_ok(s);
}

static bool ports_ok(struct slice s)
{
    struct access_ports ports;
    return access_ports_parse(s, &ports);
}

struct list_rule {
    const char *key;
    uint32_t max;
    bool (*ok)(struct slice s);
    const char *is_not; // what an element is to be
};

static struct slice take_list(struct wanted *w, const struct list_rule *rule, char *buffer)
{
    const json_t *list = json_object_get(w->order, rule->key);
    struct text t = text_on(buffer, LIST_MAX);
    size_t i = 0;
    json_t *one = NULL;
    if (json_array_size(list) > rule->max) {
        refuse(w, grants_refuse("at most %u %s for one grant", rule->max, rule->key));
    }
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        struct slice s = slice_str(text != NULL ? text : "");
        if (!rule->ok(s)) {
            refuse(w, grants_refuse("`%.*s` is %s", SLICE_ARG(s), rule->is_not));
        }
        text_str(&t, i > 0 ? " " : "");
        text_put(&t, s);
    }
    if (t.overflow) {
        refuse(w, grants_refuse("the %s are too long together", rule->key));
    }
    return text_slice(&t);
}

static uint64_t take_number(struct wanted *w, const char *key, uint64_t max)
{
    const json_t *value = json_object_get(w->order, key);
    json_int_t n = json_integer_value(value);
    if (n < 0 || (uint64_t)n > max) {
        refuse(w, grants_refuse("%s is at most %llu", key, (unsigned long long)max));
        return 0;
    }
    return (uint64_t)n;
}

static int hash_token(struct wanted *w)
{
    char secret[SECRET_LEN + 1];
    if (!grants_random(secret, SECRET_LEN)) {
        return E_INTERNAL;
    }
    int len = snprintf(w->token, sizeof w->token, ACCESS_TOKEN_PREFIX "%s_%s", w->id, secret);
    explicit_bzero(secret, sizeof secret);
    ensure(len > 0 && (size_t)len < sizeof w->token);
    return jws_sha256(slice_str(w->token), w->grant.proof);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    c = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static bool take_fingerprint(struct slice s, uint8_t out[STATE_PROOF_BYTES])
{
    size_t digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (s.ptr[i] == ':' && digits % 2 == 0) {
            continue;
        }
        if (digit < 0 || digits == 2 * STATE_PROOF_BYTES) {
            return false;
        }
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : out[digits / 2] | digit);
        digits++;
    }
    return digits == 2 * STATE_PROOF_BYTES;
}

static int take_proof(struct wanted *w)
{
    struct slice key = text_of(w->order, "key");
    struct slice certificate = text_of(w->order, "certificate");
    size_t len = 0;
    if (key.len > 0 && certificate.len > 0) {
        refuse(w, grants_refuse("a key or a certificate, not both in one grant"));
    } else if (key.len > 0) {
        w->grant.kind = ACCESS_KEY;
        if (base64_read(key, BASE64_URL, w->grant.proof, sizeof w->grant.proof, &len) != 0 ||
            len != STATE_PROOF_BYTES) {
            refuse(w, grants_refuse("`%.*s` is no Ed25519 public key: 32 bytes, 43 characters of "
                                    "base64url without padding",
                                    SLICE_ARG(key)));
        }
    } else if (certificate.len > 0) {
        w->grant.kind = ACCESS_CERTIFICATE;
        if (!take_fingerprint(certificate, w->grant.proof)) {
            refuse(w, grants_refuse("`%.*s` is no SHA-256 fingerprint: 64 hexadecimal digits, as "
                                    "`openssl x509 -noout -fingerprint -sha256` prints them",
                                    SLICE_ARG(certificate)));
        }
    } else {
        w->grant.kind = ACCESS_TOKEN;
        return hash_token(w);
    }
    return 0;
}

static void take_scope(struct wanted *w)
{
    static const struct list_rule names = {
        "names", ACCESS_PATTERNS_MAX, name_ok,
        "no name: lower-case letters, digits and -, and * for any of them"};
    static const struct list_rule ports = {"ports", ACCESS_PORTS_MAX, ports_ok,
                                           "no range of ports: 20000, or 20000-20010"};
    struct state_grant *g = &w->grant;
    g->owner = text_of(w->order, "owner");
    g->owner = g->owner.len > 0 ? g->owner : slice_str(default_owner);
    g->note = text_of(w->order, "note");
    g->names = take_list(w, &names, w->names);
    g->ports = take_list(w, &ports, w->ports);
    g->tunnels = (uint32_t)take_number(w, "tunnels", ACCESS_TUNNELS_MAX);
    g->rate = (uint32_t)take_number(w, "rate", ACCESS_RATE_MAX);
    g->created_ms = os_clock_wall_ms();
    uint64_t life = take_number(w, "expires", UINT64_C(86400000) * EXPIRES_MAX_DAYS);
    g->expires_ms = life > 0 ? g->created_ms + life : 0;
    if (!access_owner_ok(g->owner)) {
        refuse(w, grants_refuse("`%.*s` is no name of an owner: at most %d letters, digits and "
                                "any of -_.@",
                                SLICE_ARG(g->owner), ACCESS_OWNER_MAX - 1));
    }
    if (g->note.len >= ACCESS_NOTE_MAX) {
        refuse(w, grants_refuse("a note has at most %d bytes", ACCESS_NOTE_MAX - 1));
    }
}

static void count_grant(void *arg, const struct state_grant *g)
{
    (void)g;
    ++*(uint32_t *)arg;
}

static json_t *add(struct keeper *k, struct wanted *w)
{
    uint32_t count = 0;
    int error = state_grants_each(k->grants.state, count_grant, &count);
    if (error == 0 && count >= ACCESS_GRANTS_MAX) {
        return grants_refuse("there are %u already: revoke some", count);
    }
    error = error == 0 ? state_grant_add(k->grants.state, &w->grant) : error;
    if (error == E_EXISTS) {
        return grants_refuse("there is a grant for this %s already: `adit token list` shows it",
                             w->grant.kind == ACCESS_KEY ? "key" : "certificate");
    }
    if (error != 0) {
        return grants_failed(k, error);
    }
    log_line(LOG_INFO, "grant made id=%s owner=%.*s", w->id, SLICE_ARG(w->grant.owner));
    json_t *answer = grants_done(k);
    (void)json_object_set_new(answer, "id", json_string(w->id));
    (void)json_object_set_new(answer, "owner",
                              json_stringn(w->grant.owner.ptr, w->grant.owner.len));
    (void)json_object_set_new(answer, "expires_ms", json_integer((json_int_t)w->grant.expires_ms));
    if (w->token[0] != '\0') {
        (void)json_object_set_new(answer, "token", json_string(w->token));
    }
    return answer;
}

static json_t *create(struct keeper *k, struct slice text)
{
    static struct wanted w; // one at a time, on the main thread
    w = (struct wanted){.order = json_loadb(text.ptr, text.len, 0, NULL)};
    if (!json_is_object(w.order)) {
        json_decref(w.order);
        return grants_refuse("token create takes a JSON object");
    }
    int error = grants_random(w.id, ID_LEN) ? 0 : E_INTERNAL;
    w.grant.id = slice_str(w.id);
    take_scope(&w);
    error = error == 0 ? take_proof(&w) : error;
    json_t *answer = w.refusal;
    if (answer == NULL && error == 0) {
        answer = grants_open(k) == 0 ? add(k, &w) : grants_failed(k, E_IO);
    } else if (answer == NULL) {
        answer = grants_refuse("%s", error_text(error));
    }
    json_decref(w.order);
    explicit_bzero(&w, sizeof w);
    return answer;
}

// ---- list and revoke ----------------------------------------------------------------------------

static json_t *text_value(struct slice s)
{
    json_t *value = json_stringn(s.ptr, s.len);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

static json_t *words_value(struct slice s)
{
    json_t *list = json_array();
    while (s.len > 0) {
        ptrdiff_t blank = slice_find_char(s, ' ');
        size_t len = blank >= 0 ? (size_t)blank : s.len;
        (void)json_array_append_new(list, text_value(slice_sub(s, 0, len)));
        s = slice_from(s, len + 1);
    }
    return list;
}

static void list_grant(void *arg, const struct state_grant *g)
{
    static const char *const kinds[] = {"token", "key", "certificate"};
    bool expired = g->expires_ms != 0 && os_clock_wall_ms() >= g->expires_ms;
    (void)json_array_append_new(
        arg, json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "id",
                       text_value(g->id), "kind", g->kind < array_len(kinds) ? kinds[g->kind] : "?",
                       "owner", text_value(g->owner), "names", words_value(g->names), "ports",
                       words_value(g->ports), "tunnels", (json_int_t)g->tunnels, "rate",
                       (json_int_t)g->rate, "created_ms", (json_int_t)g->created_ms, "used_ms",
                       (json_int_t)g->used_ms, "expires_ms", (json_int_t)g->expires_ms, "expired",
                       (int)expired, "note", text_value(g->note)));
}

static json_t *list(struct keeper *k)
{
    json_t *all = json_array();
    int error = grants_open(k);
    if (error == 0) {
        tunnels_note_used(k);
        error = state_grants_each(k->grants.state, list_grant, all);
    }
    if (error != 0) {
        json_decref(all);
        return grants_failed(k, error);
    }
    return json_pack("{s:b, s:o}", "ok", 1, "grants", all);
}

// Its id, or a token that somebody has at hand.
static struct slice id_of(struct slice word)
{
    if (!slice_starts(word, SLICE(ACCESS_TOKEN_PREFIX))) {
        return word;
    }
    word = slice_from(word, strlen(ACCESS_TOKEN_PREFIX));
    ptrdiff_t end = slice_find_char(word, '_');
    return end >= 0 ? slice_sub(word, 0, (size_t)end) : word;
}

static json_t *revoke(struct keeper *k, struct slice word)
{
    struct slice id = id_of(slice_trim(word));
    int error = grants_open(k);
    error = error == 0 ? state_grant_remove(k->grants.state, id) : error;
    if (error == E_NOT_FOUND) {
        return grants_refuse("there is no grant `%.*s`; `adit token list` shows what there is",
                             SLICE_ARG(id));
    }
    if (error != 0) {
        return grants_failed(k, error);
    }
    log_line(LOG_INFO, "grant revoked id=%.*s", SLICE_ARG(id));
    json_t *answer = grants_done(k);
    (void)json_object_set_new(answer, "id", text_value(id));
    return answer;
}

json_t *token_command(struct keeper *k, struct slice words)
{
    if (slice_starts(words, SLICE("create "))) {
        return create(k, slice_from(words, strlen("create ")));
    }
    if (slice_eq(words, SLICE("list"))) {
        return list(k);
    }
    if (slice_starts(words, SLICE("revoke "))) {
        return revoke(k, slice_from(words, strlen("revoke ")));
    }
    return grants_refuse("no such command: token create, list, revoke");
}

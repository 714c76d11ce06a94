// SPDX-License-Identifier: Apache-2.0
//
// The vault (keeper/vault.h): a table of holdings by id, and the bytes they own.

#include "keeper/vault.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "tls/cert.h"

enum { DESCRIBE_BYTES_MAX = 1 << 20 };

struct slice secret_dup(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    if (copy == NULL) {
        return slice_of(NULL, 0);
    }
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    copy[s.len] = '\0';
    return slice_of(copy, s.len);
}

void secret_free(struct slice *s)
{
    if (s->ptr != NULL) {
        char *bytes = (char *)(uintptr_t)s->ptr;
        explicit_bzero(bytes, s->len);
        mem_free(bytes);
    }
    *s = slice_of(NULL, 0);
}

// Puts a copy in the place of what is there.
static int replace(struct slice *at, struct slice with)
{
    struct slice copy = secret_dup(with);
    if (copy.ptr == NULL) {
        return E_NO_MEMORY;
    }
    secret_free(at);
    *at = copy;
    return 0;
}

// ---- the table ----------------------------------------------------------------------------------

void vault_init(struct vault *v)
{
    *v = (struct vault){.wake = -1, .version = 1};
    ensure(pthread_mutex_init(&v->lock, NULL) == 0);
    ensure(pthread_cond_init(&v->changed, NULL) == 0);
    ensure(getrandom(&v->seed, sizeof v->seed, 0) == (ssize_t)sizeof v->seed);
}

void vault_lock(struct vault *v)
{
    ensure(pthread_mutex_lock(&v->lock) == 0);
}

void vault_unlock(struct vault *v)
{
    ensure(pthread_mutex_unlock(&v->lock) == 0);
}

void vault_wake(struct vault *v)
{
    static const uint64_t one = 1;
    if (v->wake >= 0) { // it can only be full, and then the main thread has been called already
        ssize_t ignored = write(v->wake, &one, sizeof one);
        (void)ignored;
    }
}

void vault_touch(struct vault *v)
{
    v->version++;
    ensure(pthread_cond_broadcast(&v->changed) == 0);
    vault_wake(v);
}

static struct holding *const *bucket_of(const struct vault *v, struct slice id)
{
    return &v->bucket[hash_bytes(&v->seed, id) % VAULT_BUCKETS];
}

struct holding *vault_get(const struct vault *v, struct slice id)
{
    for (struct holding *h = *bucket_of(v, id); h != NULL; h = h->next) {
        if (slice_eq(h->id, id)) {
            return h;
        }
    }
    return NULL;
}

static void free_holding(struct holding *h)
{
    secret_free(&h->id);
    secret_free(&h->name);
    secret_free(&h->hook);
    secret_free(&h->chain);
    secret_free(&h->key);
    secret_free(&h->staple);
    mem_free(h);
}

struct holding *vault_add(struct vault *v, enum need_kind kind, struct slice id, struct slice name)
{
    struct holding *h = vault_get(v, id);
    if (h != NULL || v->count == VAULT_HOLDINGS_MAX) {
        return h;
    }
    h = mem_zalloc(sizeof *h);
    if (h == NULL) {
        return NULL;
    }
    h->kind = kind;
    h->id = secret_dup(id);
    h->name = secret_dup(name);
    if (h->id.ptr == NULL || h->name.ptr == NULL) {
        free_holding(h);
        return NULL;
    }
    struct holding **at = &v->bucket[hash_bytes(&v->seed, id) % VAULT_BUCKETS];
    h->next = *at;
    *at = h;
    v->count++;
    return h;
}

void vault_drop(struct vault *v, struct holding *h)
{
    ensure(!h->busy);
    struct holding **at = &v->bucket[hash_bytes(&v->seed, h->id) % VAULT_BUCKETS];
    while (*at != h) {
        ensure(*at != NULL);
        at = &(*at)->next;
    }
    *at = h->next;
    v->count--;
    free_holding(h);
}

void vault_each(struct vault *v, void (*each)(void *arg, struct holding *h), void *arg)
{
    for (size_t i = 0; i < VAULT_BUCKETS; i++) {
        for (struct holding *h = v->bucket[i]; h != NULL; h = h->next) {
            each(arg, h);
        }
    }
}

void vault_sweep(struct vault *v)
{
    for (size_t i = 0; i < VAULT_BUCKETS; i++) {
        struct holding *next = NULL;
        for (struct holding *h = v->bucket[i]; h != NULL; h = next) {
            next = h->next;
            if (!h->wanted && !h->busy) {
                vault_drop(v, h);
            }
        }
    }
}

void vault_fini(struct vault *v)
{
    for (size_t i = 0; i < VAULT_BUCKETS; i++) {
        while (v->bucket[i] != NULL) {
            v->bucket[i]->busy = false;
            vault_drop(v, v->bucket[i]);
        }
    }
    while (v->challenges != NULL) {
        vault_withdraw(v, v->challenges->kind, v->challenges->id);
    }
    secret_free(&v->root);
    secret_free(&v->root_key);
    explicit_bzero(&v->tickets, sizeof v->tickets);
    explicit_bzero(v->sticky_key, sizeof v->sticky_key);
    if (v->wake >= 0) {
        (void)close(v->wake);
        v->wake = -1;
    }
    (void)pthread_mutex_destroy(&v->lock);
    (void)pthread_cond_destroy(&v->changed);
}

// ---- holdings -----------------------------------------------------------------------------------

static int describe(struct holding *h, struct slice chain)
{
    struct arena a;
    struct cert_info info;
    arena_init(&a, NULL, 0, NULL, DESCRIBE_BYTES_MAX);
    int error = cert_describe(chain, &a, &info);
    if (error == 0) {
        h->not_before = info.not_before;
        h->not_after = info.not_after;
        h->responds = info.ocsp_url.len > 0;
        struct text t = text_on(h->issuer, sizeof h->issuer - 1);
        text_put(&t, slice_sub(info.issuer, 0, sizeof h->issuer - 1));
        h->issuer[t.len] = '\0';
    }
    arena_fini(&a);
    return error;
}

int holding_set(struct holding *h, struct slice chain, struct slice key)
{
    bool same = slice_eq(h->chain, chain) && slice_eq(h->key, key);
    if (same && h->chain.len > 0) {
        return 0;
    }
    int error = describe(h, chain);
    if (error == 0) {
        error = replace(&h->key, key);
    }
    if (error == 0) {
        error = replace(&h->chain, chain);
    }
    if (error == 0) {
        secret_free(&h->staple);
        h->staple_at = 0;
        h->staple_failures = 0;
        h->staple_until = 0;
        h->window = (struct acme_window){0};
    }
    return error;
}

int holding_staple(struct holding *h, struct slice der, uint64_t until)
{
    h->staple_until = until;
    if (der.len == 0) {
        secret_free(&h->staple);
        return 0;
    }
    return replace(&h->staple, der);
}

bool holding_valid(const struct holding *h, uint64_t now)
{
    return h->chain.len > 0 && now < h->not_after;
}

// ---- challenges ---------------------------------------------------------------------------------

void vault_withdraw(struct vault *v, enum acme_challenge_kind kind, struct slice id)
{
    for (struct challenge **at = &v->challenges; *at != NULL; at = &(*at)->next) {
        struct challenge *c = *at;
        if (c->kind == kind && slice_eq(c->id, id)) {
            *at = c->next;
            secret_free(&c->id);
            secret_free(&c->chain);
            secret_free(&c->key);
            mem_free(c);
            return;
        }
    }
}

int vault_challenge(struct vault *v, enum acme_challenge_kind kind, struct slice id,
                    struct slice chain, struct slice key)
{
    struct challenge *c = mem_zalloc(sizeof *c);
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    c->kind = kind;
    c->id = secret_dup(id);
    c->chain = secret_dup(chain);
    c->key = secret_dup(key);
    if (c->id.ptr == NULL || c->chain.ptr == NULL || c->key.ptr == NULL) {
        secret_free(&c->id);
        secret_free(&c->chain);
        secret_free(&c->key);
        mem_free(c);
        return E_NO_MEMORY;
    }
    vault_withdraw(v, kind, id);
    c->next = v->challenges;
    v->challenges = c;
    return 0;
}

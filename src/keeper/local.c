// SPDX-License-Identifier: Apache-2.0
//
// The local CA at work (keeper/local.h).

#include "keeper/local.h"

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "tls/local_ca.h"

#include "keeper/shelf.h"

enum { LOCAL_BYTES_MAX = 1 << 20, LOCAL_FILE_MAX = 64 << 10 };

// ---- the root -----------------------------------------------------------------------------------

static int make_root(struct arena *a, int dir, uint64_t now, struct slice *root, struct slice *key)
{
    char host[64] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    int error = local_ca_new(slice_str(host), now, a, root, key);
    if (error != 0) {
        return error;
    }
    int kept = shelf_write(dir, LOCAL_ROOT_KEY, *key, SHELF_KEY);
    if (kept == 0) {
        kept = shelf_write(dir, LOCAL_ROOT, *root, SHELF_PUBLIC);
    }
    if (kept != 0 && dir >= 0) {
        log_line(LOG_WARN, "the local CA cannot be kept: %s; it lasts until adit ends",
                 error_text(kept));
    } else if (kept == 0) {
        log_line(LOG_INFO, "a local CA was made; `adit cert trust` tells how to trust it");
    }
    return 0;
}

static int ensure_root(struct vault *v, int dir, uint64_t now)
{
    if (v->root.len > 0 && local_ca_usable(v->root, v->root_key, now + LOCAL_LIFE_S)) {
        return 0;
    }
    struct arena a;
    struct slice root;
    struct slice key;
    arena_init(&a, NULL, 0, NULL, LOCAL_BYTES_MAX);
    int error = 0;
    bool there = shelf_read(dir, LOCAL_ROOT, LOCAL_FILE_MAX, &a, &root) == 0 &&
                 shelf_read(dir, LOCAL_ROOT_KEY, LOCAL_FILE_MAX, &a, &key) == 0;
    if (!there || !local_ca_usable(root, key, now + LOCAL_LIFE_S)) {
        if (there) {
            log_line(LOG_WARN, "the local CA in " LOCAL_ROOT " cannot be used any more, another "
                               "one takes its place");
        }
        error = make_root(&a, dir, now, &root, &key);
    }
    if (error == 0) {
        secret_free(&v->root);
        secret_free(&v->root_key);
        v->root = secret_dup(root);
        v->root_key = secret_dup(key);
        error = v->root.ptr != NULL && v->root_key.ptr != NULL ? 0 : E_NO_MEMORY;
    }
    arena_fini(&a);
    return error;
}

// ---- certificates -------------------------------------------------------------------------------

static int issue(struct vault *v, struct holding *h, uint64_t now)
{
    struct slice names[3] = {h->name, SLICE("127.0.0.1"), SLICE("::1")};
    struct local_ca_request r = {
        .root_pem = v->root,
        .key_pem = v->root_key,
        .names = names,
        .count = slice_eq(h->name, SLICE("localhost")) ? 3 : 1,
        .now = now,
        .not_after = now + LOCAL_LIFE_S,
    };
    struct arena a;
    struct slice chain;
    struct slice key;
    arena_init(&a, NULL, 0, NULL, LOCAL_BYTES_MAX);
    int error = local_ca_issue(&r, &a, &chain, &key);
    if (error == 0) {
        error = holding_set(h, chain, key);
    }
    arena_fini(&a);
    return error;
}

static uint64_t due_of(const struct holding *h)
{
    return h == NULL || h->chain.len == 0 ? 0 : h->not_after - LOCAL_RENEW_S;
}

bool local_renew(struct vault *v, const struct needs *n, int dir, uint64_t now, int *error)
{
    bool made = false;
    *error = 0;
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        if (one->kind != NEED_LOCAL) {
            continue;
        }
        struct holding *h = vault_add(v, NEED_LOCAL, one->id, one->name);
        if (h == NULL) {
            *error = E_NO_MEMORY;
            return made;
        }
        if (now < due_of(h) && !h->renew) {
            continue;
        }
        int failed = ensure_root(v, dir, now);
        if (failed == 0) {
            failed = issue(v, h, now);
        }
        h->renew = false;
        h->renew_at = h->not_after - LOCAL_RENEW_S;
        made = made || failed == 0;
        if (failed != 0) {
            *error = failed;
            log_line(LOG_ERROR, "no certificate of the local CA name=%.*s: %s", SLICE_ARG(h->name),
                     error_text(failed));
        }
    }
    return made;
}

uint64_t local_due(const struct vault *v, const struct needs *n)
{
    uint64_t due = UINT64_MAX;
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        uint64_t own = one->kind == NEED_LOCAL ? due_of(vault_get(v, one->id)) : UINT64_MAX;
        due = own < due ? own : due;
    }
    return due;
}

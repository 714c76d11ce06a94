// SPDX-License-Identifier: Apache-2.0
//
// HTTP-01 (proxy/challenge.h): the token is the rest of the path, the answer is in the credentials that
// the core's TLS store was made of.

#include "proxy/challenge.h"

#include "base/error.h"
#include "tls/store.h"

#include "proxy/core.h"

static const struct slice PREFIX = SLICE_INIT("/.well-known/acme-challenge/");

bool challenge_is_path(struct slice path)
{
    return slice_starts(path, PREFIX);
}

/** What the CA is to read; empty: it is no challenge of ours. */
static struct slice key_of(const struct exchange *x)
{
    const struct http_head *r = &x->request;
    const struct tls_store *store = x->core->tls;
    if (store == NULL || !challenge_is_path(r->path) ||
        (r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD)) {
        return slice_of(NULL, 0);
    }
    return tls_store_http_01(store, slice_from(r->path, PREFIX.len));
}

static bool is_challenge(const struct reserved *r, const struct exchange *x)
{
    (void)r;
    return key_of(x).len > 0;
}

static enum stage_result answer(const struct reserved *r, struct exchange *x)
{
    (void)r;
    struct slice key = key_of(x);
    ensure(key.len > 0);
    exchange_begin_answer(x, 200);
    if (fields_set_id(&x->response.fields, HTTP_CACHE_CONTROL, SLICE("no-store")) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return STAGE_ANSWER;
    }
    exchange_answer(x, SLICE("application/octet-stream"), key);
    return STAGE_ANSWER;
}

const struct reserved challenge_reserved = {.is = is_challenge, .answer = answer};

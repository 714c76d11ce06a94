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

bool challenge_answer(struct exchange *x)
{
    const struct http_head *r = &x->request;
    const struct tls_store *store = x->core->tls;
    if (store == NULL || !challenge_is_path(r->path) ||
        (r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD)) {
        return false;
    }
    struct slice key = tls_store_http_01(store, slice_from(r->path, PREFIX.len));
    if (key.len == 0) {
        return false;
    }
    exchange_begin_answer(x, 200);
    if (fields_set_id(&x->response.fields, HTTP_CACHE_CONTROL, SLICE("no-store")) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return true;
    }
    exchange_answer(x, SLICE("application/octet-stream"), key);
    return true;
}

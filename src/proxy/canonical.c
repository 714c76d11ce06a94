// SPDX-License-Identifier: Apache-2.0
//
// 308, so that the method and the body stay (RFC 9110 15.4.9). The port the client used is kept: it
// reached this edge through it, and only the name changes.

#include "proxy/canonical.h"

#include "base/error.h"
#include "base/text.h"
#include "proxy/exchange.h"

static struct slice port_of(const struct http_head *r)
{
    // The authority is the host, perhaps with a trailing dot that `host` has lost, and ":port".
    struct slice rest = r->authority;
    ptrdiff_t bracket = slice_find_char(rest, ']');
    rest = bracket < 0 ? rest : slice_from(rest, (size_t)bracket);
    ptrdiff_t colon = slice_find_char(rest, ':');
    return colon < 0 ? slice_of("", 0) : slice_from(rest, (size_t)colon);
}

void canonical_redirect(struct exchange *x)
{
    struct slice host = x->site->redirect_to;
    struct slice port = port_of(&x->request);
    struct slice target = x->original_target;
    ensure(host.len > 0);
    if (target.len == 0 || target.ptr[0] != '/') {
        target = SLICE("/");
    }
    size_t room = sizeof("https://") + host.len + port.len + target.len;
    char *bytes = arena_bytes(&x->arena, room);
    if (bytes == NULL) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    struct text t = text_on(bytes, room);
    text_put(&t, x->client_secure ? SLICE("https://") : SLICE("http://"));
    text_put(&t, host);
    text_put(&t, port);
    text_put(&t, target);
    ensure(!t.overflow);
    exchange_begin_answer(x, 308);
    if (fields_add_id(&x->response.fields, HTTP_LOCATION, text_slice(&t)) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    exchange_answer(x, slice_of("", 0), slice_of("", 0));
}

// SPDX-License-Identifier: Apache-2.0
//
// 308, so that the method and the body stay (RFC 9110 15.4.9). From name to name the port that the
// client used is kept: it reached this edge through it. To https it is that of the first TLS listener.

#include "proxy/canonical.h"

#include "base/error.h"
#include "base/text.h"
#include "proxy/challenge.h"
#include "proxy/core.h"

enum { HTTPS_PORT = 443 };

static struct slice port_of(const struct http_head *r)
{
    // The authority is the host, perhaps with a trailing dot that `host` has lost, and ":port".
    struct slice rest = r->authority;
    ptrdiff_t bracket = slice_find_char(rest, ']');
    rest = bracket < 0 ? rest : slice_from(rest, (size_t)bracket);
    ptrdiff_t colon = slice_find_char(rest, ':');
    return colon < 0 ? slice_of("", 0) : slice_from(rest, (size_t)colon);
}

struct url {
    bool secure;
    struct slice host;
    struct slice port; // with its colon, or nothing
};

static void redirect(struct exchange *x, const struct url *to)
{
    struct slice target = x->original_target;
    if (target.len == 0 || target.ptr[0] != '/') {
        target = SLICE("/");
    }
    size_t room = sizeof("https://") + to->host.len + to->port.len + target.len;
    char *bytes = arena_bytes(&x->arena, room);
    if (bytes == NULL) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    struct text t = text_on(bytes, room);
    text_put(&t, to->secure ? SLICE("https://") : SLICE("http://"));
    text_put(&t, to->host);
    text_put(&t, to->port);
    text_put(&t, target);
    ensure(!t.overflow);
    exchange_begin_answer(x, 308);
    if (fields_add_id(&x->response.fields, HTTP_LOCATION, text_slice(&t)) != 0) {
        exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
        return;
    }
    exchange_answer(x, slice_of("", 0), slice_of("", 0));
}

// The name is kept: it has a certificate of its own, and HSTS is said by each name for itself.
static bool redirect_to_https(struct exchange *x)
{
    uint16_t port = x->core->tls_port;
    if (!x->site->to_https || port == 0 || x->client_secure || x->request.host.len == 0 ||
        challenge_is_path(x->request.path)) {
        return false;
    }
    char bytes[8];
    struct text t = text_on(bytes, sizeof(bytes));
    if (port != HTTPS_PORT) {
        text_char(&t, ':');
        text_u64(&t, port);
    }
    redirect(x, &(struct url){true, x->request.host, text_slice(&t)});
    return true;
}

bool canonical_redirect(struct exchange *x)
{
    if (redirect_to_https(x)) {
        return true;
    }
    if (x->site->redirect_to.len == 0) {
        return false;
    }
    redirect(x, &(struct url){x->client_secure, x->site->redirect_to, port_of(&x->request)});
    return true;
}

// SPDX-License-Identifier: Apache-2.0
//
// acme_ask(): whether a name may get a certificate on demand, asked of a service that the user runs.

#include "base/error.h"

#include "acme/acme.h"
#include "acme/http.h"

enum { ASK_ARENA_MAX = 1 << 20, ASK_TIME_MS = 5000, ASK_NAME_MAX = 253 };

// Names that came by SNI: letters, digits, dots, hyphens; nothing that needs escaping in a URL.
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_' || c == ':';
        if (!ok) {
            return false;
        }
    }
    return name.len > 0 && name.len <= ASK_NAME_MAX;
}

static int ask(struct slice url, struct arena *a, struct text *why)
{
    struct acme_http *http = NULL;
    struct acme_answer answer;
    int rc = acme_http_open((struct slice){NULL, 0}, NULL, &http, why);
    if (rc != 0) {
        return rc;
    }
    struct acme_call call = {
        .url = url, .time_max_ms = ASK_TIME_MS, .clear_allowed = true, .direct = true};
    rc = acme_http_call(http, &call, a, &answer, why);
    acme_http_close(http);
    if (rc == 0 && answer.status != 200) {
        text_printf(why, "the `ask` URL answered with status %d", answer.status);
        rc = E_DENIED;
    }
    return rc;
}

int acme_ask(struct slice url, struct slice name, struct text *why)
{
    if (!is_name(name)) {
        text_str(why, "not a host name");
        return E_DENIED;
    }
    char buffer[ACME_URL_MAX];
    struct text full = text_on(buffer, sizeof(buffer));
    text_put(&full, url);
    text_str(&full, slice_find_char(url, '?') < 0 ? "?domain=" : "&domain=");
    text_put(&full, name);
    if (full.overflow) {
        text_str(why, "the `ask` URL is too long");
        return E_INVALID;
    }
    struct arena a;
    arena_init(&a, NULL, 0, NULL, ASK_ARENA_MAX);
    int rc = ask(text_slice(&full), &a, why);
    arena_fini(&a);
    return rc;
}

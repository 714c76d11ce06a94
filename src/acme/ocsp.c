// SPDX-License-Identifier: Apache-2.0
//
// acme_ocsp(): carries the question to the responder that the certificate names, over clear HTTP as is
// usual: the answer is signed.

#include "tls/ocsp.h"
#include "base/error.h"
#include "os/clock.h"

#include "acme/acme.h"
#include "acme/http.h"

enum { OCSP_ARENA_MAX = 1 << 20, OCSP_TIME_MS = 15000 };

static int ask(struct slice url, struct slice question, struct arena *a, struct acme_answer *answer,
               struct text *why)
{
    struct acme_http *http = NULL;
    int rc = acme_http_open((struct slice){NULL, 0}, NULL, &http, why);
    if (rc != 0) {
        return rc;
    }
    struct acme_call call = {
        .method = ACME_POST,
        .url = url,
        .body = question,
        .content_type = "application/ocsp-request",
        .accept = "application/ocsp-response",
        .time_max_ms = OCSP_TIME_MS,
        .redirects_max = 3,
        .clear_allowed = true,
    };
    rc = acme_http_call(http, &call, a, answer, why);
    acme_http_close(http);
    if (rc == 0 && answer->status != 200) {
        text_printf(why, "the OCSP responder %.*s answered with status %d", SLICE_ARG(url),
                    answer->status);
        rc = E_INVALID; // not E_DENIED: that is what a revoked certificate is told by
    }
    return rc;
}

int acme_ocsp(struct slice chain_pem, struct arena *a, struct slice *der, uint64_t *next_update,
              struct text *why)
{
    struct arena scratch;
    struct slice question;
    struct slice url;
    struct acme_answer answer;
    arena_init(&scratch, NULL, 0, NULL, OCSP_ARENA_MAX);
    int rc = ocsp_request(chain_pem, &scratch, &question, &url);
    if (rc == 0) {
        rc = ask(url, question, &scratch, &answer, why);
    }
    if (rc == 0) {
        rc = ocsp_verify(chain_pem, answer.body, os_clock_wall_ms() / 1000, next_update, why);
    }
    if (rc == 0) {
        *der = arena_dup(a, answer.body);
        rc = der->ptr != NULL ? 0 : E_NO_MEMORY;
    }
    arena_fini(&scratch);
    return rc;
}

// SPDX-License-Identifier: Apache-2.0
//
// verdict: sets of statuses as they are written, and what counts against a server.

#include "upstream/verdict.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/doc.h"
#include "proxy/upstream.h"
#include "tap.h"

static const char *text_of(const struct status_set *s)
{
    static char buffer[200];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    status_set_text(s, &t);
    buffer[t.len] = '\0';
    return buffer;
}

static void sets(void)
{
    static const char *const bad[] = {"",        "99",      "600",     "20",       "2000",
                                      "abc",     "6xx",     "2x",      "200-",     "-200",
                                      "300-200", "200-600", "2xx-3xx", "200 - 300"};
    struct status_set s = {{0}};
    CHECK_STR(text_of(&s), "");
    CHECK(!status_set_has(&s, 0) && !status_set_has(&s, 200) && !status_set_has(&s, 100000));
    CHECK(status_set_parse(&s, SLICE("204")) == 0);
    CHECK(status_set_parse(&s, SLICE("300-399")) == 0);
    CHECK(status_set_parse(&s, SLICE("5xx")) == 0);
    CHECK_STR(text_of(&s), "204, 300-399, 500-599");
    CHECK(status_set_has(&s, 599) && !status_set_has(&s, 205) && !status_set_has(&s, 299));
    for (size_t i = 0; i < array_len(bad); i++) {
        if (!CHECK(status_set_parse(&s, slice_str(bad[i])) == E_INVALID)) {
            printf("# it is %s\n", bad[i]);
        }
    }
    struct conf_node none = {NULL, 0};
    status_set_compile(&s, none, "502, 503, 504");
    CHECK_STR(text_of(&s), "502-504");
}

static void verdicts(void)
{
    struct status_set bad = {{0}};
    status_set_add(&bad, 502, 504);
    static const struct {
        struct upstream_outcome o;
        enum verdict verdict;
    } table[] = {
        {{.status = 200}, VERDICT_GOOD},
        {{.status = 404}, VERDICT_GOOD},
        {{.status = 500}, VERDICT_GOOD},
        {{.status = 503}, VERDICT_BAD},
        {{.error = E_REFUSED}, VERDICT_BAD},
        {{.error = E_RESET}, VERDICT_BAD},
        {{.error = E_CONNECT_TIMEOUT}, VERDICT_BAD},
        {{.error = E_RESPONSE_TIMEOUT}, VERDICT_BAD},
        {{.error = E_TLS_UNTRUSTED}, VERDICT_BAD},
        {{.error = E_BAD_STATUS_LINE}, VERDICT_BAD},
        {{.error = E_NOT_RESOLVED}, VERDICT_BAD},
        {{.error = E_NO_MEMORY}, VERDICT_NONE},
        {{.error = E_NO_PORTS}, VERDICT_NONE},
        {{.error = E_UPSTREAM_FULL}, VERDICT_NONE},
        {{.error = E_CLIENT_GONE}, VERDICT_NONE},
        {{.status = 503, .abandoned = true}, VERDICT_NONE},
        {{.error = E_RESET, .abandoned = true}, VERDICT_NONE},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        CHECK_EQ_INT(verdict_of(&table[i].o, &bad), table[i].verdict);
    }
}

TAP_MAIN(sets, verdicts)

// SPDX-License-Identifier: Apache-2.0
//
// Error answers in all their forms.

#include "proxy/error_page.h"

#include "proxy/fake_exchange.h"
#include "proxy/vars.h"

static struct slice page_type;
static struct slice page;

// What exchange.c does with an answer is not wanted here: only what it is given.
void exchange_begin_answer(struct exchange *x, unsigned status)
{
    fields_init(&x->response.fields, &x->arena, 32768, 100);
    x->response.status = (uint16_t)status;
    x->response.upgrade = slice_of("", 0);
}

void exchange_answer_kept(struct exchange *x, struct slice content_type, struct slice body)
{
    (void)x;
    page_type = content_type;
    page = body;
}

static bool page_has(const char *text)
{
    return slice_find(page, slice_str(text)) >= 0;
}

static void has_a_page_for_every_status(void)
{
    for (unsigned status = 400; status < 600; status++) {
        static const char *const accepts[] = {"", "text/html", "application/json", "*/*"};
        for (size_t i = 0; i < array_len(accepts); i++) {
            struct fake *f = fake_new();
            fake_field(f, "Accept", accepts[i]);
            error_page_answer(&f->x, status);
            CHECK_EQ_INT(f->x.response.status, status);
            char digits[8];
            (void)snprintf(digits, sizeof(digits), "%u", status);
            CHECK(page_has(digits));
            CHECK(page_has("00000000000000ab"));
            fake_free(f);
        }
    }
}

static void speaks_the_clients_language(void)
{
    static const struct {
        const char *accept;
        const char *type;
    } rows[] = {
        {"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"},
        {"application/json", "application/problem+json"},
        {"application/problem+json", "application/problem+json"},
        {"*/*", "text/plain; charset=utf-8"},
        {"text/html;q=0.3, application/json", "application/problem+json"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        fake_field(f, "Accept", rows[i].accept);
        error_page_answer(&f->x, 502);
        CHECK_TEXT(page_type.ptr, page_type.len, rows[i].type);
        fake_free(f);
    }
}

static void names_the_broken_rule_of_the_client_only(void)
{
    struct fake *f = fake_new();
    fake_field(f, "Accept", "application/json");
    f->x.error = E_LENGTH_AND_CODING;
    f->x.error_side = HTTP_DOWN;
    error_page_answer(&f->x, 400);
    CHECK(page_has("\"rule\":\"Content-Length with Transfer-Encoding (RFC 9112 6.1)\""));
    CHECK(page_has("\"side\":\"request\""));
    f->x.error_side = HTTP_UP;
    error_page_answer(&f->x, 502);
    CHECK(!page_has("Content-Length"));
    CHECK(page_has("\"side\":\"origin\""));
    f->x.error = E_NO_SERVER;
    f->x.error_side = HTTP_DOWN;
    error_page_answer(&f->x, 503);
    CHECK(!page_has("no server"));
    fake_free(f);
}

static void has_the_fields_a_status_demands(void)
{
    struct fake *f = fake_new();
    const struct fields *r = &f->x.response.fields;
    error_page_answer(&f->x, 503);
    CHECK(slice_eq(fields_get_id(r, HTTP_RETRY_AFTER), SLICE("5")));
    f->x.first.ticket.retry_ms = 8001; // the upstream knows
    error_page_answer(&f->x, 503);
    CHECK(slice_eq(fields_get_id(r, HTTP_RETRY_AFTER), SLICE("9")));
    CHECK(slice_eq(fields_get_id(r, HTTP_CACHE_CONTROL), SLICE("no-store")));
    CHECK(slice_eq(fields_get_id(r, HTTP_X_REQUEST_ID), SLICE("00000000000000ab")));
    error_page_answer(&f->x, 405);
    CHECK(fields_has(r, HTTP_ALLOW));
    CHECK(!fields_has(r, HTTP_RETRY_AFTER));
    error_page_answer(&f->x, 426);
    CHECK(f->x.response.upgrade.len > 0);
    fake_free(f);
}

static void maps_errors_to_statuses(void)
{
    CHECK_EQ_INT(error_page_status(E_BAD_LENGTH, HTTP_DOWN), 400);
    CHECK_EQ_INT(error_page_status(E_BAD_LENGTH, HTTP_UP), 502);
    CHECK_EQ_INT(error_page_status(E_CODING_UNKNOWN, HTTP_UP), 502);
    CHECK_EQ_INT(error_page_status(E_HEAD_TOO_LARGE, HTTP_UP), 502);
    CHECK_EQ_INT(error_page_status(E_CONNECT_TIMEOUT, HTTP_UP), 504);
    CHECK_EQ_INT(error_page_status(E_NO_SERVER, HTTP_UP), 503);
    CHECK_EQ_INT(error_page_status(E_EOF, HTTP_UP), 500);
    CHECK_EQ_INT(error_page_status(E_IDLE_TIMEOUT, HTTP_UP), 502);
    CHECK_EQ_INT(error_page_status(E_INVALID, HTTP_DOWN), 500);
    CHECK_EQ_INT(error_page_status(E_NO_ROUTE, HTTP_DOWN), 404);
}

// An exchange that is out of memory still gets its status.
static void does_without_a_body(void)
{
    struct fake *f = fake_new();
    while (arena_bytes(&f->x.arena, 1024) != NULL) {
    }
    error_page_answer(&f->x, 503);
    CHECK_EQ_INT(f->x.response.status, 503);
    CHECK_EQ_INT(page.len, 0);
    CHECK_EQ_INT(page_type.len, 0);
    fake_free(f);
}

static void grpc_gets_no_page(void)
{
    struct fake *f = fake_new();
    fake_field(f, "content-type", "application/grpc");
    error_page_answer(&f->x, 502);
    CHECK_EQ_INT(f->x.response.status, 200);
    CHECK_EQ_INT(page.len, 0);
    struct slice code = fields_get(&f->x.response.fields, SLICE("grpc-status"));
    CHECK(slice_eq(code, SLICE("14")));
    fake_free(f);
}

static struct upstream *choose_nothing(struct upstream *u, const struct upstream_request *rq)
{
    (void)u;
    (void)rq;
    return NULL;
}

static void names_the_machine_that_a_tunnel_lacks(void)
{
    static const struct upstream_ops ops = {.choose = choose_nothing};
    static const struct upstream_ops plain = {0};
    static struct upstream zone;
    static const struct route route = {.upstream = &zone};
    static const struct {
        int error;
        unsigned status;
        const char *words;
    } rows[] = {{E_NO_TUNNEL, 404, "No tunnel is open at this address."},
                {E_QUEUE_TIMEOUT, 503, "The machine behind this address is away or busy."},
                {E_NO_SERVER, 503, "The machine behind this address is away or busy."}};
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        f->x.route = &route;
        f->x.error = rows[i].error;
        zone.ops = &ops;
        error_page_answer(&f->x, rows[i].status);
        CHECK(page_has(rows[i].words));
        zone.ops = &plain;
        error_page_answer(&f->x, rows[i].status);
        CHECK(!page_has(rows[i].words));
        fake_free(f);
    }
}

TAP_MAIN(names_the_machine_that_a_tunnel_lacks, grpc_gets_no_page, has_a_page_for_every_status,
         speaks_the_clients_language, names_the_broken_rule_of_the_client_only,
         has_the_fields_a_status_demands, maps_errors_to_statuses, does_without_a_body)

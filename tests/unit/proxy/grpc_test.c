// SPDX-License-Identifier: Apache-2.0
//
// gRPC's answers and deadlines.

#include "proxy/grpc.h"

#include "proxy/fake_answer.h"

static void knows_its_requests(void)
{
    static const struct {
        const char *type;
        bool grpc;
    } rows[] = {
        {"application/grpc", true},      {"application/grpc+proto", true},
        {"application/grpc;x=y", true},  {"Application/gRPC", true},
        {"application/grpc-web", false}, {"application/grpc-web+proto", false},
        {"application/json", false},     {"", false},
        {"application/grpcx", false},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        fake_field(f, "content-type", rows[i].type);
        CHECK(grpc_is_request(&f->x) == rows[i].grpc);
        fake_free(f);
    }
}

static void maps_statuses(void)
{
    CHECK_EQ_INT(grpc_status_of(400), 13);
    CHECK_EQ_INT(grpc_status_of(401), 16);
    CHECK_EQ_INT(grpc_status_of(403), 7);
    CHECK_EQ_INT(grpc_status_of(404), 12);
    CHECK_EQ_INT(grpc_status_of(429), 14);
    CHECK_EQ_INT(grpc_status_of(502), 14);
    CHECK_EQ_INT(grpc_status_of(503), 14);
    CHECK_EQ_INT(grpc_status_of(504), 14);
    CHECK_EQ_INT(grpc_status_of(413), 8);
    CHECK_EQ_INT(grpc_status_of(418), 2);
    CHECK_EQ_INT(grpc_status_of(500), 2);
}

static void reads_deadlines(void)
{
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("1S")), 1000);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("250m")), 250);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("2M")), 120000);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("1H")), 3600000);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("1500u")), 2);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("1n")), 1);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("0m")), 1);
    CHECK(grpc_timeout_ms(SLICE("99999999H")) == UINT32_MAX);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("")), 0);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("S")), 0);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("5")), 0);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("5s")), 0);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("-5S")), 0);
    CHECK_EQ_INT(grpc_timeout_ms(SLICE("123456789S")), 0);
}

static const char *field_of(struct fake *f, const char *name)
{
    static char value[600];
    struct slice s = fields_get(&f->x.response.fields, slice_str(name));
    (void)snprintf(value, sizeof value, "%.*s", SLICE_ARG(s));
    return value;
}

static void answers_with_header_fields_only(void)
{
    struct fake *f = fake_new();
    fake_field(f, "content-type", "application/grpc");
    grpc_answer(&f->x, 503, SLICE("caf\xc3\xa9 100%\n"));
    CHECK_EQ_INT(answered.status, 200);
    CHECK_EQ_INT(answered.body.len, 0);
    CHECK_TEXT(answered.type.ptr, answered.type.len, "application/grpc");
    CHECK_STR(field_of(f, "grpc-status"), "14");
    CHECK_STR(field_of(f, "grpc-message"), "caf%C3%A9 100%25%0A");
    CHECK_STR(field_of(f, "x-request-id"), "00000000000000ab");
    fake_free(f);
}

static void a_deadline_that_has_passed_is_named(void)
{
    struct fake *f = fake_new();
    fake_field(f, "content-type", "application/grpc");
    CHECK(grpc_time_left_ms(&f->x) == UINT32_MAX);
    fake_field(f, "grpc-timeout", "100m");
    f->x.times.start = 1000000000;
    f->loop.now_ns = 1040000000;
    CHECK_EQ_INT(grpc_time_left_ms(&f->x), 60);
    grpc_answer(&f->x, 504, SLICE("x"));
    CHECK_STR(field_of(f, "grpc-status"), "14");
    f->loop.now_ns = 1100000000;
    CHECK_EQ_INT(grpc_time_left_ms(&f->x), 1);
    grpc_answer(&f->x, 504, SLICE("x"));
    CHECK_STR(field_of(f, "grpc-status"), "4");
    grpc_answer(&f->x, 404, SLICE("x"));
    CHECK_STR(field_of(f, "grpc-status"), "12");
    fake_free(f);
}

TAP_MAIN(knows_its_requests, maps_statuses, reads_deadlines, answers_with_header_fields_only,
         a_deadline_that_has_passed_is_named)

// SPDX-License-Identifier: Apache-2.0
//
// Edits of header fields.

#include "headers/headers.h"
#include "stage.h"

static struct slice all_of(const struct fields *f)
{
    static char bytes[2048];
    struct text t = text_on(bytes, sizeof(bytes));
    for (unsigned i = 0; i < f->count; i++) {
        text_put(&t, field_name(f, &f->entries[i]));
        text_put(&t, SLICE(": "));
        text_put(&t, field_value(f, &f->entries[i]));
        text_put(&t, SLICE(";"));
    }
    return text_slice(&t);
}

struct row {
    const char *edits; // of the request
    const char *result;
};

// The request has A: 1, Cookie: c, a: 2.
static const struct row rows[] = {
    {"remove: a", "Cookie: c;"},
    {"remove: [cookie, x]", "A: 1;a: 2;"},
    {"set: {a: 3}", "A: 3;Cookie: c;"},
    {"add: {a: 3}", "a: 3"},
    {"add: {x-b: $host}", "x-b: example.com;"},
    {"remove: a, add: {a: 4}, set: {a: 5}", "a: 5;a: 4;"},
    {"set: {x-e: ''}", "x-e: ;"},
    {"set: {user-agent: '$header(cookie)!'}", "user-agent: c!;"},
};

static void edits_requests(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        char directives[256];
        struct stage s;
        (void)snprintf(directives, sizeof(directives), "headers: {request: {%s}}, respond: x",
                       rows[i].edits);
        stage_begin(&s, &headers_module, directives);
        fake_field(s.f, "A", "1");
        fake_field(s.f, "Cookie", "c");
        fake_field(s.f, "a", "2");
        CHECK_EQ_INT(stage_request(&s), STAGE_CONTINUE);
        struct slice got = all_of(&s.f->x.request.fields);
        if (!CHECK(slice_find(got, slice_str(rows[i].result)) >= 0)) {
            printf("#   %s gives %.*s\n", rows[i].edits, SLICE_ARG(got));
        }
        stage_end(&s);
    }
}

static void edits_responses(void)
{
    struct stage s;
    stage_begin(&s, &headers_module,
                "headers: {response: {remove: server, set: {x-s: $status}}}, respond: x");
    struct fields *f = &s.f->x.response.fields;
    s.f->x.response.status = 201;
    REQUIRE(fields_add(f, SLICE("Server"), SLICE("secret/1.0")) == 0);
    CHECK_EQ_INT(stage_request(&s), STAGE_CONTINUE);
    CHECK_EQ_INT(stage_response(&s), STAGE_CONTINUE);
    struct slice got = all_of(f);
    CHECK_TEXT(got.ptr, got.len, "x-s: 201;");
    stage_end(&s);
}

static void applies_every_level_from_outside_in(void)
{
    struct fake_conf c;
    struct fake *f = fake_new();
    REQUIRE(fake_compile(&c, "headers: {request: {set: {x-a: top, x-b: top}}}\n"
                             "sites:\n"
                             "  default:\n"
                             "    headers: {request: {set: {x-b: site, x-c: site}}}\n"
                             "    routes:\n"
                             "      - {path: /, headers: {request: {set: {x-c: route}}}, "
                             "respond: x}\n") == 0);
    const struct route *r = &c.snapshot->fallback->routes[0];
    unsigned index = module_index(&headers_module);
    CHECK_EQ_INT(headers_module.on_request(&f->x, r->conf[index]), STAGE_CONTINUE);
    struct slice got = all_of(&f->x.request.fields);
    CHECK_TEXT(got.ptr, got.len, "x-a: top;x-b: site;x-c: route;");
    fake_free(f);
    fake_conf_free(&c);
}

static void refuses_values_that_break_lines(void)
{
    struct stage s;
    stage_begin(&s, &headers_module,
                "headers: {request: {set: {x-q: '$header(x-evil)'}}, "
                "response: {set: {x-q: '$header(x-evil)', x-r: fine}}}, respond: x");
    fake_field(s.f, "X-Evil", "a\r\nb: c");
    CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
    CHECK_EQ_INT(answered.error, E_BAD_FIELD_VALUE);
    CHECK_EQ_INT(stage_response(&s), STAGE_CONTINUE);
    struct slice got = all_of(&s.f->x.response.fields);
    CHECK_TEXT(got.ptr, got.len, "x-r: fine;");
    stage_end(&s);
}

static void leaves_what_belongs_to_a_connection(void)
{
    CHECK(stage_refuses("headers: {response: {set: {Content-Length: 5}}}, respond: x",
                        "belongs to a connection"));
    CHECK(stage_refuses("headers: {request: {add: {transfer-encoding: chunked}}}, respond: x",
                        "belongs to a connection"));
    CHECK(stage_refuses("headers: {request: {set: {host: a}}}, respond: x", "`host`"));
    CHECK(stage_refuses("headers: {request: {set: {x-a: \"a\\nb\"}}}, respond: x", "one line"));
    CHECK(stage_refuses("headers: {request: {set: {\"x a\": b}}}, respond: x", "x a"));
}

TAP_MAIN(edits_requests, edits_responses, applies_every_level_from_outside_in,
         refuses_values_that_break_lines, leaves_what_belongs_to_a_connection)

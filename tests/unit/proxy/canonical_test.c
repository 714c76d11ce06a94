// SPDX-License-Identifier: Apache-2.0
//
// The redirect to a site's canonical name.

#include "proxy/canonical.h"

#include "proxy/fake_exchange.h"

void exchange_begin_answer(struct exchange *x, unsigned status)
{
    fields_init(&x->response.fields, &x->arena, 32768, 100);
    x->response.status = (uint16_t)status;
}

void exchange_answer(struct exchange *x, struct slice content_type, struct slice body)
{
    (void)content_type;
    CHECK_EQ_INT(body.len, 0);
    x->answered = true;
}

void exchange_fail(struct exchange *x, int error, enum http_side side)
{
    (void)side;
    x->error = error;
}

struct row {
    const char *authority;
    const char *target;
    bool secure;
    const char *location;
};

static const struct row rows[] = {
    {"www.example.com", "/a?b=c", false, "http://example.com/a?b=c"},
    {"www.example.com", "/", true, "https://example.com/"},
    {"www.example.com:8080", "/x", false, "http://example.com:8080/x"},
    {"[::1]:8080", "/x", false, "http://example.com:8080/x"},
    {"[::1]", "/x", false, "http://example.com/x"},
    {"www.example.com", "*", false, "http://example.com/"},
    {"www.example.com", "//evil.example/", false, "http://example.com//evil.example/"},
};

static void keeps_all_but_the_name(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        const struct site site = {.redirect_to = SLICE_INIT("example.com")};
        f->x.site = &site;
        f->x.request.authority = slice_str(rows[i].authority);
        f->x.original_target = slice_str(rows[i].target);
        f->x.client_secure = rows[i].secure;
        CHECK(canonical_redirect(&f->x));
        CHECK(f->x.answered);
        CHECK_EQ_INT(f->x.response.status, 308);
        struct slice got = fields_get_id(&f->x.response.fields, HTTP_LOCATION);
        CHECK_TEXT(got.ptr, got.len, rows[i].location);
        fake_free(f);
    }
}

static const struct {
    const char *host;
    const char *path;
    uint16_t port;
    bool secure;
    const char *location; // NULL: none
} to_https[] = {
    {"www.example.com", "/a?b=c", 443, false, "https://www.example.com/a?b=c"},
    {"www.example.com", "/", 8443, false, "https://www.example.com:8443/"},
    {"[::1]", "/", 443, false, "https://[::1]/"},
    {"www.example.com", "/", 443, true, NULL},
    {"www.example.com", "/", 0, false, NULL},
    {"", "/", 443, false, NULL},
    {"www.example.com", "/.well-known/acme-challenge/x", 443, false, NULL},
};

static void sends_clients_to_https(void)
{
    for (size_t i = 0; i < array_len(to_https); i++) {
        struct fake *f = fake_new();
        const struct site site = {.to_https = true};
        f->core.tls_port = to_https[i].port;
        f->x.site = &site;
        f->x.request.host = slice_str(to_https[i].host);
        f->x.request.path = slice_str(to_https[i].path);
        f->x.original_target = f->x.request.path;
        f->x.client_secure = to_https[i].secure;
        CHECK(canonical_redirect(&f->x) == (to_https[i].location != NULL));
        CHECK(f->x.answered == (to_https[i].location != NULL));
        if (to_https[i].location != NULL) {
            struct slice got = fields_get_id(&f->x.response.fields, HTTP_LOCATION);
            CHECK_TEXT(got.ptr, got.len, to_https[i].location);
        }
        fake_free(f);
    }
}

static void https_comes_before_the_name(void)
{
    struct fake *f = fake_new();
    const struct site site = {.to_https = true, .redirect_to = SLICE_INIT("a.com")};
    f->core.tls_port = 443;
    f->x.site = &site;
    f->x.request.host = SLICE("www.a.com");
    f->x.request.authority = SLICE("www.a.com:80");
    f->x.original_target = SLICE("/x");
    CHECK(canonical_redirect(&f->x));
    struct slice got = fields_get_id(&f->x.response.fields, HTTP_LOCATION);
    CHECK_TEXT(got.ptr, got.len, "https://www.a.com/x");
    fake_free(f);
}

TAP_MAIN(keeps_all_but_the_name, sends_clients_to_https, https_comes_before_the_name)

// SPDX-License-Identifier: Apache-2.0
//
// Which cookies of a tunnel stay with it, and what it may clear.

#include "tunnel/cookies.h"

#include "base/arena.h"
#include "http/fields.h"
#include "tap.h"

static bool ok(const char *cookie)
{
    return tunnel_cookie_ok(slice_str(cookie), SLICE("myapp.tunnel.example.com"));
}

static void its_own_are_let_through(void)
{
    CHECK(ok("a=1"));
    CHECK(ok("a=1; Path=/; Secure; HttpOnly"));
    CHECK(ok("a=1; Domain=myapp.tunnel.example.com"));
    CHECK(ok("a=1; domain=.MyApp.Tunnel.Example.com ; Path=/"));
    CHECK(ok("a=1; Domain=api.myapp.tunnel.example.com"));
    CHECK(ok("a=1; Domain=; Path=/"));
    CHECK(ok("a=domain=example.com"));
    CHECK(ok("a=1; DomainX=example.com"));
}

static void wider_ones_are_dropped(void)
{
    CHECK(!ok("a=1; Domain=tunnel.example.com"));
    CHECK(!ok("a=1; Domain=.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=example.com"));
    CHECK(!ok("a=1; Domain=com"));
    CHECK(!ok("a=1; DOMAIN = tunnel.example.com"));
    CHECK(!ok("a=1;Domain=other.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=xmyapp.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=tunnel.example.com; Domain=myapp.tunnel.example.com"));
    CHECK(!ok("a=1; Domain=myapp.tunnel.example.com; Domain=tunnel.example.com"));
}

/** Of two lines what is left in all, comma and blank between them; empty: nothing. */
static void narrow(const char *first, const char *second, char *out, size_t size)
{
    struct arena a;
    struct fields f;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    fields_init(&f, &a, 4096, 16);
    REQUIRE(fields_add(&f, SLICE("Clear-Site-Data"), slice_str(first)) == 0);
    REQUIRE(fields_add(&f, SLICE("X-Clear-Site-Data"), SLICE("\"cookies\"")) == 0);
    if (second != NULL) {
        REQUIRE(fields_add(&f, SLICE("clear-site-data"), slice_str(second)) == 0);
    }
    tunnel_narrow_clear_site_data(&f);
    struct slice left = fields_get(&f, SLICE("Clear-Site-Data"));
    (void)snprintf(out, size, "%.*s", SLICE_ARG(left));
    CHECK_EQ_INT(f.count, left.len > 0 ? 2 : 1);
    arena_fini(&a);
}

static void what_reaches_other_tenants_is_not_cleared(void)
{
    static const struct {
        const char *first, *second, *left;
    } rows[] = {
        {"\"cache\"", NULL, "\"cache\""},
        {"\"cookies\"", NULL, ""},
        {"\"*\"", NULL, "\"cache\", \"storage\""},
        {"\"cookies\", \"storage\"", NULL, "\"storage\""},
        {"\"storage\",\"cookies\" ,\t\"cache\"", NULL, "\"cache\", \"storage\""},
        {"\"executionContexts\"", "\"cookies\", \"*\"",
         "\"cache\", \"storage\", \"executionContexts\""},
        {"\"Cookies\"", "cookies", ""},
        {"\"x,\"cookies\",y\"", NULL, ""}, // a quoted comma is one to a browser
        {"\"what comes next year\"", NULL, ""},
        {"", NULL, ""},
        {",,", ",\"cache\"", "\"cache\""},
        {"\"cache\", \"storage\", \"clientHints\", \"executionContexts\", \"prefetchCache\", "
         "\"prerenderCache\", \"cookies\"",
         NULL,
         "\"cache\", \"storage\", \"clientHints\", \"executionContexts\", \"prefetchCache\", "
         "\"prerenderCache\""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char left[256];
        narrow(rows[i].first, rows[i].second, left, sizeof(left));
        CHECK_STR(left, rows[i].left);
    }
}

TAP_MAIN(its_own_are_let_through, wider_ones_are_dropped, what_reaches_other_tenants_is_not_cleared)

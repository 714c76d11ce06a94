// SPDX-License-Identifier: Apache-2.0
//
// sticky: what a cookie is called and says, and which values name a server.

#include "upstream/sticky.h"

#include "tap.h"

struct world {
    struct arena arena;
    struct http_head head;
    struct http_peer peer;
    struct upstream_subject subject;
    struct sticky_plan plan;
    struct balance_server servers[3];
};

static void setup_world(struct world *w, const char *form)
{
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, NULL, 0, NULL, 1 << 16);
    http_head_init(&w->head, &w->arena, 16384, 100);
    w->subject =
        (struct upstream_subject){.request = &w->head, .peer = &w->peer, .arena = &w->arena};
    REQUIRE(sticky_parse(slice_str(form), SLICE("app"), &w->plan));
    sticky_set_key(&w->plan, SLICE("0123456789abcdef"));
    for (uint32_t i = 0; i < 3; i++) {
        w->servers[i].id = 100 + i;
        w->servers[i].token = sticky_token(&w->plan, 100 + i);
    }
}

static void set_request_cookie(struct world *w, const char *text)
{
    REQUIRE(fields_set_id(&w->head.fields, HTTP_COOKIE, slice_str(text)) == 0);
}

static int found(const struct world *w)
{
    return sticky_find(&w->plan, w->servers, 3, &w->subject);
}

static void reads_its_forms(void)
{
    static const struct {
        const char *text;
        const char *secure; // NULL: refused
        const char *clear;
    } rows[] = {
        {"cookie", "__Host-adit-60edf3f7", "adit-60edf3f7"},
        {" cookie ", "__Host-adit-60edf3f7", "adit-60edf3f7"},
        {"cookie sid", "sid", "sid"},
        {"cookie __Host-sid", "__Host-sid", "sid"},
        {"cookie __Secure-sid", "__Secure-sid", "sid"},
        {"cookie __Host-", NULL, NULL},
        {"cookie a b", NULL, NULL},
        {"cookie a=b", NULL, NULL},
        {"header x", NULL, NULL},
        {"sid", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct sticky_plan p;
        bool ok = sticky_parse(slice_str(rows[i].text), SLICE("app"), &p);
        if (CHECK(ok == (rows[i].secure != NULL)) && ok) {
            CHECK_TEXT(p.secure.text, p.secure.len, rows[i].secure);
            CHECK_TEXT(p.clear.text, p.clear.len, rows[i].clear);
        }
    }
    struct sticky_plan other;
    REQUIRE(sticky_parse(SLICE("cookie"), SLICE("api"), &other));
    CHECK(!slice_eq(slice_of(other.clear.text, other.clear.len), SLICE("adit-60edf3f7")));
}

static void tokens_depend_on_the_key(void)
{
    struct world w;
    setup_world(&w, "cookie");
    struct sticky_plan b = w.plan;
    sticky_set_secret(&b, SLICE("a key of several edges"));
    struct sticky_plan c = w.plan;
    sticky_set_secret(&c, SLICE("a key of several edgeS"));
    CHECK(sticky_token(&w.plan, 1) != sticky_token(&w.plan, 2));
    CHECK(sticky_token(&w.plan, 1) != sticky_token(&b, 1));
    CHECK(sticky_token(&b, 1) != sticky_token(&c, 1));
    CHECK(sticky_token(&b, 1) == 0xbc47ee0af14f5855u); // edges and versions agree
    b.keyed = false;
    CHECK_EQ_INT(sticky_token(&b, 1), 0);
    CHECK_EQ_INT(sticky_find(&b, w.servers, 3, &w.subject), -1);
    b.on = false;
    CHECK_EQ_INT(sticky_find(&b, w.servers, 3, NULL), -1);
    CHECK_EQ_INT(sticky_find(&w.plan, w.servers, 3, NULL), -1);
    arena_fini(&w.arena);
}

static void what_is_set_is_found_again(void)
{
    for (int secure = 0; secure < 2; secure++) {
        struct world w;
        struct slice cookie;
        setup_world(&w, "cookie __Host-sid");
        w.peer.secure = secure != 0;
        CHECK_EQ_INT(found(&w), -1);
        REQUIRE(sticky_cookie(&w.plan, w.servers[1].token, &w.subject, &cookie) == 0);
        char want[128];
        (void)snprintf(want, sizeof want, "%ssid=%016" PRIx64 "; Path=/; HttpOnly; SameSite=Lax%s",
                       secure ? "__Host-" : "", w.servers[1].token, secure ? "; Secure" : "");
        CHECK_TEXT(cookie.ptr, cookie.len, want);
        *strchr(want, ';') = '\0';
        set_request_cookie(&w, want);
        CHECK_EQ_INT(found(&w), 1);
        w.servers[1].token = 7; // it is gone
        CHECK_EQ_INT(found(&w), -1);
        arena_fini(&w.arena);
    }
}

static void values_that_name_nobody(void)
{
    static const char *const values[] = {
        "sid=",
        "sid=0000000000000000",
        "sid=0000000000000001",
        "sid=ffffffffffffffff",
        "sid=%016" PRIx64 "0",
        "sid=0%016" PRIx64,
        "sid=x%.15" PRIx64,
        "sid=+%.15" PRIx64,
        "sid= %016" PRIx64 " x",
        "SID=%016" PRIx64,
        "sid2=%016" PRIx64,
        "other=1",
    };
    struct world w;
    setup_world(&w, "cookie sid");
    for (size_t i = 0; i < array_len(values); i++) {
        char text[100];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof text, values[i], w.servers[2].token);
#pragma GCC diagnostic pop
        set_request_cookie(&w, text);
        CHECK_EQ_INT(found(&w), -1);
    }
    // A stale one before the good one, as with a cookie of a parent domain.
    char text[100];
    (void)snprintf(text, sizeof text, "sid=junk; sid=\"%016" PRIx64 "\"", w.servers[2].token);
    set_request_cookie(&w, text);
    CHECK_EQ_INT(found(&w), 2);
    arena_fini(&w.arena);
}

TAP_MAIN(reads_its_forms, tokens_depend_on_the_key, what_is_set_is_found_again,
         values_that_name_nobody)

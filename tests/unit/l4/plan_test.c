// SPDX-License-Identifier: Apache-2.0
//
// Listeners of streams: what is listened on, and keys by which a stream is known again.

#include "l4/plan.h"

#include "conf/load.h"
#include "tap.h"

static struct conf_doc *doc;

static uint32_t plan(const char *yaml, struct l4_plan_listener out[L4_PLAN_LISTENERS_MAX])
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    int rc = conf_load_text("test.yaml", yaml, conf_tables, d, &doc);
    conf_diags_free(d);
    REQUIRE(rc == 0);
    return l4_plan_listeners(conf_root(doc), out);
}

static void tells_where_streams_listen(void)
{
    struct l4_plan_listener l[L4_PLAN_LISTENERS_MAX];
    uint32_t n = plan("streams:\n"
                      "  - {listen: \":5432\", proxy: 10.0.0.1:5432}\n"
                      "  - {listen: {at: \"udp://127.0.0.1:53\", backlog: 7}, proxy: 10.0.0.1:53}\n"
                      "  - {listen: \"tcp://127.0.0.1:53\", proxy: 10.0.0.1:53}\n",
                      l);
    CHECK_EQ_INT(n, 3);
    CHECK_TEXT(l[0].address.ptr, l[0].address.len, "[::]:5432");
    CHECK(!l[0].datagram);
    CHECK_EQ_INT(l[0].backlog, 4096);
    CHECK_TEXT(l[1].address.ptr, l[1].address.len, "127.0.0.1:53");
    CHECK(l[1].datagram);
    CHECK_EQ_INT(l[1].backlog, 7);
    CHECK_TEXT(l[2].address.ptr, l[2].address.len, "127.0.0.1:53");
    CHECK(l[1].key != l[2].key);
    CHECK(l[0].key != 0);
    conf_doc_free(doc);
}

static void a_stream_is_known_by_where_it_listens(void)
{
    struct l4_plan_listener a[L4_PLAN_LISTENERS_MAX];
    struct l4_plan_listener b[L4_PLAN_LISTENERS_MAX];
    (void)plan("streams: [{listen: 5432, proxy: 10.0.0.1:5432}]", a);
    conf_doc_free(doc);
    uint32_t n = plan("streams:\n"
                      "  - {listen: 99, proxy: 10.0.0.2:1}\n"
                      "  - {listen: 5432, proxy: 10.0.0.2:1}\n",
                      b);
    CHECK_EQ_INT(n, 2);
    CHECK(a[0].key == b[1].key);
    CHECK(a[0].key != b[0].key);
    conf_doc_free(doc);
    n = plan("streams:\n"
             "  - {listen: \"127.0.0.1:0\", proxy: 3000}\n"
             "  - {listen: \"127.0.0.1:0\", proxy: 3000}\n",
             a);
    CHECK_EQ_INT(n, 2);
    CHECK(a[0].key != a[1].key);
    conf_doc_free(doc);
    CHECK_EQ_INT(plan("sites: {a.example.com: {proxy: 3000}}", a), 0);
    conf_doc_free(doc);
}

TAP_MAIN(tells_where_streams_listen, a_stream_is_known_by_where_it_listens)

// SPDX-License-Identifier: Apache-2.0
//
// Lists of networks: what they have, exceptions included, and what is said of bad ones. How they are
// put together over the levels of a site is for access/networks_test.c.

#include "net/networks.h"

#include "base/error.h"
#include "conf/conf_help.h"

static bool has(const char *list, const char *client)
{
    char yaml[256];
    (void)snprintf(yaml, sizeof(yaml), "streams: [{listen: 1, proxy: 2, allow: %s}]\n", list);
    struct conf_doc *doc = load(yaml);
    REQUIRE(doc != NULL);
    struct arena arena;
    arena_init(&arena, NULL, 0, NULL, 1 << 16);
    struct conf_diags *d = conf_diags_new();
    struct network_list networks;
    struct conf_node stream = conf_first(conf_get(conf_root(doc), "streams"));
    REQUIRE(network_list_compile(&networks, conf_get(stream, "allow"), &arena, d) == 0);
    struct os_addr a;
    REQUIRE(os_addr_parse(slice_str(client), &a) == 0);
    bool found = network_list_has(&networks, &a);
    conf_diags_free(d);
    arena_fini(&arena);
    conf_doc_free(doc);
    return found;
}

static void lists_have_networks(void)
{
    CHECK(has("10.0.0.0/8", "10.1.2.3:1"));
    CHECK(!has("10.0.0.0/8", "11.1.2.3:1"));
    CHECK(has("[192.0.2.1, '2001:db8::/32']", "[2001:db8::9]:1"));
    CHECK(has("10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
    CHECK(has("unix", "unix:/run/x"));
    CHECK(!has("['0.0.0.0/0', '::/0']", "unix:/run/x"));
}

static void exceptions_hold_wherever_they_stand(void)
{
    CHECK(!has("[10.0.0.0/8, not 10.9.0.0/16]", "10.9.0.1:1"));
    CHECK(!has("[not 10.9.0.0/16, 10.0.0.0/8]", "10.9.0.1:1"));
    CHECK(has("[not 10.9.0.0/16, 10.0.0.0/8]", "10.8.0.1:1"));
    CHECK(has("not 10.9.0.0/16", "192.0.2.1:1"));
}

static void bad_ones_are_told(void)
{
    static const struct {
        const char *yaml;
        const char *says;
    } rows[] = {
        {"streams: [{listen: 1, proxy: 2, allow: []}]\n", "an empty list"},
        {"streams: [{listen: 1, proxy: 2, deny: 10.0.0.1/8}]\n", "10.0.0.1/8"},
        {"streams: [{listen: 1, proxy: 2, deny: example.com}]\n", "example.com"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct conf_doc *doc = load(rows[i].yaml);
        CHECK(doc == NULL);
        CHECK(strstr(report_text, rows[i].says) != NULL);
        conf_doc_free(doc);
    }
}

TAP_MAIN(lists_have_networks, exceptions_hold_wherever_they_stand, bad_ones_are_told)

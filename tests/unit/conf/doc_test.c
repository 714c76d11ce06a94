// SPDX-License-Identifier: Apache-2.0
//
// Documents: the accessors, scopes, hashes, and that a damaged block is refused.

#include "conf_help.h"

#include "base/slab.h"

static void walks_a_document(void)
{
    struct conf_doc *doc = load("listen: [80, 81]\ntimeouts: {connect: 2s}\nlimits: {body_size: "
                                "1MiB}\nvia: off\nworkers: 4\nsites: {a.b: {proxy: 80}}\n");
    if (!CHECK(doc != NULL)) {
        return;
    }
    struct conf_node root = conf_root(doc);
    CHECK_EQ_INT(conf_kind_of(root), CONF_MAP);
    CHECK_EQ_INT(conf_count(root), 6);
    struct conf_node listen = conf_get(root, "listen");
    CHECK_EQ_INT(conf_kind_of(listen), CONF_LIST);
    CHECK_EQ_INT(conf_count(listen), 2);
    unsigned seen = 0;
    conf_each(one, listen)
    {
        CHECK(conf_key(one).len == 0);
        CHECK(slice_starts(conf_text(conf_get(one, "at")), SLICE("[::]:8")));
        seen++;
    }
    CHECK_EQ_INT(seen, 2);
    CHECK(conf_duration_ms(conf_get(conf_get(root, "timeouts"), "connect"), 7) == 2000);
    CHECK(conf_duration_ms(conf_get(conf_get(root, "timeouts"), "read"), 7) == 7);
    CHECK(conf_size(conf_get(conf_get(root, "limits"), "body_size"), 7) == 1 << 20);
    CHECK(!conf_bool(conf_get(root, "via"), true));
    CHECK(conf_is_off(conf_get(root, "via")));
    CHECK_EQ_INT(conf_int(conf_get(root, "workers"), 1), 4);
    CHECK(!conf_exists(conf_get(root, "nothing")));
    CHECK(!conf_exists(conf_get(conf_get(root, "nothing"), "more")));
    CHECK_EQ_INT(conf_count(conf_get(root, "nothing")), 0);
    CHECK(slice_eq(conf_string(conf_get(root, "nothing"), "x"), SLICE("x")));
    struct conf_place place = conf_place_of(conf_get(root, "workers"));
    CHECK(slice_eq(place.file, SLICE("adit.yaml")));
    CHECK_EQ_INT(place.line, 5);
    CHECK_EQ_INT(place.column, 10);
    CHECK_ABORTS(conf_text(root));
    conf_doc_free(doc);
}

static void scopes_take_the_nearest(void)
{
    struct conf_doc *doc =
        load("timeouts: {connect: 1s, read: 2s}\nsites: {a.b: {timeouts: {connect: "
             "3s}, routes: [{timeouts: {response: 4s}, proxy: 80}]}}\n");
    if (!CHECK(doc != NULL)) {
        return;
    }
    struct conf_node root = conf_root(doc);
    struct conf_node site = conf_get(conf_get(root, "sites"), "a.b");
    struct conf_scope scope = {.level = {conf_first(conf_get(site, "routes")), site, root}};
    CHECK(conf_duration_ms(conf_scope_get(&scope, "timeouts.connect"), 0) == 3000);
    CHECK(conf_duration_ms(conf_scope_get(&scope, "timeouts.read"), 0) == 2000);
    CHECK(conf_duration_ms(conf_scope_get(&scope, "timeouts.response"), 0) == 4000);
    CHECK(!conf_exists(conf_scope_get(&scope, "timeouts.write")));
    CHECK(!conf_exists(conf_scope_get(&scope, "timeouts.connect.more")));
    conf_doc_free(doc);
}

static uint64_t hash_of_site(const char *text)
{
    struct conf_doc *doc = load(text);
    REQUIRE(doc != NULL);
    uint64_t hash = conf_hash(conf_first(conf_get(conf_root(doc), "sites")));
    conf_doc_free(doc);
    return hash;
}

static void hashes_are_of_the_meaning(void)
{
    uint64_t one = hash_of_site("sites: {a.b: {proxy: 80}}\n");
    CHECK(one == hash_of_site("# moved\nlog: warn\nsites:\n  a.b:\n    proxy: 127.0.0.1:80\n"));
    CHECK(one == hash_of_site("sites: {other: {proxy: 80}}\n")); // its name is not its content
    CHECK(one != hash_of_site("sites: {a.b: {proxy: 81}}\n"));
    CHECK(one != hash_of_site("sites: {a.b: {proxy: [80, 80]}}\n"));
    CHECK(one != hash_of_site("sites: {a.b: {proxy: 80, access_log: off}}\n"));
}

// Every byte of a block is damaged in turn: it is refused, or can be read to its end.
static void damaged_blocks_are_harmless(void)
{
    struct conf_doc *doc = load("listen: [80, 81]\nsites: {a.b: {proxy: 80, access_log: off}}\n");
    if (!CHECK(doc != NULL)) {
        return;
    }
    struct slice bytes = conf_doc_bytes(doc);
    const struct conf_doc *opened = NULL;
    char *copy = mem_alloc(bytes.len + 8);
    REQUIRE(copy != NULL);
    char buffer[4096];
    unsigned refused = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        memcpy(copy, bytes.ptr, bytes.len);
        copy[i] = (char)(copy[i] ^ 0x41);
        if (conf_doc_open(copy, bytes.len, &opened) != 0) {
            refused++;
            continue;
        }
        struct text t = text_on(buffer, sizeof buffer);
        put_node(&t, conf_root(opened));
        (void)conf_hash(conf_root(opened));
    }
    CHECK(refused > bytes.len / 2);
    for (size_t cut = 0; cut < bytes.len; cut++) {
        memcpy(copy, bytes.ptr, bytes.len);
        CHECK(conf_doc_open(copy, cut, &opened) == E_INVALID);
    }
    memcpy(copy + 1, bytes.ptr, bytes.len);
    CHECK(conf_doc_open(copy + 1, bytes.len, &opened) == E_INVALID); // not aligned
    CHECK(conf_doc_open(NULL, 0, &opened) == E_INVALID);
    mem_free(copy);
    conf_doc_free(doc);
}

TAP_MAIN(walks_a_document, scopes_take_the_nearest, hashes_are_of_the_meaning,
         damaged_blocks_are_harmless)

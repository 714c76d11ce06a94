// SPDX-License-Identifier: Apache-2.0
//
// The tree: appending, removing, copying, and paths beside a file.

#include "tree_help.h"

static struct conf_item *item(enum conf_kind kind, const char *key)
{
    struct conf_item *i = conf_item_new(&build, kind, (struct conf_spot){0, 1, 1, 1});
    REQUIRE(i != NULL);
    i->key = slice_str(key);
    return i;
}

static void appends_and_removes(void)
{
    (void)build_begin();
    struct conf_item *map = item(CONF_MAP, "");
    struct conf_item *children[3] = {item(CONF_SCALAR, "a"), item(CONF_SCALAR, "b"),
                                     item(CONF_LIST, "c")};
    for (int i = 0; i < 3; i++) {
        conf_item_append(map, children[i]);
    }
    CHECK_EQ_INT(map->count, 3);
    CHECK(conf_item_get(map, "b") == children[1]);
    CHECK(conf_item_get(map, "x") == NULL);
    CHECK(conf_item_get(children[0], "x") == NULL);
    conf_item_remove(map, children[2]); // the last
    conf_item_remove(map, children[0]); // the first
    CHECK(map->first == children[1] && map->last == children[1]);
    conf_item_remove(map, children[1]);
    CHECK(map->first == NULL && map->last == NULL);
    CHECK_EQ_INT(map->count, 0);
    CHECK_ABORTS(conf_item_append(children[0], children[1]));
    CHECK_ABORTS(conf_item_remove(map, children[1]));
    build_end();
}

static void copies_deeply(void)
{
    (void)build_begin();
    struct conf_item *root = build_parse("a: {b: [c, d], e: \"f\"}\n");
    REQUIRE(root != NULL);
    struct conf_item *copy = conf_item_copy(&build, root);
    REQUIRE(copy != NULL);
    struct conf_item *list = conf_item_get(conf_item_get(copy, "a"), "b");
    CHECK(list != NULL && list != conf_item_get(conf_item_get(root, "a"), "b"));
    CHECK_EQ_INT(list->count, 2);
    CHECK(slice_eq(list->last->text, SLICE("d")));
    CHECK(!conf_item_get(conf_item_get(copy, "a"), "e")->plain);
    build_end();
}

static void joins_paths(void)
{
    struct conf_build *b = build_begin();
    uint16_t here = conf_build_file(b, SLICE("adit.yaml"), SLICE(""));
    uint16_t there = conf_build_file(b, SLICE("/etc/adit/adit.yaml"), SLICE(""));
    CHECK(slice_eq(conf_path_join(b, here, SLICE("x")), SLICE("x")));
    CHECK(slice_eq(conf_path_join(b, here, SLICE("././x")), SLICE("x")));
    CHECK(slice_eq(conf_path_join(b, there, SLICE("./x/y")), SLICE("/etc/adit/x/y")));
    CHECK(slice_eq(conf_path_join(b, there, SLICE("../x")), SLICE("/etc/adit/../x")));
    CHECK(slice_eq(conf_path_join(b, there, SLICE("/x")), SLICE("/x")));
    build_end();
}

TAP_MAIN(appends_and_removes, copies_deeply, joins_paths)

// SPDX-License-Identifier: Apache-2.0
//
// YAML to items: places, styles and shapes; block and flow, quotes and JSON give the same tree.

#include "tree_help.h"

static void places_are_exact(void)
{
    (void)build_begin();
    struct conf_item *root = build_parse("a: one\n\"b\":\n  - 'two words'\n  - {c: x}\n");
    REQUIRE(root != NULL);
    struct conf_item *a = conf_item_get(root, "a");
    struct conf_item *b = conf_item_get(root, "b");
    REQUIRE(a != NULL && b != NULL);
    CHECK_EQ_INT(a->key_spot.column, 1);
    CHECK_EQ_INT(a->spot.column, 4);
    CHECK_EQ_INT(a->spot.width, 3);
    CHECK(a->plain);
    CHECK_EQ_INT(b->key_spot.line, 2);
    CHECK_EQ_INT(b->key_spot.column, 1);
    CHECK_EQ_INT(b->key_spot.width, 3);
    CHECK_EQ_INT(b->first->spot.line, 3);
    CHECK_EQ_INT(b->first->spot.column, 5);
    CHECK_EQ_INT(b->first->spot.width, 11);
    CHECK(!b->first->plain && !b->flow && b->last->flow);
    build_end();
}

static void columns_count_characters(void)
{
    (void)build_begin();
    struct conf_item *root = build_parse("\xc3\xbc: \"\xc3\xa4\xc3\xb6\"\n");
    REQUIRE(root != NULL);
    CHECK_EQ_INT(root->first->spot.column, 4);
    CHECK_EQ_INT(root->first->spot.width, 4);
    CHECK_TEXT(root->first->text.ptr, root->first->text.len, "\xc3\xa4\xc3\xb6");
    build_end();
}

static void texts_are_kept(void)
{
    static const struct {
        const char *yaml;
        const char *text;
    } cases[] = {
        {"a: |\n  one\n  two\n", "one\ntwo\n"},
        {"a: >-\n  one\n  two\n", "one two"},
        {"a: \"\\x41\\u00e9\\n\"\n", "A\xc3\xa9\n"},
        {"a: 'it''s'\n", "it's"},
        {"a: \"\"\n", ""},
        {"a: b # comment\n", "b"},
        {"a: b#c\n", "b#c"},
        {"a: http://x:1/\n", "http://x:1/"},
        {"{\"a\":\"b\"}", "b"},
        {"a: 'null'\n", "null"},
        {"a: ~ ^/x$\n", "~ ^/x$"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        (void)build_begin();
        struct conf_item *root = build_parse(cases[i].yaml);
        if (CHECK(root != NULL && root->first != NULL)) {
            CHECK_TEXT(root->first->text.ptr, root->first->text.len, cases[i].text);
        }
        build_end();
    }
}

TAP_MAIN(places_are_exact, columns_count_characters, texts_are_kept)

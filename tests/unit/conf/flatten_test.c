// SPDX-License-Identifier: Apache-2.0
//
// Writing documents: what is written verifies, and reads back as the tree it was.

#include "base/slab.h"
#include "tree_help.h"

static void what_is_written_reads_back(void)
{
    static const char *const texts[] = {
        "a: b\n",
        "{}",
        "a: []\nb: {}\nc: [[[d]], e]\n",
        "a: {b: {c: {d: e}}, f: [g, {h: i}]}\nj: \"\"\n",
    };
    static const char *const flat[] = {
        "{a: b}",
        "{}",
        "{a: [], b: {}, c: [[[d]], e]}",
        "{a: {b: {c: {d: e}}, f: [g, {h: i}]}, j: }",
    };
    for (size_t i = 0; i < array_len(texts); i++) {
        char buffer[256];
        struct conf_build *b = build_begin();
        b->root = build_parse(texts[i]);
        REQUIRE(b->root != NULL);
        struct conf_doc *doc = conf_flatten(b);
        REQUIRE(doc != NULL);
        const struct conf_doc *opened = NULL;
        struct slice bytes = conf_doc_bytes(doc);
        CHECK_EQ_INT(conf_doc_open(bytes.ptr, bytes.len, &opened), 0);
        struct text t = text_on(buffer, sizeof buffer);
        put_node(&t, conf_root(doc));
        CHECK_TEXT(t.ptr, t.len, flat[i]);
        mem_free(doc);
        build_end();
    }
}

TAP_MAIN(what_is_written_reads_back)

// SPDX-License-Identifier: Apache-2.0
//
// Blocks of a document from elsewhere: conf_doc_open() refuses them, or every accessor is safe. The
// input edits a good block (offset, byte to xor; three bytes each), or is the block itself when it
// begins with the magic word.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "conf/doc_int.h"
#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice good_block(void)
{
    static struct conf_doc *doc;
    if (doc == NULL) {
        struct conf_diags *d = conf_diags_new();
        int rc =
            conf_load_text("adit.yaml",
                           "listen: [80, 81]\nlimits: {body_size: 1MiB}\n"
                           "upstreams: {app: {servers: [a:1, b:2]}}\n"
                           "sites:\n  a.b: {proxy: app}\n  '*.c.d': {routes: [{path: /x, proxy: "
                           "app}, {proxy: 3000}]}\n",
                           conf_tables, d, &doc);
        ensure(rc == 0);
        conf_diags_free(d);
    }
    return conf_doc_bytes(doc);
}

static size_t walk(struct conf_node n, unsigned depth)
{
    size_t bytes = conf_key(n).len + conf_place_of(n).file.len;
    ensure(depth <= CONF_DEPTH_MAX);
    if (conf_kind_of(n) == CONF_SCALAR) {
        bytes += conf_text(n).len;
    }
    uint32_t count = 0;
    conf_each(child, n)
    {
        bytes += walk(child, depth + 1);
        count++;
    }
    ensure(count == conf_count(n));
    return bytes;
}

static void read_block(const void *bytes, size_t len)
{
    const struct conf_doc *doc = NULL;
    if (conf_doc_open(bytes, len, &doc) == 0) {
        (void)walk(conf_root(doc), 0);
        (void)conf_hash(conf_root(doc));
        (void)conf_get(conf_root(doc), "sites");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t magic = CONF_DOC_MAGIC;
    struct slice good = good_block();
    bool whole = size >= sizeof magic && memcmp(data, &magic, sizeof magic) == 0;
    size_t len = whole ? size : good.len;
    char *block = malloc(len);
    if (block == NULL) {
        return 0;
    }
    memcpy(block, whole ? (const char *)data : good.ptr, len);
    for (size_t i = 0; !whole && i + 3 <= size; i += 3) {
        size_t offset = (size_t)data[i] << 8 | data[i + 1];
        block[offset % len] = (char)(block[offset % len] ^ (char)data[i + 2]);
    }
    read_block(block, len);
    free(block);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The layout of a document's block, shared by those who write it (flatten.c) and read it (doc.c):
//
//     struct conf_doc | cells, cell 0 unused | files | text
//
// Cells stand in pre-order: the first child of a cell is the next one and its sibling follows its
// whole subtree. So a block cannot describe a cycle, and verifying it is one pass.

#pragma once

#include <assert.h>
#include <stdint.h>

#include "conf/doc.h"

enum {
    CONF_DOC_MAGIC = 0x61646f63, // "adoc"
    CONF_DOC_VERSION = 1,
    CONF_PARSE_DEPTH_MAX = 24, // as written; the long form of every level may take another
    CONF_DEPTH_MAX = 64,
    CONF_NODES_MAX = 1 << 20,
    CONF_FILES_MAX = 256,
    CONF_DOC_BYTES_MAX = 256 << 20,
};

struct conf_doc {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes; // of the whole block
    uint32_t cells; // with cell 0
    uint32_t files;
    uint32_t text_bytes;
};

struct conf_cell {
    uint32_t key; // offsets into the text
    uint32_t key_len;
    uint32_t text;
    uint32_t text_len;
    uint32_t span;  // cells of its subtree, itself included
    uint32_t count; // children
    uint32_t line;
    uint32_t column;
    uint16_t file;
    uint8_t kind; // enum conf_kind
    uint8_t last; // no sibling follows
};

struct conf_file_ref {
    uint32_t name;
    uint32_t name_len;
};

static_assert(sizeof(struct conf_cell) == 36, "no padding: the block is hashed and compared");

// SPDX-License-Identifier: Apache-2.0
//
// check_grpc: the bytes of grpc.health.v1, and bad answers with what each gets.

#include "base/error.h"
#include "tap.h"
#include "upstream/check_int.h"

#define BYTES(lit) slice_of(lit, sizeof(lit) - 1)

static void questions(void)
{
    char out[CHECK_GRPC_MAX];
    CHECK_BYTES(out, check_grpc_write(out, SLICE("")), "\0\0\0\0\0", 5);
    CHECK_BYTES(out, check_grpc_write(out, SLICE("a.B")), "\0\0\0\0\5\n\3a.B", 10);
    char name[200];
    memset(name, 'x', sizeof name);
    size_t n = check_grpc_write(out, slice_of(name, sizeof name));
    CHECK_EQ_INT(n, 5 + 1 + 2 + 200);
    CHECK_BYTES(out, 8, "\0\0\0\0\xcb\n\xc8\1", 8);
}

static void answers(void)
{
    static const struct {
        struct slice message;
        int rc;
        uint64_t status;
    } table[] = {
        {SLICE_INIT("\0\0\0\0\2\x08\1"), 0, 1},
        {SLICE_INIT("\0\0\0\0\2\x08\2"), 0, 2},
        {SLICE_INIT("\0\0\0\0\0"), 0, 0},
        {SLICE_INIT("\0\0\0\0\4\x08\2\x08\1"), 0, 1},         // the last one counts
        {SLICE_INIT("\0\0\0\0\6\x12\2ab\x08\1"), 0, 1},       // an unknown text
        {SLICE_INIT("\0\0\0\0\7\x15wxyz\x08\1"), 0, 1},       // 32 bits
        {SLICE_INIT("\0\0\0\0\x0b\x11stuvwxyz\x08\1"), 0, 1}, // 64 bits
        {SLICE_INIT("\0\0\0\0\3\x08\x81\0"), 0, 1},           // longer than need be
        {SLICE_INIT(""), E_INVALID, 0},
        {SLICE_INIT("\0\0\0\0"), E_INVALID, 0},
        {SLICE_INIT("\1\0\0\0\2\x08\1"), E_INVALID, 0}, // compressed
        {SLICE_INIT("\0\0\0\0\3\x08\1"), E_INVALID, 0}, // cut
        {SLICE_INIT("\0\0\0\0\1\x08\1"), E_INVALID, 0}, // more than one message
        {SLICE_INIT("\0\0\0\0\1\x08"), E_INVALID, 0},
        {SLICE_INIT("\0\0\0\0\2\x08\x81"), E_INVALID, 0},
        {SLICE_INIT("\0\0\0\0\2\x0b\1"), E_INVALID, 0},  // a group
        {SLICE_INIT("\0\0\0\0\2\x00\1"), E_INVALID, 0},  // member 0
        {SLICE_INIT("\0\0\0\0\3\x12\5a"), E_INVALID, 0}, // a text that is cut
        {SLICE_INIT("\0\0\0\0\x0c\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\1a"), E_INVALID, 0},
        {SLICE_INIT("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), E_INVALID, 0},
        {SLICE_INIT("\0\xff\xff\xff\xff\x08\1"), E_INVALID, 0},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        uint64_t status = 0;
        int rc = check_grpc_read(table[i].message, &status);
        if (!CHECK_EQ_INT(rc, table[i].rc) || !CHECK(rc != 0 || status == table[i].status)) {
            printf("# in row %zu\n", i);
        }
    }
    CHECK_STR(check_grpc_text(2), "NOT_SERVING");
    CHECK_STR(check_grpc_text(77), "an unknown status");
}

TAP_MAIN(questions, answers)

// SPDX-License-Identifier: Apache-2.0
//
// Authorities and paths: what comes out is a fixed point, holds only what it may, and is never longer
// than what went in.

#include <stdlib.h>

#include "base/ensure.h"
#include "base/error.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_authority(struct slice in)
{
    char *out = malloc(in.len > 0 ? in.len : 1);
    ensure(out != NULL);
    struct slice authority;
    struct slice host;
    int rc = http_authority_parse(in, out, &authority, &host);
    ensure(rc == 0 || rc == E_BAD_HOST);
    if (rc == 0) {
        ensure(authority.len > 0 && authority.len <= in.len);
        ensure(host.len > 0 && host.len <= authority.len && host.ptr == authority.ptr);
        for (size_t i = 0; i < authority.len; i++) {
            char c = authority.ptr[i];
            ensure((http_byte_class[(unsigned char)c] & HTTP_BYTE_HOST) != 0 ||
                   strchr("._:[]", c) != NULL);
            ensure(c < 'A' || c > 'Z');
        }
        char *again = malloc(authority.len);
        ensure(again != NULL);
        struct slice authority2;
        struct slice host2;
        ensure(http_authority_parse(authority, again, &authority2, &host2) == 0);
        ensure(slice_eq(authority, authority2));
        ensure(slice_eq(host, host2));
        free(again);
    }
    free(out);
}

static bool has_dot_segment(struct slice path)
{
    size_t from = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/') {
            continue;
        }
        struct slice segment = slice_sub(path, from, i - from);
        if (slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE(".."))) {
            return true;
        }
        from = i + 1;
    }
    return false;
}

static void check_path(struct slice in)
{
    char *out = malloc(in.len > 0 ? in.len : 1);
    ensure(out != NULL);
    struct slice normal;
    int rc = http_path_normalise(in, out, &normal);
    ensure(rc == 0 || rc == E_BAD_TARGET);
    if (rc == 0) {
        ensure(normal.len > 0 && normal.len <= in.len);
        ensure(normal.ptr[0] == '/' || slice_eq(normal, SLICE("*")));
        ensure(!has_dot_segment(normal));
        ensure(slice_find(normal, SLICE("%00")) < 0);
        char *again = malloc(normal.len);
        ensure(again != NULL);
        struct slice twice;
        ensure(http_path_normalise(normal, again, &twice) == 0);
        ensure(slice_eq(normal, twice));
        free(again);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    ensure(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    check_authority(slice_of(copy, size));
    check_path(slice_of(copy, size));
    free(copy);
    return 0;
}

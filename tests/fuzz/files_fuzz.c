// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what a request says of files: its path and its range. Whatever comes, a path stays below its
// folder, has no segment that begins with a dot and no control byte, and a part lies within the file.

#include <stdlib.h>

#include "base/error.h"
#include "files/path.h"
#include "files/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct slice path)
{
    char out[FILES_PATH_MAX];
    int e = files_path_read(path, out);
    ensure(e == 0 || e == E_NOT_FOUND);
    if (e != 0) {
        return;
    }
    size_t len = strlen(out);
    ensure(len < FILES_PATH_MAX);
    ensure(len == 0 || (out[0] != '/' && out[len - 1] != '/'));
    bool begins = true;
    for (size_t i = 0; i < len; i++) {
        ensure((unsigned char)out[i] >= ' ');
        ensure(!(begins && (out[i] == '.' || out[i] == '/')));
        begins = out[i] == '/';
    }
    (void)files_type_of(slice_of(out, len));
}

static void check_range(struct slice field, uint64_t size)
{
    uint64_t first = 0;
    uint64_t len = 0;
    if (files_range_read(field, size, &first, &len) == FILES_PART) {
        ensure(len > 0 && first < size && len <= size - first);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    char *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data + 1, size - 1);
    struct slice in = slice_of(copy, size - 1);
    check_path(in);
    check_range(in, data[0]);
    check_range(in, UINT64_MAX >> (data[0] & 63));
    free(copy);
    return 0;
}

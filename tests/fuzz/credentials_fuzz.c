// SPDX-License-Identifier: Apache-2.0
//
// The block of credentials as a worker reads it: any bytes are refused or stay within themselves, and
// what was accepted is written again byte by byte.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "tls/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct credential_reader r;
    if (credentials_open(bytes, &r) != 0) {
        return 0;
    }
    char *room = malloc(size);
    ensure(room != NULL);
    struct credential_writer w;
    credentials_begin(&w, room, size);
    struct credential c;
    while (credentials_next(&r, &c)) {
        int rc = credentials_add(&w, &c);
        ensure(rc == 0);
    }
    ensure(slice_eq(credentials_end(&w), bytes));
    free(room);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The state that a supervisor hands to the program that takes its place: any bytes are refused or
// give a state that can be written and read again to the same.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/text.h"
#include "super/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char first[HANDOVER_BYTES_MAX];
static char second[HANDOVER_BYTES_MAX];

static void ignore_fd(void *arg, int fd)
{
    (void)arg;
    ensure(fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct handover h;
    static struct handover again;
    char buffer[256];
    struct text why = text_on(buffer, sizeof buffer);
    if (handover_read(slice_of((const char *)data, size), &h, &why) != 0) {
        ensure(why.len > 0);
        return 0;
    }
    handover_each_fd(&h, ignore_fd, NULL);
    struct text one = text_on(first, sizeof first);
    ensure(handover_write(&h, &one) == 0);
    ensure(handover_read(text_slice(&one), &again, &why) == 0);
    struct text two = text_on(second, sizeof second);
    ensure(handover_write(&again, &two) == 0);
    ensure(slice_eq(text_slice(&one), text_slice(&two)));
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The origin's side of HTTP/2 as the fuzzer wants it (h2_world.h).

#include "h2_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    h2_world_run(H2_WORLD_UP, data, size);
    return 0;
}

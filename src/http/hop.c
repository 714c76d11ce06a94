// SPDX-License-Identifier: Apache-2.0
//
// Imitations of the names that decide about framing, routing and trust.

#include "http/hop.h"

#include "http/fields.h"

bool http_name_imitates(struct slice name)
{
    char mapped[24];
    bool odd = false;
    if (name.len > sizeof(mapped)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (http_byte_class[(unsigned char)c] & HTTP_BYTE_HOST) != 0;
        odd |= !plain;
        mapped[i] = plain ? c : '-';
    }
    return odd && http_id_in(HTTP_IMITATED_IDS, http_name_of(slice_of(mapped, name.len)));
}

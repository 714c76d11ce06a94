// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys as a user's files or a CA's answer have them: any bytes are described, checked
// or refused, an error says why, and OpenSSL's queue of errors is left empty.
//
// The first byte says where the certificate's text ends and the key's begins, in 256ths of the rest.

#include <openssl/err.h>
#include <stdint.h>

#include "base/ensure.h"
#include "tls/cert.h"

enum { NOW_S = 1795426215 }; // 2026-11-23

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void describe(struct slice chain)
{
    static struct cert_info info;
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    if (cert_describe(chain, &a, &info) == 0) {
        ensure(info.name_count <= CERT_NAMES_MAX);
        for (uint32_t i = 0; i < info.name_count; i++) {
            ensure(info.names[i].len > 0 && cert_covers(&info, info.names[i]));
        }
        ensure(info.fingerprint.len == 64);
    }
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice all = slice_of((const char *)data + 1, size - 1);
    size_t cut = all.len * data[0] / 256;
    struct slice chain = slice_sub(all, 0, cut);
    struct slice key = slice_from(all, cut);
    char buffer[512];
    struct text why = text_on(buffer, sizeof(buffer));
    describe(all);
    ensure(cert_check(chain, key, NOW_S, &why) == 0 || why.len > 0);
    why.len = 0;
    ensure(cert_check(all, all, NOW_S, &why) == 0 || why.len > 0);
    why.len = 0;
    ensure(cert_check_authorities(all, &why) == 0 || why.len > 0);
    ensure(ERR_peek_error() == 0);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Asks the library by trying (tls/known.h): its lists are no interface, a context is.

#include "tls/known.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>

#include "base/text.h"
#include "tls/x509_int.h"

enum { CIPHERS_MAX = 4096, CURVE_MAX = 48 };

static bool is_clean(struct slice s)
{
    return s.len > 0 && slice_find_char(s, '\0') < 0;
}

bool tls_knows_ciphers(struct slice list)
{
    char buffer[CIPHERS_MAX];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    text_put(&t, list);
    if (t.overflow || !is_clean(list)) {
        return false;
    }
    buffer[t.len] = '\0';
    x509_library_init();
    SSL_CTX *probe = SSL_CTX_new(TLS_server_method());
    bool good = probe != NULL && SSL_CTX_set_cipher_list(probe, buffer) == 1;
    SSL_CTX_free(probe);
    ERR_clear_error();
    return good;
}

static int number_of(struct slice name)
{
    char buffer[CURVE_MAX];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    text_put(&t, name);
    buffer[t.len] = '\0';
    if (t.overflow || !is_clean(name)) {
        return NID_undef;
    }
    int nid = EC_curve_nist2nid(buffer);
    nid = nid != NID_undef ? nid : OBJ_sn2nid(buffer);
    return nid != NID_undef ? nid : OBJ_ln2nid(buffer);
}

int tls_curve(struct slice name)
{
    x509_library_init();
    int nid = number_of(name);
    SSL_CTX *probe = nid == NID_undef ? NULL : SSL_CTX_new(TLS_server_method());
    bool good = probe != NULL && SSL_CTX_set1_groups(probe, &nid, 1) == 1;
    SSL_CTX_free(probe);
    ERR_clear_error();
    return good ? nid : 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The local CA: what it makes can be verified by its root, for the names that were asked for.

#include "tls/local_ca.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/error.h"

#include "tap.h"

static struct arena arena;
static struct slice root;
static struct slice root_key;
static const uint64_t now = 1800000000;

static X509 *read_pem(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return x;
}

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, 1 << 20);
    REQUIRE(local_ca_new(SLICE("here"), now, &arena, &root, &root_key) == 0);
}

static void a_root_is_a_ca(void)
{
    X509 *x = read_pem(root);
    REQUIRE(x != NULL);
    CHECK_EQ_INT(X509_check_ca(x), 1);
    char name[128];
    (void)X509_NAME_oneline(X509_get_subject_name(x), name, sizeof name);
    CHECK_STR(name, "/CN=adit local CA here");
    X509_free(x);
    CHECK(local_ca_usable(root, root_key, now));
    CHECK(!local_ca_usable(root, root_key, now + (uint64_t)3651 * 86400));
    CHECK(!local_ca_usable(root, SLICE("no key"), now));
    CHECK(!local_ca_usable(SLICE(""), root_key, now));
}

static int verify(X509 *leaf)
{
    X509_STORE *store = X509_STORE_new();
    X509 *ca = read_pem(root);
    (void)X509_STORE_add_cert(store, ca);
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    (void)X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), (time_t)now);
    (void)X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    int result = X509_verify_cert(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(ca);
    return result;
}

static void certificates_are_verified_by_it(void)
{
    static const struct slice names[] = {SLICE_INIT("a.internal"), SLICE_INIT("*.b.internal"),
                                         SLICE_INIT("127.0.0.1"), SLICE_INIT("[::1]")};
    struct local_ca_request r = {root, root_key, names, 4, now, now + 7 * 86400};
    struct slice chain;
    struct slice key;
    REQUIRE(local_ca_issue(&r, &arena, &chain, &key) == 0);
    X509 *x = read_pem(chain);
    REQUIRE(x != NULL);
    CHECK_EQ_INT(verify(x), 1);
    CHECK_EQ_INT(X509_check_host(x, "a.internal", 0, 0, NULL), 1);
    CHECK_EQ_INT(X509_check_host(x, "x.b.internal", 0, 0, NULL), 1);
    CHECK_EQ_INT(X509_check_host(x, "c.internal", 0, 0, NULL), 0);
    CHECK_EQ_INT(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    CHECK_EQ_INT(X509_check_ip_asc(x, "::1", 0), 1);
    CHECK_EQ_INT(X509_check_ca(x), 0);
    X509_free(x);
}

static void what_cannot_be_is_refused(void)
{
    static const struct slice bad[] = {SLICE_INIT("a b"), SLICE_INIT(""), SLICE_INIT("a\n.b")};
    struct slice chain;
    struct slice key;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct local_ca_request r = {root, root_key, &bad[i], 1, now, now + 10};
        CHECK(local_ca_issue(&r, &arena, &chain, &key) != 0);
    }
    static const struct slice name = SLICE_INIT("a.internal");
    struct local_ca_request r = {SLICE("x"), root_key, &name, 1, now, now + 10};
    CHECK_EQ_INT(local_ca_issue(&r, &arena, &chain, &key), E_TLS_CERTIFICATE);
    r = (struct local_ca_request){root, SLICE("x"), &name, 1, now, now + 10};
    CHECK_EQ_INT(local_ca_issue(&r, &arena, &chain, &key), E_TLS_KEY);
    arena_fini(&arena);
}

TAP_MAIN(setup, a_root_is_a_ca, certificates_are_verified_by_it, what_cannot_be_is_refused)

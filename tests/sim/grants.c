// SPDX-License-Identifier: Apache-2.0
//
// The table of a scenario, through the document that a worker gets from its keeper.

#include "grants.h"

#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tls/digest.h"

static void put_grant(struct text *t, const char *token, const char *rest)
{
    uint8_t hash[DIGEST_BYTES];
    int e = digest_sha256(slice_str(token), hash);
    ensure(e == 0);
    text_str(t, "{\"kind\": \"token\", \"proof\": \"");
    for (size_t i = 0; i < sizeof(hash); i++) {
        text_printf(t, "%02x", hash[i]);
    }
    text_printf(t, "\", %s}", rest);
}

static struct access *make(bool with_alice, bool with_bob)
{
    char room[4096];
    struct text t = text_on(room, sizeof(room) - 1);
    struct access *a = NULL;
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    ensure(d != NULL);
    text_str(&t, "{\"grants\": [");
    if (with_alice) {
        put_grant(&t, GRANTS_ALICE,
                  "\"id\": \"aaaaaaaa\", \"owner\": \"alice\", \"ports\": [\"20000-20009\"]");
        text_char(&t, ',');
    }
    if (with_bob) {
        put_grant(&t, GRANTS_BOB,
                  "\"id\": \"bbbbbbbb\", \"owner\": \"bob\", \"names\": [\"bob-*\", \"shared\"], "
                  "\"tunnels\": 2");
        text_char(&t, ',');
    }
    put_grant(&t, GRANTS_LATE, "\"id\": \"llllllll\", \"owner\": \"late\", \"expires\": 1");
    text_str(&t, "], \"names\": [{\"name\": \"shop\", \"owner\": \"bob\"}], "
                 "\"secrets\": [{\"made\": 1, \"bytes\": \"");
    for (int i = 0; i < 2 * ACCESS_SECRET_BYTES; i++) {
        text_char(&t, (char)('0' + i % 10));
    }
    text_str(&t, "\"}]}");
    ensure(!t.overflow);
    room[t.len] = '\0';
    struct conf_load in = {.path = "access", .text = text_slice(&t), .tables = access_doc_tables};
    int e = conf_load(&in, d, &doc);
    ensure(e == 0);
    e = access_load(doc, &a);
    ensure(e == 0);
    conf_doc_free(doc);
    conf_diags_free(d);
    return a;
}

struct access *grants_new(void)
{
    return make(true, true);
}

struct access *grants_new_without_bob(void)
{
    return make(true, false);
}

struct access *grants_new_without_alice(void)
{
    return make(false, true);
}

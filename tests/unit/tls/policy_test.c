// SPDX-License-Identifier: Apache-2.0
//
// Policies: equal settings are one policy with one id, others are not; what cannot be used is an error
// with its place; what a context made of one will speak.

#include "base/error.h"
#include "conf/conf_help.h"
#include "world.h"

#define LISTEN "listen: [{at: 443, tls: on}]\n"

static uint32_t policies_of(const char *document)
{
    return world_store(document)->policy_count;
}

static void equal_settings_are_one_policy(void)
{
    world_begin(1, NULL);
    CHECK_EQ_INT(policies_of(LISTEN
                             "sites: {a.test: {respond: hi}, b.test: {respond: hi}, default: "
                             "{respond: hi}}\n"),
                 1);
    CHECK_EQ_INT(policies_of(LISTEN "tls: {min_version: '1.3'}\n"
                                    "sites: {a.test: {respond: hi}, b.test: {tls: {min_version: "
                                    "'1.3'}, respond: hi}}\n"),
                 1);
    static const char *const differ[] = {
        "min_version: '1.3'", "tickets: off",
        "ocsp: off",          "curves: [P-256]",
        "protocols: h2",      "ciphers: ECDHE-ECDSA-AES128-GCM-SHA256",
        "client: {ca: /c}",   "client: {ca: /c, mode: optional}",
    };
    for (size_t i = 0; i < array_len(differ); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text),
                       LISTEN "sites: {a.test: {respond: hi}, b.test: {tls: {%s}, respond: hi}}\n",
                       differ[i]);
        CHECK_EQ_INT(policies_of(text), 2);
    }
    world_end();
}

// Tickets outlive a reload only when the id does.
static void ids_are_stable(void)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    world_begin(1, NULL);
    struct tls_store *s = world_store(LISTEN "sites: {a.test: {respond: hi}}\n");
    memcpy(id, s->policies[0]->id, sizeof(id));
    s = world_store(LISTEN "sites: {default: {respond: no}, a.test: {respond: hi}}\n");
    CHECK(memcmp(id, s->policies[0]->id, sizeof(id)) == 0);
    world_end();
    struct pki_cert ca = pki_make(&(struct pki_order){.cn = "ca", .key = PKI_P256, .ca = true});
    struct pki_cert new_ca = pki_make(&(struct pki_order){.cn = "ca", .key = PKI_P256, .ca = true});
    static const char document[] =
        LISTEN "sites: {a.test: {tls: {client: {ca: /c}}, respond: hi}}\n";
    world_begin(1, NULL);
    world_credential(CREDENTIAL_AUTHORITY, "ca:/c", ca.cert_pem, SLICE(""));
    s = world_store(document);
    memcpy(id, s->policies[0]->id, sizeof(id));
    world_credential(CREDENTIAL_AUTHORITY, "ca:/c", new_ca.cert_pem, SLICE(""));
    s = world_store(document);
    CHECK(memcmp(id, s->policies[0]->id, sizeof(id)) != 0); // another CA, other clients
    world_end();
    pki_free(&ca);
    pki_free(&new_ca);
}

static void unknown_words_are_errors(void)
{
    static const struct {
        const char *said;
        const char *report;
    } rows[] = {
        {"ciphers: NONSENSE", "no cipher of this list is known"},
        {"curves: [X25519, P-257]", "`P-257` is no curve that is known"},
        {"curves: [secp256k1]", ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), LISTEN "sites: {b.test: {tls: {%s}, respond: hi}}\n",
                       rows[i].said);
        world_begin(1, NULL);
        struct conf_doc *doc = load(text);
        struct conf_diags *d = conf_diags_new();
        REQUIRE(d != NULL);
        struct tls_store *s = NULL;
        int rc = doc != NULL ? tls_store_new(doc, SLICE(""), 1, d, &s) : E_CONFIG;
        struct text t = text_on(report_text, sizeof(report_text) - 1);
        if (doc != NULL) {
            put_short(&t, d);
            report_text[t.len] = 0;
        }
        bool known = rows[i].report[0] == 0;
        CHECK_EQ_INT(rc, known ? 0 : E_CONFIG);
        CHECK(known || strstr(report_text, rows[i].report) != NULL);
        tls_store_unref(s);
        conf_diags_free(d);
        conf_doc_free(doc);
        world_end();
    }
}

TAP_MAIN(equal_settings_are_one_policy, ids_are_stable, unknown_words_are_errors)

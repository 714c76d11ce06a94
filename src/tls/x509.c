// SPDX-License-Identifier: Apache-2.0
//
// See x509_int.h. Files that people hand over hold more than what is asked for: text before the
// blocks, a key beside its certificate, parameters before a key. All of that is passed over; what is
// damaged is an error, since half a chain fails at somebody else's end.

#include "tls/x509_int.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "os/addr.h"

void x509_library_init(void)
{
    // Safe to call from any thread any number of times: the library does it once.
    int ok = OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    ensure(ok == 1);
}

// ---- reading ---------------------------------------------------------------------------------------

static BIO *open_text(struct slice pem)
{
    x509_library_init();
    return pem.len > X509_PEM_BYTES_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

static int read_all(BIO *bio, int max, STACK_OF(X509) * chain, struct text *why)
{
    for (;;) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL) {
            unsigned long last = ERR_peek_last_error();
            bool at_end =
                ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
            if (at_end && sk_X509_num(chain) > 0) {
                return 0;
            }
            if (at_end) {
                text_str(why, "there is no certificate in it");
            } else {
                text_printf(why, "certificate %d in it is damaged", sk_X509_num(chain) + 1);
            }
            return E_TLS_CERTIFICATE;
        }
        if (sk_X509_num(chain) == max) {
            X509_free(x);
            text_printf(why, "it has more than %d certificates", max);
            return E_TLS_CERTIFICATE;
        }
        if (sk_X509_push(chain, x) == 0) {
            X509_free(x);
            return E_NO_MEMORY;
        }
    }
}

int x509_read_chain(struct slice pem, int max, STACK_OF(X509) * *out, struct text *why)
{
    *out = NULL;
    if (pem.len == 0) {
        text_str(why, "it is empty");
        return E_TLS_CERTIFICATE;
    }
    BIO *bio = open_text(pem);
    STACK_OF(X509) *chain = sk_X509_new_null();
    int rc = E_NO_MEMORY;
    if (bio != NULL && chain != NULL) {
        rc = read_all(bio, max, chain, why);
    } else if (pem.len > X509_PEM_BYTES_MAX) {
        text_str(why, "it is too large");
        rc = E_TLS_CERTIFICATE;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (rc != 0) {
        sk_X509_pop_free(chain, X509_free);
        return rc;
    }
    *out = chain;
    return 0;
}

// Never asks a terminal.
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    bool *asked = arg;
    *asked = true;
    return -1;
}

static void say_why_no_key(struct slice pem, bool asked, struct text *why)
{
    if (asked) {
        text_str(why, "the key is protected by a passphrase, which nobody can enter here "
                      "(openssl pkey -in KEY -out NEW writes it without)");
    } else if (slice_find(pem, SLICE("PRIVATE KEY-----")) < 0) {
        text_str(why, "there is no private key in it");
    } else {
        text_str(why, "the key is damaged, or of a kind or on a curve that is not known");
    }
}

int x509_read_key(struct slice pem, EVP_PKEY **out, struct text *why)
{
    *out = NULL;
    BIO *bio = pem.len > 0 ? open_text(pem) : NULL;
    bool asked = false;
    if (bio != NULL) {
        *out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (*out == NULL) {
        say_why_no_key(pem, asked, why);
        return E_TLS_KEY;
    }
    return 0;
}

// ---- describing ------------------------------------------------------------------------------------

void x509_key_type(EVP_PKEY *key, struct text *out)
{
    char group[80];
    size_t len = 0;
    int type = EVP_PKEY_get_base_id(key);
    if (type == EVP_PKEY_EC) {
        bool named = EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1;
        const char *nist = named ? EC_curve_nid2nist(OBJ_txt2nid(group)) : NULL;
        text_printf(out, "ECDSA %s", nist != NULL ? nist : named ? group : "unnamed curve");
    } else if (type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS) {
        text_printf(out, "RSA %d", EVP_PKEY_get_bits(key));
    } else if (type == EVP_PKEY_ED25519) {
        text_str(out, "Ed25519");
    } else if (type == EVP_PKEY_ED448) {
        text_str(out, "Ed448");
    } else {
        const char *name = OBJ_nid2sn(type);
        text_str(out, name != NULL ? name : "unknown");
    }
    ERR_clear_error();
}

void x509_name_text(const X509_NAME *name, struct text *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    // UTF-8 as it is: escaping its bytes would make names of most of the world unreadable.
    unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, how) >= 0) {
        long len = BIO_get_mem_data(bio, &bytes);
        text_put(out, slice_of(bytes, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    ERR_clear_error();
}

bool x509_name_entry(const X509_NAME *name, int nid, struct text *out)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0) {
        return false;
    }
    unsigned char *utf8 = NULL;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, at);
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (len > 0) {
        text_put(out, slice_of((const char *)utf8, (size_t)len));
    }
    OPENSSL_free(utf8);
    ERR_clear_error();
    return len > 0;
}

void x509_short_name(const X509_NAME *name, struct text *out)
{
    if (!x509_name_entry(name, NID_organizationName, out) &&
        !x509_name_entry(name, NID_commonName, out)) {
        x509_name_text(name, out);
    }
}

static void put_hex(const unsigned char *bytes, size_t len, const char *digits, struct text *out)
{
    for (size_t i = 0; i < len; i++) {
        text_char(out, digits[bytes[i] >> 4]);
        text_char(out, digits[bytes[i] & 15]);
    }
}

void x509_serial(const X509 *x, struct text *out)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    put_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), "0123456789ABCDEF",
            out);
}

void x509_fingerprint(const X509 *x, struct text *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(x, EVP_sha256(), digest, &len) == 1) {
        put_hex(digest, len, "0123456789abcdef", out);
    }
    ERR_clear_error();
}

uint64_t x509_seconds(const ASN1_TIME *t)
{
    struct tm tm;
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1) {
        ERR_clear_error();
        return 0;
    }
    time_t seconds = timegm(&tm);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

void x509_date(uint64_t seconds, struct text *out)
{
    time_t at = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&at, &tm) != NULL) {
        text_printf(out, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                    tm.tm_mday, tm.tm_hour, tm.tm_min);
    }
}

// ---- names -----------------------------------------------------------------------------------------

static struct slice ip_name(const unsigned char *bytes, int len, struct arena *a)
{
    struct os_addr addr = {.kind = len == 4 ? OS_ADDR_V4 : OS_ADDR_V6};
    char buffer[OS_ADDR_TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    memcpy(addr.u.ip, bytes, (size_t)len);
    os_addr_ip_text(&addr, &t);
    return arena_dup(a, text_slice(&t));
}

static struct slice dns_name(const unsigned char *bytes, int len, struct arena *a)
{
    char *copy = arena_bytes(a, (size_t)len + 1);
    if (copy == NULL) {
        return (struct slice){NULL, 0};
    }
    for (int i = 0; i < len; i++) {
        char c = (char)bytes[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return slice_of(copy, (size_t)len);
}

static bool name_is_of_use(const GENERAL_NAME *g)
{
    if (g->type == GEN_DNS) {
        const unsigned char *bytes = ASN1_STRING_get0_data(g->d.dNSName);
        int len = ASN1_STRING_length(g->d.dNSName);
        return len > 0 && len <= 255 && memchr(bytes, 0, (size_t)len) == NULL;
    }
    int len = g->type == GEN_IPADD ? ASN1_STRING_length(g->d.iPAddress) : 0;
    return len == 4 || len == 16;
}

int x509_names(const X509 *x, struct arena *a, struct slice *names, int max)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int count = 0;
    int rc = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && count < max && rc == 0; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (!name_is_of_use(g)) {
            continue;
        }
        const ASN1_STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->d.iPAddress;
        const unsigned char *bytes = ASN1_STRING_get0_data(s);
        int len = ASN1_STRING_length(s);
        names[count] = g->type == GEN_DNS ? dns_name(bytes, len, a) : ip_name(bytes, len, a);
        rc = names[count].ptr == NULL ? E_NO_MEMORY : 0;
        count++;
    }
    GENERAL_NAMES_free(all);
    ERR_clear_error();
    return rc != 0 ? rc : count;
}

bool x509_names_cover(const struct slice *names, uint32_t count, struct slice name)
{
    if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = slice_sub(name, 1, name.len - 2);
    }
    ptrdiff_t dot = slice_find_char(name, '.');
    struct slice rest = dot > 0 ? slice_from(name, (size_t)dot) : SLICE("");
    for (uint32_t i = 0; i < count; i++) {
        struct slice n = names[i];
        bool wild =
            rest.len > 0 && n.len > 1 && n.ptr[0] == '*' && slice_eq(slice_from(n, 1), rest);
        if (wild || slice_eq(n, name)) {
            return true;
        }
    }
    return false;
}

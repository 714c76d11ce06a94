// SPDX-License-Identifier: Apache-2.0
//
// Answers of name servers, whole and broken.

#include "net/dns_answer.h"

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

// The question "a.b A IN" with so many answers and additional records. The name is at offset 12.
#define HEAD(flags, answers, more) "\x12\x34" flags "\0\1\0" answers "\0\0\0" more
#define ASK_A                      "\1a\1b\0\0\1\0\1"
#define ASK_AAAA                   "\1a\1b\0\0\x1c\0\1"
#define ASK_SRV                    "\1a\1b\0\0\x21\0\1"
#define OK                         "\x81\x80"
#define RR(name, type, ttl, len)   name "\0" type "\0\1\0\0\0" ttl "\0" len

static const struct dns_name *name_of(const char *text)
{
    static struct dns_name n;
    REQUIRE(dns_name_set(&n, slice_str(text)) == 0);
    return &n;
}

// ---- names ----------------------------------------------------------------------------------------

static void names(void)
{
    struct dns_name n;
    CHECK_EQ_INT(dns_name_set(&n, SLICE("A.Example.")), 0);
    CHECK_TEXT(n.text, n.len, "a.example");
    CHECK_EQ_INT(dns_name_set(&n, SLICE("_http._tcp.x")), 0);
    static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a..", "a b", "\xff", "a\\b"};
    for (size_t i = 0; i < array_len(bad); i++) {
        if (!CHECK_EQ_INT(dns_name_set(&n, slice_str(bad[i])), E_INVALID)) {
            printf("# of `%s`\n", bad[i]);
        }
    }
    char longer[300];
    memset(longer, 'a', sizeof(longer));
    for (size_t i = 60; i < sizeof(longer); i += 61) {
        longer[i] = '.';
    }
    CHECK_EQ_INT(dns_name_set(&n, slice_of(longer, 253)), 0);
    CHECK_EQ_INT(dns_name_set(&n, slice_of(longer, 254)), E_INVALID);
    longer[60] = 'a';
    CHECK_EQ_INT(dns_name_set(&n, slice_of(longer, 100)), E_INVALID); // a label of 64 and more
}

// ---- addresses ------------------------------------------------------------------------------------

static struct dns_addrs addrs;
static char told[512];

static const char *tell(struct slice message, unsigned type)
{
    struct text t = text_on(told, sizeof(told) - 1);
    int e = dns_answer_addrs(message, name_of("a.b"), type, &addrs);
    if (e != 0) {
        CHECK_EQ_INT(e, E_INVALID);
        return "invalid";
    }
    for (uint32_t i = 0; i < addrs.count; i++) {
        os_addr_ip_text(&addrs.addrs[i], &t);
        text_char(&t, ' ');
    }
    if (addrs.count > 0) {
        text_printf(&t, "ttl=%u", addrs.ttl_s);
    }
    told[t.len] = '\0';
    return told;
}

struct row {
    const char *what;
    struct slice message;
    const char *want;
};

#define M(bytes)                                                                                   \
    {                                                                                              \
        (bytes), sizeof(bytes) - 1                                                                 \
    }

static const struct row address_rows[] = {
    {"one", M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\1", "\x3c", "\4") "\12\0\0\1"),
     "10.0.0.1 ttl=60"},
    {"the shortest TTL of two",
     M(HEAD(OK, "\2", "\0") ASK_A RR("\xc0\x0c", "\1", "\x3c", "\4") "\12\0\0\1" RR(
         "\1A\1B\0", "\1", "\5", "\4") "\12\0\0\2"),
     "10.0.0.1 10.0.0.2 ttl=5"},
    {"an alias that lives shorter than what it leads to, and comes last",
     M(HEAD(OK, "\2", "\0") ASK_A RR("\1c\0", "\1", "\x3c",
                                     "\4") "\12\0\0\3" RR("\xc0\x0c", "\5", "\7", "\3") "\1c\0"),
     "10.0.0.3 ttl=7"},
    {"an alias that leads nowhere",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\5", "\7", "\3") "\1c\0"), ""},
    {"an alias of itself",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\5", "\7", "\2") "\xc0\x0c"), ""},
    {"no answers", M(HEAD(OK, "\0", "\0") ASK_A), ""},
    {"an address of somebody else",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\1x\0", "\1", "\x3c", "\4") "\12\0\0\1"), ""},
    {"another class", M(HEAD(OK, "\1", "\0") ASK_A "\xc0\x0c\0\1\0\3\0\0\0\1\0\4\12\0\0\1"), ""},
    {"a TTL with the highest bit",
     M(HEAD(OK, "\1", "\0") ASK_A "\xc0\x0c\0\1\0\1\xff\0\0\1\0\4\12\0\0\1"), "10.0.0.1 ttl=0"},
    {"empty", M(""), "invalid"},
    {"half a header", M("\x12\x34\x81\x80\0\1"), "invalid"},
    {"a question, no answer", M(HEAD("\1\0", "\0", "\0") ASK_A), "invalid"},
    {"truncated by its flag", M(HEAD("\x83\x80", "\0", "\0") ASK_A), "invalid"},
    {"an error code", M(HEAD("\x81\x83", "\0", "\0") ASK_A), "invalid"},
    {"another kind of message", M(HEAD("\xa9\x80", "\0", "\0") ASK_A), "invalid"},
    {"another name asked for", M(HEAD(OK, "\0", "\0") "\1a\1c\0\0\1\0\1"), "invalid"},
    {"another type asked for", M(HEAD(OK, "\0", "\0") ASK_AAAA), "invalid"},
    {"a name that points at itself", M(HEAD(OK, "\0", "\0") "\xc0\x0c\0\1\0\1"), "invalid"},
    {"a name that points into the header", M(HEAD(OK, "\0", "\0") "\xc0\0\0\1\0\1"), "invalid"},
    {"a name that points forward",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x1f", "\1", "\x3c", "\4") "\12\0\0\1"), "invalid"},
    {"pointers that lead to each other",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x17\xc0\x15", "\1", "\x3c", "\4") "\12\0\0\1"),
     "invalid"},
    {"an unknown kind of label",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\x41x\0", "\1", "\x3c", "\4") "\12\0\0\1"), "invalid"},
    {"a label that runs out",
     M(HEAD(OK, "\0", "\0") "\x3f"
                            "abc"),
     "invalid"},
    {"an address of three bytes",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\1", "\x3c", "\3") "\12\0\0"), "invalid"},
    {"data that runs out", M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\1", "\x3c", "\4") "\12\0"),
     "invalid"},
    {"fewer records than announced",
     M(HEAD(OK, "\2", "\0") ASK_A RR("\xc0\x0c", "\1", "\x3c", "\4") "\12\0\0\1"), "invalid"},
    {"an alias beyond its data",
     M(HEAD(OK, "\1", "\0") ASK_A RR("\xc0\x0c", "\5", "\7", "\1") "\1c\0"), "invalid"},
    {"a blank in a name", M(HEAD(OK, "\1", "\0") ASK_A RR("\1 \0", "\1", "\x3c", "\4") "\12\0\0\1"),
     "invalid"},
};

static void addresses(void)
{
    for (size_t i = 0; i < array_len(address_rows); i++) {
        const struct row *row = &address_rows[i];
        if (!CHECK_STR(tell(row->message, DNS_TYPE_A), row->want)) {
            printf("# %s\n", row->what);
        }
    }
    static const char six[] =
        HEAD(OK, "\1", "\0") ASK_AAAA RR("\xc0\x0c", "\x1c", "\x3c", "\x10") "\x20\1\xd\xb8\0\0\0\0"
                                                                             "\0\0\0\0\0\0\0\1";
    CHECK_STR(tell(slice_of(six, sizeof(six) - 1), DNS_TYPE_AAAA), "2001:db8::1 ttl=60");
}

// Every prefix of a good message is refused, and nothing is read beyond it.
static void prefixes(void)
{
    struct slice whole = address_rows[2].message;
    for (size_t len = 0; len < whole.len; len++) {
        char *copy = malloc(len + 1);
        REQUIRE(copy != NULL);
        memcpy(copy, whole.ptr, len);
        CHECK_STR(tell(slice_of(copy, len), DNS_TYPE_A), "invalid");
        free(copy);
    }
}

// ---- services -------------------------------------------------------------------------------------

static struct dns_services services;

static const char *tell_services(struct slice message)
{
    struct text t = text_on(told, sizeof(told) - 1);
    if (dns_answer_services(message, name_of("a.b"), &services) != 0) {
        return "invalid";
    }
    for (uint32_t i = 0; i < services.count; i++) {
        const struct dns_service *s = &services.services[i];
        text_printf(&t, "%u/%u %.*s:%u ", s->priority, s->weight,
                    SLICE_ARG(dns_name_text(&s->target)), s->port);
    }
    for (uint32_t i = 0; i < services.extra_count; i++) {
        text_printf(&t, "[%u] ", services.extra[i].service);
        os_addr_ip_text(&services.extra[i].addr, &t);
        text_char(&t, ' ');
    }
    text_str(&t, services.none ? "none" : "");
    if (services.count > 0) {
        text_printf(&t, "ttl=%u", services.ttl_s);
    }
    told[t.len] = '\0';
    return told;
}

static const struct row service_rows[] = {
    {"one",
     M(HEAD(OK, "\1", "\0") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x9") "\0\1\0\2\x1f\x90\1T\0"),
     "1/2 t:8080 ttl=30"},
    {"two of one target, whose address came along",
     M(HEAD(OK, "\2", "\1")
           ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x9") "\0\1\0\2\x1f\x90\1t\0" RR(
               "\xc0\x0c", "\x21", "\x1d", "\x9") "\0\0\0\0\x1f\x91\1t\0" RR("\1t\0", "\1", "\5",
                                                                             "\4") "\12\0\0\1"),
     "1/2 t:8080 0/0 t:8081 [0] 10.0.0.1 ttl=29"},
    {"an address of nobody's",
     M(HEAD(OK, "\1", "\1")
           ASK_SRV RR("\xc0\x0c", "\x21", "\x1e",
                      "\x9") "\0\1\0\2\x1f\x90\1t\0" RR("\1x\0", "\1", "\5", "\4") "\12\0\0\1"),
     "1/2 t:8080 ttl=30"},
    {"decidedly none",
     M(HEAD(OK, "\1", "\0") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x7") "\0\0\0\0\0\0\0"),
     "none"},
    {"no records", M(HEAD(OK, "\0", "\0") ASK_SRV), ""},
    {"too short",
     M(HEAD(OK, "\1", "\0") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x6") "\0\0\0\0\0\1"),
     "invalid"},
    {"port 0",
     M(HEAD(OK, "\1", "\0") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x9") "\0\1\0\2\0\0\1t\0"),
     "invalid"},
    {"a target beyond its data",
     M(HEAD(OK, "\1", "\0") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x8") "\0\1\0\2\x1f\x90\1t\0"),
     "invalid"},
    {"another type asked for", M(HEAD(OK, "\0", "\0") ASK_A), "invalid"},
    {"a broken additional record",
     M(HEAD(OK, "\1", "\1") ASK_SRV RR("\xc0\x0c", "\x21", "\x1e", "\x9") "\0\1\0\2\x1f\x90\1t\0"
                                                                          "\1t"),
     "invalid"},
};

static void services_and_what_comes_along(void)
{
    for (size_t i = 0; i < array_len(service_rows); i++) {
        if (!CHECK_STR(tell_services(service_rows[i].message), service_rows[i].want)) {
            printf("# %s\n", service_rows[i].what);
        }
    }
}

TAP_MAIN(names, addresses, prefixes, services_and_what_comes_along)

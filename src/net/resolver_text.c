// SPDX-License-Identifier: Apache-2.0
//
// Reading resolv.conf and hosts (net/resolver_text.h). The files of a machine are read by dozens of
// programs that each forgive something else; this one forgives whatever glibc does, and comments at
// the end of a line besides.

#include "net/resolver_text.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"

enum { DNS_PORT = 53 };

// The next line, without comment; false at the end.
static bool next_line(struct slice *text, struct slice *line)
{
    if (text->len == 0) {
        return false;
    }
    ptrdiff_t end = slice_find_char(*text, '\n');
    size_t len = end >= 0 ? (size_t)end : text->len;
    *line = slice_sub(*text, 0, len);
    *text = slice_from(*text, len + 1);
    for (size_t i = 0; i < line->len; i++) {
        if (line->ptr[i] == '#' || line->ptr[i] == ';') {
            line->len = i;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

static bool next_word(struct slice *line, struct slice *word)
{
    size_t from = 0;
    while (from < line->len && is_blank(line->ptr[from])) {
        from++;
    }
    size_t to = from;
    while (to < line->len && !is_blank(line->ptr[to])) {
        to++;
    }
    *word = slice_sub(*line, from, to - from);
    *line = slice_from(*line, to);
    return to > from;
}

// ---- servers --------------------------------------------------------------------------------------

static int add_server(struct resolver_servers *s, struct slice text)
{
    struct os_addr a;
    if (os_addr_parse(text, &a) != 0 && os_addr_parse_ip(text, DNS_PORT, &a) != 0) {
        return E_INVALID;
    }
    if (a.kind == OS_ADDR_UNIX) {
        return E_INVALID;
    }
    if (s->count < RESOLVER_SERVERS_MAX) {
        s->at[s->count++] = a;
    }
    return 0;
}

int resolver_text_servers(struct resolver_servers *s, struct slice list)
{
    struct slice word;
    s->count = 0;
    while (next_word(&list, &word)) {
        int e = add_server(s, word);
        if (e != 0) {
            return e;
        }
    }
    return 0;
}

bool resolver_text_same_servers(const struct resolver_servers *a, const struct resolver_servers *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = os_addr_eq(&a->at[i], &b->at[i]);
    }
    return same;
}

// ---- resolv.conf ----------------------------------------------------------------------------------

static void set_domains(struct resolver_text *t, struct slice line)
{
    struct slice word;
    t->domain_count = 0; // the last line counts (resolv.conf(5))
    while (t->domain_count < RESOLVER_DOMAINS_MAX && next_word(&line, &word)) {
        if (word.len <= RESOLVER_NAME_MAX && !slice_eq(word, SLICE("."))) {
            char *text = t->domains[t->domain_count++];
            memcpy(text, word.ptr, word.len);
            text[word.len] = '\0';
        }
    }
}

static void set_options(struct resolver_text *t, struct slice line)
{
    struct slice word;
    while (next_word(&line, &word)) {
        uint64_t value;
        if (slice_eq(word, SLICE("rotate"))) {
            t->rotate = true;
        } else if (slice_starts(word, SLICE("ndots:")) &&
                   num_parse_u64(slice_from(word, 6), 15, &value) == 0) {
            t->ndots = (uint32_t)value;
        }
    }
}

void resolver_text_read(struct resolver_text *t, struct slice resolv_conf)
{
    struct slice line;
    memset(t, 0, sizeof(*t));
    t->ndots = 1;
    while (next_line(&resolv_conf, &line)) {
        struct slice key;
        struct slice value;
        if (!next_word(&line, &key)) {
            continue;
        }
        if (slice_eq(key, SLICE("nameserver")) && next_word(&line, &value)) {
            int ignored = add_server(&t->servers, value);
            (void)ignored;
        } else if (slice_eq(key, SLICE("search")) || slice_eq(key, SLICE("domain"))) {
            set_domains(t, line);
        } else if (slice_eq(key, SLICE("options"))) {
            set_options(t, line);
        }
    }
}

int resolver_text_candidate(const struct resolver_text *t, struct slice name, uint32_t n,
                            char out[RESOLVER_NAME_MAX + 1])
{
    uint32_t dots = 0;
    for (size_t i = 0; i < name.len; i++) {
        dots += name.ptr[i] == '.';
    }
    bool absolute = name.len > 0 && name.ptr[name.len - 1] == '.';
    uint32_t domains = absolute ? 0 : t->domain_count;
    uint32_t own = dots >= t->ndots ? 0 : domains; // when the name as it is has its turn
    if (n > domains || name.len > RESOLVER_NAME_MAX) {
        return E_NOT_FOUND;
    }
    memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    if (n == own) {
        return 0;
    }
    const char *domain = t->domains[n < own ? n : n - 1];
    size_t len = strlen(domain);
    if (name.len + 1 + len > RESOLVER_NAME_MAX) {
        out[0] = '\0'; // nobody has such a name
        return 0;
    }
    out[name.len] = '.';
    memcpy(out + name.len + 1, domain, len + 1);
    return 0;
}

// ---- hosts ----------------------------------------------------------------------------------------

static struct slice without_dot(struct slice name)
{
    return name.len > 1 && name.ptr[name.len - 1] == '.' ? slice_sub(name, 0, name.len - 1) : name;
}

static uint32_t find_in_hosts(struct slice text, struct slice name, uint16_t port,
                              struct os_addr *out, uint32_t max)
{
    struct slice line;
    uint32_t count = 0;
    while (count < max && next_line(&text, &line)) {
        struct slice word;
        struct os_addr a;
        if (!next_word(&line, &word) || os_addr_parse_ip(word, port, &a) != 0) {
            continue;
        }
        bool found = false;
        while (!found && next_word(&line, &word)) {
            found = slice_eq_nocase(without_dot(word), name);
        }
        if (found) {
            out[count++] = a;
        }
    }
    return count;
}

uint32_t resolver_text_addrs(struct slice hosts, struct slice name, uint16_t port,
                             struct os_addr *out, uint32_t max)
{
    ensure(max >= 2);
    if (os_addr_parse_ip(name, port, out) == 0) {
        return 1;
    }
    name = without_dot(name);
    uint32_t count = find_in_hosts(hosts, name, port, out, max);
    bool localhost =
        slice_eq_nocase(name, SLICE("localhost")) || slice_ends_nocase(name, SLICE(".localhost"));
    if (count == 0 && localhost) {
        out[0] = (struct os_addr){.kind = OS_ADDR_V4, .port = port, .u.ip = {127, 0, 0, 1}};
        out[1] = (struct os_addr){.kind = OS_ADDR_V6, .port = port, .u.ip = {[15] = 1}};
        count = 2;
    }
    return count;
}

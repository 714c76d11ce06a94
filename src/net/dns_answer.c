// SPDX-License-Identifier: Apache-2.0
//
// Answers of name servers (net/dns_answer.h). A message is read from its front to its end for each
// question that is asked of it; nothing of it is kept. Pointers in names must lead backwards, each
// further than the one before (RFC 1035 section 4.1.4 speaks of prior occurrences), so no chain of
// them can loop; a chain of aliases is followed for a fixed number of links.
//
// A record that cannot be made sense of by itself (a name with odd bytes, an address of another
// length) makes the whole message unusable: a list of servers with a hole in it is worse than the
// list from before.

#include "net/dns_answer.h"

#include <string.h>

#include "base/error.h"

enum {
    DNS_HEAD = 12,
    DNS_CLASS_IN = 1,
    DNS_LABEL_MAX = 63,
    DNS_POINTER = 0xc0,
    DNS_ALIASES_MAX = 16,
    DNS_SRV_FIXED = 6, // priority, weight, port
};

struct reader {
    struct slice message;
    size_t at;
};

struct record {
    struct dns_name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t data; // where it begins
    size_t len;
};

struct header {
    uint32_t answers;
    uint32_t others; // authority and additional
    size_t first;    // record
};

static unsigned byte_at(const struct reader *r, size_t at)
{
    return (unsigned char)r->message.ptr[at];
}

static bool has(const struct reader *r, size_t bytes)
{
    return r->at <= r->message.len && r->message.len - r->at >= bytes;
}

static int take_u16(struct reader *r, uint16_t *out)
{
    if (!has(r, 2)) {
        return E_INVALID;
    }
    *out = (uint16_t)(byte_at(r, r->at) << 8 | byte_at(r, r->at + 1));
    r->at += 2;
    return 0;
}

// ---- names ----------------------------------------------------------------------------------------

static char lower(unsigned c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool char_ok(unsigned c)
{
    return c > ' ' && c < 0x7f && c != '.' && c != '\\';
}

static int put_label(struct dns_name *n, const char *bytes, size_t len)
{
    size_t dot = n->len > 0;
    if (len == 0 || len > DNS_LABEL_MAX || n->len + dot + len > DNS_NAME_MAX - 2) {
        return E_INVALID;
    }
    if (dot) {
        n->text[n->len++] = '.';
    }
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)bytes[i];
        if (!char_ok(c)) {
            return E_INVALID;
        }
        n->text[n->len++] = lower(c);
    }
    return 0;
}

int dns_name_set(struct dns_name *n, struct slice text)
{
    n->len = 0;
    if (text.len > 0 && text.ptr[text.len - 1] == '.') {
        text.len--;
    }
    while (text.len > 0) {
        ptrdiff_t dot = slice_find_char(text, '.');
        size_t len = dot >= 0 ? (size_t)dot : text.len;
        int e = put_label(n, text.ptr, len);
        if (e != 0 || len + 1 == text.len) { // "a..": an empty label
            return E_INVALID;
        }
        text = slice_from(text, len + 1);
    }
    return n->len > 0 ? 0 : E_INVALID;
}

// Reads the name at r->at, which comes to stand behind it.
static int take_name(struct reader *r, struct dns_name *n)
{
    size_t at = r->at;
    size_t lowest = at; // pointers lead to before it
    size_t end = 0;     // of the name where it stands; 0: no pointer was met
    n->len = 0;
    for (;;) {
        if (at >= r->message.len) {
            return E_INVALID;
        }
        unsigned len = byte_at(r, at);
        if (len == 0) {
            r->at = end != 0 ? end : at + 1;
            return 0;
        }
        if (len <= DNS_LABEL_MAX) {
            if (r->message.len - at <= len) {
                return E_INVALID;
            }
            int e = put_label(n, r->message.ptr + at + 1, len);
            if (e != 0) {
                return e;
            }
            at += 1 + len;
            continue;
        }
        if ((len & DNS_POINTER) != DNS_POINTER || at + 1 >= r->message.len) {
            return E_INVALID; // RFC 6891 section 5: no other kind of label is in use
        }
        end = end != 0 ? end : at + 2;
        at = (size_t)(len & ~(unsigned)DNS_POINTER) << 8 | byte_at(r, at + 1);
        if (at >= lowest || at < DNS_HEAD) {
            return E_INVALID;
        }
        lowest = at;
    }
}

static bool same_name(const struct dns_name *a, const struct dns_name *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

// ---- messages -------------------------------------------------------------------------------------

// The header and the question, which must be ours.
static int open_message(struct slice message, const struct dns_name *name, unsigned type,
                        struct header *out)
{
    struct reader r = {message, 0};
    uint16_t word[DNS_HEAD / 2];
    for (size_t i = 0; i < array_len(word); i++) {
        int e = take_u16(&r, &word[i]);
        if (e != 0) {
            return e;
        }
    }
    bool answer = (word[1] & 0x8000) != 0;
    unsigned opcode = word[1] >> 11 & 15;
    bool whole = (word[1] & 0x0200) == 0;
    unsigned code = word[1] & 15;
    if (!answer || opcode != 0 || !whole || code != 0 || word[2] != 1) {
        return E_INVALID;
    }
    struct dns_name asked;
    uint16_t asked_type = 0;
    uint16_t asked_class = 0;
    if (take_name(&r, &asked) != 0 || take_u16(&r, &asked_type) != 0 ||
        take_u16(&r, &asked_class) != 0) {
        return E_INVALID;
    }
    if (!same_name(&asked, name) || asked_type != type || asked_class != DNS_CLASS_IN) {
        return E_INVALID;
    }
    *out = (struct header){word[3], (uint32_t)word[4] + word[5], r.at};
    return 0;
}

static int take_record(struct reader *r, struct record *out)
{
    uint16_t ttl[2];
    uint16_t len;
    if (take_name(r, &out->owner) != 0 || take_u16(r, &out->type) != 0 ||
        take_u16(r, &out->class) != 0 || take_u16(r, &ttl[0]) != 0 || take_u16(r, &ttl[1]) != 0 ||
        take_u16(r, &len) != 0 || !has(r, len)) {
        return E_INVALID;
    }
    // RFC 2181 section 8: a TTL with the highest bit set is zero.
    out->ttl = ttl[0] > INT16_MAX ? 0 : (uint32_t)ttl[0] << 16 | ttl[1];
    out->data = r->at;
    out->len = len;
    r->at += len;
    return 0;
}

static int addr_of(struct slice message, const struct record *r, struct os_addr *out)
{
    size_t size = r->type == DNS_TYPE_A ? 4 : 16;
    if (r->len != size) {
        return E_INVALID;
    }
    memset(out, 0, sizeof(*out));
    out->kind = r->type == DNS_TYPE_A ? OS_ADDR_V4 : OS_ADDR_V6;
    memcpy(out->u.ip, message.ptr + r->data, size);
    return 0;
}

// ---- addresses ------------------------------------------------------------------------------------

/** What one pass over the answers looks for. */
struct look {
    struct dns_name name;  // in: whose records
    struct dns_name alias; // out: what it is another name for
    bool has_alias;
    unsigned type;
    uint32_t alias_ttl;
};

static int look_for_addrs(struct slice message, const struct header *h, struct look *look,
                          struct dns_addrs *out)
{
    struct reader r = {message, h->first};
    look->has_alias = false;
    for (uint32_t i = 0; i < h->answers; i++) {
        struct record record;
        int e = take_record(&r, &record);
        if (e != 0) {
            return e;
        }
        if (record.class != DNS_CLASS_IN || !same_name(&record.owner, &look->name)) {
            continue;
        }
        if (record.type == DNS_TYPE_CNAME && !look->has_alias) {
            struct reader data = {slice_sub(message, 0, record.data + record.len), record.data};
            e = take_name(&data, &look->alias);
            look->has_alias = e == 0;
            look->alias_ttl = record.ttl;
        } else if (record.type == look->type && out->count < DNS_ADDRS_MAX) {
            e = addr_of(message, &record, &out->addrs[out->count]);
            out->count++;
            out->ttl_s = record.ttl < out->ttl_s ? record.ttl : out->ttl_s;
        }
        if (e != 0) {
            return e;
        }
    }
    return 0;
}

int dns_answer_addrs(struct slice message, const struct dns_name *name, unsigned type,
                     struct dns_addrs *out)
{
    struct header h;
    out->count = 0;
    out->ttl_s = UINT32_MAX;
    int e = open_message(message, name, type, &h);
    struct look look = {.name = *name, .type = type};
    uint32_t alias_ttl = UINT32_MAX;
    for (int links = 0; e == 0 && links <= DNS_ALIASES_MAX; links++) {
        e = look_for_addrs(message, &h, &look, out);
        if (e != 0 || out->count > 0 || !look.has_alias) {
            break;
        }
        alias_ttl = look.alias_ttl < alias_ttl ? look.alias_ttl : alias_ttl;
        look.name = look.alias;
    }
    if (out->count > 0 && alias_ttl < out->ttl_s) {
        out->ttl_s = alias_ttl;
    }
    return e;
}

// ---- services -------------------------------------------------------------------------------------

static int take_service(struct slice message, const struct record *record, struct dns_services *out)
{
    struct reader r = {slice_sub(message, 0, record->data + record->len), record->data};
    if (record->len <= DNS_SRV_FIXED) {
        return E_INVALID;
    }
    struct dns_service s = {.extra_ttl_s = UINT32_MAX};
    if (take_u16(&r, &s.priority) != 0 || take_u16(&r, &s.weight) != 0 ||
        take_u16(&r, &s.port) != 0 || take_name(&r, &s.target) != 0) {
        return E_INVALID;
    }
    out->ttl_s = record->ttl < out->ttl_s ? record->ttl : out->ttl_s;
    if (s.target.len == 0) {
        out->none = true;
    } else if (s.port == 0) {
        return E_INVALID;
    } else if (out->count < DNS_SERVICES_MAX) {
        out->services[out->count++] = s;
    }
    return 0;
}

static struct dns_service *service_at(struct dns_services *s, const struct dns_name *target)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (same_name(&s->services[i].target, target)) {
            return &s->services[i];
        }
    }
    return NULL;
}

static int take_extra(struct slice message, const struct record *record, struct dns_services *out)
{
    bool is_addr = record->type == DNS_TYPE_A || record->type == DNS_TYPE_AAAA;
    if (!is_addr || record->class != DNS_CLASS_IN || out->extra_count == DNS_ADDRS_MAX) {
        return 0;
    }
    struct dns_service *s = service_at(out, &record->owner);
    if (s == NULL) {
        return 0;
    }
    struct dns_extra *extra = &out->extra[out->extra_count];
    extra->service = (uint32_t)(s - out->services);
    int e = addr_of(message, record, &extra->addr);
    if (e == 0) {
        out->extra_count++;
        s->extra_ttl_s = record->ttl < s->extra_ttl_s ? record->ttl : s->extra_ttl_s;
    }
    return e;
}

// Aliases of the service's own name are followed like those of hosts.
static int look_for_services(struct slice message, const struct header *h, struct look *look,
                             struct dns_services *out)
{
    struct reader r = {message, h->first};
    look->has_alias = false;
    int e = 0;
    for (uint32_t i = 0; e == 0 && i < h->answers; i++) {
        struct record record;
        e = take_record(&r, &record);
        if (e != 0 || record.class != DNS_CLASS_IN || !same_name(&record.owner, &look->name)) {
            continue;
        }
        if (record.type == DNS_TYPE_CNAME) {
            struct reader data = {slice_sub(message, 0, record.data + record.len), record.data};
            e = take_name(&data, &look->alias);
            look->has_alias = e == 0;
            look->alias_ttl = record.ttl;
        } else if (record.type == DNS_TYPE_SRV) {
            e = take_service(message, &record, out);
        }
    }
    return e;
}

int dns_answer_services(struct slice message, const struct dns_name *name, struct dns_services *out)
{
    struct header h;
    out->count = 0;
    out->extra_count = 0;
    out->none = false;
    out->ttl_s = UINT32_MAX;
    int e = open_message(message, name, DNS_TYPE_SRV, &h);
    struct look look = {.name = *name};
    uint32_t alias_ttl = UINT32_MAX;
    for (int links = 0; e == 0 && links <= DNS_ALIASES_MAX; links++) {
        e = look_for_services(message, &h, &look, out);
        if (e != 0 || out->count > 0 || !look.has_alias) {
            break;
        }
        alias_ttl = look.alias_ttl < alias_ttl ? look.alias_ttl : alias_ttl;
        look.name = look.alias;
    }
    out->ttl_s = alias_ttl < out->ttl_s ? alias_ttl : out->ttl_s;
    struct reader r = {message, e == 0 ? h.first : 0};
    for (uint32_t i = 0; e == 0 && out->count > 0 && i < h.answers + h.others; i++) {
        struct record record;
        e = take_record(&r, &record);
        if (e == 0) {
            e = take_extra(message, &record, out);
        }
    }
    return e;
}

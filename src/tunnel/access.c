// SPDX-License-Identifier: Apache-2.0
//
// The table of who may have tunnels (tunnel/access.h): made once from a document, then only read. All
// of it, texts included, lies in one arena, which goes with the last reference.
//
// Proofs are hashes or public keys, so nobody who tries can come near one by what a lookup takes: the
// map is keyed by the first half of a proof, and the second is compared in one time whatever it is.

#include "tunnel/access.h"

#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/slab.h"
#include "tunnel/names.h"

enum {
    ACCESS_MAGIC = 0x41636373,
    ARENA_BYTES_MAX = 256 << 20,
    PROOF_KEY_BYTES = ACCESS_PROOF_BYTES / 2,
    LABEL_MAX = 63,
    KINDS = ACCESS_CERTIFICATE + 1,
};

struct grant {
    struct access_grant base;
    uint8_t proof[ACCESS_PROOF_BYTES];
};

struct access {
    uint32_t magic;
    atomic_uint refs;
    uint64_t number;
    struct arena arena;
    struct slice_map proofs[KINDS]; // first half of a proof -> struct grant
    struct slice_map ids;
    struct slice_map owners; // reserved name or proven domain -> owner, a C string
    struct slice_map alike; // skeleton of a reserved name -> owner; of two that are alike the first
    uint32_t secret_count;
    struct access_secret secrets[ACCESS_SECRETS_MAX];
};

// ---- the document -------------------------------------------------------------------------------

static const char *const kind_words[] = {"token", "key", "certificate", NULL};

#define ROW_TEXT(row_name, must)                                                                   \
    {                                                                                              \
        .name = (row_name), .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_STRING,                  \
        .required = (must)                                                                         \
    }
#define ROW_NUMBER(row_name)                                                                       \
    {                                                                                              \
        .name = (row_name), .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_INT, .min = 0,           \
        .max = INT64_MAX                                                                           \
    }

static const struct conf_directive grant_rows[] = {
    ROW_TEXT("id", true),
    {.name = "kind",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = kind_words,
     .required = true},
    ROW_TEXT("proof", true),
    ROW_TEXT("owner", true),
    {.name = "names", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_STRING, .list = true},
    {.name = "ports", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_STRING, .list = true},
    {.name = "tunnels",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 0,
     .max = ACCESS_TUNNELS_MAX},
    {.name = "rate",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 0,
     .max = ACCESS_RATE_MAX},
    ROW_NUMBER("expires"),
    ROW_NUMBER("created"),
    ROW_NUMBER("used"),
    ROW_TEXT("note", false),
    CONF_END,
};

static const struct conf_directive name_rows[] = {
    ROW_TEXT("name", true),
    ROW_TEXT("owner", true),
    ROW_NUMBER("created"),
    CONF_END,
};

static const struct conf_directive domain_rows[] = {
    ROW_TEXT("name", true), ROW_TEXT("owner", true), ROW_TEXT("value", false),
    ROW_NUMBER("created"),  ROW_NUMBER("proved"),    ROW_NUMBER("asked"),
    ROW_NUMBER("failures"), ROW_TEXT("why", false),  CONF_END,
};

static const struct conf_directive secret_rows[] = {
    ROW_NUMBER("made"),
    ROW_TEXT("bytes", true),
    CONF_END,
};

#define ROW_LIST(row_name, of)                                                                     \
    {                                                                                              \
        .name = (row_name), .contexts = CONF_IN_TOP, .type = CONF_TYPE_OBJECT, .list = true,       \
        .rows = (of)                                                                               \
    }

static const struct conf_directive doc_rows[] = {
    ROW_LIST("grants", grant_rows),
    ROW_LIST("names", name_rows),
    ROW_LIST("domains", domain_rows),
    ROW_LIST("secrets", secret_rows),
    CONF_END,
};

const struct conf_directive *const access_doc_tables[] = {doc_rows, NULL};

// ---- texts --------------------------------------------------------------------------------------

// Two digits a byte, exactly `len` of them; a colon may stand between two bytes.
static bool take_hex(struct slice s, uint8_t *out, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        at += i > 0 && at < s.len && s.ptr[at] == ':';
        int high = at + 1 < s.len ? num_hex_digit(s.ptr[at]) : -1;
        int low = at + 1 < s.len ? num_hex_digit(s.ptr[at + 1]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return at == s.len;
}

static bool is_ldh(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

// Labels of LDH (and '*' when `stars`), none empty, none longer than 63 or with '-' at an end.
static bool labels_ok(struct slice s, bool stars)
{
    size_t label = 0;
    if (s.len == 0 || s.len >= ACCESS_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i <= s.len; i++) {
        char c = i < s.len ? s.ptr[i] : '.';
        if (c == '.') {
            bool ends_badly = i > 0 && s.ptr[i - 1] == '-';
            if (label == 0 || label > LABEL_MAX || ends_badly) {
                return false;
            }
            label = 0;
            continue;
        }
        if ((label == 0 && c == '-') || !(is_ldh(c) || (stars && c == '*'))) {
            return false;
        }
        label++;
    }
    return true;
}

bool access_name_ok(struct slice name)
{
    return labels_ok(name, false);
}

bool access_pattern_ok(struct slice text)
{
    return labels_ok(text, true);
}

bool access_owner_ok(struct slice owner)
{
    for (size_t i = 0; i < owner.len; i++) {
        char c = owner.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("-_.@", c) == NULL)) {
            return false;
        }
    }
    return owner.len > 0 && owner.len < ACCESS_OWNER_MAX;
}

bool access_ports_parse(struct slice text, struct access_ports *out)
{
    ptrdiff_t dash = slice_find_char(text, '-');
    uint64_t first = 0;
    uint64_t last = 0;
    struct slice low = dash < 0 ? text : slice_sub(text, 0, (size_t)dash);
    struct slice high = dash < 0 ? text : slice_from(text, (size_t)dash + 1);
    if (num_parse_u64(low, UINT16_MAX, &first) != 0 ||
        num_parse_u64(high, UINT16_MAX, &last) != 0 || first == 0 || last < first) {
        return false;
    }
    *out = (struct access_ports){(uint16_t)first, (uint16_t)last};
    return true;
}

// Goes back to the last star only, so it takes no more than the product of both lengths.
bool access_pattern_takes(struct slice pattern, struct slice name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t star_at = 0;
    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_at = n;
        } else if (p < pattern.len && pattern.ptr[p] == name.ptr[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX && name.ptr[star_at] != '.') {
            p = star + 1;
            n = ++star_at;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

// ---- making it ----------------------------------------------------------------------------------

static int load_names(struct access *a, struct conf_node list, struct access_grant *g)
{
    uint32_t count = conf_count(list);
    if (count > ACCESS_PATTERNS_MAX) {
        return E_INVALID;
    }
    struct slice *names = arena_alloc(&a->arena, (count + 1) * sizeof *names);
    if (names == NULL) {
        return E_NO_MEMORY;
    }
    g->names = names;
    conf_each(one, list)
    {
        struct slice copy = arena_dup(&a->arena, conf_text(one));
        if (copy.ptr == NULL) {
            return E_NO_MEMORY;
        }
        names[g->name_count++] = copy;
    }
    return 0;
}

static int load_ports(struct access *a, struct conf_node list, struct access_grant *g)
{
    uint32_t count = conf_count(list);
    if (count > ACCESS_PORTS_MAX) {
        return E_INVALID;
    }
    struct access_ports *ports = arena_alloc(&a->arena, (count + 1) * sizeof *ports);
    if (ports == NULL) {
        return E_NO_MEMORY;
    }
    g->ports = ports;
    conf_each(one, list)
    {
        if (!access_ports_parse(conf_text(one), &ports[g->port_count])) {
            return E_INVALID;
        }
        g->port_count++;
    }
    return 0;
}

static enum access_kind kind_of(struct slice word)
{
    for (unsigned i = 0; i < KINDS; i++) {
        if (slice_eq(word, slice_str(kind_words[i]))) {
            return (enum access_kind)i;
        }
    }
    unreachable(); // the check has seen to it
}

static int duplicate(int error)
{
    return error == E_EXISTS ? E_INVALID : error;
}

static int load_grant(struct access *a, struct conf_node n)
{
    struct grant *g = arena_zalloc(&a->arena, sizeof *g);
    if (g == NULL) {
        return E_NO_MEMORY;
    }
    struct slice id = conf_string(conf_get(n, "id"), "");
    struct slice owner = conf_string(conf_get(n, "owner"), "");
    if (id.len == 0 || id.len >= ACCESS_ID_MAX || !access_owner_ok(owner) ||
        !take_hex(conf_string(conf_get(n, "proof"), ""), g->proof, sizeof g->proof)) {
        return E_INVALID;
    }
    g->base = (struct access_grant){
        .id = arena_strdup(&a->arena, id),
        .owner = arena_strdup(&a->arena, owner),
        .kind = kind_of(conf_string(conf_get(n, "kind"), "")),
        .expires_ms = (uint64_t)conf_int(conf_get(n, "expires"), 0),
        .limits = {.tunnels = (uint32_t)conf_int(conf_get(n, "tunnels"), 0),
                   .rate = (uint32_t)conf_int(conf_get(n, "rate"), 0)},
    };
    if (g->base.id == NULL || g->base.owner == NULL) {
        return E_NO_MEMORY;
    }
    int error = load_names(a, conf_get(n, "names"), &g->base);
    if (error == 0) {
        error = load_ports(a, conf_get(n, "ports"), &g->base);
    }
    if (error == 0) {
        error = slice_map_put(&a->ids, slice_str(g->base.id), g);
    }
    if (error == 0) {
        struct slice half = slice_of((const char *)g->proof, PROOF_KEY_BYTES);
        error = slice_map_put(&a->proofs[g->base.kind], half, g);
    }
    return duplicate(error);
}

static int note_alike(struct access *a, struct slice name, char *whose)
{
    char room[NAMES_DOMAIN_MAX + 1];
    struct slice key = arena_dup(&a->arena, names_skeleton(name, room));
    if (key.ptr == NULL) {
        return E_NO_MEMORY;
    }
    int error = slice_map_put(&a->alike, key, whose);
    return error == E_EXISTS ? 0 : error;
}

// A domain counts from its proof on.
static int load_owner(struct access *a, struct conf_node n, bool domain)
{
    struct slice name = conf_string(conf_get(n, "name"), "");
    struct slice owner = conf_string(conf_get(n, "owner"), "");
    if (!access_name_ok(name) || !access_owner_ok(owner)) {
        return E_INVALID;
    }
    if (domain && conf_int(conf_get(n, "proved"), 0) == 0) {
        return 0;
    }
    struct slice key = arena_dup(&a->arena, name);
    char *whose = arena_strdup(&a->arena, owner);
    if (key.ptr == NULL || whose == NULL) {
        return E_NO_MEMORY;
    }
    int error = duplicate(slice_map_put(&a->owners, key, whose));
    return error == 0 && !domain ? note_alike(a, key, whose) : error;
}

static int load_secret(struct access *a, struct conf_node n)
{
    uint8_t bytes[ACCESS_SECRET_BYTES];
    if (a->secret_count == ACCESS_SECRETS_MAX ||
        !take_hex(conf_string(conf_get(n, "bytes"), ""), bytes, sizeof bytes)) {
        return E_INVALID;
    }
    struct access_secret *s = &a->secrets[a->secret_count++];
    s->made_ms = (uint64_t)conf_int(conf_get(n, "made"), 0);
    memcpy(s->seal, bytes, sizeof s->seal);
    memcpy(s->instance, bytes + sizeof s->seal, sizeof s->instance);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

static int load_lists(struct access *a, struct conf_node root)
{
    int error = 0;
    conf_each(n, conf_get(root, "grants"))
    {
        error = error == 0 ? load_grant(a, n) : error;
    }
    conf_each(n, conf_get(root, "names"))
    {
        error = error == 0 ? load_owner(a, n, false) : error;
    }
    conf_each(n, conf_get(root, "domains"))
    {
        error = error == 0 ? load_owner(a, n, true) : error;
    }
    conf_each(n, conf_get(root, "secrets"))
    {
        error = error == 0 ? load_secret(a, n) : error;
    }
    return error;
}

static int init_maps(struct access *a, struct conf_node root)
{
    uint32_t grants = conf_count(conf_get(root, "grants"));
    uint32_t names = conf_count(conf_get(root, "names"));
    uint32_t domains = conf_count(conf_get(root, "domains"));
    if (grants > ACCESS_GRANTS_MAX || names > ACCESS_NAMES_MAX || domains > ACCESS_NAMES_MAX) {
        return E_INVALID;
    }
    int error = slice_map_init(&a->ids, &a->arena, grants + 1);
    for (unsigned i = 0; error == 0 && i < KINDS; i++) {
        error = slice_map_init(&a->proofs[i], &a->arena, grants + 1);
    }
    if (error == 0) {
        error = slice_map_init(&a->alike, &a->arena, names + 1);
    }
    return error == 0 ? slice_map_init(&a->owners, &a->arena, names + domains + 1) : error;
}

int access_load(const struct conf_doc *doc, struct access **out)
{
    static _Atomic uint64_t loaded; // cores compare which of two they have heard of later
    struct access *a = mem_zalloc(sizeof *a);
    if (a == NULL) {
        return E_NO_MEMORY;
    }
    a->magic = ACCESS_MAGIC;
    atomic_init(&a->refs, 1);
    a->number = atomic_fetch_add_explicit(&loaded, 1, memory_order_relaxed) + 1;
    arena_init(&a->arena, NULL, 0, NULL, ARENA_BYTES_MAX);
    int error = init_maps(a, conf_root(doc));
    if (error == 0) {
        error = load_lists(a, conf_root(doc));
    }
    if (error != 0) {
        access_unref(a);
        return error;
    }
    *out = a;
    return 0;
}

uint64_t access_number(const struct access *a)
{
    ensure_magic(a, ACCESS_MAGIC);
    return a->number;
}

struct access *access_ref(struct access *a)
{
    ensure_magic(a, ACCESS_MAGIC);
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void access_unref(struct access *a)
{
    if (a == NULL) {
        return;
    }
    ensure_magic(a, ACCESS_MAGIC);
    if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
        arena_fini(&a->arena);
        explicit_bzero(a, sizeof *a);
        mem_free(a);
    }
}

// ---- looking ------------------------------------------------------------------------------------

static bool same_in_one_time(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++) {
        difference |= (uint8_t)(a[i] ^ b[i]);
    }
    return difference == 0;
}

static const struct access_grant *find(const struct access *a, enum access_kind kind,
                                       const uint8_t *proof)
{
    ensure_magic(a, ACCESS_MAGIC);
    struct slice half = slice_of((const char *)proof, PROOF_KEY_BYTES);
    const struct grant *g = slice_map_get(&a->proofs[kind], half);
    return g != NULL && same_in_one_time(g->proof, proof, sizeof g->proof) ? &g->base : NULL;
}

const struct access_grant *access_token(const struct access *a,
                                        const uint8_t sha256[ACCESS_PROOF_BYTES])
{
    return find(a, ACCESS_TOKEN, sha256);
}

const struct access_grant *access_key(const struct access *a,
                                      const uint8_t public[ACCESS_PROOF_BYTES])
{
    return find(a, ACCESS_KEY, public);
}

const struct access_grant *access_certificate(const struct access *a, struct slice fingerprint_hex)
{
    uint8_t bytes[ACCESS_PROOF_BYTES];
    return take_hex(fingerprint_hex, bytes, sizeof bytes) ? find(a, ACCESS_CERTIFICATE, bytes)
                                                          : NULL;
}

const struct access_grant *access_grant_by_id(const struct access *a, struct slice id)
{
    ensure_magic(a, ACCESS_MAGIC);
    const struct grant *g = slice_map_get(&a->ids, id);
    return g != NULL ? &g->base : NULL;
}

bool access_expired(const struct access_grant *g, uint64_t wall_ms)
{
    return g->expires_ms != 0 && wall_ms >= g->expires_ms;
}

bool access_may_name(const struct access_grant *g, struct slice name)
{
    bool may = g->name_count == 0;
    for (uint32_t i = 0; !may && i < g->name_count; i++) {
        may = access_pattern_takes(g->names[i], name);
    }
    return may;
}

bool access_may_random(const struct access_grant *g)
{
    return g->name_count == 0;
}

bool access_may_port(const struct access_grant *g, uint16_t port)
{
    bool may = false;
    for (uint32_t i = 0; !may && i < g->port_count; i++) {
        may = port >= g->ports[i].first && port <= g->ports[i].last;
    }
    return may;
}

bool access_owner_of(const struct access *a, struct slice name, struct slice *owner)
{
    ensure_magic(a, ACCESS_MAGIC);
    const char *whose = slice_map_get(&a->owners, name);
    ptrdiff_t dot = slice_find_char(name, '.');
    while (whose == NULL && dot >= 0) {
        name = slice_from(name, (size_t)dot + 1);
        dot = slice_find_char(name, '.');
        // A label alone is a reserved name, no domain that others could be below.
        whose = dot >= 0 ? slice_map_get(&a->owners, name) : NULL;
    }
    if (whose == NULL) {
        return false;
    }
    *owner = slice_str(whose);
    return true;
}

bool access_owner_of_alike(const struct access *a, struct slice name, struct slice *owner)
{
    ensure_magic(a, ACCESS_MAGIC);
    char room[NAMES_DOMAIN_MAX + 1];
    const char *whose = slice_map_get(&a->alike, names_skeleton(name, room));
    if (whose == NULL) {
        return false;
    }
    *owner = slice_str(whose);
    return true;
}

bool access_allows(const struct access *a, const struct access_grant *g, struct slice name)
{
    struct slice owner;
    if (g != NULL && !access_may_name(g, name)) {
        return false;
    }
    if (!access_owner_of(a, name, &owner)) {
        return slice_find_char(name, '.') < 0;
    }
    return g != NULL && slice_eq(owner, slice_str(g->owner));
}

uint32_t access_secrets(const struct access *a, const struct access_secret **out)
{
    ensure_magic(a, ACCESS_MAGIC);
    *out = a->secrets;
    return a->secret_count;
}

// SPDX-License-Identifier: Apache-2.0
//
// Names of tunnels (tunnel/names.h). What looks alike is found by writing names down without what tells
// look-alikes apart: hyphens go, digits become the letters that they stand for, and of letters that a
// hasty eye confuses one is kept. Two names with one such skeleton look alike.

#include "tunnel/names.h"

#include "base/ensure.h"
#include "tunnel/access.h"

// Words and patterns that no agent may ask for, in any zone. The operator gives one of them away by
// reserving it for an owner.
static const char *const built_in[] = {
    // of the web and its operator
    "www*", "web", "admin", "administrator", "root", "login", "logon", "signin", "signup", "logout",
    "register", "account", "accounts", "auth", "oauth", "sso", "password", "api", "billing",
    "payment", "payments", "checkout", "secure", "security", "support", "help", "status", "console",
    "dashboard", "cdn", "static", "assets", "official", "verify", "update", "updates",
    // of mail and its roles (RFC 2142)
    "mail", "email", "webmail", "smtp", "imap", "pop", "pop3", "mx", "postmaster", "hostmaster",
    "webmaster", "abuse", "noc", "noreply", "mta-sts",
    // that machines ask for by themselves
    "autoconfig", "autodiscover", "wpad", "isatap", "localhost", "local", "broadcasthost", "ns",
    "ns1", "ns2", "ns3", "ns4", "dns", "ntp", "ftp", "ssh", "vpn", "proxy", "gateway", "router",
    "invalid", "internal",
    // of adit, and names that say an address, which only the edge gives
    "adit", "edge", "tunnel", "tunnels", "agent", "*-ip-*-*-*-*", "*-ip6-*-*-*-*-*-*-*-*"};

// ---- shapes -----------------------------------------------------------------------------------------

static bool is_ldh(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool has_shape(struct slice label)
{
    if (label.len == 0 || label.len > NAMES_LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        if (!is_ldh(label.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool is_reserved_shape(struct slice label)
{
    return label.len >= 4 && label.ptr[2] == '-' && label.ptr[3] == '-';
}

bool names_is_label(struct slice text)
{
    return has_shape(text) && !is_reserved_shape(text);
}

bool names_is_domain(struct slice text)
{
    if (text.len == 0 || text.len > NAMES_DOMAIN_MAX) {
        return false;
    }
    uint32_t labels = 0;
    bool letter = false; // of the last label: one of digits alone would be an address
    struct slice rest = text;
    while (rest.len > 0) {
        ptrdiff_t dot = slice_find_char(rest, '.');
        struct slice label = dot < 0 ? rest : slice_sub(rest, 0, (size_t)dot);
        if (!has_shape(label) || (is_reserved_shape(label) && !slice_starts(label, SLICE("xn")))) {
            return false;
        }
        if (dot >= 0 && (size_t)dot + 1 == rest.len) {
            return false;
        }
        letter = false;
        for (size_t i = 0; i < label.len; i++) {
            letter = letter || (label.ptr[i] >= 'a' && label.ptr[i] <= 'z');
        }
        labels++;
        rest = dot < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)dot + 1);
    }
    return labels >= 2 && letter;
}

// ---- skeletons --------------------------------------------------------------------------------------

static char plain_letter(char c)
{
    static const char digits[] = "olzeasgtbg";
    if (c >= '0' && c <= '9') {
        return digits[c - '0'];
    }
    return c == 'i' ? 'l' : c;
}

struct slice names_skeleton(struct slice name, char room[NAMES_DOMAIN_MAX + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < NAMES_DOMAIN_MAX; i++) {
        if (name.ptr[i] == '-') {
            continue;
        }
        char c = plain_letter(name.ptr[i]);
        char before = len > 0 ? room[len - 1] : '\0';
        if (c == 'v' && before == 'v') {
            room[len - 1] = 'w';
        } else if (c == 'n' && before == 'r') {
            room[len - 1] = 'm';
        } else {
            room[len++] = c;
        }
    }
    return slice_of(room, len);
}

bool names_look_alike(struct slice a, struct slice b)
{
    char room_a[NAMES_DOMAIN_MAX + 1];
    char room_b[NAMES_DOMAIN_MAX + 1];
    return slice_eq(names_skeleton(a, room_a), names_skeleton(b, room_b));
}

// A pattern's hyphens may be what it is about (the forms of addresses): it is taken as it stands, and
// once more by its skeleton when it has none.
static enum names_verdict judge_by(struct slice pattern, struct slice label, struct slice bones)
{
    char room[NAMES_DOMAIN_MAX + 1];
    if (access_pattern_takes(pattern, label)) {
        return NAMES_BANNED;
    }
    bool hyphens = slice_find_char(pattern, '-') >= 0;
    bool wild = slice_find_char(pattern, '*') >= 0;
    if ((!hyphens || !wild) && access_pattern_takes(names_skeleton(pattern, room), bones)) {
        return NAMES_LOOKALIKE;
    }
    return NAMES_OK;
}

static enum names_verdict judge_by_zone(struct conf_node banned, struct slice label,
                                        struct slice bones)
{
    enum names_verdict worst = NAMES_OK;
    conf_each(one, banned)
    {
        enum names_verdict v = judge_by(conf_text(one), label, bones);
        if (v == NAMES_BANNED) {
            return v;
        }
        worst = v != NAMES_OK ? v : worst;
    }
    return worst;
}

bool names_is_banned(struct slice name, struct conf_node banned)
{
    char room[NAMES_DOMAIN_MAX + 1];
    return judge_by_zone(banned, name, names_skeleton(name, room)) != NAMES_OK;
}

enum names_verdict names_judge(struct slice label, struct conf_node banned)
{
    char room[NAMES_DOMAIN_MAX + 1];
    if (!names_is_label(label)) {
        return NAMES_SHAPE;
    }
    struct slice bones = names_skeleton(label, room);
    enum names_verdict worst = NAMES_OK;
    for (size_t i = 0; i < array_len(built_in); i++) {
        enum names_verdict v = judge_by(slice_str(built_in[i]), label, bones);
        if (v == NAMES_BANNED) {
            return v;
        }
        worst = v != NAMES_OK ? v : worst;
    }
    enum names_verdict v = judge_by_zone(banned, label, bones);
    return v == NAMES_BANNED || worst == NAMES_OK ? v : worst;
}

// ---- names that the edge makes ----------------------------------------------------------------------

// Five bits a character; none of l, o, 0 and 1, so that a name can be read out.
static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(sizeof(letters) == 33, "one for each value of five bits");

static void put_bits(const uint8_t *entropy, size_t bytes, size_t count, struct text *out)
{
    ensure(count * 5 <= bytes * 8);
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; count > 0; count--) {
        if (have < 5) {
            bits = bits << 8 | entropy[i++];
            have += 8;
        }
        have -= 5;
        text_char(out, letters[bits >> have & 31]);
    }
}

void names_random(const uint8_t entropy[NAMES_RANDOM_BYTES], struct text *out)
{
    put_bits(entropy, NAMES_RANDOM_BYTES, NAMES_RANDOM_BYTES * 8 / 5, out);
}

static bool is_mapped(const struct os_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return a->kind == OS_ADDR_V6 && memcmp(a->u.ip, prefix, sizeof(prefix)) == 0;
}

void names_of_address(const uint8_t entropy[NAMES_IP_BYTES], const struct os_addr *a,
                      struct text *out)
{
    put_bits(entropy, NAMES_IP_BYTES, 6, out);
    if (a->kind == OS_ADDR_V4 || is_mapped(a)) {
        const uint8_t *ip = a->kind == OS_ADDR_V4 ? a->u.ip : a->u.ip + 12;
        text_put(out, SLICE("-ip"));
        for (int i = 0; i < 4; i++) {
            text_char(out, '-');
            text_u64(out, ip[i]);
        }
    } else if (a->kind == OS_ADDR_V6) {
        text_put(out, SLICE("-ip6"));
        for (int i = 0; i < 16; i += 2) {
            text_char(out, '-');
            text_hex(out, (uint64_t)a->u.ip[i] << 8 | a->u.ip[i + 1]);
        }
    } else {
        text_put(out, SLICE("-ip-local"));
    }
}

void names_suggest(const uint8_t entropy[NAMES_SUGGESTION_BYTES], struct slice taken,
                   struct text *out)
{
    const size_t suffix = 5;
    ptrdiff_t dot = slice_find_char(taken, '.');
    struct slice first = dot < 0 ? taken : slice_sub(taken, 0, (size_t)dot);
    struct slice stem = slice_sub(first, 0, NAMES_LABEL_MAX - suffix - 1);
    while (stem.len > 0 && stem.ptr[stem.len - 1] == '-') {
        stem.len--;
    }
    text_put(out, stem);
    text_char(out, '-');
    put_bits(entropy, NAMES_SUGGESTION_BYTES, suffix, out);
    text_put(out, slice_from(taken, first.len));
}

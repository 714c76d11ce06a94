// SPDX-License-Identifier: Apache-2.0
//
// Reading an agent's words (cli/agent_words.h).

#include "cli/agent_words.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "http/head.h"
#include "os/addr.h"

enum { ADDRESS_MAX = 512, PORT_HTTP = 80, PORT_HTTPS = 443, NAME_MAX_BYTES = 253, LABEL_MAX = 63 };

static int wrong(struct conf_problem *problem, const char *what, const char *hint)
{
    *problem = (struct conf_problem){what, hint};
    return E_INVALID;
}

static int keep(struct arena *arena, struct slice s, struct slice *out,
                struct conf_problem *problem)
{
    *out = arena_dup(arena, s);
    return out->ptr != NULL ? 0 : wrong(problem, "too many words", "");
}

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len > 0;
}

// ---- targets -----------------------------------------------------------------------------------------

static bool is_folder(struct slice s)
{
    return slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")) || slice_starts(s, SLICE("./")) ||
           slice_starts(s, SLICE("../")) || slice_starts(s, SLICE("/"));
}

static int take_folder(struct slice word, struct arena *arena, struct agent_tunnel *out,
                       struct conf_problem *problem)
{
    struct stat st;
    const char *path = arena_strdup(arena, word);
    if (path == NULL || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return wrong(problem, "there is no such folder", "");
    }
    out->folder = true;
    out->target = slice_str(path);
    out->shown = out->target;
    return 0;
}

bool agent_word_is_target(struct slice word)
{
    return is_digits(word) || is_folder(word) || slice_find_char(word, ':') >= 0;
}

int agent_word_target(struct slice word, struct arena *arena, struct agent_tunnel *out,
                      struct conf_problem *problem)
{
    if (is_folder(word)) {
        return take_folder(word, arena, out, problem);
    }
    char buffer[ADDRESS_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    int e = conf_address_origin(word, &t, problem);
    if (e != 0) {
        return e;
    }
    if (t.overflow || slice_starts(text_slice(&t), SLICE("srv")) ||
        slice_starts(text_slice(&t), SLICE("tls://"))) {
        return wrong(problem, "not a target",
                     "write PORT, HOST:PORT, https://HOST:PORT, unix:/path or ./folder");
    }
    e = keep(arena, text_slice(&t), &out->target, problem);
    struct slice port = slice_starts(word, SLICE(":")) ? slice_from(word, 1) : word;
    out->local = is_digits(port);
    if (e != 0) {
        return e;
    }
    char shown[ADDRESS_MAX + 16];
    t = text_on(shown, sizeof(shown));
    bool bare =
        slice_find(out->target, SLICE("://")) < 0 && !slice_starts(out->target, SLICE("unix:"));
    text_str(&t, bare && out->kind == AGENT_HTTP ? "http://" : "");
    if (out->local) {
        text_str(&t, "localhost:");
        text_put(&t, port);
    } else {
        text_put(&t, out->target);
    }
    return keep(arena, text_slice(&t), &out->shown, problem);
}

bool agent_target_is_plain(const struct agent_tunnel *t)
{
    return !t->folder && slice_find(t->target, SLICE("://")) < 0 &&
           !slice_starts(t->target, SLICE("unix:"));
}

bool agent_words_fit(const struct agent_tunnel *t, struct conf_problem *problem)
{
    if (t->kind == AGENT_HTTP) {
        return true;
    }
    if (t->users.count > 0) {
        *problem = (struct conf_problem){
            "a name and a password are asked for by HTTP only, not by TCP and UDP",
            "leave it out; allow and deny say who may visit by address"};
        return false;
    }
    if (t->kind == AGENT_UDP && slice_eq(t->proxy_protocol, SLICE("v1"))) {
        *problem = (struct conf_problem){"a PROXY header of version 1 knows no datagrams",
                                         "write v2: it then stands in front of each"};
        return false;
    }
    if (t->wildcard || t->insecure || t->host.len > 0) {
        *problem = (struct conf_problem){"of HTTP alone: wildcard, insecure, and the Host",
                                         "leave it out"};
        return false;
    }
    return true;
}

bool agent_word_is_host(struct slice word)
{
    char room[ADDRESS_MAX];
    struct slice authority;
    struct slice name;
    return word.len > 0 && word.len <= sizeof(room) &&
           http_authority_parse(word, room, &authority, &name) == 0;
}

// ---- edges -------------------------------------------------------------------------------------------

static const char edge_hint[] = "write tunnel.example.com, or http://localhost:8080 for a trial";

static int take_port(struct slice s, struct agent_edge *out, struct conf_problem *problem)
{
    uint64_t port = 0;
    if (num_parse_u64(s, UINT16_MAX, &port) != 0 || port == 0) {
        return wrong(problem, "not a port", edge_hint);
    }
    out->port = (uint16_t)port;
    return 0;
}

static bool is_host(struct slice s)
{
    char buffer[ADDRESS_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    struct conf_problem ignored;
    return s.len <= NAME_MAX_BYTES && slice_find_char(s, '*') < 0 &&
           !slice_eq(s, SLICE("default")) && conf_address_host(s, &t, &ignored) == 0;
}

int agent_word_edge(struct slice word, struct arena *arena, struct agent_edge *out,
                    struct conf_problem *problem)
{
    static const struct slice https = SLICE_INIT("https://");
    static const struct slice http = SLICE_INIT("http://");
    out->secure = !slice_starts(word, http);
    out->port = out->secure ? PORT_HTTPS : PORT_HTTP;
    word = slice_starts(word, https)  ? slice_from(word, https.len)
           : slice_starts(word, http) ? slice_from(word, http.len)
                                      : word;
    word = slice_ends(word, SLICE("/")) ? slice_sub(word, 0, word.len - 1) : word;
    struct slice host = word;
    struct slice port = SLICE("");
    ptrdiff_t close = slice_find_char(word, ']');
    if (slice_starts(word, SLICE("[")) && close > 0) {
        host = slice_sub(word, 1, (size_t)close - 1);
        port = slice_from(word, (size_t)close + 1);
        struct os_addr ip;
        if (os_addr_parse_ip(host, 1, &ip) != 0 || (port.len > 0 && port.ptr[0] != ':')) {
            return wrong(problem, "not an edge", edge_hint);
        }
    } else {
        ptrdiff_t colon = slice_find_char(word, ':');
        host = colon >= 0 ? slice_sub(word, 0, (size_t)colon) : word;
        port = colon >= 0 ? slice_from(word, (size_t)colon) : SLICE("");
        if (!is_host(host)) {
            return wrong(problem, "not an edge", edge_hint);
        }
    }
    int e = port.len > 0 ? take_port(slice_from(port, 1), out, problem) : 0;
    if (e != 0) {
        return e;
    }
    char *room = arena_bytes(arena, host.len);
    if (room == NULL) {
        return wrong(problem, "too many words", "");
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        room[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    out->host = slice_of(room, host.len);
    return 0;
}

bool agent_edge_is_local(const struct agent_edge *e)
{
    struct os_addr ip;
    if (os_addr_parse_ip(e->host, 1, &ip) == 0) {
        struct os_cidr v4;
        struct os_cidr v6;
        return (os_cidr_parse(SLICE("127.0.0.0/8"), &v4) == 0 && os_cidr_contains(&v4, &ip)) ||
               (os_cidr_parse(SLICE("::1"), &v6) == 0 && os_cidr_contains(&v6, &ip));
    }
    return slice_eq(e->host, SLICE("localhost")) || slice_ends(e->host, SLICE(".localhost"));
}

// ---- names and the rest --------------------------------------------------------------------------------

int agent_word_name(struct slice word, struct arena *arena, struct slice *out,
                    struct conf_problem *problem)
{
    static const char hint[] = "letters, digits and hyphens, at most 63; or a whole domain name";
    char *room = arena_bytes(arena, word.len);
    if (room == NULL) {
        return wrong(problem, "too many words", "");
    }
    size_t label = 0;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool last = i + 1 == word.len || word.ptr[i + 1] == '.';
        bool ok = letter || (c == '-' && label > 0 && !last) || (c == '.' && label > 0 && !last);
        label = c == '.' ? 0 : label + 1;
        if (!ok || label > LABEL_MAX) {
            return wrong(problem, "not a name for a tunnel", hint);
        }
        room[i] = c;
    }
    if (word.len == 0 || word.len > NAME_MAX_BYTES) {
        return wrong(problem, "not a name for a tunnel", hint);
    }
    *out = slice_of(room, word.len);
    return 0;
}

int agent_word_network(struct slice word, struct arena *arena, struct slice *out,
                       struct conf_problem *problem)
{
    struct os_cidr cidr;
    word = slice_trim(word);
    if (os_cidr_parse(word, &cidr) != 0 || slice_eq(word, SLICE("unix"))) {
        return wrong(problem, "not a network or an address",
                     "write 203.0.113.0/24, 203.0.113.7 or 2001:db8::/32");
    }
    return keep(arena, word, out, problem);
}

int agent_word_user(struct slice word, struct arena *arena, struct slice *out,
                    struct conf_problem *problem)
{
    ptrdiff_t colon = slice_find_char(word, ':');
    bool ok = colon > 0 && (size_t)colon + 1 < word.len;
    for (size_t i = 0; i < word.len; i++) {
        ok = ok && (unsigned char)word.ptr[i] >= 0x20 && word.ptr[i] != 0x7f;
    }
    return ok ? keep(arena, word, out, problem) : wrong(problem, "not USER:PASSWORD", "");
}

bool agent_word_is_token(struct slice word)
{
    bool ok = word.len > 0 && word.len <= 256;
    for (size_t i = 0; i < word.len; i++) {
        ok = ok && word.ptr[i] > 0x20 && word.ptr[i] < 0x7f;
    }
    return ok;
}

// SPDX-License-Identifier: Apache-2.0
//
// From a plan to the configuration that its requests are served by, in the same language as a file: a
// site for each tunnel with one upstream, its target. Requests come to their site by the connection
// they came on (http_peer.site), never by the host they name, so nothing that a visitor writes can
// choose where the agent connects.
//
// The edge has said who the visitor is and has limited what it asks; what is set here keeps out of the
// way: long times, large heads. A target that is down is said at once: the visitor gets the page below.

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "files/files.h"
#include "inspect/inspect.h"
#include "l4/plan.h"
#include "tls/credentials.h"
#include "tls/store.h"

#include "agent/agent_int.h"

enum { TEXT_MAX = 512 << 10, AUTHORITIES_MAX = 4 << 20 };

static const struct slice SITE_SUFFIX = SLICE_INIT(".tunnel");

void agent_site_name(uint32_t tunnel, struct text *out)
{
    text_printf(out, "t%u", tunnel);
    text_put(out, SITE_SUFFIX);
}

bool agent_site_tunnel(struct slice name, uint32_t *tunnel)
{
    uint64_t n = 0;
    if (!slice_starts(name, SLICE("t")) || !slice_ends(name, SITE_SUFFIX)) {
        return false;
    }
    struct slice digits = slice_sub(name, 1, name.len - 1 - SITE_SUFFIX.len);
    if (num_parse_u64(digits, AGENT_TUNNELS_MAX - 1, &n) != 0) {
        return false;
    }
    *tunnel = (uint32_t)n;
    return true;
}

// ---- text ------------------------------------------------------------------------------------------

static void quoted(struct text *t, struct slice s)
{
    text_char(t, '"');
    text_json(t, s);
    text_char(t, '"');
}

static void put_servers(struct text *t, const struct agent_tunnel *n)
{
    static const struct slice loopback = SLICE_INIT("127.0.0.1");
    text_str(t, "\"servers\": [{\"at\": ");
    quoted(t, n->target);
    // A development server may listen on either loopback address alone.
    ptrdiff_t at = n->local ? slice_find(n->target, loopback) : -1;
    if (at >= 0) {
        text_str(t, "}, {\"backup\": \"on\", \"at\": \"");
        text_json(t, slice_sub(n->target, 0, (size_t)at));
        text_str(t, "[::1]");
        text_json(t, slice_from(n->target, (size_t)at + loopback.len));
        text_char(t, '"');
    }
    text_str(t, "}]");
}

static void put_proxy(struct text *t, const struct agent_tunnel *n)
{
    text_str(t, "\"proxy\": {");
    put_servers(t, n);
    // As many visitors as come at once are to find a connection again a moment later.
    text_str(t, ", \"connections\": 4096, \"idle_connections\": 1024");
    // A connection that the target has closed in the meantime is no failure of it: once more.
    text_str(t,
             ", \"eject\": \"off\", \"retry\": {\"attempts\": 2, \"on\": [\"connect\", \"reset\"], "
             "\"backoff\": \"0ms\", \"budget\": \"off\"}");
    if (n->host.len > 0) {
        text_str(t, ", \"host\": ");
        quoted(t, n->host);
    }
    if (n->insecure) {
        text_str(t, ", \"tls\": {\"verify\": \"off\"}");
    }
    if (n->proxy_protocol.len > 0) {
        text_str(t, ", \"proxy_protocol\": ");
        quoted(t, n->proxy_protocol);
    }
    text_str(t, "}");
}

/** Text within a template. */
static void put_plain(struct text *t, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        text_str(t, s.ptr[i] == '$' ? "$" : "");
        text_json(t, slice_sub(s, i, 1));
    }
}

/** Text of a directive that is no template: there a dollar is a dollar, unless something of outside is to
 * be put in, which nothing that comes from the command line may ask for. */
static void put_literal(struct text *t, struct slice s)
{
    static const struct slice outside[] = {SLICE_INIT("$env("), SLICE_INIT("$file("),
                                           SLICE_INIT("${env("), SLICE_INIT("${file(")};
    for (size_t i = 0; i < array_len(outside); i++) {
        if (slice_find(s, outside[i]) >= 0) {
            put_plain(t, s);
            return;
        }
    }
    text_json(t, s);
}

static void put_networks(struct text *t, const char *directive, const struct agent_list *list)
{
    text_printf(t, ", \"%s\": [", directive);
    for (uint32_t i = 0; i < list->count; i++) {
        text_str(t, i > 0 ? ", " : "");
        quoted(t, list->at[i]);
    }
    text_char(t, ']');
}

static void put_users(struct text *t, const struct agent_list *users)
{
    text_str(t, ", \"basic_auth\": {\"users\": {");
    for (uint32_t i = 0; i < users->count; i++) {
        struct slice user = users->at[i];
        size_t colon = (size_t)slice_find_char(user, ':');
        text_str(t, i > 0 ? ", " : "");
        quoted(t, slice_sub(user, 0, colon));
        text_str(t, ": \"plain:");
        put_literal(t, slice_from(user, colon + 1));
        text_char(t, '"');
    }
    text_str(t, "}}");
}

static void put_access(struct text *t, const struct agent_tunnel *n)
{
    if (n->allow.count > 0) {
        put_networks(t, "allow", &n->allow);
    }
    if (n->deny.count > 0) {
        put_networks(t, "deny", &n->deny);
    }
    if (n->users.count > 0) {
        put_users(t, &n->users);
    }
}

static void put_error(struct text *t, const char *status, const char *what,
                      const struct agent_tunnel *n)
{
    text_printf(t, "\"%s\": {\"type\": \"text/html; charset=utf-8\", \"body\": \"", status);
    text_json(t,
              SLICE("<!doctype html><meta charset=utf-8><meta name=viewport "
                    "content='width=device-width'><title>$status</title><style>body{font:16px/1.5 "
                    "system-ui;max-width:36em;margin:15vh auto;padding:0 1em}code{background:"
                    "#8882;padding:.1em .3em}</style><h1>"));
    text_json(t, slice_str(what));
    text_json(t, SLICE("</h1><p>The tunnel is up, but on the machine at its end <code>"));
    put_plain(t, n->shown);
    text_json(t,
              SLICE("</code> did not answer. If it is yours, start what listens there; the tunnel "
                    "stays.<p><small>$status, $id</small>\n"));
    text_str(t, "\"}");
}

static void put_site(struct text *t, uint32_t i, const struct agent_tunnel *n, bool inspect)
{
    text_char(t, '"');
    agent_site_name(i, t);
    text_str(t, "\": {");
    if (n->folder) {
        text_str(t, "\"files\": ");
        quoted(t, n->target);
    } else {
        put_proxy(t, n);
    }
    put_access(t, n);
    text_str(t, inspect ? ", \"inspect\": \"record\"" : "");
    text_str(t, ", \"errors\": {");
    put_error(t, "502", "The local service is not running", n);
    text_str(t, ", ");
    put_error(t, "503", "The local service cannot be reached", n);
    text_str(t, ", ");
    put_error(t, "504", "The local service does not answer", n);
    text_str(t, "}}");
}

/** What TCP and UDP are for. Nothing listens there: the address is the stream's name, and visitors come
 * as CONNECT on the tunnel's connections (http_peer.stream). */
static void put_stream(struct text *t, uint32_t i, const struct agent_tunnel *n)
{
    bool datagram = n->kind == AGENT_UDP;
    text_printf(t, "{\"listen\": \"%s127.0.0.1:%u\", \"access_log\": \"off\", ",
                datagram ? "udp://" : "", i + 1);
    text_str(t, datagram ? "\"timeouts\": {\"idle\": \"60s\"}, "
                         : "\"timeouts\": {\"connect\": \"5s\", \"idle\": \"1d\"}, ");
    text_str(t, "\"proxy\": {");
    put_servers(t, n);
    text_str(t, ", \"eject\": \"off\"");
    if (n->proxy_protocol.len > 0) {
        text_str(t, ", \"proxy_protocol\": ");
        quoted(t, n->proxy_protocol);
    }
    text_char(t, '}');
    put_access(t, n);
    text_char(t, '}');
}

static void put_streams(struct text *t, const struct agent_plan *plan)
{
    for (uint32_t i = 0, count = 0; i < plan->tunnel_count; i++) {
        if (plan->tunnels[i].kind != AGENT_HTTP) {
            text_str(t, count++ > 0 ? ",\n" : "\n");
            put_stream(t, i, &plan->tunnels[i]);
        }
    }
}

void agent_compile_text(const struct agent_plan *plan, struct text *t)
{
    text_str(t, "{\"access_log\": \"off\", \"via\": \"off\", \"forwarded\": \"off\", "
                "\"trusted_proxies\": [\"unix\", \"0.0.0.0/0\", \"::/0\"],\n"
                "\"timeouts\": {\"header\": \"30s\", \"body\": \"1d\", \"body_rate\": \"0\", "
                "\"write\": \"1d\", \"connect\": \"5s\", \"response\": \"1d\", \"read\": \"1d\", "
                "\"tunnel\": \"30d\", \"idle\": \"1d\"},\n"
                "\"limits\": {\"header_size\": \"64KiB\", \"header_count\": 300, "
                "\"target_size\": \"60KiB\", \"streams\": 1000, \"connection_size\": \"32MiB\"},\n"
                "\"sites\": {");
    uint32_t sites = 0;
    for (uint32_t i = 0; i < plan->tunnel_count; i++) {
        if (plan->tunnels[i].kind == AGENT_HTTP) {
            text_str(t, sites > 0 ? ",\n" : "\n");
            put_site(t, i, &plan->tunnels[i], plan->inspect);
            sites++;
        }
    }
    if (plan->inspect) { // every request is answered before `respond`, or goes on to a tunnel's site
        text_str(t, sites > 0 ? ",\n" : "\n");
        text_str(t, "\"inspect\": {\"inspect\": \"page\", \"respond\": 404}");
    }
    text_str(t, "},\n\"streams\": [");
    put_streams(t, plan);
    text_str(t, "]}\n");
}

// ---- authorities -------------------------------------------------------------------------------------

static bool wants_system_authorities(const struct agent_plan *plan)
{
    for (uint32_t i = 0; i < plan->tunnel_count; i++) {
        const struct agent_tunnel *n = &plan->tunnels[i];
        if (slice_starts(n->target, SLICE("https://")) && !n->insecure) {
            return true;
        }
    }
    return false;
}

static size_t read_all(const char *path, char *to, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    while (fd >= 0 && len < room) {
        ssize_t n = read(fd, to + len, room - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return len;
}

/** For local targets with a certificate of a public authority. */
static struct slice read_system_authorities(char *room)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    };
    for (size_t i = 0; i < array_len(places); i++) {
        size_t len = read_all(places[i], room, AUTHORITIES_MAX);
        if (len > 0) {
            return slice_of(room, len);
        }
    }
    return SLICE("");
}

static int add_authority(struct credential_writer *w, struct slice id, struct slice pem)
{
    const struct credential c = {.kind = CREDENTIAL_AUTHORITY, .id = id, .chain = pem};
    return pem.len > 0 ? credentials_add(w, &c) : 0;
}

/** The TLS store. `diags` hears what cannot be used. */
static int make_store(struct agent *a, struct conf_diags *diags)
{
    const struct agent_plan *plan = a->plan;
    bool system = wants_system_authorities(plan);
    const struct credential own = {.kind = CREDENTIAL_CERTIFICATE,
                                   .id = SLICE("file:agent"),
                                   .chain = plan->certificate,
                                   .key = plan->certificate_key};
    size_t room = CREDENTIALS_HEAD_BYTES + 4096 + plan->ca.len + credential_bytes(&own);
    char *bytes = mem_alloc(room + (system ? 2 * AUTHORITIES_MAX : 0));
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct slice authorities =
        system ? read_system_authorities(bytes + room + AUTHORITIES_MAX) : SLICE("");
    struct credential_writer w;
    credentials_begin(&w, bytes, room + (system ? AUTHORITIES_MAX : 0));
    int e = add_authority(&w, SLICE("ca:edge"), plan->ca);
    if (e == 0) {
        e = add_authority(&w, SLICE("ca:system"), authorities);
    }
    if (e == 0 && own.chain.len > 0) {
        e = credentials_add(&w, &own);
    }
    if (e == 0) {
        e = tls_store_new(a->doc, credentials_end(&w), 1, diags, &a->tls);
    }
    explicit_bzero(bytes, room);
    mem_free(bytes);
    return e;
}

// ---- the snapshot ------------------------------------------------------------------------------------

static void forget(void *owner)
{
    struct agent *a = owner;
    ensure_magic(a, AGENT_MAGIC);
    conf_doc_free(a->doc);
    a->doc = NULL;
}

/** By what streams are known: they stand in the order of their tunnels. */
static void find_streams(struct agent *a)
{
    struct l4_plan_listener streams[L4_PLAN_LISTENERS_MAX];
    uint32_t count = l4_plan_listeners(conf_root(a->doc), streams);
    for (uint32_t i = 0, at = 0; i < a->plan->tunnel_count; i++) {
        bool has = a->plan->tunnels[i].kind != AGENT_HTTP && at < count;
        a->streams[i] = has ? streams[at++].key : 0;
    }
}

static int load(struct agent *a, struct conf_diags *diags)
{
    char *room = mem_alloc(TEXT_MAX);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(room, TEXT_MAX);
    agent_compile_text(a->plan, &t);
    const struct conf_load in = {.path = "(agent)", .text = text_slice(&t), .tables = conf_tables};
    files_allow();
    int e = a->plan->inspect ? inspect_open() : 0;
    e = e == 0 && t.overflow ? E_TOO_LARGE : e;
    e = e == 0 ? conf_load(&in, diags, &a->doc) : e;
    mem_free(room);
    if (e == 0) {
        find_streams(a);
    }
    return e;
}

int agent_compile(struct agent *a, struct text *why)
{
    struct conf_diags *diags = conf_diags_new();
    if (diags == NULL) {
        return E_NO_MEMORY;
    }
    int e = load(a, diags);
    if (e == 0) {
        e = make_store(a, diags);
    }
    for (const struct conf_diag *d = e != 0 ? conf_diags_first(diags) : NULL; d != NULL;
         d = d->next) {
        conf_diag_text(diags, d, false, why);
    }
    conf_diags_free(diags);
    struct snapshot *s = NULL;
    if (e == 0) {
        const struct traffic_document d = {
            .doc = a->doc, .tls = a->tls, .generation = 1, .forget = forget, .owner = a};
        e = traffic_compile(a->traffic, &d, why, &s);
    }
    if (e == 0) {
        traffic_core_set_tls(a->core, a->tls);
        traffic_core_swap(a->core, s);
    }
    return e;
}

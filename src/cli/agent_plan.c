// SPDX-License-Identifier: Apache-2.0
//
// Gathering a plan (cli/agent_plan.h). Nearest first: options, then the environment, then the agent's
// file, then what `adit login` kept. A token that was kept for one edge is sent to no other.

#include "cli/agent_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "cli/agent_login.h"
#include "cli/agent_proof.h"
#include "cli/agent_words.h"

enum { WORDS_BYTES_MAX = 8 << 20, CA_BYTES_MAX = 1 << 20, TOKEN_MAX = 320 };

#define EDGE_OPTIONS                                                                               \
    {.name = "server",                                                                             \
     .letter = 's',                                                                                \
     .value = "EDGE",                                                                              \
     .text = "the edge to call, or several: a,b"},                                                 \
        {.name = "token",                                                                          \
         .value = "TOKEN",                                                                         \
         .secret = true,                                                                           \
         .text = "the token for it; `-` reads it from stdin"},                                     \
        {.name = "key",                                                                            \
         .value = "FILE",                                                                          \
         .text = "an Ed25519 key instead of a token (PEM), or the key of --cert"},                 \
        {.name = "cert",                                                                           \
         .value = "FILE",                                                                          \
         .text = "a client certificate instead of a token (PEM)"},                                 \
        {.name = "ca",                                                                             \
         .value = "FILE",                                                                          \
         .text = "trust these authorities (PEM) for the edge, no others"},                         \
        {.name = "insecure-clear", .text = "call an edge on another machine without TLS"},         \
    {                                                                                              \
        .name = "json", .text = "events for programs, one JSON object per line"                    \
    }

#define QUIET_OPTION                                                                               \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .text = "only the URLs and what goes wrong"                \
    }

#define QR_OPTION                                                                                  \
    {                                                                                              \
        .name = "no-qr", .text = "no QR code"                                                      \
    }

#define INSPECT_OPTION                                                                             \
    {                                                                                              \
        .name = "inspect", .value = "PORT", .optional = true,                                      \
        .text = "show requests and answers on this machine, at 127.0.0.1:4040"                     \
    }

#define VISITOR_OPTIONS                                                                            \
    {.name = "allow",                                                                              \
     .value = "NETS",                                                                              \
     .text = "only visitors from these networks: 203.0.113.0/24,2001:db8::/32"},                   \
    {                                                                                              \
        .name = "deny", .value = "NETS", .text = "no visitors from these networks"                 \
    }

const struct cli_option agent_diagnose_options[] = {
    EDGE_OPTIONS,
    {.name = NULL},
};

const struct cli_option agent_start_options[] = {
    EDGE_OPTIONS,
    QUIET_OPTION,
    QR_OPTION,
    INSPECT_OPTION,
    {.name = "config", .letter = 'c', .value = "FILE", .text = "the same as FILE"},
    {.name = NULL},
};

const struct cli_option agent_http_options[] = {
    EDGE_OPTIONS,
    QUIET_OPTION,
    QR_OPTION,
    INSPECT_OPTION,
    {.name = "join", .text = "share the name with other agents of the same owner"},
    {.name = "wildcard", .text = "take all names below the name as well"},
    {.name = "host-header",
     .value = "HOST",
     .text = "the Host that the target sees: pass, server, or a name"},
    {.name = "basic-auth",
     .value = "USER:PASS",
     .secret = true,
     .text = "ask visitors for a name and a password"},
    VISITOR_OPTIONS,
    {.name = "insecure", .text = "do not verify the certificate of an https target"},
    {.name = "proxy-protocol",
     .value = "V",
     .text = "tell the target who the visitor is: v1 or v2"},
    {.name = NULL},
};

const struct cli_option agent_tcp_options[] = {
    EDGE_OPTIONS,
    QUIET_OPTION,
    {.name = "join", .text = "share the port with other agents of the same owner"},
    VISITOR_OPTIONS,
    {.name = "proxy-protocol",
     .value = "V",
     .text = "tell the target who the visitor is: v1 or v2"},
    {.name = NULL},
};

const struct cli_option agent_udp_options[] = {
    EDGE_OPTIONS,
    QUIET_OPTION,
    {.name = "join", .text = "share the port with other agents of the same owner"},
    VISITOR_OPTIONS,
    {.name = "proxy-protocol",
     .value = "v2",
     .text = "tell the target who the visitor is, in front of each datagram"},
    {.name = NULL},
};

void agent_words_init(struct agent_words *w)
{
    *w = (struct agent_words){0};
    arena_init(&w->arena, NULL, 0, NULL, WORDS_BYTES_MAX);
    w->plan.watch_network = true;
    w->plan.terminal = isatty(STDOUT_FILENO) == 1 ? STDOUT_FILENO : -1;
}

void agent_words_fini(struct agent_words *w)
{
    arena_fini(&w->arena);
}

static int complain(const struct cli_parsed *p, const char *option, const char *value,
                    const struct conf_problem *problem)
{
    bool hinted = problem->hint != NULL && problem->hint[0] != '\0';
    return cli_usage_error(p->command, "%s`%s`: %s%s%s", option, value, problem->what,
                           hinted ? "; " : "", hinted ? problem->hint : "");
}

int agent_words_add(struct agent_words *w, struct agent_list *to, struct slice word,
                    agent_word_fn *read, struct conf_problem *problem)
{
    if (to->count == AGENT_LIST_MAX) {
        *problem = (struct conf_problem){"too many of them", "at most 32"};
        return E_INVALID;
    }
    int e = read(word, &w->arena, &to->at[to->count], problem);
    to->count += e == 0;
    return e;
}

int agent_words_inspect(struct agent_words *w, struct slice word, struct conf_problem *problem)
{
    uint64_t port = 0;
    bool plain = word.len == 0 || slice_eq(word, SLICE("on")) || slice_eq(word, SLICE("1"));
    bool off = slice_eq(word, SLICE("off")) || slice_eq(word, SLICE("0"));
    if (!plain && !off && (num_parse_u64(word, UINT16_MAX, &port) != 0 || port == 0)) {
        *problem = (struct conf_problem){"not a port", "write on, off, or a port such as 4040"};
        return E_INVALID;
    }
    w->plan.inspect = !off;
    w->plan.inspect_port = plain ? 0 : (uint16_t)port;
    return 0;
}

/** Which way leads to an edge, by the environment. */
static int choose_way(struct agent_edge *e, struct conf_problem *problem)
{
    const struct outbound_env env = {
        .https_proxy = getenv("https_proxy"),
        .HTTPS_PROXY = getenv("HTTPS_PROXY"),
        .http_proxy = getenv("http_proxy"),
        .all_proxy = getenv("all_proxy"),
        .ALL_PROXY = getenv("ALL_PROXY"),
        .no_proxy = getenv("no_proxy"),
        .NO_PROXY = getenv("NO_PROXY"),
    };
    const char *why = NULL;
    int error = outbound_choose(&env, e->secure, e->host, e->port, &e->proxy, &why);
    if (error != 0) {
        *problem = (struct conf_problem){why, "it is the proxy that the environment names: "
                                              "https_proxy, http_proxy or all_proxy"};
    }
    return error;
}

int agent_words_edge(struct agent_words *w, struct slice word, struct conf_problem *problem)
{
    struct agent_plan *plan = &w->plan;
    if (plan->edge_count == AGENT_EDGES_MAX) {
        *problem = (struct conf_problem){"too many edges", "at most 4"};
        return E_INVALID;
    }
    struct agent_edge *e = &plan->edges[plan->edge_count];
    int error = agent_word_edge(word, &w->arena, e, problem);
    if (error == 0 && !e->secure && !w->insecure_clear && !agent_edge_is_local(e)) {
        *problem =
            (struct conf_problem){"without TLS the token and all requests can be read on the way",
                                  "write https://, or allow it with --insecure-clear"};
        error = E_INVALID;
    }
    error = error != 0 ? error : choose_way(e, problem);
    plan->edge_count += error == 0;
    return error;
}

// ---- edges and tokens ------------------------------------------------------------------------------------

static int add_edges(struct agent_words *w, const struct cli_parsed *p, const char *list)
{
    struct slice rest = slice_str(list);
    struct slice word;
    while (slice_next_element(&rest, &word)) {
        struct conf_problem problem = {"", ""};
        if (agent_words_edge(w, word, &problem) != 0) {
            return complain(p, "", list, &problem);
        }
    }
    return CLI_OK;
}

static int keep_token(struct agent_words *w, const struct cli_parsed *p, const char *token)
{
    char line[TOKEN_MAX];
    if (strcmp(token, "-") == 0) {
        if (fgets(line, sizeof line, stdin) == NULL) {
            return cli_usage_error(p->command, "there is no token on stdin");
        }
        line[strcspn(line, "\r\n")] = '\0';
        token = line;
    }
    if (!agent_word_is_token(slice_str(token))) {
        return cli_usage_error(p->command,
                               "the token has blanks or control characters, or is too long");
    }
    w->plan.token = arena_dup(&w->arena, slice_str(token));
    return w->plan.token.ptr != NULL ? CLI_OK : CLI_FAILURE;
}

/** The login file, where it is needed. */
static int use_login(struct agent_words *w, const struct cli_parsed *p)
{
    struct agent_login login;
    char path[AGENT_LOGIN_PATH_MAX];
    int e = agent_login_path(path) ? agent_login_read(path, &login) : E_NOT_FOUND;
    if (e == E_NOT_FOUND) {
        return CLI_OK;
    }
    if (e == E_DENIED) {
        (void)fprintf(stderr,
                      "adit: %s is not used: others can read it, or it is not yours; "
                      "`chmod 600` it, and have the token replaced\n",
                      path);
        return CLI_FAILURE;
    }
    if (e != 0) {
        (void)fprintf(stderr, "adit: %s cannot be read: %s; `adit login` writes it anew\n", path,
                      error_text(e));
        return CLI_FAILURE;
    }
    int rc = CLI_OK;
    if (w->plan.edge_count == 0) {
        rc = add_edges(w, p, login.server);
    }
    struct agent_edge kept;
    struct conf_problem ignored = {"", ""};
    const struct agent_edge *first = &w->plan.edges[0];
    bool same = w->plan.edge_count == 1 &&
                agent_word_edge(slice_str(login.server), &w->arena, &kept, &ignored) == 0 &&
                slice_eq(kept.host, first->host) && kept.port == first->port &&
                kept.secure == first->secure;
    if (rc == CLI_OK && same && w->plan.token.len == 0 && login.token[0] != '\0') {
        rc = keep_token(w, p, login.token);
    }
    explicit_bzero(&login, sizeof login);
    return rc;
}

static int read_ca(struct agent_words *w, const struct cli_parsed *p, const char *path)
{
    struct agent_file f = {.option = "ca", .path = path, .bytes_max = CA_BYTES_MAX};
    int rc = agent_file_read(w, p, &f);
    w->plan.ca = f.bytes;
    return rc;
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

static bool has_http(const struct agent_plan *plan)
{
    for (uint32_t i = 0; i < plan->tunnel_count; i++) {
        if (plan->tunnels[i].kind == AGENT_HTTP) {
            return true;
        }
    }
    return false;
}

/** When nothing is said what the file says stays. Of TCP and UDP there is nothing to see. */
static int take_inspect(struct agent_words *w, const struct cli_parsed *p)
{
    const char *value = cli_value_if_any(p, "inspect");
    bool given = value != NULL;
    value = given ? value : getenv("ADIT_INSPECT");
    struct conf_problem problem = {"", ""};
    if (value != NULL && (given || value[0] != '\0') &&
        agent_words_inspect(w, slice_str(value), &problem) != 0) {
        return complain(p, given ? "--inspect=" : "ADIT_INSPECT=", value, &problem);
    }
    w->plan.inspect = w->plan.inspect && has_http(&w->plan);
    return CLI_OK;
}

int agent_words_common(struct agent_words *w, const struct cli_parsed *p)
{
    w->insecure_clear = cli_given(p, "insecure-clear");
    w->json = cli_given(p, "json");
    w->quiet = cli_value_if_any(p, "quiet") != NULL || is_set("ADIT_QUIET");
    w->qr = cli_value_if_any(p, "no-qr") == NULL;
    const char *server = cli_value(p, "server");
    const char *token = cli_value(p, "token");
    if (server == NULL && is_set("ADIT_SERVER")) {
        server = getenv("ADIT_SERVER");
    }
    if (token == NULL && is_set("ADIT_TOKEN")) {
        token = getenv("ADIT_TOKEN");
    }
    int rc = take_inspect(w, p);
    if (rc == CLI_OK && server != NULL) {
        w->plan.edge_count = 0; // rather than those of a file
        rc = add_edges(w, p, server);
    }
    if (rc == CLI_OK && token != NULL) {
        rc = keep_token(w, p, token);
    }
    if (rc == CLI_OK && (w->plan.edge_count == 0 || w->plan.token.len == 0)) {
        rc = use_login(w, p);
    }
    if (rc == CLI_OK && w->plan.edge_count == 0) {
        rc = cli_usage_error(p->command,
                             "which edge? --server tunnel.example.com, ADIT_SERVER, or once: adit "
                             "login tunnel.example.com\n"
                             "  to try it on this machine: `adit serve` in another terminal, and "
                             "--server http://localhost:8080");
    }
    if (rc == CLI_OK) {
        rc = agent_proof_read(w, p);
    }
    const char *ca = cli_value(p, "ca");
    return rc == CLI_OK && ca != NULL ? read_ca(w, p, ca) : rc;
}

// ---- a tunnel ----------------------------------------------------------------------------------------------

static int add_list(struct agent_words *w, const struct cli_parsed *p, const char *option,
                    struct agent_list *to, agent_word_fn *read)
{
    const char *value = cli_value(p, option);
    struct slice rest = slice_str(value != NULL ? value : "");
    struct slice word;
    while (slice_next_element(&rest, &word)) {
        struct conf_problem problem = {"", ""};
        if (agent_words_add(w, to, word, read, &problem) != 0) {
            return complain(p, "", value, &problem);
        }
    }
    return CLI_OK;
}

static int take_host(const struct cli_parsed *p, struct agent_tunnel *t)
{
    const char *host = cli_value_if_any(p, "host-header");
    if (host == NULL) {
        return CLI_OK;
    }
    t->host = strcmp(host, "rewrite") == 0 ? SLICE("server") : slice_str(host);
    if (!agent_word_is_host(t->host)) {
        return cli_usage_error(p->command, "--host-header `%s` is no host", host);
    }
    return CLI_OK;
}

static int take_options(struct agent_words *w, const struct cli_parsed *p, struct agent_tunnel *t)
{
    t->join = cli_given(p, "join");
    t->wildcard = cli_value_if_any(p, "wildcard") != NULL;
    t->insecure = cli_value_if_any(p, "insecure") != NULL;
    const char *header = cli_value(p, "proxy-protocol");
    if (header != NULL && strcmp(header, "v1") != 0 && strcmp(header, "v2") != 0) {
        return cli_usage_error(p->command, "--proxy-protocol is v1 or v2, not `%s`", header);
    }
    t->proxy_protocol = slice_str(header != NULL ? header : "");
    int rc = add_list(w, p, "allow", &t->allow, agent_word_network);
    rc = rc == CLI_OK ? add_list(w, p, "deny", &t->deny, agent_word_network) : rc;
    rc = rc == CLI_OK ? take_host(p, t) : rc;
    const char *user = cli_value_if_any(p, "basic-auth");
    struct conf_problem problem = {"", ""};
    if (rc == CLI_OK && user != NULL &&
        agent_words_add(w, &t->users, slice_str(user), agent_word_user, &problem) != 0) {
        return cli_usage_error(p->command, "--basic-auth: %s", problem.what);
    }
    return rc;
}

/** What stands behind `as`: a name, or the public port. */
static int take_as(struct agent_words *w, const struct cli_parsed *p, struct agent_tunnel *t)
{
    if (p->count == 1) {
        return CLI_OK;
    }
    if (p->count == 2 && strcmp(p->arguments[1], "as") == 0) {
        return cli_usage_error(p->command, "`as` needs a name behind it: as NAME");
    }
    if (p->count != 3 || strcmp(p->arguments[1], "as") != 0) {
        return cli_usage_error(p->command, "write it so: adit %s%s as NAME",
                               t->kind == AGENT_TCP   ? "tcp "
                               : t->kind == AGENT_UDP ? "udp "
                                                      : "",
                               p->arguments[0]);
    }
    struct conf_problem problem = {"", ""};
    struct slice word = slice_str(p->arguments[2]);
    uint64_t port = 0;
    if (t->kind != AGENT_HTTP && num_parse_u64(word, UINT16_MAX, &port) == 0 && port > 0) {
        t->port = (uint16_t)port;
        return CLI_OK;
    }
    return agent_word_name(word, &w->arena, &t->name, &problem) == 0
               ? CLI_OK
               : complain(p, "", p->arguments[2], &problem);
}

int agent_words_tunnel(struct agent_words *w, const struct cli_parsed *p, enum agent_kind kind)
{
    struct agent_tunnel *t = &w->plan.tunnels[w->plan.tunnel_count++];
    *t = (struct agent_tunnel){.kind = kind};
    struct conf_problem problem = {"", ""};
    if (agent_word_target(slice_str(p->arguments[0]), &w->arena, t, &problem) != 0) {
        return complain(p, "", p->arguments[0], &problem);
    }
    if (kind != AGENT_HTTP && (t->folder || slice_find(t->target, SLICE("://")) >= 0 ||
                               slice_starts(t->target, SLICE("unix:")))) {
        return cli_usage_error(p->command, "`%s`: write PORT or HOST:PORT", p->arguments[0]);
    }
    int rc = take_as(w, p, t);
    rc = rc == CLI_OK ? take_options(w, p, t) : rc;
    if (rc == CLI_OK && !agent_words_fit(t, &problem)) {
        return cli_usage_error(p->command, "%s; %s", problem.what, problem.hint);
    }
    return rc;
}

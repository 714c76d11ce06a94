// SPDX-License-Identifier: Apache-2.0
//
// adit start: the tunnels of a file, in the same language as an edge's configuration, with rows of its
// own. A file of an agent:
//
//   server: tunnel.example.com
//   token: $env(ADIT_TOKEN)
//   tunnels:
//     web: {http: 3000, name: myapp, basic_auth: {me: $env(PASSWORD)}}
//     ssh: {tcp: 22, port: 20022}
//
// The names of tunnels are for people only. What is wrong is said with line and column.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "conf/schema.h"

#include "cli/agent_plan.h"
#include "cli/agent_words.h"
#include "cli/report.h"

static const char *const header_words[] = {"v1", "v2", NULL};

static const struct conf_directive user_row[] = {
    {.name = "PASSWORD",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_TEMPLATE,
     .text = "The password."},
    CONF_END,
};

static const struct conf_directive tunnel_rows[] = {
    {.name = "http",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .text = "The target of a public URL: PORT, HOST:PORT, https://HOST:PORT or unix:/path."},
    {.name = "tcp",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .text = "The target of a public TCP port: PORT or HOST:PORT."},
    {.name = "udp",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .text = "The target of a public UDP port: PORT or HOST:PORT."},
    {.name = "name",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .text = "The name wanted; without it any free one."},
    {.name = "port",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = UINT16_MAX,
     .text = "The public port wanted; without it any free one."},
    {.name = "join",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .text = "Whether the name is shared with other agents of the same owner."},
    {.name = "wildcard",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .text = "Whether names below the name come here as well."},
    {.name = "host",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .text = "The Host that the target sees: pass, server, or a name."},
    {.name = "insecure",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .text = "Whether the certificate of an https target goes unverified."},
    {.name = "proxy_protocol",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = header_words,
     .text = "Tells the target who the visitor is."},
    {.name = "basic_auth",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_STRING,
     .rows = user_row,
     .text = "Visitors are asked for a name and its password."},
    {.name = "allow",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .list = true,
     .text = "Only visitors from these networks."},
    {.name = "deny",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .list = true,
     .text = "No visitors from these networks."},
    CONF_END,
};

static const struct conf_directive tunnel_row[] = {
    {.name = "TUNNEL",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .rows = tunnel_rows,
     .shorthand = "http",
     .text = "A tunnel."},
    CONF_END,
};

static const struct conf_directive file_rows[] = {
    {.name = "server",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .list = true,
     .text = "The edge to call, or several."},
    {.name = "token",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_TEMPLATE,
     .text = "The token for it."},
    {.name = "cert",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .text = "The file of a client certificate, in place of a token."},
    {.name = "key",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .text = "The file of the certificate's key, or of an Ed25519 key in place of a token."},
    {.name = "inspect",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .text = "Whether requests and answers are shown on this machine: on, or a port."},
    {.name = "tunnels",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_NAME,
     .rows = tunnel_row,
     .required = true,
     .text = "The tunnels by names of yours."},
    CONF_END,
};

static const struct conf_directive *const file_tables[] = {file_rows, conf_language, NULL};

struct reading {
    struct agent_words *words;
    struct conf_diags *diags;
    bool failed;
};

static void complain(struct reading *r, struct conf_node at, const struct conf_problem *p)
{
    conf_error(r->diags, at, "%s", p->what);
    if (p->hint != NULL && p->hint[0] != '\0') {
        conf_hint(r->diags, "%s", p->hint);
    }
    r->failed = true;
}

/** Copies, for the document goes. */
static struct slice keep(struct reading *r, struct slice s)
{
    struct slice copy = arena_dup(&r->words->arena, s);
    r->failed = r->failed || copy.ptr == NULL;
    return copy.ptr == NULL ? SLICE("") : copy;
}

static void read_list(struct reading *r, struct conf_node n, struct agent_list *to)
{
    conf_each(one, n)
    {
        struct conf_problem problem = {"", ""};
        if (agent_words_add(r->words, to, conf_text(one), agent_word_network, &problem) != 0) {
            complain(r, one, &problem);
        }
    }
}

static void read_users(struct reading *r, struct conf_node n, struct agent_list *to)
{
    conf_each(one, n)
    {
        char buffer[1024];
        struct text t = text_on(buffer, sizeof buffer);
        text_put(&t, conf_key(one));
        text_char(&t, ':');
        text_put(&t, conf_text(one));
        struct conf_problem problem = {"", ""};
        if (t.overflow || slice_find_char(conf_key(one), ':') >= 0 ||
            agent_words_add(r->words, to, text_slice(&t), agent_word_user, &problem) != 0) {
            conf_error(r->diags, one, "not a name with a password");
            r->failed = true;
        }
    }
}

/** What it is for: one of http, tcp, udp. */
static void read_target(struct reading *r, struct conf_node n, struct agent_tunnel *t)
{
    static const char *const kinds[] = {
        [AGENT_HTTP] = "http", [AGENT_TCP] = "tcp", [AGENT_UDP] = "udp"};
    struct conf_node target = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < array_len(kinds); i++) {
        struct conf_node one = conf_get(n, kinds[i]);
        if (conf_exists(one)) {
            target = one;
            t->kind = (enum agent_kind)i;
            count++;
        }
    }
    struct conf_problem problem = {"a tunnel is for one of http, tcp and udp",
                                   "write {http: 3000} or {tcp: 22}"};
    if (count != 1) {
        complain(r, n, &problem);
    } else if (agent_word_target(conf_text(target), &r->words->arena, t, &problem) != 0) {
        complain(r, target, &problem);
    } else if (t->kind != AGENT_HTTP && !agent_target_is_plain(t)) {
        problem = (struct conf_problem){"not a target of TCP or UDP", "write PORT or HOST:PORT"};
        complain(r, target, &problem);
    }
}

static void read_tunnel(struct reading *r, struct conf_node n)
{
    struct agent_plan *plan = &r->words->plan;
    struct conf_problem problem = {"too many tunnels", "at most 32"};
    if (plan->tunnel_count == AGENT_TUNNELS_MAX) {
        complain(r, n, &problem);
        return;
    }
    struct agent_tunnel *t = &plan->tunnels[plan->tunnel_count++];
    *t = (struct agent_tunnel){0};
    read_target(r, n, t);
    struct conf_node name = conf_get(n, "name");
    if (conf_exists(name) &&
        agent_word_name(conf_text(name), &r->words->arena, &t->name, &problem) != 0) {
        complain(r, name, &problem);
    }
    struct conf_node host = conf_get(n, "host");
    if (conf_exists(host) && !agent_word_is_host(conf_text(host))) {
        conf_error(r->diags, host, "not a host");
        r->failed = true;
    }
    t->host = keep(r, conf_string(host, ""));
    t->port = (uint16_t)conf_int(conf_get(n, "port"), 0);
    t->join = conf_bool(conf_get(n, "join"), false);
    t->wildcard = conf_bool(conf_get(n, "wildcard"), false);
    t->insecure = conf_bool(conf_get(n, "insecure"), false);
    t->proxy_protocol = keep(r, conf_string(conf_get(n, "proxy_protocol"), ""));
    read_list(r, conf_get(n, "allow"), &t->allow);
    read_list(r, conf_get(n, "deny"), &t->deny);
    read_users(r, conf_get(n, "basic_auth"), &t->users);
    if (!agent_words_fit(t, &problem)) {
        complain(r, n, &problem);
    }
}

/** A path, as the system takes it; NULL: there is none. */
static const char *keep_path(struct reading *r, struct conf_node n)
{
    if (!conf_exists(n)) {
        return NULL;
    }
    const char *path = arena_strdup(&r->words->arena, conf_text(n));
    r->failed = r->failed || path == NULL;
    return path;
}

static void read_file(struct reading *r, struct conf_node root)
{
    conf_each(one, conf_get(root, "server"))
    {
        struct conf_problem problem = {"", ""};
        if (agent_words_edge(r->words, conf_text(one), &problem) != 0) {
            complain(r, one, &problem);
        }
    }
    struct conf_node token = conf_get(root, "token");
    if (conf_exists(token) && !agent_word_is_token(conf_text(token))) {
        conf_error(r->diags, token, "not a token: it is empty, or has blanks");
        r->failed = true;
    }
    struct conf_node inspect = conf_get(root, "inspect");
    struct conf_problem wrong = {"", ""};
    if (conf_exists(inspect) && agent_words_inspect(r->words, conf_text(inspect), &wrong) != 0) {
        complain(r, inspect, &wrong);
    }
    r->words->plan.token = keep(r, conf_string(token, ""));
    r->words->cert = keep_path(r, conf_get(root, "cert"));
    r->words->key = keep_path(r, conf_get(root, "key"));
    conf_each(one, conf_get(root, "tunnels"))
    {
        read_tunnel(r, one);
    }
    if (r->words->plan.tunnel_count == 0 && !r->failed) {
        conf_error(r->diags, conf_get(root, "tunnels"), "there is no tunnel");
        r->failed = true;
    }
}

static int load(struct agent_words *w, const struct conf_load *in, struct conf_diags *diags,
                struct conf_doc **doc)
{
    struct reading r = {.words = w, .diags = diags};
    int rc = conf_load(in, diags, doc);
    if (rc == 0) {
        read_file(&r, conf_root(*doc));
        rc = r.failed ? E_CONFIG : 0;
    }
    conf_diags_sort(diags);
    return rc;
}

int agent_words_file(struct agent_words *w, const char *path)
{
    struct conf_diags *diags = conf_diags_new();
    struct conf_doc *doc = NULL;
    if (diags == NULL) {
        return CLI_FAILURE;
    }
    const struct conf_load in = {
        .path = path, .source = conf_source_files(), .tables = file_tables};
    int rc = load(w, &in, diags, &doc);
    cli_report_text(diags);
    conf_doc_free(doc);
    conf_diags_free(diags);
    return rc == 0 ? CLI_OK : CLI_CONFIG;
}

// ---- adit check ------------------------------------------------------------------------------------------

bool agent_file_is_one(const char *path, struct slice text)
{
    struct conf_load in = {
        .path = path, .text = text, .source = conf_source_files(), .tables = file_tables};
    unsigned ours = conf_load_known(&in);
    in.tables = conf_tables;
    return ours > conf_load_known(&in);
}

static void check_readable(struct conf_diags *diags, struct conf_node n, const char *path)
{
    if (path != NULL && access(path, R_OK) != 0) {
        conf_error(diags, n, "cannot be read: %s", strerror(errno));
    }
}

int agent_file_check(const char *path, struct slice text, struct conf_diags *diags,
                     uint32_t *tunnels)
{
    static struct agent_words w; // its plan is larger than a stack should hold
    struct conf_doc *doc = NULL;
    agent_words_init(&w);
    const struct conf_load in = {
        .path = path, .text = text, .source = conf_source_files(), .tables = file_tables};
    int rc = load(&w, &in, diags, &doc);
    if (rc == 0) {
        check_readable(diags, conf_get(conf_root(doc), "cert"), w.cert);
        check_readable(diags, conf_get(conf_root(doc), "key"), w.key);
        conf_diags_sort(diags);
        rc = conf_diags_errors(diags) > 0 ? E_CONFIG : 0;
    }
    *tunnels = w.plan.tunnel_count;
    conf_doc_free(doc);
    agent_words_fini(&w);
    return rc;
}

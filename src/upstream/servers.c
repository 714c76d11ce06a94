// SPDX-License-Identifier: Apache-2.0
//
// Rows and checks of lists of servers (upstream/servers.h). The same rows make the configuration's
// list, watched files and the servers document, so that each of them says what is wrong in the same
// words and a worker finds the same canonical values wherever an entry came from.

#include "upstream/servers.h"

#include <stdlib.h>

#include "base/slab.h"
#include "conf/address.h"
#include "conf/diag.h"

static const char *const state_words[] = {"ready", "drain", "maintenance", NULL};

#define ROW_AT                                                                                     \
    {                                                                                              \
        .name = "at", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ADDRESS,                       \
        .aka = "address addr url",                                                                 \
        .text =                                                                                    \
            "Its address: IP:PORT, NAME:PORT, \"[v6]:PORT\", unix:/path, a port of this machine, " \
            "or "                                                                                  \
            "SCHEME://HOST:PORT with https, http or h2c (HTTP/2 without TLS). Each address of a "  \
            "name is a server; it is looked up again when its time to live is over. "              \
            "srv://SERVICE "                                                                       \
            "(with TLS srvs://) is what the SRV records of _NAME._PROTOCOL.DOMAIN say: targets, "  \
            "ports, weights and priorities."                                                       \
    }

#define ROWS_OF_SHARE                                                                              \
    {.name = "weight",                                                                             \
     .contexts = CONF_IN_OBJECT,                                                                   \
     .type = CONF_TYPE_INT,                                                                        \
     .min = 0,                                                                                     \
     .max = SERVERS_WEIGHT_MAX,                                                                    \
     .fallback = "1",                                                                              \
     .text = "Its share of the requests, against the weights of the others; 0: only clients "      \
             "whose cookie names it. The records of a service have weights of their own."},        \
        {.name = "priority",                                                                       \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_INT,                                                                    \
         .min = 0,                                                                                 \
         .max = SERVERS_PRIORITY_MAX,                                                              \
         .fallback = "0",                                                                          \
         .aka = "tier",                                                                            \
         .text = "Its tier: servers are asked only when none of a lower tier can be."},            \
        {.name = "backup",                                                                         \
         .contexts = CONF_IN_OBJECT,                                                               \
         .type = CONF_TYPE_BOOL,                                                                   \
         .fallback = "off",                                                                        \
         .text = "Asked only when no other server can be: the last tier."},                        \
    {                                                                                              \
        .name = "state", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ENUM, .words = state_words, \
        .fallback = "ready", .aka = "down disabled",                                               \
        .text = "`drain`: no new clients, those that belong to it are still served; "              \
                "`maintenance`: nobody. `adit server` changes it while adit runs."                 \
    }

const struct conf_directive servers_rows[] = {
    ROW_AT,
    {.name = "file",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "file_sd include path",
     .text = "In place of `at`: a file with a list in this shape, YAML or JSON, that is watched. "
             "When something in it is wrong the log says so, and the last list stays."},
    ROWS_OF_SHARE,
    CONF_END,
};

// ---- checks ---------------------------------------------------------------------------------------

static void check_one(struct conf_diags *d, struct conf_node server)
{
    struct conf_node at = conf_get(server, "at");
    struct conf_node file = conf_get(server, "file");
    struct conf_node backup = conf_get(server, "backup");
    struct conf_node priority = conf_get(server, "priority");
    if (conf_exists(at) == conf_exists(file)) {
        conf_error(d, server,
                   conf_exists(at) ? "`at` and `file` in one entry: write two"
                                   : "a server needs an address");
        conf_hint(d, "{at: 10.0.0.1:8080}, or {file: servers.yaml} for a list that is watched");
    }
    if (conf_bool(backup, false) && conf_exists(priority)) {
        conf_error(d, priority, "`backup` is the last tier, so `priority` has no effect");
        conf_hint(d, "leave one of them out");
    }
    static const char *const others[] = {"weight", "priority", "backup", "state"};
    for (size_t i = 0; conf_exists(file) && i < array_len(others); i++) {
        struct conf_node other = conf_get(server, others[i]);
        if (conf_exists(other)) {
            conf_error(d, other, "`%s` is said of each server in the file", others[i]);
            conf_hint(d, "- {at: 10.0.0.1:8080, %s: %.*s}", others[i], SLICE_ARG(conf_text(other)));
        }
    }
    if (conf_address_is_service(conf_string(at, "")) && conf_exists(priority)) {
        conf_error(d, priority, "the records of a service have priorities of their own");
        conf_hint(d, "`backup: on` puts all of them after the others");
    }
}

struct seen {
    uint64_t hash;
    struct conf_node at;
};

static int by_hash(const void *a, const void *b)
{
    const struct seen *x = a;
    const struct seen *y = b;
    int order = (x->hash > y->hash) - (x->hash < y->hash);
    return order != 0 ? order : (x->at.index > y->at.index) - (x->at.index < y->at.index);
}

static void warn_twice(struct conf_diags *d, struct conf_node servers)
{
    uint32_t count = conf_count(servers);
    struct seen *seen = count > 1 ? mem_alloc(count * sizeof(*seen)) : NULL;
    uint32_t n = 0;
    if (seen == NULL) {
        return;
    }
    conf_each(server, servers)
    {
        struct conf_node at = conf_get(server, "at");
        at = conf_exists(at) ? at : conf_get(server, "file");
        if (conf_exists(at)) {
            seen[n++] = (struct seen){conf_hash(at), at};
        }
    }
    qsort(seen, n, sizeof(*seen), by_hash);
    for (uint32_t i = 1; i < n; i++) {
        if (seen[i].hash == seen[i - 1].hash) {
            conf_warning(d, seen[i].at, "this server is in the list twice");
            conf_hint(d, "a larger share is `weight: 2`");
        }
    }
    mem_free(seen);
}

static void check_weights(struct conf_diags *d, struct conf_node servers)
{
    bool some = false;
    conf_each(server, servers)
    {
        some = some || conf_int(conf_get(server, "weight"), 1) > 0;
    }
    if (!some && conf_count(servers) > 0) {
        conf_error(d, conf_get(conf_first(servers), "weight"), "no server has a `weight` above 0");
        conf_hint(d, "with `weight: 0` a server gets no new clients");
    }
}

static void check_list(struct conf_diags *d, struct conf_node servers, uint32_t max,
                       const char *what)
{
    if (conf_count(servers) > max) {
        conf_error(d, servers, "more than %u servers in %s", max, what);
        return;
    }
    check_weights(d, servers);
    conf_each(server, servers)
    {
        check_one(d, server);
    }
    warn_twice(d, servers);
}

void servers_check(struct conf_diags *d, struct conf_node servers)
{
    check_list(d, servers, SERVERS_ENTRIES_MAX, "an upstream");
}

static void check_listed(struct conf_diags *d, struct conf_node servers)
{
    check_list(d, servers, SERVERS_LISTED_MAX, "a file");
}

// ---- watched files --------------------------------------------------------------------------------

static const struct conf_directive listed_rows[] = {ROW_AT, ROWS_OF_SHARE, CONF_END};

#define ROW_LISTED(where)                                                                          \
    {                                                                                              \
        .name = "servers", .contexts = (where), .type = CONF_TYPE_OBJECT, .list = true,            \
        .rows = listed_rows, .shorthand = "at", .check = check_listed, .text = "The list."         \
    }

static const struct conf_directive file_rows[] = {ROW_LISTED(CONF_IN_TOP), CONF_END};

const struct conf_directive *const servers_file_tables[] = {file_rows, NULL};

// ---- the document ---------------------------------------------------------------------------------

static const struct conf_directive doc_file_rows[] = {
    {.name = "path", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_STRING, .required = true},
    ROW_LISTED(CONF_IN_OBJECT),
    CONF_END,
};

static const struct conf_directive override_rows[] = {
    {.name = "upstream", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_STRING, .required = true},
    {.name = "at", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ADDRESS, .required = true},
    {.name = "of", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ADDRESS},
    {.name = "added", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_BOOL},
    {.name = "removed", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_BOOL},
    {.name = "weight",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = SERVERS_WEIGHT_MAX},
    {.name = "state", .contexts = CONF_IN_OBJECT, .type = CONF_TYPE_ENUM, .words = state_words},
    CONF_END,
};

static void check_files(struct conf_diags *d, struct conf_node files)
{
    if (conf_count(files) > SERVERS_FILES_MAX) {
        conf_error(d, files, "more than %d watched files", SERVERS_FILES_MAX);
    }
}

static void check_overrides(struct conf_diags *d, struct conf_node overrides)
{
    if (conf_count(overrides) > SERVERS_OVERRIDES_MAX) {
        conf_error(d, overrides, "more than %d overrides", SERVERS_OVERRIDES_MAX);
    }
}

static const struct conf_directive doc_rows[] = {
    {.name = "files",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = doc_file_rows,
     .check = check_files},
    {.name = "overrides",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = override_rows,
     .check = check_overrides},
    CONF_END,
};

const struct conf_directive *const servers_doc_tables[] = {doc_rows, NULL};

void servers_override_read(struct conf_node n, struct servers_override *out)
{
    *out = (struct servers_override){
        .at = conf_string(conf_get(n, "at"), ""),
        .of = conf_string(conf_get(n, "of"), ""),
        .added = conf_bool(conf_get(n, "added"), false),
        .removed = conf_bool(conf_get(n, "removed"), false),
        .weight = (uint32_t)conf_int(conf_get(n, "weight"), 0),
        .state = conf_string(conf_get(n, "state"), ""),
    };
}

struct conf_node servers_doc_file(const struct conf_doc *doc, struct slice path)
{
    conf_each(file, conf_get(conf_root(doc), "files"))
    {
        if (slice_eq(conf_string(conf_get(file, "path"), ""), path)) {
            return conf_get(file, "servers");
        }
    }
    return (struct conf_node){doc, 0};
}

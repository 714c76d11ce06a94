// SPDX-License-Identifier: Apache-2.0
//
// adit token: who may have tunnels of the running edge. Tokens, and keys and certificates in their
// place; each with an owner and with what it allows.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/num.h"
#include "base/slice.h"
#include "conf/value.h"
#include "tls/cert.h"

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/tables.h"

enum { COMMAND_MAX = 16 << 10, SCOPE_MAX = 512, PEM_MAX = 256 << 10, FINGERPRINT_MAX = 256 };

// ---- create -------------------------------------------------------------------------------------

// "myapp,*-dev"
static void put_list(json_t *order, const char *key, const char *value)
{
    json_t *list = json_array();
    while (*value != '\0') {
        size_t len = strcspn(value, ", ");
        if (len > 0) {
            (void)json_array_append_new(list, json_stringn(value, len));
        }
        value += len;
        value += strspn(value, ", ");
    }
    (void)json_object_set_new(order, key, list);
}

// False: it is none, which was said.
static bool put_number(const struct cli_parsed *p, json_t *order, const char *key)
{
    const char *value = cli_value(p, key);
    uint64_t n = 0;
    if (value == NULL) {
        return true;
    }
    struct slice digits = slice_str(value);
    if (slice_ends(digits, SLICE("/s"))) {
        digits = slice_sub(digits, 0, digits.len - 2);
    }
    if (num_parse_u64(digits, INT64_MAX, &n) != 0) {
        (void)cli_usage_error(p->command, "--%s takes a number, not `%s`", key, value);
        return false;
    }
    (void)json_object_set_new(order, key, json_integer((json_int_t)n));
    return true;
}

static bool put_life(const struct cli_parsed *p, json_t *order)
{
    const char *value = cli_value(p, "expires");
    uint64_t ms = 0;
    if (value == NULL || strcmp(value, "never") == 0) {
        return true;
    }
    if (conf_value_duration(slice_str(value), &ms) != 0 || ms == 0) {
        (void)cli_usage_error(p->command, "--expires takes a time such as 90d or 12h, or never");
        return false;
    }
    (void)json_object_set_new(order, "expires", json_integer((json_int_t)ms));
    return true;
}

// The fingerprint of a certificate's file; what is no file is taken for the fingerprint itself. False: it
// is of no use, which was said.
static bool fingerprint_of(const struct cli_parsed *p, const char *word, char out[FINGERPRINT_MAX])
{
    int fd = open(word, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && strpbrk(word, "/.") == NULL) {
        (void)snprintf(out, FINGERPRINT_MAX, "%s", word);
        return true;
    }
    char *room = fd >= 0 ? malloc(PEM_MAX) : NULL;
    ssize_t n = room != NULL ? read(fd, room, PEM_MAX) : -1;
    int error = n < 0 ? errno : 0;
    struct arena arena;
    struct cert_info info;
    arena_init(&arena, NULL, 0, NULL, PEM_MAX);
    bool good = n > 0 && cert_describe(slice_of(room, (size_t)n), &arena, &info) == 0;
    if (good) {
        (void)snprintf(out, FINGERPRINT_MAX, "%.*s", SLICE_ARG(info.fingerprint));
    } else {
        (void)cli_usage_error(p->command, "--certificate %s: %s", word,
                              error != 0 ? strerror(error) : "there is no certificate (PEM) in it");
    }
    arena_fini(&arena);
    free(room);
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

static json_t *order_of(const struct cli_parsed *p)
{
    static const char *const texts[] = {"owner", "note", "key", "certificate"};
    char fingerprint[FINGERPRINT_MAX];
    json_t *order = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *value = cli_value(p, texts[i]);
        if (value != NULL && strcmp(texts[i], "certificate") == 0) {
            if (!fingerprint_of(p, value, fingerprint)) {
                json_decref(order);
                return NULL;
            }
            value = fingerprint;
        }
        json_t *text = value != NULL ? json_string(value) : NULL;
        if (value != NULL && text == NULL) {
            (void)cli_usage_error(p->command, "--%s is not UTF-8", texts[i]);
            json_decref(order);
            return NULL;
        }
        if (text != NULL) {
            (void)json_object_set_new(order, texts[i], text);
        }
    }
    if (cli_given(p, "names")) {
        put_list(order, "names", cli_value(p, "names"));
    }
    if (cli_given(p, "ports")) {
        put_list(order, "ports", cli_value(p, "ports"));
    }
    if (!put_number(p, order, "tunnels") || !put_number(p, order, "rate") || !put_life(p, order)) {
        json_decref(order);
        return NULL;
    }
    return order;
}

static void tell_created(const json_t *answer)
{
    const char *token = control_text(answer, "token");
    char when[CLI_CELL_MAX];
    cli_when(control_number(answer, "expires_ms"), when);
    if (token[0] != '\0') {
        puts(token); // alone on its line and on stdout, for scripts
    }
    (void)fprintf(stderr, "  id %s, owner %s, expires %s\n", control_text(answer, "id"),
                  control_text(answer, "owner"), when);
    if (token[0] != '\0') {
        (void)fputs("  it is not shown again: give it to the agent, `adit login` or ADIT_TOKEN\n",
                    stderr);
    }
    cli_tell_notes(answer);
}

static int create(const struct cli_parsed *p)
{
    char command[COMMAND_MAX];
    json_t *order = order_of(p);
    if (order == NULL) {
        return CLI_USAGE;
    }
    char *text = json_dumps(order, JSON_COMPACT);
    int len = text != NULL ? snprintf(command, sizeof command, "token create %s", text) : -1;
    free(text);
    json_decref(order);
    if (len < 0 || len >= COMMAND_MAX) {
        return cli_usage_error(p->command, "that is too long");
    }
    return cli_order(p, command, tell_created);
}

// ---- list ---------------------------------------------------------------------------------------

static void add_words(const json_t *list, const char *what, char out[SCOPE_MAX])
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        size_t len = strlen(out);
        (void)snprintf(out + len, SCOPE_MAX - len, "%s%s%s",
                       i > 0     ? ","
                       : len > 0 ? "; "
                                 : "",
                       i > 0 ? "" : what, json_string_value(one));
    }
}

static void add_number(const json_t *row, const char *key, const char *format, char out[SCOPE_MAX])
{
    int64_t n = control_number(row, key);
    size_t len = strlen(out);
    if (n > 0) {
        (void)snprintf(out + len, SCOPE_MAX - len, "%s%" PRId64 " %s", len > 0 ? "; " : "", n,
                       format);
    }
}

static void row_cells(const json_t *row, const char *cells[CLI_COLUMNS_MAX])
{
    static char scope[SCOPE_MAX];
    static char used[CLI_CELL_MAX];
    static char created[CLI_CELL_MAX];
    static char expires[CLI_CELL_MAX];
    scope[0] = '\0';
    add_words(json_object_get(row, "names"), "", scope);
    add_words(json_object_get(row, "ports"), "ports ", scope);
    add_number(row, "tunnels", "tunnels", scope);
    add_number(row, "rate", "requests/s", scope);
    cli_ago(control_number(row, "used_ms"), used);
    cli_ago(control_number(row, "created_ms"), created);
    cli_when(control_number(row, "expires_ms"), expires);
    cells[0] = control_text(row, "id");
    cells[1] = control_text(row, "kind");
    cells[2] = control_text(row, "owner");
    cells[3] = scope[0] != '\0' ? scope : "any name";
    cells[4] = created;
    cells[5] = used;
    cells[6] = expires;
    cells[7] = control_text(row, "note");
}

static void tell_list(const json_t *answer)
{
    static const struct cli_table table = {
        .heads = {"ID", "KIND", "OWNER", "ALLOWS", "CREATED", "USED", "EXPIRES", "NOTE"},
        .columns = 8,
        .cells = row_cells,
        .none = "no tokens: `adit token create` makes one",
    };
    cli_table_print(&table, json_object_get(answer, "grants"));
}

static void tell_revoked(const json_t *answer)
{
    printf("%s is revoked: its tunnels are ended\n", control_text(answer, "id"));
    cli_tell_notes(answer);
}

static int run(const struct cli_parsed *p)
{
    const char *verb = p->count > 0 ? p->arguments[0] : "list";
    char command[COMMAND_MAX];
    if (strcmp(verb, "create") == 0 && p->count == 1) {
        return create(p);
    }
    if (strcmp(verb, "list") == 0 && p->count <= 1) {
        return cli_order(p, "token list", tell_list);
    }
    if (strcmp(verb, "revoke") == 0 && p->count == 2 && strpbrk(p->arguments[1], " \r\n") == NULL) {
        (void)snprintf(command, sizeof command, "token revoke %s", p->arguments[1]);
        return cli_order(p, command, tell_revoked);
    }
    return cli_usage_error(p->command, "say create, list or revoke ID");
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = "owner", .value = "NAME", .text = "create: whose it is (default: default)"},
    {.name = "names",
     .value = "NAME,...",
     .text = "create: the names it may have, * for any characters; default: any"},
    {.name = "ports",
     .value = "20000-20010,...",
     .text = "create: public TCP and UDP ports it may have; default: none"},
    {.name = "tunnels", .value = "N", .text = "create: tunnels at once; default: as the zone says"},
    {.name = "rate",
     .value = "N",
     .text = "create: requests a second to all its tunnels together; default: no limit"},
    {.name = "expires", .value = "90d", .text = "create: how long it is good for; default: never"},
    {.name = "note", .value = "TEXT", .text = "create: for the list"},
    {.name = "key",
     .value = "BASE64URL",
     .text = "create: instead of a token, an agent's Ed25519 public key"},
    {.name = "certificate",
     .value = "FILE",
     .text = "create: instead of a token, a client certificate (PEM), or its SHA-256"},
    {.name = NULL},
};

const struct cli_command cli_token = {
    .name = "token",
    .arguments = "[list | create | revoke ID]",
    .text = "makes, lists and revokes the tokens of agents",
    .more =
        "`create` prints the token once; only a hash of it is kept. Several are good at once, so "
        "one is\n"
        "replaced by making the next, giving it out and revoking the first. Names and tunnels "
        "belong to\n"
        "owners, not to tokens. `revoke` ends the tunnels of a token.\n",
    .max = 2,
    .options = options,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
//
// adit cert: the certificates of the running edge, renewing one of them, and how to trust the local CA.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "super/state.h"

#include "cli/cli.h"
#include "cli/control.h"

enum { PATH_BYTES_MAX = STATE_PATH_MAX + 32, COMMAND_MAX = 300 };

// ---- the table ----------------------------------------------------------------------------------

// "2026-11-23 (in 12 days)" of a time in the list.
static void print_when(const json_t *row, const char *key, const char *key_s)
{
    const char *text = control_text(row, key);
    json_int_t at = json_integer_value(json_object_get(row, key_s));
    if (text[0] == '\0' || at == 0) {
        printf("  %-24s", "-");
        return;
    }
    double days = difftime((time_t)at, time(NULL)) / 86400;
    char cell[64];
    if (days < 0) {
        (void)snprintf(cell, sizeof cell, "%.10s (over)", text);
    } else if (days < 2) {
        (void)snprintf(cell, sizeof cell, "%.10s (in %.0f hours)", text, days * 24);
    } else {
        (void)snprintf(cell, sizeof cell, "%.10s (in %.0f days)", text, days);
    }
    printf("  %-24s", cell);
}

static int by_name(const void *a, const void *b)
{
    const json_t *const *x = a;
    const json_t *const *y = b;
    return strcmp(control_text(*x, "name"), control_text(*y, "name"));
}

static void print_row(const json_t *row, int width)
{
    const char *issuer = control_text(row, "issuer");
    const char *error = control_text(row, "error");
    printf("%-*s  %-9s  %-22.22s", width, control_text(row, "name"), control_text(row, "source"),
           issuer[0] != '\0' ? issuer : "-");
    print_when(row, "expires", "expires_s");
    print_when(row, "renews", "renews_s");
    printf("  %s\n", error[0] != '\0'                                ? error
                     : json_is_true(json_object_get(row, "busy"))    ? "at work"
                     : json_is_null(json_object_get(row, "expires")) ? "none yet"
                                                                     : "ok");
}

static int print_table(const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "certificates");
    size_t count = json_array_size(rows);
    if (count == 0) {
        puts("no certificates: no site has TLS, or no listener speaks it");
        return CLI_OK;
    }
    const json_t **sorted = calloc(count, sizeof(const json_t *));
    if (sorted == NULL) {
        return CLI_FAILURE;
    }
    int width = 4;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_array_get(rows, i);
        int len = (int)strlen(control_text(sorted[i], "name"));
        width = len > width && len < 60 ? len : width;
    }
    qsort(sorted, count, sizeof(const json_t *), by_name);
    printf("%-*s  %-9s  %-22s  %-24s  %-24s  %s\n", width, "NAME", "FROM", "ISSUER", "EXPIRES",
           "RENEWS", "STATE");
    for (size_t i = 0; i < count; i++) {
        print_row(sorted[i], width);
    }
    free((void *)sorted);
    return CLI_OK;
}

static int list(const struct cli_parsed *p)
{
    json_t *answer = control_ask(cli_value(p, "control"), "cert");
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    int code = cli_given(p, "json") ? control_print(answer) : print_table(answer);
    json_decref(answer);
    return code;
}

static int renew(const struct cli_parsed *p)
{
    char command[COMMAND_MAX];
    if (p->count != 2) {
        return cli_usage_error(p->command, "renew which name? `adit cert` lists them");
    }
    int len = snprintf(command, sizeof command, "cert renew %s", p->arguments[1]);
    if (len < 0 || len >= COMMAND_MAX || strpbrk(p->arguments[1], "\r\n") != NULL) {
        return cli_usage_error(p->command, "that is no name");
    }
    json_t *answer = control_ask(cli_value(p, "control"), command);
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (cli_given(p, "json")) {
        (void)control_print(answer);
    } else if (ok) {
        printf("%s is being renewed; `adit cert` shows what comes of it\n", p->arguments[1]);
    } else {
        (void)fprintf(stderr, "adit: %s: %s\n", p->arguments[1], control_text(answer, "error"));
    }
    json_decref(answer);
    return ok ? CLI_OK : CLI_FAILURE;
}

// ---- trust --------------------------------------------------------------------------------------

static void tell_trust(const char *root)
{
    printf("The local CA's root certificate is\n\n    %s\n\n"
           "Whoever trusts it trusts this machine, so trust it only where you develop.\n\n"
           "  Debian, Ubuntu   sudo cp %s /usr/local/share/ca-certificates/adit.crt\n"
           "                   sudo update-ca-certificates\n"
           "  Fedora           sudo trust anchor %s\n"
           "  macOS            sudo security add-trusted-cert -d -r trustRoot \\\n"
           "                     -k /Library/Keychains/System.keychain %s\n"
           "  Windows          certutil -addstore -f ROOT root.pem\n"
           "  Firefox          Settings, Privacy & Security, View Certificates, Authorities, "
           "Import\n"
           "  Chromium, Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n adit -i %s\n"
           "  curl             curl --cacert %s https://...\n"
           "  Node.js          NODE_EXTRA_CA_CERTS=%s\n",
           root, root, root, root, root, root, root);
}

static bool root_in(const char *dir, char path[PATH_BYTES_MAX])
{
    int len = snprintf(path, PATH_BYTES_MAX, "%s/local/root.pem", dir);
    if (dir[0] == '\0' || len <= 0 || len >= PATH_BYTES_MAX) {
        return false;
    }
    char *whole = realpath(path, NULL); // what is printed must hold wherever it is used
    bool there = whole != NULL && access(whole, R_OK) == 0 && strlen(whole) < PATH_BYTES_MAX;
    if (there) {
        memcpy(path, whole, strlen(whole) + 1);
    }
    free(whole);
    return there;
}

// Offline when the state directory is known; else the running edge knows where its own is.
static int trust(const struct cli_parsed *p)
{
    char usual[STATE_PATH_MAX];
    char path[PATH_BYTES_MAX];
    const char *dir = cli_value(p, "state");
    dir = dir != NULL ? dir : getenv("ADIT_STATE");
    bool said = dir != NULL;
    if (!said) {
        super_state_default(usual);
        dir = usual;
    }
    if (cli_value(p, "control") == NULL && root_in(dir, path)) {
        tell_trust(path);
        return CLI_OK;
    }
    if (said && cli_value(p, "control") == NULL) {
        (void)fprintf(stderr,
                      "adit: there is no local CA in %s yet; one is made when a site needs it "
                      "(tls: local)\n",
                      dir);
        return CLI_FAILURE;
    }
    json_t *answer = control_ask(cli_value(p, "control"), "cert");
    if (answer == NULL) {
        return CLI_FAILURE;
    }
    const char *root = control_text(answer, "local_root");
    int code = CLI_OK;
    if (root[0] != '\0') {
        tell_trust(root);
    } else {
        (void)fputs("adit: the running edge has no local CA; one is made when a site needs it "
                    "(tls: local)\n",
                    stderr);
        code = CLI_FAILURE;
    }
    json_decref(answer);
    return code;
}

static int run(const struct cli_parsed *p)
{
    if (p->count == 0) {
        return list(p);
    }
    if (strcmp(p->arguments[0], "renew") == 0) {
        return renew(p);
    }
    if (strcmp(p->arguments[0], "trust") == 0 && p->count == 1) {
        return trust(p);
    }
    return cli_usage_error(p->command, "`%s`: say nothing for the list, `renew NAME`, or `trust`",
                           p->arguments[0]);
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "state", .value = "DIR", .text = "the state directory, for `trust`"},
    {.name = "json", .text = "as one JSON object"},
    {.name = NULL},
};

const struct cli_command cli_cert = {
    .name = "cert",
    .arguments = "[renew NAME | trust]",
    .text = "lists the certificates of the running edge, or renews one",
    .more = "Without more: each certificate with its issuer, when it expires and is renewed, and "
            "what\n"
            "went wrong last. `renew NAME` gets a new one now, without waiting for the time. "
            "`trust`\n"
            "prints where the local CA's root is and how to make browsers trust it.\n",
    .options = options,
    .max = 2,
    .run = run,
};

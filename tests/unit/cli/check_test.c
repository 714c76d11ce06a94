// SPDX-License-Identifier: Apache-2.0
//
// adit check: exit codes, and the report for people and for programs.

#include <jansson.h>

#include "cli_help.h"

static void a_good_file(void)
{
    const char *path = temporary("sites: {example.com: {proxy: 3000}}\n");
    CHECK_EQ_INT(ADIT("check", path), CLI_OK);
    CHECK(contains(captured_out, ": ok, 1 site\n"));
    CHECK_STR(captured_err, "");
    CHECK_EQ_INT(ADIT("check", "-c", path), CLI_OK);
    CHECK_EQ_INT(ADIT("check", "-c", path, path), CLI_USAGE);
}

static void a_wrong_file(void)
{
    const char *path = temporary("lisen: 8080\n");
    char want[512];
    CHECK_EQ_INT(ADIT("check", path), CLI_CONFIG);
    CHECK_STR(captured_out, "");
    (void)snprintf(want, sizeof want,
                   "%s:1:1: error: unknown key `lisen` at the top level\n"
                   "     1 | lisen: 8080\n"
                   "       | ^^^^^\n"
                   "  hint: did you mean `listen`?\n"
                   "1 error, 0 warnings\n",
                   path);
    CHECK_STR(captured_err, want);
}

static void a_hook_that_is_not_there(void)
{
    const char *path =
        temporary("sites: {\"*.example.com\": {tls: {dns: /nonexistent/hook}, proxy: "
                  "3000}}\n");
    CHECK_EQ_INT(ADIT("check", path), CLI_OK);
    CHECK(contains(captured_err, ":1:38: warning: there is no such program"));
    path = temporary("sites: {\"*.example.com\": {tls: {dns: /bin/true}, proxy: 3000}}\n");
    CHECK_EQ_INT(ADIT("check", path), CLI_OK);
    CHECK(!contains(captured_err, "warning"));
}

static void as_json(void)
{
    const char *path = temporary("lisen: 8080\nlog: \"lo\xc3\xbc\\u0001\"\n");
    CHECK_EQ_INT(ADIT("check", "--json", path), CLI_CONFIG);
    json_error_t error;
    json_t *root = json_loads(captured_out, 0, &error);
    if (!CHECK(root != NULL)) {
        return;
    }
    CHECK(json_is_false(json_object_get(root, "ok")));
    CHECK_EQ_INT(json_integer_value(json_object_get(root, "errors")), 2);
    json_t *first = json_array_get(json_object_get(root, "diagnostics"), 0);
    CHECK_EQ_INT(json_integer_value(json_object_get(first, "line")), 1);
    CHECK_STR(json_string_value(json_object_get(first, "hint")), "did you mean `listen`?");
    CHECK_STR(json_string_value(json_object_get(first, "source")), "lisen: 8080");
    json_decref(root);
}

static void the_file_of_an_agent(void)
{
    const char *path = temporary("server: tunnel.example.com\ntoken: adit_x_y\n"
                                 "tunnels:\n  web: {http: 3000, name: a}\n  ssh: {tcp: 22}\n");
    CHECK_EQ_INT(ADIT("check", path), CLI_OK);
    CHECK(contains(captured_out, ": ok, 2 tunnels of an agent, for `adit start`\n"));
    CHECK_STR(captured_err, "");
    CHECK_EQ_INT(ADIT("check", "--json", path), CLI_OK);
    CHECK(contains(captured_out, "{\"ok\":true,"));
    CHECK_EQ_INT(ADIT("serve", "--check", path), CLI_CONFIG);
    CHECK(contains(captured_err, "this is the file of an agent: `adit start "));
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"tunnels: {a: {htpp: 1}}\n", ":1:15: error: unknown key `htpp`"},
        {"server: x\ntunnel: {a: 1}\n", ":2:1: error: unknown key `tunnel`"},
        {"tunnels:\n  a: {http: 3000, name: -x}\n", ":2:25: error: not a name"},
        {"tunnels: {a: 1, b: {tcp: 22, udp: 53}}\n", "one of http, tcp and udp"},
        {"tunnels: {a: 1}\nkey: /nonexistent/key\n", ":2:6: error: cannot be read"},
        {"tunnels: {}\n", "error: there is no tunnel"},
        {"token: $env(NOT_SET_ANYWHERE)\ntunnels: {a: 1}\n", ":1:8: error"},
    };
    for (unsigned i = 0; i < array_len(rows); i++) {
        CHECK_EQ_INT(ADIT("check", temporary(rows[i].text)), CLI_CONFIG);
        CHECK(contains(captured_err, rows[i].says));
        CHECK(!contains(captured_err, "sites"));
        CHECK_STR(captured_out, "");
    }
}

static void no_file(void)
{
    CHECK_EQ_INT(ADIT("check", "/nonexistent/adit.yaml"), CLI_CONFIG);
    CHECK(contains(captured_err, "/nonexistent/adit.yaml: error: cannot read "
                                 "`/nonexistent/adit.yaml`: not found\n"));
    CHECK_EQ_INT(ADIT("check", "/"), CLI_CONFIG);
    CHECK(contains(captured_err, "not a regular file"));
}

TAP_MAIN(a_good_file, a_wrong_file, a_hook_that_is_not_there, as_json, the_file_of_an_agent,
         no_file)

// SPDX-License-Identifier: Apache-2.0
//
// Reports of many diagnostics: the counts are right when not all are shown, and JSON stays JSON.

#include <jansson.h>

#include "cli_help.h"

static void many_are_counted(void)
{
    static char text[1 << 14];
    size_t used = 0;
    for (int i = 0; i < 150; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "wrong%d: 1\n", i);
    }
    const char *path = temporary(text);
    CHECK_EQ_INT(ADIT("check", path), CLI_CONFIG);
    CHECK(contains(captured_err, "(only the first 100 are shown)\n150 errors, 0 warnings\n"));
    CHECK_EQ_INT(ADIT("check", "--json", path), CLI_CONFIG);
    json_t *root = json_loads(captured_out, 0, NULL);
    CHECK(root != NULL);
    CHECK_EQ_INT(json_array_size(json_object_get(root, "diagnostics")), 100);
    json_decref(root);
}

static void long_lines_fit(void)
{
    static char text[1 << 14];
    memset(text, '\\', sizeof text - 1);
    memcpy(text, "wrong: '", 8);
    memcpy(text + sizeof text - 3, "'\n", 3);
    CHECK_EQ_INT(ADIT("check", "--json", temporary(text)), CLI_CONFIG);
    json_t *root = json_loads(captured_out, 0, NULL);
    CHECK(root != NULL);
    json_decref(root);
    (void)temporary("");
}

TAP_MAIN(many_are_counted, long_lines_fit)

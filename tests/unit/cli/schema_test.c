// SPDX-License-Identifier: Apache-2.0
//
// adit schema: valid JSON whose references all lead somewhere, with every directive in it.

#include <jansson.h>

#include "cli_help.h"
#include "conf/schema.h"

static void check_references(const json_t *root, const json_t *node)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_array(node)) {
        json_array_foreach(node, index, value)
        {
            check_references(root, value);
        }
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        const char *text = json_string_value(value);
        if (strcmp(key, "$ref") == 0 && CHECK(text != NULL)) {
            CHECK(strncmp(text, "#/$defs/", 8) == 0);
            CHECK(json_object_get(json_object_get(root, "$defs"), text + 8) != NULL);
        }
        check_references(root, value);
    }
}

static void the_schema_is_whole(void)
{
    CHECK_EQ_INT(ADIT("schema"), CLI_OK);
    json_error_t error;
    json_t *root = json_loads(captured_out, 0, &error);
    if (!CHECK(root != NULL)) {
        return;
    }
    check_references(root, root);
    json_t *route = json_object_get(json_object_get(root, "$defs"), "route");
    conf_each_row(it, conf_tables)
    {
        if ((it.row->contexts & CONF_IN_TOP) != 0) {
            CHECK(json_object_get(json_object_get(root, "properties"), it.row->name) != NULL);
        }
        if ((it.row->contexts & CONF_IN_ROUTE) != 0) {
            CHECK(json_object_get(json_object_get(route, "properties"), it.row->name) != NULL);
        }
    }
    json_decref(root);
}

TAP_MAIN(the_schema_is_whole)

// SPDX-License-Identifier: Apache-2.0
//
// adit schema: the configuration as a JSON Schema (2020-12) for editors, made from the rows. It
// accepts what the check accepts as far as a schema can say it; units and addresses are patterns,
// cross references are left to `adit check`.

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "conf/schema.h"

#include "cli/cli.h"

enum { DEFINITIONS_MAX = 64 };

// Rows that are used in several places, or within themselves, are definitions of their own.
struct schema {
    json_t *definitions;
    const struct conf_directive *known[DEFINITIONS_MAX];
    size_t count;
};

static json_t *value_of(struct schema *s, const struct conf_directive *row);

static json_t *pattern(const char *regex)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", regex);
}

static json_t *reference(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "#/$defs/%s", name);
    return json_pack("{s:s}", "$ref", path);
}

// Switches and numbers are written without quotes in YAML, where editors see booleans and numbers.
static json_t *switch_value(const char *first, const char *second, int boolean)
{
    json_t *words = json_pack("{s:[s,s]}", "enum", first, second);
    return json_pack("{s:[o,{s:b}]}", "anyOf", words, "const", boolean);
}

static json_t *integer_of(const struct conf_directive *row)
{
    json_t *number = json_pack("{s:s}", "type", "integer");
    if (row->min != 0 || row->max != 0) {
        (void)json_object_set_new(number, "minimum", json_integer(row->min));
        (void)json_object_set_new(number, "maximum", json_integer(row->max));
    }
    return number;
}

static json_t *status_of(const struct conf_directive *row)
{
    if (row->classes_ok) {
        return json_pack("{s:[o,o]}", "anyOf", integer_of(row), pattern("^[1-5]xx$"));
    }
    return integer_of(row);
}

// A scalar of any kind: text that happens to look like a number or a switch is fine.
static json_t *text_value(void)
{
    return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
}

static json_t *scalar_of(const struct conf_directive *row)
{
    switch ((enum conf_type)row->type) {
    case CONF_TYPE_BOOL:
        return json_pack("{s:[{s:s},{s:[s,s]}]}", "anyOf", "type", "boolean", "enum", "on", "off");
    case CONF_TYPE_INT:
        return integer_of(row);
    case CONF_TYPE_DURATION:
        return json_pack("{s:[o,{s:i}]}", "anyOf",
                         pattern("^([0-9]+(ms|s|m|h|d))+$|^0$|^\\$(env|file)\\("), "const", 0);
    case CONF_TYPE_SIZE:
        return json_pack("{s:[o,{s:s}]}", "anyOf",
                         pattern("^[0-9]+(B|[KMGT]i?B)?$|^\\$(env|file)\\("), "type", "integer");
    case CONF_TYPE_PERCENT:
        return pattern("^[0-9]+%$|^\\$(env|file)\\(");
    case CONF_TYPE_STATUS:
        return status_of(row);
    case CONF_TYPE_PATH:
        return pattern("^[/~]");
    case CONF_TYPE_METHOD:
    case CONF_TYPE_FIELD:
        return pattern("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");
    case CONF_TYPE_NAME:
        return pattern("^[A-Za-z][A-Za-z0-9_.-]*$");
    case CONF_TYPE_HOST:
    case CONF_TYPE_CIDR:
    case CONF_TYPE_REGEX:
    case CONF_TYPE_FILE:
    case CONF_TYPE_FILE_PATH:
        return json_pack("{s:s}", "type", "string");
    case CONF_TYPE_ADDRESS:
    case CONF_TYPE_LISTEN:
        return json_pack("{s:[s,s]}", "type", "string", "integer");
    case CONF_TYPE_STRING:
    case CONF_TYPE_TEMPLATE:
    case CONF_TYPE_PATTERN:
        return text_value();
    case CONF_TYPE_ENUM:
    case CONF_TYPE_OBJECT:
    case CONF_TYPE_MAP:
    case CONF_TYPE_UPSTREAM:
    case CONF_TYPE_COUNT:
        break;
    }
    return NULL;
}

// ---- objects ------------------------------------------------------------------------------------

static json_t *properties_of_rows(struct schema *s, const struct conf_directive *rows)
{
    json_t *properties = json_object();
    json_t *required = json_array();
    for (; rows->name != NULL; rows++) {
        (void)json_object_set_new(properties, rows->name, value_of(s, rows));
        if (rows->required) {
            (void)json_array_append_new(required, json_string(rows->name));
        }
    }
    json_t *object = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                               "additionalProperties", 0);
    if (json_array_size(required) > 0) {
        (void)json_object_set(object, "required", required);
    }
    json_decref(required);
    return object;
}

static const char *context_name(unsigned context)
{
    switch (context) {
    case CONF_IN_SITE:
        return "site";
    case CONF_IN_ROUTE:
        return "route";
    case CONF_IN_UPSTREAM:
        return "upstream";
    case CONF_IN_TUNNELS:
        return "tunnels";
    default:
        return "snippet";
    }
}

static json_t *context_object(struct schema *s, unsigned contexts)
{
    json_t *properties = json_object();
    conf_each_row(it, conf_tables)
    {
        if ((it.row->contexts & contexts) == 0) {
            continue;
        }
        // A snippet is for several places, in which a name may mean different things.
        json_t *other = json_object_get(properties, it.row->name);
        json_t *value = value_of(s, it.row);
        if (other != NULL) {
            value = json_pack("{s:[O,o]}", "anyOf", other, value);
        }
        (void)json_object_set_new(properties, it.row->name, value);
    }
    if (contexts == CONF_IN_UPSTREAM) {
        // In `proxy` the servers may be called `to`.
        json_t *servers = json_object_get(properties, "servers");
        (void)json_object_set_new(properties, "to", json_deep_copy(servers));
    }
    return json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                     "additionalProperties", 0);
}

static json_t *object_of(struct schema *s, const struct conf_directive *row)
{
    char name[64];
    if (row->inner != 0) {
        return reference(context_name(row->inner));
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->known[i] == row->rows) {
            (void)snprintf(name, sizeof name, "object%zu", i);
            return reference(name);
        }
    }
    ensure(s->count < DEFINITIONS_MAX);
    (void)snprintf(name, sizeof name, "object%zu", s->count);
    s->known[s->count++] = row->rows;
    (void)json_object_set_new(s->definitions, name, properties_of_rows(s, row->rows));
    return reference(name);
}

static const struct conf_directive *shorthand_of(const struct conf_directive *row)
{
    if (row->shorthand == NULL) {
        return NULL;
    }
    struct slice name = slice_str(row->shorthand);
    return row->inner != 0 ? conf_row_find(conf_tables, row->inner, name)
                           : conf_row_in(row->rows, name);
}

// ---- values -------------------------------------------------------------------------------------

static json_t *one_of(struct schema *s, const struct conf_directive *row)
{
    json_t *any = json_array();
    if (row->type == CONF_TYPE_OBJECT) {
        const struct conf_directive *inner = shorthand_of(row);
        (void)json_array_append_new(any, object_of(s, row));
        if (inner != NULL) {
            (void)json_array_append_new(any, value_of(s, inner));
        }
    } else if (row->type == CONF_TYPE_UPSTREAM) {
        json_t *address = json_pack("{s:[s,s]}", "type", "string", "integer");
        json_t *list = json_pack("{s:s, s:o}", "type", "array", "items", json_deep_copy(address));
        (void)json_array_append_new(any, address);
        (void)json_array_append_new(any, list);
        (void)json_array_append_new(any, reference("upstream"));
        if (row->rows != NULL) {
            (void)json_array_append_new(any, object_of(s, row));
        }
    } else if (row->type != CONF_TYPE_ENUM) {
        (void)json_array_append_new(any, scalar_of(row));
    }
    if (row->words != NULL) {
        json_t *words = json_array();
        for (const char *const *w = row->words; *w != NULL; w++) {
            (void)json_array_append_new(words, json_string(*w));
        }
        (void)json_array_append_new(any, json_pack("{s:o}", "enum", words));
    }
    if (row->on_ok) {
        (void)json_array_append_new(any, switch_value("on", "true", 1));
    }
    if (row->off_ok) {
        (void)json_array_append_new(any, switch_value("off", "false", 0));
    }
    if (json_array_size(any) > 1) {
        return json_pack("{s:o}", "anyOf", any);
    }
    json_t *only = json_incref(json_array_get(any, 0));
    json_decref(any);
    return only;
}

static json_t *map_of(struct schema *s, const struct conf_directive *row)
{
    return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                     value_of(s, &row->rows[0]));
}

static json_t *value_of(struct schema *s, const struct conf_directive *row)
{
    json_t *value = row->type == CONF_TYPE_MAP ? map_of(s, row) : one_of(s, row);
    if (row->list) {
        json_t *list = json_pack("{s:s, s:O}", "type", "array", "items", value);
        value = json_pack("{s:[o,o]}", "anyOf", value, list);
    }
    if (row->text != NULL) {
        (void)json_object_set_new(value, "description", json_string(row->text));
    }
    if (row->fallback != NULL && row->type != CONF_TYPE_OBJECT) {
        (void)json_object_set_new(value, "default", json_string(row->fallback));
    }
    return value;
}

static json_t *build(void)
{
    static const unsigned contexts[] = {
        CONF_IN_SITE,
        CONF_IN_ROUTE,
        CONF_IN_UPSTREAM,
        CONF_IN_TUNNELS,
        CONF_IN_SITE | CONF_IN_ROUTE | CONF_IN_UPSTREAM,
    };
    struct schema s = {.definitions = json_object()};
    json_t *root = context_object(&s, CONF_IN_TOP);
    for (size_t i = 0; i < array_len(contexts); i++) {
        (void)json_object_set_new(s.definitions, context_name(contexts[i]),
                                  context_object(&s, contexts[i]));
    }
    (void)json_object_set_new(root, "$schema",
                              json_string("https://json-schema.org/draft/2020-12/schema"));
    (void)json_object_set_new(root, "title", json_string("Configuration of adit " ADIT_VERSION));
    (void)json_object_set_new(root, "$defs", s.definitions);
    return root;
}

static int run(const struct cli_parsed *p)
{
    (void)p;
    json_t *root = build();
    int rc = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(root);
    puts("");
    return rc == 0 ? CLI_OK : CLI_FAILURE;
}

const struct cli_command cli_schema = {
    .name = "schema",
    .text = "prints the JSON Schema of the configuration, for editors",
    .more = "With the YAML extension of an editor, save it and begin a configuration with\n"
            "  # yaml-language-server: $schema=adit.schema.json\n",
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
//
// adit check: is this configuration right, an edge's or an agent's? Which of them it is its keys say.
// Reads the files itself, starts nothing. Exit code 0 when there is no error (warnings are told),
// CLI_CONFIG when there is one. For people on stderr, with --json as one object on stdout.

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/load.h"
#include "keeper/needs.h"
#include "keeper/servers.h"

#include "cli/agent_plan.h"
#include "cli/cli.h"
#include "cli/report.h"

static int read_stdin(char **buffer, struct slice *out)
{
    char *bytes = mem_alloc(CONF_FILE_BYTES_MAX + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    *buffer = bytes;
    *out = slice_of(bytes, fread(bytes, 1, CONF_FILE_BYTES_MAX + 1, stdin));
    return ferror(stdin) ? E_IO : 0;
}

static void print_counts(const char *path, const struct conf_doc *doc)
{
    struct conf_node root = conf_root(doc);
    uint32_t sites = conf_count(conf_get(root, "sites"));
    uint32_t upstreams = conf_count(conf_get(root, "upstreams"));
    printf("%s: ok, %u site%s", path, sites, sites == 1 ? "" : "s");
    if (upstreams > 0) {
        printf(", %u upstream%s", upstreams, upstreams == 1 ? "" : "s");
    }
    putchar('\n');
}

/** An edge's file. */
static int check_edge(const struct conf_load *in, struct conf_diags *diags, bool json)
{
    struct conf_doc *doc = NULL;
    int rc = conf_load(in, diags, &doc);
    if (rc == 0) {
        rc = needs_check(doc, in->source, diags);
    }
    if (rc == 0) {
        rc = servers_check_files(doc, in->source, diags);
        conf_diags_sort(diags);
    }
    if (rc == 0 && !json) {
        cli_report_text(diags);
        print_counts(in->path, doc);
    }
    conf_doc_free(doc);
    return rc;
}

static int check_agent(const struct conf_load *in, struct conf_diags *diags, bool json)
{
    uint32_t count = 0;
    int rc = agent_file_check(in->path, in->text, diags, &count);
    if (rc == 0 && !json) {
        cli_report_text(diags);
        printf("%s: ok, %u tunnel%s of an agent, for `adit start`\n", in->path, count,
               count == 1 ? "" : "s");
    }
    return rc;
}

static int check(const struct conf_load *in, bool json, bool serves)
{
    struct conf_diags *diags = conf_diags_new();
    if (diags == NULL) {
        (void)fputs("adit: out of memory\n", stderr);
        return CLI_FAILURE;
    }
    bool agents = agent_file_is_one(in->path, in->text);
    int rc = agents && !serves ? check_agent(in, diags, json) : check_edge(in, diags, json);
    if (json) {
        cli_report_json(diags, in->path, rc == 0);
    } else if (rc != 0) {
        cli_report_text(diags);
    }
    if (agents && serves) {
        (void)fprintf(stderr, "adit: this is the file of an agent: `adit start %s`\n", in->path);
    }
    conf_diags_free(diags);
    return rc == 0 ? CLI_OK : CLI_CONFIG;
}

int cli_check_edge(const char *path)
{
    const struct conf_load in = {
        .path = path, .source = conf_source_files(), .tables = conf_tables};
    return check(&in, false, true);
}

static int run(const struct cli_parsed *p)
{
    const char *path = cli_value(p, "config");
    char *buffer = NULL;
    if (path != NULL && p->count > 0) {
        return cli_usage_error(p->command, "two files: --config %s and %s", path, p->arguments[0]);
    }
    if (p->count > 0) {
        path = p->arguments[0];
    }
    if (path == NULL) {
        path = cli_default_config();
    }
    if (path == NULL) {
        return cli_usage_error(p->command, "which file? There is no ./adit.yaml and no "
                                           "/etc/adit/adit.yaml");
    }
    struct conf_load in = {
        .path = path,
        .source = conf_source_files(),
        .tables = conf_tables,
    };
    if (strcmp(path, "-") == 0) {
        in.path = "stdin";
        int rc = read_stdin(&buffer, &in.text);
        if (rc != 0) {
            mem_free(buffer);
            (void)fprintf(stderr, "adit: stdin: %s\n", error_text(rc));
            return CLI_FAILURE;
        }
    }
    int code = check(&in, cli_given(p, "json"), false);
    mem_free(buffer);
    return code;
}

static const struct cli_option options[] = {
    {.name = "config", .letter = 'c', .value = "FILE", .text = "the file; the same as FILE"},
    {.name = "json", .text = "report as one JSON object on stdout"},
    {.name = NULL},
};

const struct cli_command cli_check = {
    .name = "check",
    .arguments = "[FILE]",
    .text = "checks a configuration and says what is wrong, where, and what to write",
    .more = "FILE is ./adit.yaml or /etc/adit/adit.yaml when none is named, `-` is stdin.\n"
            "An agent's file (`adit start`) is known by its keys and checked as one.\n"
            "Exit code 0: no error (warnings are told); 3: there are errors.\n",
    .options = options,
    .max = 1,
    .run = run,
};

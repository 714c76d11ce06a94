// SPDX-License-Identifier: Apache-2.0
//
// Loading as a whole: sources, bounds, and that running out of memory is an error and no more.

#include "conf_help.h"

#include "base/slab.h"

static int load_rc(const struct conf_load *in)
{
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    if (d == NULL) {
        return E_NO_MEMORY;
    }
    int rc = conf_load(in, d, &doc);
    CHECK((rc == 0) == (doc != NULL));
    CHECK(rc == 0 || conf_diags_errors(d) > 0 || rc == E_NO_MEMORY);
    conf_doc_free(doc);
    conf_diags_free(d);
    return rc;
}

static void reads_through_the_source(void)
{
    static const struct memory_file files[] = {
        {"dir/adit.yaml", "include: more.yaml\n"},
        {"dir/more.yaml", "sites: {a.b: {proxy: 80}}\n"},
        {NULL, NULL},
    };
    memory_files = files;
    struct conf_load in = {
        .path = "dir/adit.yaml", .source = &memory_source, .tables = conf_tables};
    CHECK_EQ_INT(load_rc(&in), 0);
    in.path = "none.yaml";
    CHECK_EQ_INT(load_rc(&in), E_CONFIG);
    in.source = NULL;
    CHECK_EQ_INT(load_rc(&in), E_CONFIG);
    memory_files = NULL;
}

static void takes_text(void)
{
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    CHECK_EQ_INT(conf_load_text("x", "sites: {a.b: {proxy: 80}}\n", conf_tables, d, &doc), 0);
    conf_doc_free(doc);
    conf_diags_free(d);
}

static void bounds_its_input(void)
{
    static char big[CONF_FILE_BYTES_MAX + 1];
    memset(big, ' ', sizeof big);
    struct conf_load in = {.path = "x", .text = slice_of(big, sizeof big), .tables = conf_tables};
    CHECK_EQ_INT(load_rc(&in), E_CONFIG);
    char deep[256] = "sites: ";
    memset(deep + 7, '[', 100);
    CHECK_STR(report_of(deep), "1:31 nested deeper than 24 levels\n");
}

static void knows_for_whom_a_file_is(void)
{
    static const struct {
        const char *text;
        unsigned known;
    } rows[] = {{"sites: {a.b: {proxy: 80}}\nlisten: 80\nnobodys: 1\n", 2},
                {"{sites: 7}", 1},  // right or wrong
                {"proxy: 80\n", 0}, // nothing of the top
                {"sites: [\n", 0},
                {"- sites\n", 0},
                {"", 0}};
    for (unsigned i = 0; i < array_len(rows); i++) {
        struct conf_load in = {.path = "x", .text = slice_str(rows[i].text), .tables = conf_tables};
        CHECK_EQ_INT(conf_load_known(&in), rows[i].known);
    }
}

static void many_sites_load_fast(void)
{
    static char text[1 << 20];
    size_t used = (size_t)snprintf(text, sizeof text, "sites:\n");
    for (int i = 0; i < 20000; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  h%d.example.com: {proxy: 80}\n", i);
    }
    struct conf_load in = {.path = "x", .text = slice_of(text, used), .tables = conf_tables};
    CHECK_EQ_INT(load_rc(&in), 0);
}

static void survives_every_failed_allocation(void)
{
    struct conf_load in = {
        .path = "adit.yaml",
        .text = SLICE("snippets: {s: {access_log: off}}\nupstreams: {app: {servers: [80, 81]}}\n"
                      "sites: {a.b: {use: s, routes: [{path: '~ ^/a', redirect: /$host}], proxy: "
                      "app}}\n"),
        .source = &memory_source,
        .tables = conf_tables,
    };
    unsigned failed = 0;
    for (uint64_t n = 1; n < 40; n++) {
        alloc_fail_nth(n);
        failed += load_rc(&in) != 0;
    }
    alloc_fail_nth(0);
    CHECK(failed > 2);
    CHECK_EQ_INT(load_rc(&in), 0);
}

TAP_MAIN(reads_through_the_source, takes_text, bounds_its_input, knows_for_whom_a_file_is,
         many_sites_load_fast, survives_every_failed_allocation)

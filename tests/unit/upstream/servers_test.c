// SPDX-License-Identifier: Apache-2.0
//
// Lists of servers as they are written: in the configuration, in watched files, in the servers
// document.

#include "upstream/servers.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tap.h"

static struct conf_diags *diags;
static struct conf_doc *doc;

static int load(const char *text, conf_tables_t tables, const char *root)
{
    struct conf_load in = {
        .path = "list.yaml", .text = slice_str(text), .tables = tables, .root = root};
    conf_diags_free(diags);
    conf_doc_free(doc);
    doc = NULL;
    diags = conf_diags_new();
    REQUIRE(diags != NULL);
    return conf_load(&in, diags, &doc);
}

static int load_file(const char *text)
{
    return load(text, servers_file_tables, "servers");
}

static bool says(const char *what)
{
    for (const struct conf_diag *d = conf_diags_first(diags); d != NULL; d = d->next) {
        if (slice_find(d->message, slice_str(what)) >= 0) {
            return true;
        }
        printf("# %.*s\n", SLICE_ARG(d->message));
    }
    return false;
}

static void a_file_is_a_list(void)
{
    CHECK_EQ_INT(load_file("- 10.0.0.1:80\n- {at: 3000, weight: 2, state: drain}\n"), 0);
    struct conf_node list = conf_get(conf_root(doc), "servers");
    CHECK_EQ_INT(conf_count(list), 2);
    struct slice at = conf_text(conf_get(conf_next(conf_first(list)), "at"));
    CHECK_TEXT(at.ptr, at.len, "127.0.0.1:3000");
    CHECK_EQ_INT(load_file("[{\"at\": \"10.0.0.1:80\"}]"), 0); // JSON
    CHECK_EQ_INT(load_file("10.0.0.1:80"), 0);
    CHECK_EQ_INT(load_file("[]"), 0);
    CHECK_EQ_INT(conf_count(conf_get(conf_root(doc), "servers")), 0);
}

static void what_is_wrong_in_a_file(void)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"", "nothing"},
        {"# soon\n", "nothing"},
        {"- at: [", ""},
        {"- {weight: 2}\n", "needs an address"},
        {"- {at: 3000, file: x}\n", "unknown key `file`"},
        {"- {at: 3000, wieght: 2}\n", "unknown key `wieght`"},
        {"- {at: 3000, weight: 0}\n", "`weight`"},
        {"- {at: 3000, backup: on, priority: 1}\n", "last tier"},
        {"- {at: 'srv://_h._tcp.x', priority: 1}\n", "priorities of their own"},
        {"- $env(HOME):80\n", ""},
        {"- $file(/etc/hostname)\n", ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        CHECK_EQ_INT(load_file(rows[i].text), E_CONFIG);
        if (!CHECK(rows[i].says[0] == '\0' || says(rows[i].says))) {
            printf("# of %s\n", rows[i].text);
        }
    }
    CHECK_EQ_INT(load_file("- 3000\n- 127.0.0.1:3000\n"), 0);
    CHECK(says("twice"));
}

static void too_many_in_a_file(void)
{
    static char text[(SERVERS_LISTED_MAX + 1) * 8 + 64];
    struct text t = text_on(text, sizeof text - 1);
    for (int i = 0; i <= SERVERS_LISTED_MAX; i++) {
        text_printf(&t, "- %d\n", 10000 + i);
    }
    text[t.len] = '\0';
    CHECK_EQ_INT(load_file(text), E_CONFIG);
    CHECK(says("more than 1024"));
}

static void the_document(void)
{
    const char *text =
        "{\"files\": [{\"path\": \"/a.yaml\", \"servers\": [{\"at\": \"10.0.0.1:80\"}]},"
        " {\"path\": \"/b.yaml\", \"servers\": []}],"
        " \"overrides\": [{\"upstream\": \"app\", \"at\": \"10.0.0.1:80\","
        " \"of\": \"app.internal:80\", \"weight\": 3, \"state\": \"drain\"}]}";
    CHECK_EQ_INT(load(text, servers_doc_tables, NULL), 0);
    CHECK_EQ_INT(conf_count(servers_doc_file(doc, SLICE("/a.yaml"))), 1);
    CHECK(conf_exists(servers_doc_file(doc, SLICE("/b.yaml"))));
    CHECK(!conf_exists(servers_doc_file(doc, SLICE("/c.yaml"))));
    struct servers_override o;
    servers_override_read(conf_first(conf_get(conf_root(doc), "overrides")), &o);
    CHECK_TEXT(o.of.ptr, o.of.len, "app.internal:80");
    CHECK_TEXT(o.state.ptr, o.state.len, "drain");
    CHECK_EQ_INT(o.weight, 3);
    CHECK(!o.added && !o.removed);
    static const char *const bad[] = {
        "{\"files\": [{\"servers\": []}]}",
        "{\"overrides\": [{\"at\": \"10.0.0.1:80\"}]}",
        "{\"overrides\": [{\"upstream\": \"a\", \"at\": \"10.0.0.1:80\", \"weight\": 0}]}",
        "{\"overrides\": [{\"upstream\": \"a\", \"at\": \"nonsense\"}]}",
        "{\"overrides\": [{\"upstream\": \"a\", \"at\": \"10.0.0.1:80\", \"state\": \"off\"}]}",
        "{\"more\": 1}",
    };
    for (size_t i = 0; i < array_len(bad); i++) {
        CHECK_EQ_INT(load(bad[i], servers_doc_tables, NULL), E_CONFIG);
    }
    conf_diags_free(diags);
    conf_doc_free(doc);
}

TAP_MAIN(a_file_is_a_list, what_is_wrong_in_a_file, too_many_in_a_file, the_document)

// SPDX-License-Identifier: Apache-2.0
//
// Weights of codings and the form of error pages.

#include "http/accept.h"

#include "base/ensure.h"
#include "tap.h"

static struct arena arena;
static struct fields fields;

// value NULL: no such field; a '\n' cuts it in two fields.
static void ask(enum http_name id, const char *value)
{
    arena_init(&arena, NULL, 0, NULL, 1 << 16);
    fields_init(&fields, &arena, 4096, 10);
    struct slice rest = slice_str(value != NULL ? value : "");
    while (value != NULL) {
        ptrdiff_t cut = slice_find_char(rest, '\n');
        CHECK_EQ_INT(
            fields_add_id(&fields, id, slice_sub(rest, 0, cut < 0 ? rest.len : (size_t)cut)), 0);
        if (cut < 0) {
            break;
        }
        rest = slice_from(rest, (size_t)cut + 1);
    }
}

static void weighs_codings(void)
{
    static const struct {
        const char *value;
        unsigned gzip;
        unsigned identity;
    } table[] = {
        {NULL, 0, 1000},
        {"", 0, 1000},
        {"gzip", 1000, 1000},
        {"GZIP", 1000, 1000},
        {"br, gzip;q=0.8", 800, 1000},
        {"gzip; q=0", 0, 1000},
        {"gzip ;Q=0.000", 0, 1000},
        {"gzip;q=0.5, *;q=0.1", 500, 100},
        {"*", 1000, 1000},
        {"*;q=0", 0, 0},
        {"identity;q=0.2, *;q=0", 0, 200},
        {"br\ngzip;q=1.000", 1000, 1000},
        {"gzip;q=1.001", 0, 1000},
        {"gzip;q=0.1234", 0, 1000},
        {"gzip;q=2", 0, 1000},
        {"gzip;q=.5", 0, 1000},
        {"gzip;q=", 0, 1000},
        {"gzip;q=-1", 0, 1000},
        {"gzip;q=0.", 0, 1000},
        {"x-gzip", 0, 1000},
        {"gzipx", 0, 1000},
        {"deflate, gzip;q=1.0, *;q=0.5", 1000, 500},
        {"gzip;level=9;q=0.3", 300, 1000},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        ask(HTTP_ACCEPT_ENCODING, table[i].value);
        bool ok = CHECK_EQ_INT(http_coding_weight(&fields, SLICE("gzip")), table[i].gzip) &&
                  CHECK_EQ_INT(http_coding_weight(&fields, SLICE("identity")), table[i].identity);
        if (!ok) {
            printf("# %s\n", table[i].value);
        }
        arena_fini(&arena);
    }
}

static void chooses_the_page(void)
{
    static const struct {
        const char *value;
        enum http_page page;
    } table[] = {
        {NULL, HTTP_PAGE_TEXT},
        {"*/*", HTTP_PAGE_TEXT},
        {"image/png", HTTP_PAGE_TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTTP_PAGE_HTML},
        {"application/json", HTTP_PAGE_JSON},
        {"application/problem+json, */*", HTTP_PAGE_JSON},
        {"application/json, text/plain, */*", HTTP_PAGE_JSON},
        {"text/html;q=0.5, application/json", HTTP_PAGE_JSON},
        {"text/html, application/json", HTTP_PAGE_HTML},
        {"application/json;q=0.9\ntext/html", HTTP_PAGE_HTML},
        {"text/html;q=0", HTTP_PAGE_TEXT},
        {"text/*", HTTP_PAGE_HTML},
        {"application/*", HTTP_PAGE_JSON},
        {";;;,,,q=", HTTP_PAGE_TEXT},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        ask(HTTP_ACCEPT, table[i].value);
        if (!CHECK_EQ_INT(http_page_wanted(&fields), table[i].page)) {
            printf("# %s\n", table[i].value);
        }
        arena_fini(&arena);
    }
}

TAP_MAIN(weighs_codings, chooses_the_page)

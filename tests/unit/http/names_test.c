// SPDX-License-Identifier: Apache-2.0
//
// Interned names. When this fails after a name was added, run tools/name_hash.py.

#include "http/names.h"

#include <ctype.h>

#include "base/ensure.h"
#include "tap.h"

static const char *const texts[HTTP_NAME_COUNT] = {
#define TEXT(id, text) [HTTP_##id] = text,
    HTTP_NAME_TABLE(TEXT)
#undef TEXT
};

static void knows_its_names_in_any_case(void)
{
    for (int id = 1; id < HTTP_NAME_COUNT; id++) {
        char upper[64];
        char lower[64];
        size_t len = strlen(texts[id]);
        for (size_t i = 0; i <= len; i++) {
            upper[i] = (char)toupper((unsigned char)texts[id][i]);
            lower[i] = (char)tolower((unsigned char)texts[id][i]);
        }
        CHECK_EQ_INT(http_name_of(slice_of(texts[id], len)), id);
        CHECK_EQ_INT(http_name_of(slice_of(upper, len)), id);
        CHECK_EQ_INT(http_name_of(slice_of(lower, len)), id);
        CHECK(slice_eq(http_name_text((enum http_name)id), slice_str(texts[id])));
    }
}

static void knows_nothing_else(void)
{
    // Every known name with one byte changed to any other value that is not its other case.
    for (int id = 1; id < HTTP_NAME_COUNT; id++) {
        size_t len = strlen(texts[id]);
        for (size_t i = 0; i < len; i++) {
            for (int c = 0; c < 256; c++) {
                char changed[64];
                memcpy(changed, texts[id], len);
                changed[i] = (char)c;
                bool same = tolower(c) == tolower((unsigned char)texts[id][i]);
                if (!CHECK((http_name_of(slice_of(changed, len)) == (enum http_name)id) == same)) {
                    printf("# %s: byte %zu as %d\n", texts[id], i, c);
                    return;
                }
            }
        }
        char longer[64];
        (void)snprintf(longer, sizeof(longer), "%sx", texts[id]);
        CHECK_EQ_INT(http_name_of(slice_str(longer)), HTTP_OTHER);
        CHECK_EQ_INT(http_name_of(slice_of(texts[id], len - 1)), HTTP_OTHER);
    }
    CHECK_EQ_INT(http_name_of(SLICE("")), HTTP_OTHER);
    CHECK_EQ_INT(http_name_of(slice_of(NULL, 0)), HTTP_OTHER);
    CHECK_EQ_INT(http_name_of(SLICE("a")), HTTP_OTHER);
    CHECK_EQ_INT(http_name_of(SLICE("sec-ch-ua-platform-version")), HTTP_OTHER);
    CHECK_ABORTS(http_name_text(HTTP_OTHER));
}

TAP_MAIN(knows_its_names_in_any_case, knows_nothing_else)

// SPDX-License-Identifier: Apache-2.0
//
// The reference pages that are committed are what the program writes, and the examples check.

#include <dirent.h>

#include "cli/page.h"
#include "cli_help.h"

static char *slurp(FILE *f)
{
    static char buffers[2][1 << 18];
    static int next;
    char *buffer = buffers[next++ % 2];
    rewind(f);
    buffer[fread(buffer, 1, sizeof buffers[0] - 1, f)] = '\0';
    (void)fclose(f);
    return buffer;
}

// The first line in which two texts differ.
static void show_difference(const char *got, const char *want)
{
    int line = 1;
    while (*got == *want && *got != '\0') {
        line += *got == '\n';
        got++;
        want++;
    }
    printf("#   they differ in line %d: run `adit help --markdown docs/reference`\n", line);
}

static void the_reference_is_current(void)
{
    const char *root = getenv("ADIT_SOURCE_ROOT");
    char path[4096];
    for (const struct cli_reference *r = cli_references; root != NULL && r->file != NULL; r++) {
        (void)snprintf(path, sizeof path, "%s/docs/reference/%s", root, r->file);
        FILE *committed = fopen(path, "r");
        FILE *written = tmpfile();
        if (!CHECK(committed != NULL && written != NULL)) {
            return;
        }
        r->write(written);
        char *want = slurp(written);
        char *got = slurp(committed);
        if (!CHECK(strcmp(got, want) == 0)) {
            printf("#   %s\n", path);
            show_difference(got, want);
        }
    }
}

static void the_examples_check(void)
{
    const char *root = getenv("ADIT_SOURCE_ROOT");
    char path[4096];
    struct dirent **entries = NULL;
    (void)snprintf(path, sizeof path, "%s/examples", root != NULL ? root : "/nonexistent");
    int count = root != NULL ? scandir(path, &entries, NULL, alphasort) : 0;
    int seen = 0;
    for (int i = 0; i < count; i++) {
        if (strstr(entries[i]->d_name, ".yaml") != NULL) {
            (void)snprintf(path, sizeof path, "%s/examples/%s", root, entries[i]->d_name);
            bool good = CHECK_EQ_INT(ADIT("check", path), CLI_OK);
            bool hook = contains(captured_err, "there is no such program") &&
                        contains(captured_err, "0 errors, 1 warning"); // here there is none
            if (!good || (!hook && !CHECK_STR(captured_err, ""))) {
                printf("#   %s\n", path);
            }
            seen++;
        }
        free(entries[i]);
    }
    free(entries);
    CHECK(root == NULL || seen >= 5);
}

TAP_MAIN(the_reference_is_current, the_examples_check)

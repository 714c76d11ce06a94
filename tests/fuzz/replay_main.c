// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target over stored inputs, without libFuzzer, so that every input that once mattered is
// met again by each compiler and sanitizer in the normal test run. Takes files and directories; each
// input is given whole and, when short, cut off at every byte, since a peer may stop anywhere.
// Prints TAP with one result for the whole run: a crash is the only way to fail.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    // Longer inputs are not cut at every byte: their cost would grow with the square of the length.
    PREFIX_INPUT_MAX = 512,
    INPUT_BYTES_MAX = 16 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static size_t inputs;

// Each run gets its own exact allocation, so that ASan sees a read one byte past the end.
static void run_once(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        puts("Bail out! out of memory");
        exit(1);
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("Bail out! cannot open %s\n", path);
        exit(1);
    }
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    if (data == NULL) {
        puts("Bail out! out of memory");
        exit(1);
    }
    size_t size = fread(data, 1, INPUT_BYTES_MAX, file);
    (void)fclose(file);
    fprintf(stderr, "%s\n", path);
    run_once(data, size);
    for (size_t cut = 0; size <= PREFIX_INPUT_MAX && cut < size; cut++) {
        run_once(data, cut);
    }
    free(data);
    inputs++;
}

static void run_directory(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof name) {
            run_file(name);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL) {
        (void)LLVMFuzzerInitialize(&argc, &argv);
    }
    puts("1..1");
    (void)fflush(stdout);
    run_once((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            printf("# no such input: %s\n", argv[i]);
        } else if (S_ISDIR(st.st_mode)) {
            run_directory(argv[i]);
        } else {
            run_file(argv[i]);
        }
    }
    printf("ok 1 - %zu inputs\n", inputs);
    return 0;
}

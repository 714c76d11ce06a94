// SPDX-License-Identifier: Apache-2.0
//
// For tests of subcommands: runs one in this process and keeps what it writes on stdout and stderr.

#pragma once

#include "tap.h"

#include <sys/mman.h>

#include "cli/cli.h"

static char captured_out[1 << 18];
static char captured_err[1 << 16];

static void capture_read(int fd, char *buffer, size_t size)
{
    ssize_t n = pread(fd, buffer, size - 1, 0);
    buffer[n > 0 ? n : 0] = '\0';
    (void)close(fd);
}

// `adit` with these arguments; returns the exit code.
__attribute__((unused)) static int adit(int argc, const char *const *arguments)
{
    char *argv[CLI_ARGUMENTS_MAX];
    int out = memfd_create("out", 0);
    int err = memfd_create("err", 0);
    int old_out = dup(1);
    int old_err = dup(2);
    REQUIRE(out >= 0 && err >= 0 && old_out >= 0 && old_err >= 0);
    for (int i = 0; i < argc; i++) {
        argv[i] = strdup(arguments[i]);
    }
    argv[argc] = NULL;
    (void)fflush(NULL);
    (void)dup2(out, 1);
    (void)dup2(err, 2);
    int code = cli_main(argc, argv);
    (void)fflush(NULL);
    (void)dup2(old_out, 1);
    (void)dup2(old_err, 2);
    (void)close(old_out);
    (void)close(old_err);
    capture_read(out, captured_out, sizeof captured_out);
    capture_read(err, captured_err, sizeof captured_err);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return code;
}

#define ADIT(...)                                                                                  \
    adit(1 + (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                  \
         (const char *[]){"adit", __VA_ARGS__})

__attribute__((unused)) static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

// A file with this text that is gone when the next one is made; gives its path.
__attribute__((unused)) static const char *temporary(const char *text)
{
    static char path[64];
    if (path[0] != '\0') {
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "/tmp/adit-test-%d.yaml", (int)getpid());
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    (void)fputs(text, f);
    (void)fclose(f);
    return path;
}

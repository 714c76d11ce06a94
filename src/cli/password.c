// SPDX-License-Identifier: Apache-2.0
//
// adit password: makes the line that `basic_auth` has for a user, from a password that is typed or comes
// through a pipe. It never stands on the command line, where other users of the machine could see it.

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "access/password.h"
#include "base/error.h"
#include "cli/cli.h"

static int fail(const char *what)
{
    (void)fprintf(stderr, "adit: %s\n", what);
    return CLI_FAILURE;
}

/** Reads a line without its end; with a prompt and unseen on a terminal. False: there is none, or it is
 * too long. */
static bool read_line(const char *prompt, char *line, size_t size)
{
    struct termios before;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        struct termios quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs(prompt, stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    bool got = fgets(line, (int)size, stdin) != NULL;
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)fputc('\n', stderr);
    }
    size_t len = got ? strlen(line) : 0;
    if (len + 1 == size && line[len - 1] != '\n') {
        return false;
    }
    if (len > 0 && line[len - 1] == '\n') {
        line[--len] = '\0';
    }
    return got;
}

static int run(const struct cli_parsed *p)
{
    char line[PASSWORD_MAX + 2];
    char again[PASSWORD_MAX + 2];
    char made[PASSWORD_TEXT_MAX];
    (void)p;
    if (!read_line("Password: ", line, sizeof(line)) || line[0] == '\0') {
        return fail("no password, or one of more than 1000 bytes");
    }
    if (isatty(STDIN_FILENO) &&
        (!read_line("Again: ", again, sizeof(again)) || strcmp(line, again) != 0)) {
        return fail("these are two different passwords");
    }
    struct text t = text_on(made, sizeof(made));
    int rc = password_make(slice_str(line), &t);
    explicit_bzero(line, sizeof(line));
    explicit_bzero(again, sizeof(again));
    if (rc != 0) {
        return fail(error_text(rc));
    }
    printf("%.*s\n", (int)t.len, t.ptr);
    return CLI_OK;
}

const struct cli_command cli_password = {
    .name = "password",
    .text = "make a user's line for basic_auth",
    .more =
        "Asks for a password, or reads one line from a pipe, and prints what `basic_auth` has for\n"
        "it: basic_auth: {users: {ann: \"pbkdf2-sha256:...\"}}",
    .run = run,
};

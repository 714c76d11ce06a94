// SPDX-License-Identifier: Apache-2.0
//
// The file of `adit login` (cli/agent_login.h), and the commands login and logout.

#include "cli/agent_login.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/agent_words.h"
#include "cli/cli.h"

enum { FILE_MAX = 2048 };

bool agent_login_path(char out[AGENT_LOGIN_PATH_MAX])
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = -1;
    if (config != NULL && config[0] == '/') {
        n = snprintf(out, AGENT_LOGIN_PATH_MAX, "%s/adit/login", config);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(out, AGENT_LOGIN_PATH_MAX, "%s/.config/adit/login", home);
    }
    return n > 0 && n < AGENT_LOGIN_PATH_MAX;
}

// ---- reading -------------------------------------------------------------------------------------------

static bool take_line(struct slice line, const char *key, char *out)
{
    struct slice name = slice_str(key);
    if (!slice_starts(line, name)) {
        return true;
    }
    struct slice value = slice_trim(slice_from(line, name.len));
    if (value.len >= AGENT_LOGIN_TEXT_MAX || !agent_word_is_token(value)) {
        return false;
    }
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static int parse(struct slice text, struct agent_login *out)
{
    bool ok = true;
    while (text.len > 0) {
        ptrdiff_t end = slice_find_char(text, '\n');
        struct slice line = slice_sub(text, 0, end >= 0 ? (size_t)end : text.len);
        text = slice_from(text, line.len + 1);
        ok = ok && take_line(line, "server: ", out->server) &&
             take_line(line, "token: ", out->token);
    }
    return ok && out->server[0] != '\0' ? 0 : E_INVALID;
}

int agent_login_read(const char *path, struct agent_login *out)
{
    *out = (struct agent_login){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? E_NOT_FOUND : error_from_errno(errno);
    }
    struct stat st;
    char buffer[FILE_MAX];
    ssize_t n = -1;
    bool secret = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 &&
                  (st.st_uid == geteuid() || geteuid() == 0);
    if (secret) {
        n = read(fd, buffer, sizeof buffer);
    }
    (void)close(fd);
    if (!secret) {
        return E_DENIED;
    }
    return n >= 0 ? parse(slice_of(buffer, (size_t)n), out) : E_IO;
}

// ---- writing -------------------------------------------------------------------------------------------

static void make_folders(const char *path)
{
    char folder[AGENT_LOGIN_PATH_MAX];
    for (size_t i = 1; path[i] != '\0' && i < sizeof folder; i++) {
        if (path[i] == '/') {
            memcpy(folder, path, i);
            folder[i] = '\0';
            (void)mkdir(folder, 0700); // one that cannot be made shows when the file is
        }
    }
}

int agent_login_write(const char *path, const struct agent_login *in)
{
    char next[AGENT_LOGIN_PATH_MAX + 8];
    char buffer[FILE_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_printf(&t, "server: %s\n", in->server);
    if (in->token[0] != '\0') {
        text_printf(&t, "token: %s\n", in->token);
    }
    make_folders(path);
    (void)snprintf(next, sizeof next, "%s.new", path);
    (void)unlink(next);
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    bool ok = !t.overflow && write(fd, t.ptr, t.len) == (ssize_t)t.len && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok || rename(next, path) != 0) {
        (void)unlink(next);
        return E_IO;
    }
    return 0;
}

// ---- commands ------------------------------------------------------------------------------------------

/** A line of stdin without its end. On a terminal it is asked for, and not shown. */
static bool read_token(char out[AGENT_LOGIN_TEXT_MAX])
{
    bool asked = isatty(STDIN_FILENO) == 1;
    if (asked) {
        char *typed = getpass("token: ");
        if (typed == NULL || strlen(typed) >= AGENT_LOGIN_TEXT_MAX) {
            return false;
        }
        (void)snprintf(out, AGENT_LOGIN_TEXT_MAX, "%s", typed);
        explicit_bzero(typed, strlen(typed));
    } else if (fgets(out, AGENT_LOGIN_TEXT_MAX, stdin) == NULL) {
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static int no_place(void)
{
    (void)fputs("adit: neither XDG_CONFIG_HOME nor HOME is set, so there is no place for it\n",
                stderr);
    return CLI_FAILURE;
}

static int run_login(const struct cli_parsed *p)
{
    struct agent_login login = {0};
    char path[AGENT_LOGIN_PATH_MAX];
    char memory[1024];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory, NULL, sizeof memory);
    struct agent_edge edge;
    struct conf_problem problem = {"", ""};
    const char *server = p->arguments[0];
    bool known = strlen(server) < sizeof login.server &&
                 agent_word_edge(slice_str(server), &arena, &edge, &problem) == 0;
    arena_fini(&arena);
    if (!known) {
        return cli_usage_error(p->command, "`%s`: %s; %s", server, problem.what, problem.hint);
    }
    (void)snprintf(login.server, sizeof login.server, "%s", server);
    const char *token = cli_value(p, "token");
    bool given = token != NULL && strcmp(token, "-") != 0;
    if (given && strlen(token) < sizeof login.token) {
        (void)snprintf(login.token, sizeof login.token, "%s", token);
    } else if (given || !read_token(login.token)) {
        return cli_usage_error(p->command, "there is no token to keep");
    }
    if (login.token[0] != '\0' && !agent_word_is_token(slice_str(login.token))) {
        return cli_usage_error(p->command,
                               "that is not a token: it has blanks or control characters");
    }
    if (!agent_login_path(path)) {
        return no_place();
    }
    int error = agent_login_write(path, &login);
    explicit_bzero(&login, sizeof login);
    if (error != 0) {
        (void)fprintf(stderr, "adit: %s cannot be written: %s\n", path, error_text(error));
        return CLI_FAILURE;
    }
    printf("kept in %s; `adit 3000` now calls %s\n", path, server);
    return CLI_OK;
}

static int run_logout(const struct cli_parsed *p)
{
    (void)p;
    char path[AGENT_LOGIN_PATH_MAX];
    if (!agent_login_path(path)) {
        return no_place();
    }
    if (unlink(path) == 0) {
        printf("%s is gone\n", path);
        return CLI_OK;
    }
    if (errno == ENOENT) {
        puts("nobody was logged in");
        return CLI_OK;
    }
    (void)fprintf(stderr, "adit: %s: %s\n", path, strerror(errno));
    return CLI_FAILURE;
}

static const struct cli_option login_options[] = {
    {.name = "token",
     .value = "TOKEN",
     .secret = true,
     .text = "the token; `-` reads it from stdin, as without it"},
    {.name = NULL},
};

const struct cli_command cli_login = {
    .name = "login",
    .arguments = "SERVER",
    .text = "keeps an edge and the token for it, for tunnels from here",
    .more =
        "They are kept in $XDG_CONFIG_HOME/adit/login or ~/.config/adit/login, for your eyes "
        "only.\nA token is sent to the edge it was given for and to no other. An edge that takes "
        "anybody\nneeds none: an empty line.\n",
    .options = login_options,
    .min = 1,
    .max = 1,
    .run = run_login,
};

const struct cli_command cli_logout = {
    .name = "logout",
    .text = "forgets what `adit login` kept",
    .max = 0,
    .run = run_logout,
};

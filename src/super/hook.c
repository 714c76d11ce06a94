// SPDX-License-Identifier: Apache-2.0
//
// Running hooks. The output goes through a pipe of which the last bytes are kept, so that a failure
// can be explained; nobody reads meaning into it. When a hook ends, so does its whole process group:
// what it left behind must not outlive it.

#include "super/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "super/program.h"

extern char **environ;

enum { HOOK_ENV_MAX = 256, HOOK_VARIABLES = 5, HOOK_EXEC_FAILED = 127, HOOK_NO_RIGHTS = 126 };

static const char record_prefix[] = "_acme-challenge.";

// A host name; and of the value the letters of base64url. What is not of this form is no argument.
static bool name_ok(const char *name, const char *extra)
{
    if (name[0] == '\0' || name[0] == '-' || name[0] == '.') {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-';
        if (!plain && strchr(extra, *c) == NULL) {
            return false;
        }
    }
    return true;
}

static const char value_extra[] = "_=ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static bool value_ok(const char *value)
{
    // A digest may begin with a dash.
    return value[0] != '\0' && (name_ok(value, value_extra) || name_ok(value + 1, value_extra));
}

static int check_command(const char *path, struct text *why)
{
    struct stat st;
    if (path[0] != '/') {
        text_printf(why, "%s: a hook is named by its whole path", path);
        return E_INVALID;
    }
    if (stat(path, &st) != 0) {
        int error = error_from_errno(errno);
        text_printf(why, "%s: %s", path, error_text(error));
        return error;
    }
    return program_judge(&st, path, why);
}

// The environment the edge was started with (it may hold the credentials of a DNS provider) and what
// the hook is to do.
static void fill_environment(const struct ipc_hook_request *r, char *chosen[],
                             char variables[HOOK_VARIABLES][IPC_NAME_MAX + 64])
{
    bool present = r->action == IPC_HOOK_PRESENT;
    size_t size = sizeof variables[0];
    (void)snprintf(variables[0], size, "ADIT_ACTION=%s", present ? "present" : "cleanup");
    (void)snprintf(variables[1], size, "ADIT_NAME=%s%s", record_prefix, r->domain);
    (void)snprintf(variables[2], size, "ADIT_VALUE=%s", r->value);
    (void)snprintf(variables[3], size, "ADIT_DOMAIN=%s", r->domain);
    (void)snprintf(variables[4], size, "ADIT_TYPE=TXT");
    size_t count = 0;
    for (; count < HOOK_VARIABLES; count++) {
        chosen[count] = variables[count];
    }
    for (char **e = environ; *e != NULL && count < HOOK_ENV_MAX; e++) {
        chosen[count++] = *e;
    }
    chosen[count] = NULL;
}

static _Noreturn void become(const struct ipc_hook_request *r, const struct os_identity *who,
                             int output)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    bool placed = null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2;
    if (!placed || close_range(3, ~0U, 0) != 0 || chdir("/") != 0) {
        _exit(HOOK_NO_RIGHTS);
    }
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (os_privileges_drop(who) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        _exit(HOOK_NO_RIGHTS);
    }
    static char variables[HOOK_VARIABLES][IPC_NAME_MAX + 64];
    static char *chosen[HOOK_ENV_MAX + 1];
    fill_environment(r, chosen, variables);
    char *argv[] = {
        (char *)(uintptr_t)r->command,
        variables[0] + strlen("ADIT_ACTION="),
        variables[1] + strlen("ADIT_NAME="),
        variables[2] + strlen("ADIT_VALUE="),
        NULL,
    };
    (void)execve(r->command, argv, chosen);
    _exit(HOOK_EXEC_FAILED);
}

static struct hook *free_place(struct hooks *h)
{
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        if (h->at[i].pid == 0) {
            return &h->at[i];
        }
    }
    return NULL;
}

int hooks_start(struct hooks *h, const struct ipc_hook_request *r, const struct os_identity *who,
                uint64_t now_ms, struct text *why)
{
    struct hook *place = free_place(h);
    if (place == NULL) {
        text_str(why, "too many hooks run already");
        return E_OVERLOADED;
    }
    if (r->action > IPC_HOOK_CLEANUP || !name_ok(r->domain, "._") || !value_ok(r->value)) {
        text_str(why, "a hook is not given such arguments");
        return E_INVALID;
    }
    int error = check_command(r->command, why);
    if (error != 0) {
        return error;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return error_from_errno(errno);
    }
    (void)fcntl(ends[1], F_SETFL, 0);
    pid_t pid = fork();
    if (pid == 0) {
        become(r, who, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return error_from_errno(errno);
    }
    (void)setpgid(pid, pid); // whoever comes first
    *place = (struct hook){
        .pid = pid,
        .output = ends[0],
        .number = r->number,
        .end_ms = now_ms + HOOK_LIMIT_MS,
    };
    return 0;
}

void hooks_read(struct hook *h)
{
    char bytes[4096];
    ssize_t n = read(h->output, bytes, sizeof bytes);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            (void)close(h->output);
            h->output = -1;
        }
        return;
    }
    size_t len = (size_t)n;
    const char *from = bytes;
    if (len > HOOK_TAIL_MAX) {
        from += len - HOOK_TAIL_MAX;
        len = HOOK_TAIL_MAX;
    }
    size_t keep = h->tail_len + len > HOOK_TAIL_MAX ? HOOK_TAIL_MAX - len : h->tail_len;
    memmove(h->tail, h->tail + h->tail_len - keep, keep);
    memcpy(h->tail + keep, from, len);
    h->tail_len = keep + len;
}

// What it wrote, as one line: this goes to a log.
static void tell_tail(const struct hook *h, struct text *out)
{
    bool blank = true;
    if (h->tail_len > 0) {
        text_str(out, ": ");
    }
    for (size_t i = 0; i < h->tail_len; i++) {
        char c = h->tail[i];
        bool odd = c < 0x20 || c == 0x7f;
        if (!odd || !blank) {
            text_char(out, odd ? ' ' : c);
        }
        blank = odd;
    }
}

bool hooks_ended(struct hooks *h, pid_t pid, int status, struct ipc_hook *answer)
{
    struct hook *one = NULL;
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        if (h->at[i].pid == pid) {
            one = &h->at[i];
        }
    }
    if (one == NULL) {
        return false;
    }
    (void)kill(-pid, SIGKILL);
    for (int i = 0; one->output >= 0 && i < 64; i++) {
        hooks_read(one);
    }
    struct text why = text_on(answer->text, sizeof answer->text - 1);
    answer->number = one->number;
    answer->error = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : E_DENIED;
    if (one->late) {
        text_printf(&why, "it took longer than %d s", HOOK_LIMIT_MS / 1000);
    } else if (WIFSIGNALED(status)) {
        text_printf(&why, "it died by signal %d", WTERMSIG(status));
    } else if (WEXITSTATUS(status) == HOOK_EXEC_FAILED) {
        text_str(&why, "it cannot be run (exit code 127)");
    } else if (answer->error != 0) {
        text_printf(&why, "exit code %d", WEXITSTATUS(status));
    }
    tell_tail(one, &why);
    answer->text[why.len] = '\0';
    if (one->output >= 0) {
        (void)close(one->output);
    }
    *one = (struct hook){0};
    return true;
}

uint64_t hooks_expire(struct hooks *h, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        struct hook *one = &h->at[i];
        if (one->pid == 0 || one->late) {
            continue;
        }
        if (now_ms >= one->end_ms) {
            one->late = true;
            (void)kill(-one->pid, SIGKILL);
        } else {
            next = one->end_ms < next ? one->end_ms : next;
        }
    }
    return next;
}

void hooks_kill(struct hooks *h)
{
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        struct hook *one = &h->at[i];
        if (one->pid != 0) {
            (void)kill(-one->pid, SIGKILL);
            (void)kill(one->pid, SIGKILL);
            (void)waitpid(one->pid, NULL, 0);
        }
        if (one->pid != 0 && one->output >= 0) {
            (void)close(one->output);
        }
        *one = (struct hook){0};
    }
}

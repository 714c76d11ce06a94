// SPDX-License-Identifier: Apache-2.0
//
// Finding and judging programs (super/program.h). What was judged is what is run: the file is opened
// first, and everything is asked of the descriptor.

#include "super/program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "ipc/messages.h"

static const char deleted[] = " (deleted)"; // what the kernel adds when the file was replaced

void program_own_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = '\0';
    size_t len = strlen(path);
    size_t tail = sizeof deleted - 1;
    if (len > tail && strcmp(path + len - tail, deleted) == 0 && access(path, F_OK) != 0) {
        path[len - tail] = '\0';
    }
}

int program_judge(const struct stat *st, const char *path, struct text *why)
{
    if (!S_ISREG(st->st_mode) || (st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
        text_printf(why, "%s: not a program that can be run", path);
        return E_INVALID;
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 || (st->st_uid != 0 && st->st_uid != geteuid())) {
        text_printf(why,
                    "%s: not run, because others than root and the user who started the edge can "
                    "change it",
                    path);
        return E_DENIED;
    }
    return 0;
}

static int judge(int fd, const char *path, struct text *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int error = error_from_errno(errno);
        text_printf(why, "%s: %s", path, error_text(error));
        return error;
    }
    return program_judge(&st, path, why);
}

int program_open(const char *path, struct text *why)
{
    if (path[0] != '/') {
        text_printf(why, "%s: a program is named by its whole path", path);
        return E_INVALID;
    }
    int low = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (low < 0) {
        int error = error_from_errno(errno);
        text_printf(why, "%s: %s", path, error_text(error));
        return error;
    }
    int error = judge(low, path, why);
    int fd = error == 0 ? fcntl(low, F_DUPFD_CLOEXEC, IPC_CHANNEL + 1) : error;
    (void)close(low);
    return fd == -1 ? E_NO_DESCRIPTORS : fd;
}

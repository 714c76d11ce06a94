// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor opens for others, and what it does not.

#include "super/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "super/super.h"

#include "tap.h"

static char reason[512];
static char dir[64];

static int ask(enum ipc_file_kind kind, const char *path)
{
    struct ipc_file_request request = {.kind = kind};
    ipc_set_text(request.path, sizeof request.path, slice_str(path));
    struct text why = text_on(reason, sizeof reason - 1);
    int fd = files_open(&request, &why);
    reason[why.len] = '\0';
    return fd;
}

static const char *in_dir(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "we");
    REQUIRE(f != NULL);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void regular_files_are_opened(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/adit-files-XXXXXX");
    REQUIRE(mkdtemp(dir) != NULL);
    write_file("a.yaml", "hello");
    int fd = ask(IPC_FILE_CONTENT, in_dir("a.yaml"));
    REQUIRE(fd >= 0);
    char buffer[16];
    CHECK_TEXT(buffer, (size_t)read(fd, buffer, sizeof buffer), "hello");
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    (void)close(fd);
}

static void nothing_else_is(void)
{
    CHECK_EQ_INT(ask(IPC_FILE_CONTENT, in_dir("none")), E_NOT_FOUND);
    CHECK(strstr(reason, "none: ") != NULL);
    CHECK_EQ_INT(ask(IPC_FILE_CONTENT, "/dev/zero"), E_INVALID);
    CHECK_EQ_INT(ask(IPC_FILE_CONTENT, dir), E_INVALID);
    REQUIRE(mkfifo(in_dir("pipe"), 0600) == 0);
    CHECK_EQ_INT(ask(IPC_FILE_CONTENT, in_dir("pipe")),
                 E_INVALID); // and does not wait for a writer
    int fd = open(in_dir("large"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(ftruncate(fd, IPC_FILE_MAX + 1) == 0);
    (void)close(fd);
    CHECK_EQ_INT(ask(IPC_FILE_CONTENT, in_dir("large")), E_TOO_LARGE);
    CHECK_EQ_INT(ask((enum ipc_file_kind)7, dir), E_INVALID);
}

static void directories_are_listed(void)
{
    int fd = ask(IPC_FILE_NAMES, dir);
    REQUIRE(fd >= 0);
    char names[512];
    ssize_t n = pread(fd, names, sizeof names, 0);
    bool found = false;
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        found = found || strcmp(names + at, "a.yaml") == 0;
    }
    CHECK(found);
    (void)close(fd);
    CHECK(ask(IPC_FILE_NAMES, in_dir("a.yaml")) < 0);
}

static void the_access_log_goes_where_the_plan_says(void)
{
    struct text why = text_on(reason, sizeof reason);
    struct ipc_plan plan = {.access = IPC_ACCESS_OFF};
    int fd = 0;
    CHECK(files_open_access(&plan, &fd, &why) == 0 && fd == -1);
    plan.access = IPC_ACCESS_STDERR;
    CHECK(files_open_access(&plan, &fd, &why) == 0 && fd == 2);
    plan.access = IPC_ACCESS_FILE;
    ipc_set_text(plan.access_path, sizeof plan.access_path, slice_str(in_dir("access.log")));
    CHECK_EQ_INT(files_open_access(&plan, &fd, &why), 0);
    CHECK((fcntl(fd, F_GETFL) & O_APPEND) != 0);
    (void)close(fd);
    ipc_set_text(plan.access_path, sizeof plan.access_path, SLICE("/no/such/dir/log"));
    CHECK_EQ_INT(files_open_access(&plan, &fd, &why), E_NOT_FOUND);
    CHECK(slice_starts(text_slice(&why), SLICE("cannot open the access log ")));
}

static void the_control_socket_is_closed_to_others(void)
{
    struct text why = text_on(reason, sizeof reason);
    struct ipc_plan plan = {.control = IPC_CONTROL_OFF};
    char path[OS_ADDR_PATH_MAX];
    int fd = 0;
    CHECK(files_open_control(&plan, path, &fd, &why) == 0 && fd == -1);
    plan.control = IPC_CONTROL_PATH;
    ipc_set_text(plan.control_path, sizeof plan.control_path, slice_str(in_dir("control")));
    CHECK_EQ_INT(files_open_control(&plan, path, &fd, &why), 0);
    CHECK_STR(path, in_dir("control"));
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    int second = -1;
    CHECK_EQ_INT(files_open_control(&plan, path, &second, &why), E_IN_USE);
    CHECK(slice_starts(text_slice(&why), SLICE("cannot open the control socket ")));
    (void)close(fd);
}

static void the_default_place_of_the_control_socket(void)
{
    char path[SUPER_PATH_MAX];
    (void)setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    super_control_default(path);
    CHECK_STR(path, geteuid() == 0 ? "/run/adit/control.sock" : "/run/user/7/adit.sock");
}

static void a_built_in_text_is_a_file_too(void)
{
    int fd = files_text(SLICE("listen: 80\n"));
    char buffer[32];
    CHECK_TEXT(buffer, (size_t)pread(fd, buffer, sizeof buffer, 0), "listen: 80\n");
    (void)close(fd);
    static const char *const made[] = {"a.yaml", "pipe", "large", "access.log", "control"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        (void)unlink(in_dir(made[i]));
    }
    CHECK(rmdir(dir) == 0);
}

TAP_MAIN(regular_files_are_opened, nothing_else_is, directories_are_listed,
         the_access_log_goes_where_the_plan_says, the_control_socket_is_closed_to_others,
         the_default_place_of_the_control_socket, a_built_in_text_is_a_file_too)

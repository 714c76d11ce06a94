// SPDX-License-Identifier: Apache-2.0
//
// The sandbox bites: each case closes it around a child and tries what must not work there. Where a
// sanitizer widens the filters, only what they still deny is tried.

#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tap.h"

#ifdef ADIT_SANITIZED
enum { WIDE = 1 };
#else
enum { WIDE = 0 };
#endif

// A build that measures coverage has no sandbox to test.
extern void __gcov_init(void *info) __attribute__((weak));
extern void __gcov_dump(void) __attribute__((weak));

static bool measures_coverage(void)
{
    return __gcov_init != NULL || __gcov_dump != NULL;
}

enum { KILLED = 1000, REFUSED = 1, DONE = 0 };

static int state_dir = -1;

typedef int act_fn(void);

// Runs `act` in a child inside the sandbox: DONE, REFUSED or KILLED.
static int inside(enum sandbox_role role, act_fn *act)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        struct sandbox_report report;
        if (os_sandbox_enter(role, state_dir, &report) != 0) {
            _exit(99);
        }
        _exit(act());
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGSYS ? KILLED : KILLED + 1;
    }
    return WEXITSTATUS(status);
}

static int result_of(long outcome)
{
    return outcome < 0 ? REFUSED : DONE;
}

static int try_nothing(void)
{
    return DONE;
}
static int try_open(void)
{
    return result_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}
static int try_open_home(void)
{
    return result_of(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}
static int try_state(void)
{
    int fd = openat(state_dir, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || renameat(state_dir, "a", state_dir, "b") != 0 ||
        mkdirat(state_dir, "c", 0700) != 0 || unlinkat(state_dir, "b", 0) != 0 ||
        unlinkat(state_dir, "c", AT_REMOVEDIR) != 0) {
        return REFUSED;
    }
    return result_of(close(fd));
}
static int try_out_of_state(void)
{
    return result_of(
        openat(state_dir, "../adit-sandbox-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
static int try_library(void)
{
    int fd = open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    return at == MAP_FAILED ? REFUSED : DONE;
}
static int try_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == ECONNREFUSED)
               ? DONE
               : REFUSED;
}
static int try_unix(void)
{
    return result_of(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_create(void)
{
    return result_of(open("/tmp/adit-sandbox-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
static int try_stat(void)
{
    struct stat st;
    return result_of(stat("/etc/passwd", &st));
}
static int try_exec(void)
{
    char *argv[] = {NULL};
    return result_of(execve("/bin/true", argv, argv));
}
static int try_execveat(void)
{
    return result_of(syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
}
static int try_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return result_of(child);
}
static int try_ptrace(void)
{
    return result_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int try_unshare(void)
{
    return result_of(syscall(SYS_unshare, 0));
}
static int try_setuid(void)
{
    return result_of(syscall(SYS_setuid, 0));
}
static int try_bpf(void)
{
    return result_of(syscall(SYS_bpf, 0, NULL, 0));
}
static int try_kill_parent(void)
{
    return result_of(kill(getppid(), 0));
}
static int try_listen(void)
{
    return result_of(listen(0, 1));
}
static int try_tcp(void)
{
    return result_of(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}
static int try_udp6(void)
{
    return result_of(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
static int try_netlink(void)
{
    return result_of(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}
static int try_raw(void)
{
    return result_of(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}
static void *thread_main(void *arg)
{
    return arg;
}
static int try_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0
               ? DONE
               : REFUSED;
}
static int try_executable_memory(void)
{
    void *at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? REFUSED : DONE;
}
static int try_memory(void)
{
    void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? REFUSED : DONE;
}
static int try_memfd(void)
{
    return result_of(memfd_create("x", MFD_CLOEXEC));
}

struct trial {
    const char *name;
    act_fn *act;
    int worker;
    int keeper;
    int wide; // both, under a sanitizer; -1: not tried
};

static const struct trial trials[] = {
    {"nothing", try_nothing, DONE, DONE, DONE},
    {"open in /etc", try_open, REFUSED, DONE, DONE},
    {"open elsewhere", try_open_home, REFUSED, REFUSED, DONE},
    {"state directory", try_state, REFUSED, DONE, -1},
    {"beside the state directory", try_out_of_state, REFUSED, REFUSED, REFUSED},
    {"library", try_library, REFUSED, DONE, DONE},
    {"connect", try_connect, DONE, DONE, DONE},
    {"unix socket", try_unix, DONE, REFUSED, -1},
    {"create", try_create, REFUSED, REFUSED, REFUSED},
    {"stat", try_stat, REFUSED, DONE, -1},
    {"exec", try_exec, KILLED, KILLED, REFUSED},
    {"execveat", try_execveat, KILLED, KILLED, KILLED},
    {"fork", try_fork, KILLED, KILLED, -1},
    {"ptrace", try_ptrace, KILLED, KILLED, -1},
    {"unshare", try_unshare, KILLED, KILLED, KILLED},
    {"setuid", try_setuid, KILLED, KILLED, KILLED},
    {"bpf", try_bpf, KILLED, KILLED, KILLED},
    {"kill", try_kill_parent, REFUSED, REFUSED, -1},
    {"listen", try_listen, KILLED, KILLED, KILLED},
    {"tcp", try_tcp, DONE, DONE, -1},
    {"udp6", try_udp6, DONE, DONE, -1},
    {"netlink", try_netlink, REFUSED, REFUSED, -1},
    {"raw socket", try_raw, REFUSED, REFUSED, -1},
    {"thread", try_thread, DONE, DONE, -1},
    {"executable memory", try_executable_memory, DONE, REFUSED, -1},
    {"memory", try_memory, DONE, DONE, DONE},
    {"memory file", try_memfd, REFUSED, DONE, -1},
};

static bool unlike(const struct trial *t, enum sandbox_role role, int want)
{
    int got = inside(role, t->act);
    if (got != want) {
        printf("# %s: got %d, want %d\n", t->name, got, want);
    }
    return got != want;
}

static void the_worker_can_do_its_work_and_no_more(void)
{
    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
        int want = WIDE ? trials[i].wide : trials[i].worker;
        CHECK(want < 0 || measures_coverage() || !unlike(&trials[i], SANDBOX_WORKER, want));
    }
}

static void the_keeper_can_do_its_work_and_no_more(void)
{
    char path[] = "/tmp/adit-sandbox-XXXXXX";
    REQUIRE(mkdtemp(path) != NULL);
    state_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(state_dir >= 0);
    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
        int want = WIDE ? trials[i].wide : trials[i].keeper;
        CHECK(want < 0 || measures_coverage() || !unlike(&trials[i], SANDBOX_KEEPER, want));
    }
    (void)close(state_dir);
    state_dir = -1;
    CHECK(rmdir(path) == 0);
}

static int try_report(void)
{
    struct sandbox_report report;
    // Once more inside: the kernel stacks filters, and the report says what this one is.
    return WIDE || os_sandbox_enter(SANDBOX_WORKER, -1, &report) != 0 ? DONE : REFUSED;
}

static void it_cannot_be_entered_twice(void)
{
    CHECK(measures_coverage() || inside(SANDBOX_WORKER, try_report) == DONE);
}

TAP_MAIN(the_worker_can_do_its_work_and_no_more, the_keeper_can_do_its_work_and_no_more,
         it_cannot_be_entered_twice)

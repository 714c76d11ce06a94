// SPDX-License-Identifier: Apache-2.0
//
// seccomp filters, one named list per role, and Landlock by its raw system calls.
//
// The filters allow by list. What is not on the list fails with ENOSYS (libraries fall back on what
// an older kernel would have had), the calls that take a path fail with EACCES, and what is on
// `deadly` kills. Under a sanitizer the runtime opens files, makes threads before we do and traces
// the process at its end, so those builds have wider filters of their own name: everything but
// `deadly` is allowed, and Landlock only forbids writing. A build that measures coverage writes its
// files when it ends and has no sandbox; nothing that is installed is built so.

#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

#ifdef ADIT_SANITIZED
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

// Present only in programs that are built to measure coverage: gcc links the first, clang the second.
extern void __gcov_init(void *info) __attribute__((weak));
extern void __gcov_dump(void) __attribute__((weak));

// ---- seccomp: what each role may call -----------------------------------------------------------

static const int allowed_everywhere[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    // memory
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    // threads and signals
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(membarrier),
    // time and chance; most clocks never get here, the vDSO answers them
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getrandom),
    // harmless questions of libraries
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getcpu),
};

static const int allowed_worker[] = {
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(shutdown),
    SCMP_SYS(bind),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(splice),
    // The regular expressions' JIT maps executable memory.
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
};

static const int allowed_keeper[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    // asking CAs, OCSP responders and name servers
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    // files: Landlock says which
    SCMP_SYS(openat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(mkdirat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(unlink), // of SQLite, as is the next
    SCMP_SYS(pwrite64),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fchmod),
    SCMP_SYS(fstatfs),
    SCMP_SYS(dup),
    SCMP_SYS(dup3),
    SCMP_SYS(fadvise64),
};

// What of `refused_paths` a keeper's libraries need.
static bool keeper_may(int call)
{
    for (size_t i = 0; i < array_len(allowed_keeper); i++) {
        if (allowed_keeper[i] == call) {
            return true;
        }
    }
    return false;
}

// Calls that take a path: libraries try them and live with a refusal.
static const int refused_paths[] = {
    SCMP_SYS(open),       SCMP_SYS(openat),   SCMP_SYS(openat2),    SCMP_SYS(stat),
    SCMP_SYS(lstat),      SCMP_SYS(statx),    SCMP_SYS(access),     SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
};

// Nothing of ours and no library in a worker or keeper makes these: whoever does has taken over.
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(fsopen),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(setuid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(swapon),
    SCMP_SYS(personality),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(listen),
};

// What of `deadly` a sanitizer's runtime does when it reports.
static const int sanitizer_needs[] = {
    SCMP_SYS(ptrace), SCMP_SYS(personality), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execve),
};

static bool is_in(int call, const int *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == call) {
            return true;
        }
    }
    return false;
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (SANITIZED && action == SCMP_ACT_KILL_PROCESS &&
            is_in(calls[i], sanitizer_needs, array_len(sanitizer_needs))) {
            continue;
        }
        int error = seccomp_rule_add(filter, action, calls[i], 0);
        // A call that this machine's architecture does not have needs no rule.
        if (error != 0 && error != -EDOM && error != -EACCES) {
            return E_DENIED;
        }
    }
    return 0;
}

static int allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, condition) == 0 ? 0 : E_DENIED;
}

// fstat(3) is newfstatat() with an empty path, abort(3) is tgkill() of ourselves.
static int allow_conditions(scmp_filter_ctx filter, enum sandbox_role role)
{
    int error =
        role == SANDBOX_KEEPER // may call it with any path
            ? 0
            : allow_if(filter, SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
    if (error == 0) {
        error = allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (uint64_t)getpid(), 0));
    }
    if (error == 0) { // limits may be read, not set
        error = allow_if(filter, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    }
    if (error == 0) {
        error = allow_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    }
    return error;
}

// Threads, not processes; clone3() hides its flags, so glibc must do without.
static int allow_threads(scmp_filter_ctx filter)
{
    return allow_if(filter, SCMP_SYS(clone),
                    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
}

static int allow_worker(scmp_filter_ctx filter)
{
    static const uint64_t families[] = {AF_INET, AF_INET6, AF_UNIX};
    int error = add_all(filter, SCMP_ACT_ALLOW, allowed_worker, array_len(allowed_worker));
    for (size_t i = 0; error == 0 && i < array_len(families); i++) {
        for (uint64_t kind = SOCK_STREAM; error == 0 && kind <= SOCK_DGRAM; kind++) {
            error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                     SCMP_A0(SCMP_CMP_EQ, families[i], 0),
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, kind));
        }
    }
    if (error == 0) {
        error = allow_threads(filter);
    }
    return error == 0 ? 0 : E_DENIED;
}

// The keeper's memory becomes executable in one way only: a file, such as a library that the name
// service loads, is mapped so, and can then not be written to.
static int allow_keeper_memory(scmp_filter_ctx filter)
{
    int error = allow_if(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (error == 0) {
        error = allow_if(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                                 SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
    }
    return error;
}

static int allow_keeper(scmp_filter_ctx filter)
{
    // ioctl() of these two only: does a socket have bytes, and do not wait for it.
    static const uint64_t controls[] = {FIONREAD, FIONBIO};
    static const uint64_t families[] = {AF_INET, AF_INET6};
    int error = add_all(filter, SCMP_ACT_ALLOW, allowed_keeper, array_len(allowed_keeper));
    for (size_t i = 0; error == 0 && i < array_len(families); i++) {
        for (uint64_t kind = SOCK_STREAM; error == 0 && kind <= SOCK_DGRAM; kind++) {
            error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                     SCMP_A0(SCMP_CMP_EQ, families[i], 0),
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, kind));
        }
    }
    for (size_t i = 0; error == 0 && i < array_len(controls); i++) {
        error = allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, controls[i], 0));
    }
    if (error == 0) { // how a library wakes its own threads
        error = allow_if(filter, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    }
    if (error == 0) {
        error = allow_threads(filter);
    }
    return error == 0 ? allow_keeper_memory(filter) : error;
}

static int refuse_paths(scmp_filter_ctx filter, enum sandbox_role role)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < array_len(refused_paths); i++) {
        if (role != SANDBOX_KEEPER || !keeper_may(refused_paths[i])) {
            error = add_all(filter, SCMP_ACT_ERRNO(EACCES), &refused_paths[i], 1);
        }
    }
    return error;
}

static int fill_filter(scmp_filter_ctx filter, enum sandbox_role role)
{
    int error = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, array_len(deadly));
    if (error != 0 || SANITIZED) {
        return error;
    }
    error = refuse_paths(filter, role);
    if (error == 0) {
        error = add_all(filter, SCMP_ACT_ALLOW, allowed_everywhere, array_len(allowed_everywhere));
    }
    if (error == 0) {
        error = allow_conditions(filter, role);
    }
    if (error == 0) { // what fork(3) makes of itself
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    }
    if (error == 0) {
        error = role == SANDBOX_WORKER ? allow_worker(filter) : allow_keeper(filter);
    }
    return error == 0 ? 0 : E_DENIED;
}

static int enter_seccomp(enum sandbox_role role)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        return E_UNSUPPORTED;
    }
    scmp_filter_ctx filter = seccomp_init(SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        return E_NO_MEMORY;
    }
    // A sanitizer's runtime has threads already; they come along.
    bool all_threads = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
    int error = !all_threads && SANITIZED ? E_DENIED : fill_filter(filter, role);
    if (error == 0 && seccomp_load(filter) != 0) {
        error = E_DENIED;
    }
    seccomp_release(filter);
    return error;
}

// ---- Landlock -----------------------------------------------------------------------------------
// The structures and bits as linux/landlock.h has them; the distribution's header may be older than
// the kernel it runs on.

struct landlock_ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scoped;
};

enum {
    LANDLOCK_VERSION_FLAG = 1,
    FILE_READS = 1 << 2 | 1 << 3, // read a file, read a directory
    // write, remove a directory, remove, make a directory, make a file
    FILE_WRITES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8,
    FILE_RIGHTS_ABI1 = (1 << 13) - 1, // execute, write, read, make, remove
    FILE_REFER = 1 << 13,             // ABI 2
    FILE_TRUNCATE = 1 << 14,          // ABI 3
    FILE_IOCTL_DEVICE = 1 << 15,      // ABI 5
    NET_BIND_TCP = 1 << 0,            // ABI 4
    SCOPE_ABSTRACT_UNIX = 1 << 0,     // ABI 6
    SCOPE_SIGNALS = 1 << 1,
};

static struct landlock_ruleset landlock_rights(enum sandbox_role role, int abi)
{
    struct landlock_ruleset r = {.files = FILE_RIGHTS_ABI1};
    r.files |= abi >= 2 ? (uint64_t)FILE_REFER : 0;
    r.files |= abi >= 3 ? (uint64_t)FILE_TRUNCATE : 0;
    r.files |= abi >= 5 ? (uint64_t)FILE_IOCTL_DEVICE : 0;
    if (SANITIZED) {
        r.files &= ~(uint64_t)FILE_READS;
        return r;
    }
    if (role == SANDBOX_KEEPER && abi >= 4) {
        r.net = NET_BIND_TCP;
    }
    r.scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNALS : 0;
    return r;
}

// As linux/landlock.h has it: packed, because the kernel counts its bytes.
struct landlock_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

enum { LANDLOCK_PATH_BENEATH = 1 };

// What the name service, OpenSSL and libcurl read, and where the libraries are that they load. /run
// holds what /etc/resolv.conf is a link to. What is not there is left out.
static const char *const keeper_reads[] = {
    "/etc",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/connman",
};

static int allow_beneath(int ruleset, int fd, uint64_t rights)
{
    struct landlock_beneath rule = {rights, fd};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0) == 0 ? 0
                                                                                         : E_DENIED;
}

static int allow_keeper_files(int ruleset, int state, const struct landlock_ruleset *handled)
{
    int error = 0;
    if (state >= 0) { // all but what makes devices, sockets and programs
        uint64_t rights = FILE_READS | FILE_WRITES | (uint64_t)FILE_REFER | (uint64_t)FILE_TRUNCATE;
        error = allow_beneath(ruleset, state, rights & handled->files);
    }
    for (size_t i = 0; error == 0 && i < array_len(keeper_reads); i++) {
        int fd = open(keeper_reads[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && (FILE_READS & handled->files) != 0) {
            error = allow_beneath(ruleset, fd, FILE_READS);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return error;
}

// With no rule added, everything that the ruleset handles is denied.
static int enter_landlock(enum sandbox_role role, int state, int *abi)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    *abi = version > 0 ? (int)version : 0;
    if (version <= 0) {
        return 0;
    }
    struct landlock_ruleset rights = landlock_rights(role, *abi);
    size_t size = *abi >= 6 ? sizeof rights : *abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    long ruleset = syscall(SYS_landlock_create_ruleset, &rights, size, 0);
    if (ruleset < 0) {
        return E_DENIED;
    }
    int error = role == SANDBOX_KEEPER ? allow_keeper_files((int)ruleset, state, &rights) : 0;
    long result = error == 0 ? syscall(SYS_landlock_restrict_self, ruleset, 0) : -1;
    (void)close((int)ruleset);
    return result == 0 ? 0 : E_DENIED;
}

// ---- both ---------------------------------------------------------------------------------------

int os_sandbox_enter(enum sandbox_role role, int state, struct sandbox_report *report)
{
    static const char *const names[2][2] = {
        [SANDBOX_WORKER] = {"worker", "worker+sanitizer"},
        [SANDBOX_KEEPER] = {"keeper", "keeper+sanitizer"},
    };
    *report = (struct sandbox_report){0};
    if (__gcov_init != NULL || __gcov_dump != NULL) {
        return 0;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return E_DENIED;
    }
    int error = enter_landlock(role, state, &report->landlock_abi);
    if (error != 0) {
        return error;
    }
    error = enter_seccomp(role);
    if (error == 0) {
        report->filter = names[role][SANITIZED];
    }
    return error == E_UNSUPPORTED ? 0 : error;
}

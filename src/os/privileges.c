// SPDX-License-Identifier: Apache-2.0
//
// Dropping privileges, in the only order that works: groups before ids, the bounding set and the
// secure bits while there is still the capability to change them, ids before capabilities. Every step
// is verified by asking the kernel for the result rather than by trusting return values alone.

#include "os/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

enum { CAPABILITY_WORDS = 2 };

#ifdef ADIT_SANITIZED
enum { TRACES_ITSELF = 1 }; // the leak checker does, at the end
#else
enum { TRACES_ITSELF = 0 };
#endif

static const unsigned long locked_bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
                                         SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                         SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

int os_identity_find(const char *name, struct os_identity *out)
{
    ensure(name != NULL);
    *out = (struct os_identity){.uid = geteuid(), .gid = getegid()};
    const struct passwd *user = NULL;
    if (geteuid() != 0) {
        if (name[0] == '\0') {
            return 0;
        }
        user = getpwnam(name);
        return user != NULL && user->pw_uid == geteuid() ? 0 : E_DENIED;
    }
    if (name[0] != '\0') {
        user = getpwnam(name);
    } else {
        user = getpwnam("adit");
        user = user != NULL ? user : getpwnam("nobody");
    }
    if (user == NULL) {
        return E_NOT_FOUND;
    }
    if (user->pw_uid == 0) {
        return E_INVALID;
    }
    *out = (struct os_identity){.change = true, .uid = user->pw_uid, .gid = user->pw_gid};
    return 0;
}

// Needs CAP_SETPCAP; without it there is nothing in the set that exec could give back to us, because
// PR_SET_NO_NEW_PRIVS holds anyway.
static void empty_bounding_set(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)prctl(PR_SET_SECUREBITS, locked_bits, 0, 0, 0);
}

static bool capabilities_empty(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[CAPABILITY_WORDS];
    memset(data, 0, sizeof data);
    if (syscall(SYS_capset, &head, data) != 0 || syscall(SYS_capget, &head, data) != 0) {
        return false;
    }
    return data[0].effective == 0 && data[0].permitted == 0 && data[0].inheritable == 0 &&
           data[1].effective == 0 && data[1].permitted == 0 && data[1].inheritable == 0;
}

static bool change_ids(const struct os_identity *who)
{
    ensure(who->uid != 0);
    if (setgroups(0, NULL) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0) {
        return false;
    }
    uid_t ids[3];
    gid_t gids[3];
    if (getresuid(&ids[0], &ids[1], &ids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (ids[i] != who->uid || gids[i] != who->gid) {
            return false;
        }
    }
    return setuid(0) != 0; // there must be no way back
}

int os_privileges_drop(const struct os_identity *who)
{
    empty_bounding_set();
    if (who->change && !change_ids(who)) {
        return E_DENIED;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return E_DENIED;
    }
    return capabilities_empty() ? 0 : E_DENIED;
}

int os_die_with_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
        return error_from_errno(errno);
    }
    // It may have died before the line above; then somebody else has adopted us.
    return getppid() == parent ? 0 : E_EOF;
}

void os_limit_dumps(void)
{
    struct rlimit core = {0, 0};
    bool wanted = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur > 0;
    (void)prctl(PR_SET_DUMPABLE, wanted || TRACES_ITSELF, 0, 0, 0);
}

uint64_t os_raise_descriptors(void)
{
    struct rlimit limit = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur;
}

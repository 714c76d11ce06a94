// SPDX-License-Identifier: Apache-2.0
//
// Privileges that were dropped are gone. As root the whole way is gone; otherwise what remains of it.

#include "os/privileges.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/error.h"
#include "tap.h"

static int in_child(int (*act)(void))
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        _exit(act());
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int drop_and_look(void)
{
    struct os_identity who;
    if (os_identity_find("", &who) != 0 || os_privileges_drop(&who) != 0) {
        return 1;
    }
    if (geteuid() == 0 || getegid() == 0 || setuid(0) == 0) {
        return 2;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        return 3;
    }
    return open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 4;
}

static void there_is_no_way_back(void)
{
    CHECK_EQ_INT(in_child(drop_and_look), 0);
}

static void users_are_found_or_refused(void)
{
    struct os_identity who;
    bool root = geteuid() == 0;
    CHECK_EQ_INT(os_identity_find("no-such-user-here", &who), root ? E_NOT_FOUND : E_DENIED);
    CHECK_EQ_INT(os_identity_find("root", &who), root ? E_INVALID : E_DENIED);
    CHECK_EQ_INT(os_identity_find("", &who), 0);
    CHECK_EQ_INT(who.change, root);
}

static int orphan(void)
{
    return os_die_with_parent(1234567) == E_EOF ? 0 : 1;
}

static void an_orphan_is_told(void)
{
    CHECK_EQ_INT(in_child(orphan), 0);
}

static int raise_limit(void)
{
    struct rlimit limit = {64, 128};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1;
    }
    return os_raise_descriptors() == 128 ? 0 : 2;
}

static void the_limit_of_descriptors_is_raised(void)
{
    CHECK_EQ_INT(in_child(raise_limit), 0);
}

static int no_dumps(void)
{
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    os_limit_dumps();
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void without_a_core_limit_there_is_no_dump(void)
{
#ifdef ADIT_SANITIZED
    enum { WANT = 1 };
#else
    enum { WANT = 0 };
#endif
    CHECK_EQ_INT(in_child(no_dumps), WANT);
}

TAP_MAIN(there_is_no_way_back, users_are_found_or_refused, an_orphan_is_told,
         the_limit_of_descriptors_is_raised, without_a_core_limit_there_is_no_dump)

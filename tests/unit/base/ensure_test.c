// SPDX-License-Identifier: Apache-2.0
//
// ensure: a false promise ends the process, through the hook when there is one.

#include "base/ensure.h"

#include "tap.h"

struct thing {
    uint32_t magic;
    int value;
};

static void failing_hook(const char *what, const char *file, int line, const char *func)
{
    (void)what;
    (void)file;
    (void)line;
    (void)func;
    ensure(1 == 2); // must abort, not come back here
}

static void exiting_hook(const char *what, const char *file, int line, const char *func)
{
    bool told = strcmp(what, "1 == 2") == 0 && strstr(file, "ensure_test.c") != NULL && line > 0 &&
                strcmp(func, "break_promise") == 0;
    if (told) {
        abort();
    }
    _exit(1);
}

static void break_promise(void (*hook)(const char *, const char *, int, const char *))
{
    ensure_hook = hook;
    ensure(1 == 2);
}

static void keeps_going_when_true(void)
{
    struct thing t = {.magic = 7, .value = 1};
    ensure(t.value == 1);
    ensure_magic(&t, 7);
    CHECK(true);
}

static void aborts_when_false(void)
{
    struct thing t = {.magic = 7, .value = 1};
    struct thing *none = NULL;
    CHECK_ABORTS(break_promise(NULL));
    CHECK_ABORTS(ensure_magic(&t, 8));
    CHECK_ABORTS(ensure_magic(none, 7));
    CHECK_ABORTS(unreachable());
}

static void tells_the_hook_once(void)
{
    CHECK_ABORTS(break_promise(exiting_hook));
    CHECK_ABORTS(break_promise(failing_hook));
}

TAP_MAIN(keeps_going_when_true, aborts_when_false, tells_the_hook_once)

// SPDX-License-Identifier: Apache-2.0
//
// The panic dump. The first thread that panics owns the buffers; a second one that panics at the same
// time only says its promise in one line. A panic inside the dump (a printer that trips over a broken
// object) is seen as a second one, so it cannot loop.

#include "obs/panic.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/text.h"
#include "obs/trace.h"

enum { PANIC_DUMP_MAX = 16384, PANIC_OBJECTS_MAX = 16 };

_Thread_local struct panic_object *panic_innermost;
_Thread_local int panic_core = -1;

static const char *panic_role = "adit";
static atomic_bool panic_begun;
static char panic_promise_text[PANIC_TEXT_MAX];
static char panic_dump[PANIC_DUMP_MAX];

const char *panic_promise(void)
{
    return panic_promise_text;
}

static void write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, len);
        if (n <= 0) {
            return; // nowhere left to say it
        }
        bytes += n;
        len -= (size_t)n;
    }
}

void panic_describe(struct text *out)
{
    int depth = 0;
    for (const struct panic_object *p = panic_innermost; p != NULL; p = p->outer) {
        if (depth++ == PANIC_OBJECTS_MAX) {
            break;
        }
        p->print(p->object, out);
    }
    if (trace_ring != NULL) {
        text_str(out, "last events:\n");
        trace_print(trace_ring, out);
    }
}

static void write_promise(struct text *t, const char *what, const char *file, int line,
                          const char *func)
{
    text_str(t, what);
    text_str(t, " at ");
    text_str(t, file);
    text_char(t, ':');
    text_u64(t, (uint64_t)line);
    text_str(t, " in ");
    text_str(t, func);
}

static void dump(const char *what, const char *file, int line, const char *func)
{
    char promise[PANIC_TEXT_MAX * 2];
    struct text brief = text_on(promise, sizeof promise - 1);
    write_promise(&brief, what, file, line, func);

    char head[sizeof promise + 64];
    struct text first = text_on(head, sizeof head);
    text_str(&first, "panic: ");
    text_str(&first, panic_role);
    if (panic_core >= 0) {
        text_str(&first, " core ");
        text_u64(&first, (uint64_t)panic_core);
    }
    text_str(&first, ": promise broken: ");
    text_put(&first, text_slice(&brief));
    text_char(&first, '\n');
    write_all(head, first.len);

    if (atomic_exchange(&panic_begun, true)) {
        return;
    }
    size_t kept = brief.len < PANIC_TEXT_MAX - 1 ? brief.len : PANIC_TEXT_MAX - 1;
    memcpy(panic_promise_text, promise, kept);
    struct text out = text_on(panic_dump, sizeof panic_dump);
    panic_describe(&out);
    write_all(panic_dump, out.len);
}

void panic_install(const char *role)
{
    panic_role = role;
    ensure_hook = dump;
}

// SPDX-License-Identifier: Apache-2.0
//
// The end of a broken promise: tell it once, then abort. The hook gets to write the panic dump; the
// line on stderr is what is left when no hook is installed yet. A second failure inside the hook
// must not run it again, so the hook is taken before it is called.

#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

void (*ensure_hook)(const char *what, const char *file, int line, const char *func);

_Noreturn void ensure_failed(const char *what, const char *file, int line, const char *func)
{
    void (*hook)(const char *, const char *, int, const char *) = ensure_hook;
    ensure_hook = NULL;
    if (hook != NULL) {
        hook(what, file, line, func);
    } else {
        (void)fprintf(stderr, "adit: broken promise: %s (%s:%d, %s)\n", what, file, line, func);
    }
    abort();
}

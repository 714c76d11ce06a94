// SPDX-License-Identifier: Apache-2.0
//
// The error table as data, and the way from errno into it. Rows are indexed by the negated code, so
// every question is one bounds check and one load.
//
// error_name() is the enum name in lower case with dashes. The preprocessor cannot change case, so
// the names are turned once before main(), while there is only one thread, and only read after that.

#include "base/error.h"

#include <errno.h>
#include <stddef.h>

#include "base/ensure.h"

enum { ERROR_NAME_MAX = 32 };

struct error_row {
    const char *text;
    short status;
    unsigned char class;
};

static const struct error_row rows[ERROR_COUNT] = {{"ok", 0, ERROR_CLASS_FLOW},
#define ERROR_ROW(name, status, class, text) {text, status, ERROR_CLASS_##class},
                                                   ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};

static char names[ERROR_COUNT][ERROR_NAME_MAX] = {"OK",
#define ERROR_NAME(name, status, class, text) #name,
                                                  ERROR_TABLE(ERROR_NAME)
#undef ERROR_NAME
};

__attribute__((constructor)) static void turn_names(void)
{
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        for (char *p = names[i]; *p != '\0'; p++) {
            *p = *p == '_' ? '-' : (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
        }
    }
}

static size_t index_of(int code)
{
    ensure(code <= 0);
    ensure(code > -(int)ERROR_COUNT);
    return (size_t)-code;
}

const char *error_text(int code)
{
    return rows[index_of(code)].text;
}

const char *error_name(int code)
{
    return names[index_of(code)];
}

int error_status(int code)
{
    return rows[index_of(code)].status;
}

enum error_class error_class_of(int code)
{
    return (enum error_class)rows[index_of(code)].class;
}

static const struct {
    int errnum;
    int code;
} errno_table[] = {
    {0, E_OK},
    {EAGAIN, E_AGAIN},
    {EINPROGRESS, E_AGAIN},
    {ECONNRESET, E_RESET},
    {EPIPE, E_RESET},
    {ECONNABORTED, E_RESET},
    {ECONNREFUSED, E_REFUSED},
    {ENOENT, E_NOT_FOUND},
    {ESRCH, E_NOT_FOUND},
    {ENOTDIR, E_NOT_FOUND},
    {EHOSTUNREACH, E_UNREACHABLE},
    {ENETUNREACH, E_UNREACHABLE},
    {EHOSTDOWN, E_UNREACHABLE},
    {ENETDOWN, E_UNREACHABLE},
    {ENONET, E_UNREACHABLE},
    {ETIMEDOUT, E_CONNECT_TIMEOUT},
    {EMFILE, E_NO_DESCRIPTORS},
    {ENFILE, E_NO_DESCRIPTORS},
    {ENOMEM, E_NO_MEMORY},
    {ENOBUFS, E_NO_MEMORY},
    {ENOSPC, E_NO_MEMORY},
    {EADDRNOTAVAIL, E_NO_PORTS},
    {EADDRINUSE, E_IN_USE},
    {EACCES, E_DENIED},
    {EPERM, E_DENIED},
    {EEXIST, E_EXISTS},
    {EINVAL, E_INVALID},
    {ENAMETOOLONG, E_TOO_LARGE},
    {EFBIG, E_TOO_LARGE},
    {EMSGSIZE, E_TOO_LARGE},
    {ERANGE, E_RANGE},
    {ENOSYS, E_UNSUPPORTED},
    {EOPNOTSUPP, E_UNSUPPORTED},
    {EAFNOSUPPORT, E_UNSUPPORTED},
    {EPROTONOSUPPORT, E_UNSUPPORTED},
};

int error_from_errno(int errnum)
{
    for (size_t i = 0; i < array_len(errno_table); i++) {
        if (errno_table[i].errnum == errnum) {
            return errno_table[i].code;
        }
    }
    return E_IO;
}

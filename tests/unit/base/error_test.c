// SPDX-License-Identifier: Apache-2.0
//
// error: every row has a text, a stable name and a plausible status.

#include "base/error.h"

#include <errno.h>

#include "tap.h"

static void names_are_lower_case_with_dashes(void)
{
    CHECK_STR(error_name(0), "ok");
    CHECK_STR(error_name(E_BAD_CHUNK_SIZE), "bad-chunk-size");
    CHECK_STR(error_name(E_CODING_IN_1_0), "coding-in-1-0");
    for (int i = 0; i < ERROR_COUNT; i++) {
        CHECK(strlen(error_name(-i)) > 0 && strlen(error_name(-i)) < 31);
        CHECK(strpbrk(error_name(-i), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_ ") == NULL);
        CHECK(strlen(error_text(-i)) > 0);
    }
}

static void statuses_fit_their_class(void)
{
    for (int i = 0; i < ERROR_COUNT; i++) {
        int status = error_status(-i);
        CHECK(status == 0 || (status >= 400 && status < 600));
    }
    CHECK_EQ_INT(error_status(E_NO_ROUTE), 404);
    CHECK_EQ_INT(error_class_of(E_AGAIN), ERROR_CLASS_FLOW);
    CHECK_EQ_INT(error_class_of(E_HEAD_TOO_LARGE), ERROR_CLASS_LIMIT);
    CHECK_EQ_INT(error_class_of(E_BARE_LF), ERROR_CLASS_PEER);
}

static void codes_outside_the_table_are_asserts(void)
{
    CHECK_ABORTS(error_text(1));
    CHECK_ABORTS(error_status(-ERROR_COUNT));
}

static void maps_errno(void)
{
    CHECK_EQ_INT(error_from_errno(0), 0);
    CHECK_EQ_INT(error_from_errno(EAGAIN), E_AGAIN);
    CHECK_EQ_INT(error_from_errno(ECONNREFUSED), E_REFUSED);
    CHECK_EQ_INT(error_from_errno(EMFILE), E_NO_DESCRIPTORS);
    CHECK_EQ_INT(error_from_errno(EADDRNOTAVAIL), E_NO_PORTS);
    CHECK_EQ_INT(error_from_errno(EDOM), E_IO);
}

TAP_MAIN(names_are_lower_case_with_dashes, statuses_fit_their_class,
         codes_outside_the_table_are_asserts, maps_errno)

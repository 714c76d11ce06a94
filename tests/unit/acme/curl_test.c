// SPDX-License-Identifier: Apache-2.0
//
// libcurl is there, at run time, once for all threads.

#include "acme/curl.h"

#include "acme/acme.h"
#include "tap.h"

static void the_table_is_whole(void)
{
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    REQUIRE(acme_curl_load(&why) == 0);
    CHECK_EQ_INT(acme_curl_load(&why), 0);
    CHECK_EQ_INT(acme_global_init(), 0);
    CURL *easy = acme_curl()->easy_init();
    CHECK(easy != NULL);
    CHECK_STR(acme_curl()->easy_strerror(CURLE_OK), "No error");
    acme_curl()->easy_cleanup(easy);
}

TAP_MAIN(the_table_is_whole)

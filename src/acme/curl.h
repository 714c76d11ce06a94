// SPDX-License-Identifier: Apache-2.0
//
// libcurl, loaded when it is first needed: it brings thirty libraries along, and an edge that never
// asks an authority for anything, above all its workers, should not carry them. The functions that are
// used are looked up once into this table.

#pragma once

#include <curl/curl.h>

#include "base/ensure.h"
#include "base/text.h"

struct curl_api {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *easy);
    void (*easy_reset)(CURL *easy);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    CURLcode (*easy_perform)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

/** Loads libcurl.so.4 unless it is there. 0, or E_UNSUPPORTED with what is missing. Any thread. */
int acme_curl_load(struct text *why) must_check;
/** After acme_curl_load() said 0. */
const struct curl_api *acme_curl(void);

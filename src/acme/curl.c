// SPDX-License-Identifier: Apache-2.0
//
// See curl.h.

#include "acme/curl.h"

#include <dlfcn.h>
#include <pthread.h>

#include "base/error.h"

#define CURL_LIBRARY "libcurl.so.4"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct curl_api api;
static bool is_loaded;
static char missing[256];

static bool find(void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool find_all(void *library)
{
    return find(library, "curl_global_init", &api.global_init) &&
           find(library, "curl_easy_init", &api.easy_init) &&
           find(library, "curl_easy_cleanup", &api.easy_cleanup) &&
           find(library, "curl_easy_reset", &api.easy_reset) &&
           find(library, "curl_easy_setopt", &api.easy_setopt) &&
           find(library, "curl_easy_getinfo", &api.easy_getinfo) &&
           find(library, "curl_easy_perform", &api.easy_perform) &&
           find(library, "curl_easy_strerror", &api.easy_strerror) &&
           find(library, "curl_slist_append", &api.slist_append) &&
           find(library, "curl_slist_free_all", &api.slist_free_all);
}

// The library stays loaded: OpenSSL and others that it brings do not like to be taken away.
static void load(void)
{
    struct text out = text_on(missing, sizeof(missing) - 1);
    void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *reason = dlerror();
        text_printf(&out, CURL_LIBRARY " cannot be loaded (%s): install libcurl (Debian: libcurl4)",
                    reason != NULL ? reason : "no reason given");
    } else if (!find_all(library)) {
        text_str(&out, CURL_LIBRARY " is too old: adit needs 7.85 or later");
    } else if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        text_str(&out, CURL_LIBRARY " cannot be initialised");
    } else {
        is_loaded = true;
    }
}

int acme_curl_load(struct text *why)
{
    ensure(pthread_once(&once, load) == 0);
    if (!is_loaded) {
        text_str(why, missing);
        return E_UNSUPPORTED;
    }
    return 0;
}

const struct curl_api *acme_curl(void)
{
    ensure(is_loaded);
    return &api;
}

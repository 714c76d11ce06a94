// SPDX-License-Identifier: Apache-2.0
//
// Stands in for tls.c until that is there: every call says that TLS is not supported. Whoever brings
// one of these functions deletes it here, and the file with the last one.

#include "base/error.h"
#include "tls/store.h"
#include "tls/tls.h"

int tls_core_new(struct loop *l, struct counters *counters, uint32_t connections_max,
                 struct tls_core **out)
{
    (void)l;
    (void)counters;
    (void)connections_max;
    *out = NULL;
    return 0;
}

void tls_core_free(struct tls_core *c)
{
    (void)c;
}

void tls_core_set_store(struct tls_core *c, struct tls_store *s)
{
    (void)c;
    (void)s;
}

int tls_accept(struct tls_core *c, struct transport *t,
               void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
{
    (void)c;
    (void)t;
    (void)done;
    (void)arg;
    return E_UNSUPPORTED;
}

int tls_origin_new(const struct tls_origin_settings *settings, struct tls_store *store,
                   uint32_t cores, struct tls_origin **out)
{
    (void)settings;
    (void)store;
    (void)cores;
    (void)out;
    return E_UNSUPPORTED;
}

struct tls_origin *tls_origin_ref(struct tls_origin *o)
{
    return o;
}

void tls_origin_unref(struct tls_origin *o)
{
    (void)o;
}

int tls_connect(struct tls_core *c, struct transport *t, struct tls_origin *o,
                void (*done)(struct transport *t, const struct tls_done *d, void *arg), void *arg)
{
    (void)c;
    (void)t;
    (void)o;
    (void)done;
    (void)arg;
    return E_UNSUPPORTED;
}

const struct http_security *tls_security(const struct transport *t)
{
    (void)t;
    return NULL;
}

struct slice tls_verify_reason(const struct transport *t)
{
    (void)t;
    return SLICE("");
}

void tls_core_set_wanted(struct tls_core *c, struct tls_wanted *w)
{
    (void)c;
    (void)w;
}

int tls_store_new(const struct conf_doc *doc, struct slice credentials, uint32_t cores,
                  struct conf_diags *diags, struct tls_store **out)
{
    (void)doc;
    (void)credentials;
    (void)cores;
    (void)diags;
    *out = NULL;
    return 0;
}

void tls_store_unref(struct tls_store *s)
{
    (void)s;
}

// SPDX-License-Identifier: Apache-2.0
//
// What the check lets through must compile: a worker asserts what a checked document promises, so a
// gap between the rows and their readers would end it. Any bytes are loaded as a configuration, and
// a document that comes of them becomes a snapshot with real pools; only patterns may be refused.

#include <stdint.h>

#include "base/error.h"
#include "conf/load.h"
#include "proxy/snapshot.h"
#include "upstream/pool.h"

enum { CORES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

// As in conf_parse_fuzz.c: a buffer that libfyaml loses.
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

static void compile(const struct conf_doc *doc, struct conf_diags *d)
{
    static struct upstream_registry registry;
    static struct pool_factory factory;
    static bool ready;
    struct snapshot *s = NULL;
    if (!ready) {
        upstream_registry_init(&registry, CORES);
        pool_factory_init(&factory, &registry);
        ready = true;
    }
    int rc = snapshot_compile(doc, &factory.base, d, &s);
    // Origins by TLS need credentials, which are none of this target's business.
    bool without_tls = rc == E_UNSUPPORTED;
    ensure(rc == 0 || rc == E_NO_MEMORY || without_tls || conf_diags_errors(d) > 0);
    if (rc == 0) {
        snapshot_publish(s, CORES);
        (void)snapshot_site(s, SLICE("a.b"));
        for (uint32_t core = 0; core < CORES; core++) {
            snapshot_unref(s, core);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    struct conf_load in = {
        .path = "adit.yaml",
        .text = slice_of((const char *)data, size),
        .tables = conf_tables,
    };
    if (d != NULL && conf_load(&in, d, &doc) == 0) {
        compile(doc, d);
    }
    conf_doc_free(doc);
    conf_diags_free(d);
    return 0;
}

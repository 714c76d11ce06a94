// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a configuration: they load or are refused with a report. What loads is verified,
// walked and hashed; what is refused has an error. Files named by the input do not exist.

#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

// libfyaml 0.7.12 loses a buffer of 8 KiB when a document breaks off within a long quoted text. A
// keeper meets that once for a broken file, so it is let through here and nowhere else.
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

static const char *no_env(struct conf_source *s, const char *name)
{
    (void)s;
    return name[0] == 'A' ? "10.0.0.1:80" : NULL;
}

static int no_read(struct conf_source *s, const char *path, size_t max, struct arena *a,
                   struct slice *out)
{
    (void)s;
    (void)path;
    (void)max;
    (void)a;
    (void)out;
    return E_NOT_FOUND;
}

static int no_glob(struct conf_source *s, const char *pattern, struct arena *a, struct slice *paths,
                   uint32_t paths_max, uint32_t *count)
{
    (void)s;
    (void)pattern;
    (void)a;
    (void)paths;
    (void)paths_max;
    *count = 0;
    return 0;
}

static size_t walk(struct conf_node n)
{
    size_t bytes = conf_key(n).len + conf_place_of(n).line;
    if (conf_kind_of(n) == CONF_SCALAR) {
        return bytes + conf_text(n).len;
    }
    conf_each(child, n)
    {
        bytes += walk(child);
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char buffer[16384];
    static struct conf_source source = {no_read, no_glob, no_env};
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    if (d == NULL) {
        return 0;
    }
    struct conf_load in = {
        .path = "adit.yaml",
        .text = slice_of((const char *)data, size),
        .source = &source,
        .tables = conf_tables,
    };
    int rc = conf_load(&in, d, &doc);
    ensure((rc == 0) == (conf_diags_errors(d) == 0));
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        struct text t = text_on(buffer, sizeof buffer);
        conf_diag_text(d, one, true, &t);
        t = text_on(buffer, sizeof buffer);
        conf_diag_json(d, one, &t);
        ensure(!t.overflow);
    }
    if (doc != NULL) {
        (void)walk(conf_root(doc));
        (void)conf_hash(conf_root(doc));
    }
    conf_doc_free(doc);
    conf_diags_free(d);
    return 0;
}

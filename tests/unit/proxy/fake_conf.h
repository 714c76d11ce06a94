// SPDX-License-Identifier: Apache-2.0
//
// Configurations from YAML text by the real tables, and snapshots of them with upstreams that only
// have a name.

#pragma once

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"
#include "proxy/directives.h"
#include "proxy/snapshot.h"
#include "tap.h"

extern const struct conf_directive *const conf_tables[];

struct fake_conf {
    struct conf_doc *doc;
    struct conf_diags *diags;
    struct snapshot *snapshot;
    struct upstream_factory factory;
    unsigned made;
    unsigned disposed;
};

static inline int fake_make(struct upstream_factory *f, struct snapshot *s, struct conf_node node,
                            struct slice name, struct upstream **out)
{
    struct fake_conf *c = container_of(f, struct fake_conf, factory);
    CHECK(conf_exists(node));
    *out = arena_zalloc(&s->arena, sizeof(**out));
    if (*out == NULL) {
        return E_NO_MEMORY;
    }
    (*out)->name = name;
    c->made++;
    return 0;
}

static inline void fake_conf_print(const struct conf_diags *d)
{
    static char bytes[8192];
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        struct text t = text_on(bytes, sizeof(bytes));
        conf_diag_text(d, one, false, &t);
        printf("# %.*s\n", (int)t.len, t.ptr);
    }
}

/** The checked document of a YAML text that must be right. */
static inline struct conf_doc *fake_doc(struct fake_conf *c, const char *yaml)
{
    *c = (struct fake_conf){.diags = conf_diags_new(), .factory = {.make = fake_make}};
    REQUIRE(c->diags != NULL);
    int rc = conf_load_text("test.yaml", yaml, conf_tables, c->diags, &c->doc);
    if (rc != 0) {
        printf("# %s\n", yaml);
        fake_conf_print(c->diags);
        REQUIRE(rc == 0);
    }
    return c->doc;
}

/** The same and its snapshot; the result of snapshot_compile(). */
static inline int fake_compile(struct fake_conf *c, const char *yaml)
{
    return snapshot_compile(fake_doc(c, yaml), &c->factory, c->diags, &c->snapshot);
}

static inline void fake_conf_free(struct fake_conf *c)
{
    if (c->snapshot != NULL) {
        snapshot_publish(c->snapshot, 1);
        snapshot_unref(c->snapshot, 0);
    }
    conf_doc_free(c->doc);
    conf_diags_free(c->diags);
}

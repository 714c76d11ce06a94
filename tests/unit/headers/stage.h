// SPDX-License-Identifier: Apache-2.0
//
// One module's stage over one exchange, with its configuration from YAML: the directives of a site,
// flow style.

#pragma once

#include "proxy/fake_answer.h"
#include "proxy/fake_conf.h"

struct stage {
    struct fake_conf conf;
    struct fake *f;
    const void *own; // the module's conf
    const struct module *module;
};

static inline void stage_begin(struct stage *s, const struct module *m, const char *directives)
{
    char yaml[2048];
    (void)snprintf(yaml, sizeof(yaml), "sites: {default: {%s}}\n", directives);
    int rc = fake_compile(&s->conf, yaml);
    if (rc != 0) {
        fake_conf_print(s->conf.diags);
    }
    REQUIRE(rc == 0);
    s->f = fake_new();
    s->module = m;
    s->own = s->conf.snapshot->fallback->routes[0].conf[module_index(m)];
    s->f->snapshot.target_bytes = 8192;
    answered = (struct fake_answered){0};
}

static inline enum stage_result stage_request(struct stage *s)
{
    REQUIRE(s->own != NULL);
    s->f->x.original_target = s->f->x.request.target;
    return s->module->on_request(&s->f->x, s->own);
}

static inline enum stage_result stage_response(struct stage *s)
{
    REQUIRE(s->own != NULL);
    return s->module->on_response(&s->f->x, s->own);
}

static inline void stage_end(struct stage *s)
{
    fake_free(s->f);
    fake_conf_free(&s->conf);
}

/** Loads a configuration that must be refused; true when the first message has that text in it. */
static inline bool stage_refuses(const char *directives, const char *message)
{
    char yaml[1024];
    char bytes[4096];
    struct fake_conf c = {.diags = conf_diags_new(), .factory = {.make = fake_make}};
    struct text t = text_on(bytes, sizeof(bytes));
    REQUIRE(c.diags != NULL);
    (void)snprintf(yaml, sizeof(yaml), "sites: {default: {%s}}\n", directives);
    int rc = conf_load_text("test.yaml", yaml, conf_tables, c.diags, &c.doc);
    if (rc == 0) {
        rc = snapshot_compile(c.doc, &c.factory, c.diags, &c.snapshot);
    }
    if (conf_diags_first(c.diags) != NULL) {
        conf_diag_text(c.diags, conf_diags_first(c.diags), false, &t);
    }
    bool found = rc == E_CONFIG && slice_find(text_slice(&t), slice_str(message)) >= 0;
    if (!found) {
        printf("# %s: %d %.*s\n", directives, rc, (int)t.len, t.ptr);
    }
    fake_conf_free(&c);
    return found;
}

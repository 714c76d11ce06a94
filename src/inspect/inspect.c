// SPDX-License-Identifier: Apache-2.0
//
// The module `inspect` (inspect/inspect.h): what it does on the sites of tunnels, and its directive. It
// stands behind the modules that let in or refuse: a request that they refuse is noted by its answer alone,
// and a repeat, which is this machine's own, does not ask them again.

#include "inspect/inspect.h"

#include "base/error.h"
#include "conf/diag.h"
#include "proxy/exchange.h"

#include "inspect/answer.h"
#include "inspect/capture.h"
#include "inspect/ring.h"

static const char *const words[] = {"record", "page", NULL};

// One agent of one core: all its sites write into one memory. NULL: this process does not inspect.
static struct ring *ring;

int inspect_open(void)
{
    ensure(ring == NULL);
    ring = mem_alloc(sizeof(*ring));
    if (ring == NULL) {
        return E_NO_MEMORY;
    }
    ring_init(ring);
    return 0;
}

void inspect_close(void)
{
    if (ring != NULL) {
        ring_fini(ring);
        mem_free(ring);
        ring = NULL;
    }
}

// ---- configuration ---------------------------------------------------------------------------------

static void check_inspect(struct conf_diags *d, struct conf_node value)
{
    if (ring == NULL) {
        conf_error(d, value, "an edge does not inspect requests: they are their owners' business");
        conf_hint(d, "`adit 3000 --inspect` shows an agent's own, on its machine");
    }
}

const struct conf_directive inspect_directives[] = {
    {.name = "inspect",
     .contexts = CONF_IN_ROUTING,
     .type = CONF_TYPE_ENUM,
     .words = words,
     .merge = CONF_MERGE_REPLACE,
     .text = "Keeps requests for an agent's inspector, or shows them. In agents alone: `adit 3000 "
             "--inspect` makes use of it, an edge refuses it.",
     .example = "sites:\n"
                "  default: {inspect: record, respond: ok}\n",
     .check = check_inspect},
    CONF_END,
};

struct inspect {
    bool page;
    unsigned slot;
};

static int compile(const struct module_compile *c, void **conf)
{
    struct conf_node n = conf_get(c->scope->level[0], "inspect"); // a site says it for itself
    if (!conf_exists(n)) {
        return 0;
    }
    struct inspect *i = arena_alloc(c->arena, sizeof(*i));
    if (i == NULL) {
        return E_NO_MEMORY;
    }
    i->page = slice_eq(conf_text(n), SLICE("page"));
    i->slot = module_index(&inspect_module);
    *conf = i;
    return 0;
}

// ---- hooks -----------------------------------------------------------------------------------------

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct inspect *i = conf;
    if (ring == NULL) {
        return STAGE_CONTINUE;
    }
    if (i->page) {
        const struct answer_place place = {.ring = ring, .slot = i->slot};
        return answer_request(&place, x);
    }
    struct capture *c = capture_begin(ring, x, 0);
    x->slots[i->slot] = c;
    if (c != NULL) {
        capture_request(c, x);
    }
    return STAGE_CONTINUE;
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    const struct inspect *i = conf;
    struct capture *c = exchange_slot(x, i->slot);
    if (ring == NULL || i->page) {
        return STAGE_CONTINUE;
    }
    if (c == NULL) { // refused before it came here
        c = capture_begin(ring, x, 0);
        x->slots[i->slot] = c;
    }
    if (c != NULL) {
        capture_answer(c, x, &x->response);
        if (c->repeats) {
            answer_defuse(x);
        }
    }
    return STAGE_CONTINUE;
}

static void on_interim(struct exchange *x, struct http_head *head, const void *conf)
{
    const struct inspect *i = conf;
    struct capture *c = exchange_slot(x, i->slot);
    if (c != NULL && head->status == 101) {
        capture_answer(c, x, head);
    }
}

static void on_done(struct exchange *x, const void *conf)
{
    const struct inspect *i = conf;
    struct capture *c = exchange_slot(x, i->slot);
    if (c != NULL) {
        capture_end(c, x);
    }
}

const struct module inspect_module = {
    .name = "inspect",
    .directives = inspect_directives,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_interim = on_interim,
    .on_done = on_done,
};

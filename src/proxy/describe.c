// SPDX-License-Identifier: Apache-2.0
//
// What the panic dump says of an exchange. It may be half broken, so nothing here follows more than
// one pointer or asserts, and what came from a peer is escaped: the dump goes to a log.

#include "base/text.h"
#include "proxy/exchange_int.h"

static const char *const state_names[] = {
    [EXCHANGE_RECEIVING] = "receiving",   [EXCHANGE_ROUTING] = "routing",
    [EXCHANGE_CONNECTING] = "connecting", [EXCHANGE_WAITING] = "waiting",
    [EXCHANGE_ANSWERING] = "answering",   [EXCHANGE_DONE] = "done",
};

enum { DESCRIBED_TEXT_MAX = 200 };

static void put(struct text *out, const char *name, struct slice value)
{
    text_str(out, name);
    text_json(out, slice_sub(value, 0, DESCRIBED_TEXT_MAX));
    text_char(out, '"');
}

void exchange_describe(const struct exchange *x, struct text *out)
{
    if (x == NULL || x->magic != EXCHANGE_MAGIC) {
        text_str(out, "exchange: not one\n");
        return;
    }
    const char *state = x->state < array_len(state_names) ? state_names[x->state] : "unknown";
    text_printf(out, "exchange 0x%llx state=%s attempts=%u answered=%d down=%d up=%d status=%u",
                (unsigned long long)(uintptr_t)x, state, x->attempts, x->answered, x->down != NULL,
                x->first.up != NULL, x->response.status);
    if (x->state != EXCHANGE_RECEIVING) { // before, there is no head to speak of
        put(out, " id=\"", slice_of(x->id, sizeof x->id));
        put(out, " host=\"", x->request.authority);
        put(out, " target=\"", x->original_target);
    }
    text_char(out, '\n');
}

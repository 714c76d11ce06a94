// SPDX-License-Identifier: Apache-2.0
//
// Verdicts and sets of statuses (upstream/verdict.h).

#include "upstream/verdict.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "conf/diag.h"
#include "proxy/upstream.h"

enum { STATUS_MIN = 100, STATUS_MAX = 599 };

void status_set_add(struct status_set *s, unsigned first, unsigned last)
{
    ensure(first >= STATUS_MIN && last <= STATUS_MAX);
    for (unsigned i = first; i <= last; i++) {
        s->bits[i / 64] |= UINT64_C(1) << i % 64;
    }
}

static int parse_status(struct slice word, unsigned *out)
{
    uint64_t value = 0;
    if (word.len != 3 || num_parse_u64(word, STATUS_MAX, &value) != 0 || value < STATUS_MIN) {
        return E_INVALID;
    }
    *out = (unsigned)value;
    return 0;
}

int status_set_parse(struct status_set *s, struct slice word)
{
    unsigned first = 0;
    unsigned last = 0;
    bool class = word.len == 3 && word.ptr[1] == 'x' && word.ptr[2] == 'x';
    if (class && word.ptr[0] >= '1' && word.ptr[0] <= '5') {
        first = (unsigned)(word.ptr[0] - '0') * 100;
        status_set_add(s, first, first + 99);
        return 0;
    }
    ptrdiff_t dash = slice_find_char(word, '-');
    if (dash < 0) {
        int e = parse_status(word, &first);
        if (e == 0) {
            status_set_add(s, first, first);
        }
        return e;
    }
    if (parse_status(slice_sub(word, 0, (size_t)dash), &first) < 0 ||
        parse_status(slice_from(word, (size_t)dash + 1), &last) < 0 || first > last) {
        return E_INVALID;
    }
    status_set_add(s, first, last);
    return 0;
}

void status_set_text(const struct status_set *s, struct text *out)
{
    const char *between = "";
    for (unsigned i = STATUS_MIN; i <= STATUS_MAX; i++) {
        if (!status_set_has(s, i)) {
            continue;
        }
        unsigned last = i;
        while (last < STATUS_MAX && status_set_has(s, last + 1)) {
            last++;
        }
        text_printf(out, last > i ? "%s%u-%u" : "%s%u", between, i, last);
        between = ", ";
        i = last;
    }
}

void status_set_compile(struct status_set *s, struct conf_node list, const char *fallback)
{
    *s = (struct status_set){{0}};
    if (!conf_exists(list)) {
        struct slice rest = slice_str(fallback);
        struct slice word;
        while (slice_next_element(&rest, &word)) {
            int e = status_set_parse(s, word);
            ensure(e == 0);
        }
        return;
    }
    conf_each(word, list)
    {
        int e = status_set_parse(s, conf_text(word));
        ensure(e == 0); // status_set_check() has seen to it
    }
}

void status_set_check(struct conf_diags *d, struct conf_node list)
{
    struct status_set s = {{0}};
    conf_each(word, list)
    {
        if (status_set_parse(&s, conf_text(word)) < 0) {
            conf_error(d, word, "`%.*s` is not a status", SLICE_ARG(conf_text(word)));
            conf_hint(d, "a status is 204, a range is 200-399, a class is 2xx");
        }
    }
}

enum verdict verdict_of_error(int error)
{
    bool its = error_class_of(error) == ERROR_CLASS_PEER || error == E_NOT_RESOLVED;
    return its && error != E_CLIENT_GONE ? VERDICT_BAD : VERDICT_NONE;
}

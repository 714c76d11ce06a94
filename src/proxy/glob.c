// SPDX-License-Identifier: Apache-2.0
//
// Two places to go back to are enough: the last `*` and the last `**`. Everything before a `**` is
// settled once the `**` is reached, because the leftmost place leaves the most room for the rest; the
// same holds for `*` within one path segment. When a `*` runs into a '/', the `**` before it moves
// on, and straight to that '/' when no literal in between could cross it: so each byte is looked at
// about once per wildcard. The step limit is a second line of defence and is not reached by this.

#include "proxy/glob.h"

#include "base/error.h"

struct mark {
    uint16_t token; // the wildcard; UINT16_MAX: none yet
    size_t from;    // where its bytes begin
    size_t to;      // where they end
};

struct run {
    struct mark star;
    struct mark wide;
    uint16_t token;
    size_t at;
};

enum { NO_MARK = UINT16_MAX };

bool glob_is_pattern(struct slice text)
{
    return slice_find_char(text, '*') >= 0;
}

static size_t token_length(struct slice rest, uint8_t *kind)
{
    if (rest.ptr[0] != '*') {
        ptrdiff_t star = slice_find_char(rest, '*');
        *kind = GLOB_LITERAL;
        return star < 0 ? rest.len : (size_t)star;
    }
    size_t n = 1;
    while (n < rest.len && rest.ptr[n] == '*') {
        n++;
    }
    *kind = n == 1 ? GLOB_STAR : GLOB_DOUBLE_STAR;
    return n;
}

static unsigned split(struct slice text, struct glob_token *tokens)
{
    unsigned count = 0;
    uint8_t captures = 0;
    bool crosses = false;
    while (text.len > 0) {
        if (count == GLOB_TOKENS_MAX) {
            return count + 1;
        }
        struct glob_token *t = &tokens[count++];
        *t = (struct glob_token){0};
        size_t len = token_length(text, &t->kind);
        if (t->kind == GLOB_LITERAL) {
            t->text = slice_sub(text, 0, len);
            crosses = crosses || slice_find_char(t->text, '/') >= 0;
        } else {
            t->capture = ++captures;
            t->segment_bound = !crosses;
            crosses = crosses && t->kind != GLOB_DOUBLE_STAR;
        }
        text = slice_from(text, len);
    }
    return count;
}

int glob_compile(struct slice text, struct arena *arena, const struct glob **out)
{
    struct glob_token tokens[GLOB_TOKENS_MAX];
    unsigned count = split(text, tokens);
    if (count > GLOB_TOKENS_MAX) {
        return E_TOO_LARGE;
    }
    struct glob *g = arena_alloc(arena, sizeof(*g) + count * sizeof(tokens[0]));
    if (g == NULL) {
        return E_NO_MEMORY;
    }
    g->count = (uint16_t)count;
    memcpy(g->tokens, tokens, count * sizeof(tokens[0]));
    *out = g;
    return 0;
}

static bool step_back(const struct glob *g, struct slice text, struct run *r)
{
    if (r->star.token != NO_MARK) {
        if (r->star.to < text.len && text.ptr[r->star.to] != '/') {
            r->at = ++r->star.to;
            r->token = (uint16_t)(r->star.token + 1);
            return true;
        }
        if (r->star.to == text.len) {
            return false; // what follows the star is nowhere in the rest: later starts see even less
        }
        if (r->wide.token != NO_MARK && g->tokens[r->star.token].segment_bound) {
            r->wide.to = r->star.to; // nor anywhere in this segment
        }
    }
    if (r->wide.token == NO_MARK || r->wide.to >= text.len) {
        return false;
    }
    r->at = ++r->wide.to;
    r->token = (uint16_t)(r->wide.token + 1);
    r->star.token = NO_MARK;
    return true;
}

static void set_capture(const struct glob *g, struct slice text, const struct mark *m,
                        struct slice *captures, unsigned captures_max)
{
    if (m->token != NO_MARK && g->tokens[m->token].capture < captures_max) {
        captures[g->tokens[m->token].capture] = slice_sub(text, m->from, m->to - m->from);
    }
}

static void begin_wildcard(const struct glob *g, struct slice text, struct run *r,
                           struct slice *captures, unsigned captures_max)
{
    // The star that is left behind keeps its length from here on, as long as no `**` moves; if one
    // does, the star is met again and set anew.
    set_capture(g, text, &r->star, captures, captures_max);
    struct mark here = {r->token, r->at, r->at};
    if (g->tokens[r->token].kind == GLOB_DOUBLE_STAR) {
        set_capture(g, text, &r->wide, captures, captures_max);
        r->wide = here;
        r->star.token = NO_MARK;
        if (r->token + 1 == g->count) {
            r->wide.to = text.len; // the last piece takes all there is
            r->at = text.len;
        }
    } else {
        r->star = here;
    }
    r->token++;
}

bool glob_match(const struct glob *g, struct slice text, struct slice *captures,
                unsigned captures_max)
{
    struct run r = {{NO_MARK, 0, 0}, {NO_MARK, 0, 0}, 0, 0};
    for (unsigned steps = 0; steps < GLOB_STEPS_MAX; steps++) {
        if (r.token < g->count) {
            const struct glob_token *t = &g->tokens[r.token];
            if (t->kind != GLOB_LITERAL) {
                begin_wildcard(g, text, &r, captures, captures_max);
                continue;
            }
            if (text.len - r.at >= t->text.len &&
                memcmp(text.ptr + r.at, t->text.ptr, t->text.len) == 0) {
                r.at += t->text.len;
                r.token++;
                continue;
            }
        } else if (r.at == text.len) {
            set_capture(g, text, &r.star, captures, captures_max);
            set_capture(g, text, &r.wide, captures, captures_max);
            if (captures_max > 0) {
                captures[0] = text;
            }
            return true;
        }
        if (!step_back(g, text, &r)) {
            return false;
        }
    }
    return false;
}

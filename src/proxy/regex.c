// SPDX-License-Identifier: Apache-2.0
//
// The only place that calls PCRE2. Memory of compiled patterns comes from mem_alloc() and belongs to
// the arena's end; the per-thread match block (offsets, context with the limits, JIT stack) is made
// when a core starts, so that matching itself allocates nothing where there is JIT.
//
// Patterns see bytes, not characters: paths and field values are bytes, and a path is
// percent-encoded ASCII by the time it is matched.

#define PCRE2_CODE_UNIT_WIDTH 8

#include "proxy/regex.h"

#include <pcre2.h>

#include "base/error.h"
#include "base/slab.h"
#include "obs/log.h"

enum { REGEX_MAGIC = 0x52474558 };

struct regex {
    uint32_t magic;
    pcre2_code *code;
    struct slice pattern;
};

struct regex_thread {
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    uint64_t failures; // matches that hit a limit
};

static _Thread_local struct regex_thread thread;

static void *allocate(PCRE2_SIZE size, void *unused)
{
    (void)unused;
    return mem_alloc(size);
}

static void release(void *ptr, void *unused)
{
    (void)unused;
    mem_free(ptr);
}

int regex_thread_init(void)
{
    if (thread.data != NULL) {
        return 0;
    }
    thread.general = pcre2_general_context_create(allocate, release, NULL);
    if (thread.general == NULL) {
        return E_NO_MEMORY;
    }
    thread.context = pcre2_match_context_create(thread.general);
    thread.data = pcre2_match_data_create(REGEX_CAPTURES_MAX, thread.general);
    // NULL where JIT is not supported, which is fine: then no code has been compiled for it either.
    thread.stack = pcre2_jit_stack_create(32 * 1024, REGEX_STACK_BYTES, thread.general);
    if (thread.context == NULL || thread.data == NULL) {
        regex_thread_fini();
        return E_NO_MEMORY;
    }
    (void)pcre2_set_match_limit(thread.context, REGEX_STEPS_MAX);
    (void)pcre2_set_depth_limit(thread.context, REGEX_STEPS_MAX);
    (void)pcre2_set_heap_limit(thread.context, REGEX_HEAP_KIB);
    pcre2_jit_stack_assign(thread.context, NULL, thread.stack);
    return 0;
}

void regex_thread_fini(void)
{
    pcre2_jit_stack_free(thread.stack);
    pcre2_match_data_free(thread.data);
    pcre2_match_context_free(thread.context);
    pcre2_general_context_free(thread.general);
    thread = (struct regex_thread){0};
}

static void free_regex(void *arg)
{
    struct regex *r = arg;
    ensure_magic(r, REGEX_MAGIC);
    r->magic = 0;
    pcre2_code_free(r->code);
}

static pcre2_code *compile(struct slice pattern, int *code, PCRE2_SIZE *offset)
{
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, NULL);
    if (general == NULL) {
        return NULL;
    }
    pcre2_code *compiled = NULL;
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    if (context != NULL) {
        (void)pcre2_set_max_pattern_length(context, REGEX_PATTERN_MAX);
        compiled = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                                 PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                                 code, offset, context);
    }
    if (compiled != NULL) {
        // Fails where executable memory is forbidden; the interpreter then does it.
        (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    return compiled;
}

int regex_compile(struct slice pattern, struct arena *arena, const struct regex **out,
                  struct regex_error *error)
{
    int code = PCRE2_ERROR_NOMEMORY;
    PCRE2_SIZE offset = 0;
    *error = (struct regex_error){0};
    struct regex *r = arena_alloc(arena, sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    pcre2_code *compiled = compile(pattern, &code, &offset);
    if (compiled == NULL) {
        error->offset = offset;
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)error->message, sizeof(error->message));
        bool memory = code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED;
        return memory ? E_NO_MEMORY : E_INVALID;
    }
    *r = (struct regex){.magic = REGEX_MAGIC, .code = compiled, .pattern = pattern};
    if (arena_on_fini(arena, free_regex, r) != 0) {
        pcre2_code_free(compiled);
        return E_NO_MEMORY;
    }
    *out = r;
    return 0;
}

static void note_failure(const struct regex *r, int code)
{
    // The first and then every 1024th, so that a client cannot fill the log.
    if (thread.failures++ % 1024 == 0) {
        log_line(LOG_WARN,
                 "regular expression gave up, taken as no match: pattern=\"%.*s\" pcre2=%d",
                 SLICE_ARG(r->pattern), code);
    }
}

bool regex_match(const struct regex *r, struct slice subject, struct slice *captures, unsigned max)
{
    ensure_magic(r, REGEX_MAGIC);
    ensure(max <= REGEX_CAPTURES_MAX);
    if (thread.data == NULL && regex_thread_init() != 0) {
        return false;
    }
    int n = pcre2_match(r->code, (PCRE2_SPTR)(subject.ptr != NULL ? subject.ptr : ""), subject.len,
                        0, 0, thread.data, thread.context);
    if (n < 0) {
        if (n != PCRE2_ERROR_NOMATCH) {
            note_failure(r, n);
        }
        return false;
    }
    unsigned pairs = n == 0 ? REGEX_CAPTURES_MAX : (unsigned)n;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(thread.data);
    for (unsigned i = 0; i < max; i++) {
        bool set = i < pairs && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];
        captures[i] =
            set ? slice_of(subject.ptr + at[2 * i], at[2 * i + 1] - at[2 * i]) : slice_of("", 0);
    }
    return true;
}

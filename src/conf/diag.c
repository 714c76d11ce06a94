// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics (conf/diag.h). All text is copied into one arena that lives as long as the diags, so
// that they can be shown after the configuration they are about is gone.

#include "conf/diag.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/doc_int.h"
#include "conf/value.h"

enum {
    DIAGS_MAGIC = 0x64696167,   // "diag"
    DIAGS_BYTES_MAX = 64 << 20, // copies of the sources
    MESSAGE_MAX = 512,
    SOURCE_COLUMNS_MAX = 120, // of a source line, around the caret
    JSON_SOURCE_MAX = 500,
};

struct source {
    struct slice name;
    struct slice text;
};

struct conf_diags {
    uint32_t magic;
    unsigned errors;
    unsigned warnings;
    unsigned stored;
    uint16_t files;
    bool dropped; // the last report was not stored, so its hint is not either
    struct conf_diag *first;
    struct conf_diag *last;
    struct arena arena;
    struct source sources[CONF_FILES_MAX];
};

struct conf_diags *conf_diags_new(void)
{
    struct conf_diags *d = mem_zalloc(sizeof *d);
    if (d != NULL) {
        d->magic = DIAGS_MAGIC;
        arena_init(&d->arena, NULL, 0, NULL, DIAGS_BYTES_MAX);
    }
    return d;
}

void conf_diags_free(struct conf_diags *d)
{
    if (d != NULL) {
        ensure_magic(d, DIAGS_MAGIC);
        arena_fini(&d->arena);
        d->magic = 0;
        mem_free(d);
    }
}

uint16_t conf_diags_file(struct conf_diags *d, struct slice name, struct slice text)
{
    ensure_magic(d, DIAGS_MAGIC);
    if (d->files == CONF_FILES_MAX) {
        return CONF_FILES_MAX - 1;
    }
    struct source *s = &d->sources[d->files];
    s->name = arena_dup(&d->arena, name);
    s->text = arena_dup(&d->arena, text);
    if (s->name.ptr == NULL) {
        s->name = SLICE("?");
    }
    if (s->text.ptr == NULL) {
        s->text = SLICE("");
    }
    return d->files++;
}

// ---- reporting ----------------------------------------------------------------------------------

__attribute__((format(printf, 2, 0))) static struct slice format_copy(struct conf_diags *d,
                                                                      const char *format,
                                                                      va_list args)
{
    char buffer[MESSAGE_MAX];
    int len = vsnprintf(buffer, sizeof buffer, format, args);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof buffer ? (size_t)len : sizeof buffer - 1;
    struct slice copy = arena_dup(&d->arena, slice_of(buffer, used));
    return copy.ptr != NULL ? copy : SLICE("(out of memory)");
}

static bool same_spot(const struct conf_spot *a, const struct conf_spot *b)
{
    return a->file == b->file && a->line == b->line && a->column == b->column;
}

static bool known(const struct conf_diags *d, const struct conf_diag *one)
{
    for (const struct conf_diag *i = d->first; i != NULL; i = i->next) {
        if (same_spot(&i->spot, &one->spot) && slice_eq(i->message, one->message)) {
            return true;
        }
    }
    return false;
}

__attribute__((format(printf, 4, 0))) static void report(struct conf_diags *d,
                                                         enum conf_severity severity,
                                                         struct conf_spot spot, const char *format,
                                                         va_list args)
{
    ensure_magic(d, DIAGS_MAGIC);
    struct conf_diag one = {
        .spot = spot,
        .severity = (uint8_t)severity,
        .message = format_copy(d, format, args),
    };
    d->dropped = known(d, &one);
    if (d->dropped) {
        return;
    }
    if (severity == CONF_ERROR) {
        d->errors++;
    } else {
        d->warnings++;
    }
    struct conf_diag *kept = NULL;
    if (d->stored < CONF_DIAGS_MAX) {
        kept = arena_alloc(&d->arena, sizeof *kept);
    }
    d->dropped = kept == NULL;
    if (kept == NULL) {
        return;
    }
    *kept = one;
    if (d->last != NULL) {
        d->last->next = kept;
    } else {
        d->first = kept;
    }
    d->last = kept;
    d->stored++;
}

static struct conf_spot spot_of(struct conf_diags *d, struct conf_node at)
{
    struct conf_spot spot = {0};
    if (!conf_exists(at)) {
        return spot;
    }
    struct conf_place place = conf_place_of(at);
    uint16_t file = 0;
    while (file < d->files && !slice_eq(d->sources[file].name, place.file)) {
        file++;
    }
    if (file == d->files) {
        file = conf_diags_file(d, place.file, SLICE(""));
    }
    spot.file = file;
    spot.line = place.line;
    spot.column = place.column;
    spot.width = 1;
    if (conf_kind_of(at) == CONF_SCALAR && conf_text(at).len > 0) {
        spot.width = (uint32_t)conf_text(at).len;
    }
    return spot;
}

void conf_error(struct conf_diags *d, struct conf_node at, const char *format, ...)
{
    if (d != NULL) {
        va_list args;
        va_start(args, format);
        report(d, CONF_ERROR, spot_of(d, at), format, args);
        va_end(args);
    }
}

void conf_warning(struct conf_diags *d, struct conf_node at, const char *format, ...)
{
    if (d != NULL) {
        va_list args;
        va_start(args, format);
        report(d, CONF_WARNING, spot_of(d, at), format, args);
        va_end(args);
    }
}

void conf_report(struct conf_diags *d, enum conf_severity severity, struct conf_spot spot,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(d, severity, spot, format, args);
    va_end(args);
}

void conf_hint(struct conf_diags *d, const char *format, ...)
{
    if (d != NULL && d->last != NULL && !d->dropped) {
        va_list args;
        va_start(args, format);
        d->last->hint = format_copy(d, format, args);
        va_end(args);
    }
}

void conf_other(struct conf_diags *d, struct conf_spot spot, const char *what)
{
    if (d->last != NULL && !d->dropped) {
        d->last->other = spot;
        d->last->other_text = slice_str(what);
    }
}

unsigned conf_diags_errors(const struct conf_diags *d)
{
    return d->errors;
}

unsigned conf_diags_warnings(const struct conf_diags *d)
{
    return d->warnings;
}

const struct conf_diag *conf_diags_first(const struct conf_diags *d)
{
    return d->first;
}

struct slice conf_diags_file_name(const struct conf_diags *d, uint16_t file)
{
    return file < d->files ? d->sources[file].name : SLICE("");
}

static bool before(const struct conf_diag *a, const struct conf_diag *b)
{
    const struct conf_spot *x = &a->spot;
    const struct conf_spot *y = &b->spot;
    if (x->file != y->file) {
        return x->file < y->file;
    }
    return x->line != y->line ? x->line < y->line : x->column < y->column;
}

// Insertion sort: at most CONF_DIAGS_MAX, and equal places keep their order.
void conf_diags_sort(struct conf_diags *d)
{
    struct conf_diag *rest = d->first;
    d->first = NULL;
    while (rest != NULL) {
        struct conf_diag *one = rest;
        rest = rest->next;
        struct conf_diag **at = &d->first;
        while (*at != NULL && !before(one, *at)) {
            at = &(*at)->next;
        }
        one->next = *at;
        *at = one;
    }
    d->last = d->first;
    while (d->last != NULL && d->last->next != NULL) {
        d->last = d->last->next;
    }
}

// ---- showing ------------------------------------------------------------------------------------

static struct slice source_line(const struct conf_diags *d, struct conf_spot spot)
{
    struct slice rest = spot.file < d->files ? d->sources[spot.file].text : SLICE("");
    for (uint32_t line = 1; line < spot.line; line++) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        if (end < 0) {
            return SLICE("");
        }
        rest = slice_from(rest, (size_t)end + 1);
    }
    ptrdiff_t end = slice_find_char(rest, '\n');
    struct slice line = end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

// Byte offset of a column; columns count code points, continuation bytes of UTF-8 do not start one.
static size_t column_offset(struct slice line, uint32_t column)
{
    size_t at = 0;
    for (uint32_t i = 1; i < column && at < line.len; i++) {
        at++;
        while (at < line.len && ((unsigned char)line.ptr[at] & 0xc0) == 0x80) {
            at++;
        }
    }
    return at;
}

static void put_colour(struct text *out, bool colour, const char *code)
{
    if (colour) {
        text_str(out, code);
    }
}

// Tabs are kept in the caret line so that it stays aligned; what is no plain text is not shown.
static void put_source(struct text *out, struct slice line)
{
    while (line.len > 0) {
        uint32_t code = 0;
        size_t len = conf_utf8_take(line, &code);
        bool hidden = len == 0 || conf_is_deceptive(code) || (code < 0x20 && code != '\t') ||
                      (code >= 0x7f && code < 0xa0);
        text_put(out, hidden ? SLICE("?") : slice_sub(line, 0, len));
        line = slice_from(line, len > 0 ? len : 1);
    }
}

static void put_caret_line(struct text *out, struct slice line, size_t start, uint32_t width)
{
    for (size_t i = 0; i < start; i++) {
        if (((unsigned char)line.ptr[i] & 0xc0) != 0x80) {
            text_char(out, line.ptr[i] == '\t' ? '\t' : ' ');
        }
    }
    size_t room = line.len > start ? line.len - start : 1;
    for (size_t i = 0; i < (width < room ? width : room); i++) {
        text_char(out, '^');
    }
}

static void put_excerpt(const struct conf_diags *d, struct conf_spot spot, bool colour,
                        struct text *out)
{
    struct slice line = source_line(d, spot);
    if (line.len == 0) {
        return;
    }
    size_t start = column_offset(line, spot.column);
    // Of a very long line only what surrounds the place is shown.
    size_t skip = start > SOURCE_COLUMNS_MAX / 2 && line.len > SOURCE_COLUMNS_MAX
                      ? start - SOURCE_COLUMNS_MAX / 2
                      : 0;
    while (skip > 0 && ((unsigned char)line.ptr[skip] & 0xc0) == 0x80) {
        skip--;
    }
    line = slice_from(line, skip);
    line = slice_sub(line, 0, SOURCE_COLUMNS_MAX);
    start -= skip;
    text_printf(out, "%6u | ", spot.line);
    put_source(out, line);
    text_str(out, "\n       | ");
    put_colour(out, colour, "\033[1;32m");
    put_caret_line(out, line, start, spot.width > 0 ? spot.width : 1);
    put_colour(out, colour, "\033[0m");
    text_char(out, '\n');
}

static void put_place(const struct conf_diags *d, struct conf_spot spot, struct text *out)
{
    text_put(out, conf_diags_file_name(d, spot.file));
    if (spot.line > 0) {
        text_printf(out, ":%u:%u", spot.line, spot.column);
    }
    text_str(out, ": ");
}

void conf_diag_text(const struct conf_diags *d, const struct conf_diag *one, bool colour,
                    struct text *out)
{
    bool error = one->severity == CONF_ERROR;
    put_colour(out, colour, "\033[1m");
    put_place(d, one->spot, out);
    put_colour(out, colour, error ? "\033[1;31m" : "\033[1;33m");
    text_str(out, error ? "error: " : "warning: ");
    put_colour(out, colour, "\033[0m");
    text_put(out, one->message);
    text_char(out, '\n');
    if (one->spot.line > 0) {
        put_excerpt(d, one->spot, colour, out);
    }
    if (one->other.line > 0) {
        text_str(out, "  ");
        put_place(d, one->other, out);
        text_put(out, one->other_text);
        text_char(out, '\n');
    }
    if (one->hint.len > 0) {
        text_str(out, "  hint: ");
        text_put(out, one->hint);
        text_char(out, '\n');
    }
}

static void put_json_string(struct text *out, const char *name, struct slice s)
{
    text_printf(out, "\"%s\":\"", name);
    text_json(out, s);
    text_char(out, '"');
}

void conf_diag_json(const struct conf_diags *d, const struct conf_diag *one, struct text *out)
{
    text_printf(out, "{\"severity\":\"%s\",", one->severity == CONF_ERROR ? "error" : "warning");
    put_json_string(out, "file", conf_diags_file_name(d, one->spot.file));
    text_printf(out, ",\"line\":%u,\"column\":%u,\"width\":%u,", one->spot.line, one->spot.column,
                one->spot.width);
    put_json_string(out, "message", one->message);
    if (one->hint.len > 0) {
        text_char(out, ',');
        put_json_string(out, "hint", one->hint);
    }
    if (one->other.line > 0) {
        text_str(out, ",\"other\":{");
        put_json_string(out, "file", conf_diags_file_name(d, one->other.file));
        text_printf(out, ",\"line\":%u,\"column\":%u,", one->other.line, one->other.column);
        put_json_string(out, "message", one->other_text);
        text_char(out, '}');
    }
    if (one->spot.line > 0) {
        text_char(out, ',');
        put_json_string(out, "source", slice_sub(source_line(d, one->spot), 0, JSON_SOURCE_MAX));
    }
    text_char(out, '}');
}

// SPDX-License-Identifier: Apache-2.0
//
// The check of scalars: text becomes what its directive takes, or an error that says what to write.
// Each type has one function; it rewrites item->text into the canonical form.

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "os/addr.h"

#include "conf/address.h"
#include "conf/nearest.h"
#include "conf/template.h"
#include "conf/tree_int.h"
#include "conf/value.h"

enum {
    CANONICAL_MAX = 512,
    REGEX_BYTES_MAX = 4096,
    SECRET_BYTES_MAX = 64 << 10, // of a file put in with $file()
    CONTENT_BYTES_MAX = 1 << 20, // of a file that a directive names
    FILE_PATH_MAX = 900,         // what processes pass to each other holds 1023 bytes
};

struct check {
    struct conf_build *b;
    struct conf_item *item;
    const struct conf_directive *row;
    struct conf_spot spot;
    struct slice shown; // the value as written: what $env and $file gave is nobody else's business
    bool outside;       // it was written with them
};

#define WRONG(c, ...) conf_report((c)->b->diags, CONF_ERROR, (c)->spot, __VA_ARGS__)
// A hint repeats parts of the value.
#define HINT(c, ...) ((c)->outside ? (void)0 : conf_hint((c)->b->diags, __VA_ARGS__))

static bool set_text(struct check *c, const struct text *t)
{
    struct slice copy = arena_dup(c->b->arena, text_slice(t));
    if (t->overflow) {
        WRONG(c, "`%s`: the value is too long", c->row->name);
        return false;
    }
    if (copy.ptr == NULL) {
        conf_build_no_memory(c->b);
        return false;
    }
    c->item->text = copy;
    return true;
}

// ---- $env and $file -----------------------------------------------------------------------------

static bool put_env(struct check *c, struct slice name, struct slice *out)
{
    char *key = arena_strdup(c->b->arena, name);
    const char *value = NULL;
    if (key != NULL && c->b->source != NULL && c->b->source->env != NULL) {
        value = c->b->source->env(c->b->source, key);
    }
    if (value == NULL) {
        WRONG(c, "the environment variable `%.*s` is not set", SLICE_ARG(name));
        return false;
    }
    *out = slice_str(value);
    return true;
}

static bool read_file(struct check *c, struct slice name, size_t max, struct slice *out)
{
    struct slice path = conf_path_join(c->b, c->item->spot.file, name);
    char *nul_terminated = arena_strdup(c->b->arena, path);
    if (nul_terminated == NULL) {
        conf_build_no_memory(c->b);
        return false;
    }
    int rc = E_NOT_FOUND;
    if (c->b->source != NULL) {
        rc = c->b->source->read(c->b->source, nul_terminated, max, c->b->arena, out);
    }
    if (rc != 0) {
        WRONG(c, "cannot read `%.*s`: %s", SLICE_ARG(path),
              rc == E_INVALID ? "not a regular file" : error_text(rc));
        if (rc == E_TOO_LARGE) {
            HINT(c, "it may have %zu KiB", max >> 10);
        }
    }
    return rc == 0;
}

static struct slice without_line_end(struct slice s)
{
    if (s.len > 0 && s.ptr[s.len - 1] == '\n') {
        s.len--;
    }
    if (s.len > 0 && s.ptr[s.len - 1] == '\r') {
        s.len--;
    }
    return s;
}

// What $env or $file stands for.
static bool outside_value(struct check *c, const struct conf_piece *piece, struct slice *out)
{
    if (piece->variable == CONF_VAR_ENV) {
        return put_env(c, piece->text, out);
    }
    if (!read_file(c, piece->text, SECRET_BYTES_MAX, out)) {
        return false;
    }
    *out = without_line_end(*out);
    return true;
}

static bool mentions_outside(struct slice s)
{
    return slice_find(s, SLICE("$env(")) >= 0 || slice_find(s, SLICE("$file(")) >= 0 ||
           slice_find(s, SLICE("${env(")) >= 0 || slice_find(s, SLICE("${file(")) >= 0;
}

static bool parse_template(struct check *c, struct conf_template *t)
{
    struct conf_template_error e = {0};
    int rc = conf_template_parse(c->item->text, c->b->arena, t, &e);
    if (rc == E_NO_MEMORY) {
        conf_build_no_memory(c->b);
    } else if (rc != 0) {
        if (c->item->spot.width >= c->item->text.len) { // on one line: point into it
            bool quoted = !c->item->plain;
            c->spot.column += (uint32_t)(e.offset + quoted);
            c->spot.width = 1;
        }
        WRONG(c, "%s", e.message);
        HINT(c, "%s", e.hint);
    }
    return rc == 0;
}

// Puts $env and $file in. For a template the other pieces stay and what is put in is escaped; any
// other value may hold nothing else.
static bool put_outside(struct check *c, bool template)
{
    struct conf_template t;
    if (!parse_template(c, &t)) {
        return false;
    }
    size_t room = c->item->text.len * 2 + 16;
    struct slice *values = arena_zalloc(c->b->arena, (t.count + 1) * sizeof *values);
    for (uint32_t i = 0; values != NULL && i < t.count; i++) {
        uint8_t variable = t.pieces[i].variable;
        bool outside = variable == CONF_VAR_ENV || variable == CONF_VAR_FILE;
        if (outside && !outside_value(c, &t.pieces[i], &values[i])) {
            return false;
        }
        if (!template && variable != CONF_VAR_TEXT && !outside) {
            WRONG(c, "`%s` is not about a request: only $env() and $file() may stand in it",
                  c->row->name);
            return false;
        }
        room += values[i].len * 2;
    }
    char *buffer = arena_bytes(c->b->arena, room);
    if (buffer == NULL || values == NULL) {
        conf_build_no_memory(c->b);
        return false;
    }
    struct text out = text_on(buffer, room);
    for (uint32_t i = 0; i < t.count; i++) {
        bool outside = values[i].ptr != NULL;
        struct slice text = outside ? values[i] : t.pieces[i].text;
        if (template && outside) {
            conf_template_escape(&out, text);
        } else if (template) {
            conf_template_write(&out, &t.pieces[i]);
        } else {
            text_put(&out, text);
        }
    }
    ensure(!out.overflow);
    c->item->text = text_slice(&out);
    return true;
}

// ---- simple types -------------------------------------------------------------------------------

static bool check_bool(struct check *c)
{
    bool value = false;
    if (conf_value_bool(c->item->text, &value) == 0) {
        c->item->text = value ? SLICE("on") : SLICE("off");
        return true;
    }
    WRONG(c, "`%s` is `on` or `off`, not `%.*s`", c->row->name, SLICE_ARG(c->shown));
    static const char *const yes[] = {"yes", "y", "1", "enable", "enabled"};
    static const char *const no[] = {"no", "n", "0", "disable", "disabled", "none"};
    for (size_t i = 0; i < array_len(no); i++) {
        if (slice_eq_nocase(c->item->text, slice_str(no[i]))) {
            HINT(c, "write `off`");
        } else if (i < array_len(yes) && slice_eq_nocase(c->item->text, slice_str(yes[i]))) {
            HINT(c, "write `on`");
        }
    }
    if (slice_eq_nocase(c->item->text, SLICE("on")) ||
        slice_eq_nocase(c->item->text, SLICE("off"))) {
        HINT(c, "in lower case");
    }
    return false;
}

static bool in_range(const struct conf_directive *row, uint64_t value)
{
    return (row->min == 0 && row->max == 0) ||
           (value >= (uint64_t)row->min && value <= (uint64_t)row->max);
}

static bool check_int(struct check *c)
{
    int64_t value = 0;
    int rc = conf_value_int(c->item->text, &value);
    struct slice s = c->item->text;
    if (rc == E_INVALID) {
        char what[CANONICAL_MAX];
        WRONG(c, "`%s` takes a %s, not `%.*s`", c->row->name,
              conf_type_text(c->row, what, sizeof what), SLICE_ARG(c->shown));
        if (s.len > 1 && s.ptr[0] == '0' && s.ptr[1] >= '0' && s.ptr[1] <= '9') {
            HINT(c, "write it without leading zeros: they mean octal to some readers");
        } else if (s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9') {
            HINT(c, "digits only: no unit, no separators, no exponent");
        }
        return false;
    }
    if (rc != 0 || !in_range(c->row, (uint64_t)value)) {
        WRONG(c, "`%s` is %lld to %lld%s%s, not %.*s", c->row->name, (long long)c->row->min,
              (long long)(c->row->max != 0 ? c->row->max : INT64_MAX),
              c->row->unit != NULL ? " " : "", c->row->unit != NULL ? c->row->unit : "",
              SLICE_ARG(c->shown));
        return false;
    }
    return true;
}

// "30 s", "30sec", "30": what was meant.
static void hint_duration(struct check *c, struct slice s)
{
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') {
        digits++;
    }
    struct slice unit = slice_trim(slice_from(s, digits));
    const char *meant = "s";
    if (digits == 0) {
        HINT(c, "a number and a unit: ms, s, m, h or d, as in 10s or 1m30s");
        return;
    }
    if (unit.len > 0 && slice_eq(unit, SLICE("us"))) {
        HINT(c, "nothing is timed finer than 1ms");
        return;
    }
    if (slice_starts(unit, SLICE(".")) || slice_starts(unit, SLICE(":"))) {
        HINT(c, "whole numbers only: 1.5s is 1500ms, 1:30 is 1m30s");
        return;
    }
    if (unit.len > 0 && strchr("mM", unit.ptr[0]) != NULL) {
        meant = slice_eq_nocase(slice_sub(unit, 0, 3), SLICE("mil")) ||
                        slice_eq_nocase(unit, SLICE("msec")) || slice_eq_nocase(unit, SLICE("ms"))
                    ? "ms"
                    : "m";
    } else if (unit.len > 0 && strchr("hH", unit.ptr[0]) != NULL) {
        meant = "h";
    } else if (unit.len > 0 && strchr("dD", unit.ptr[0]) != NULL) {
        meant = "d";
    }
    HINT(c, "write %.*s%s (units: ms, s, m, h, d)", (int)digits, s.ptr, meant);
}

static void put_duration(struct text *t, uint64_t ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms == 0) {
        text_char(t, '0');
        return;
    }
    for (size_t i = 0; i < array_len(units); i++) {
        if (ms % units[i].ms == 0) {
            text_printf(t, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    }
}

static void put_size(struct text *t, uint64_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (unit + 1 < array_len(units) && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    text_printf(t, "%llu%s", (unsigned long long)bytes, units[unit]);
}

static bool wrong_range(struct check *c, void (*put)(struct text *t, uint64_t value))
{
    char buffer[CANONICAL_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    put(&t, (uint64_t)c->row->min);
    text_str(&t, " to ");
    put(&t, (uint64_t)c->row->max);
    WRONG(c, "`%s` is %.*s, not %.*s", c->row->name, SLICE_ARG(text_slice(&t)),
          SLICE_ARG(c->shown));
    return false;
}

static bool check_duration(struct check *c)
{
    uint64_t ms = 0;
    int rc = conf_value_duration(c->item->text, &ms);
    if (rc == E_INVALID) {
        WRONG(c, "`%s` takes a duration%s, not `%.*s`", c->row->name,
              c->row->off_ok ? " or `off`" : "", SLICE_ARG(c->shown));
        hint_duration(c, c->item->text);
        return false;
    }
    if (rc != 0 && c->row->max == 0) {
        WRONG(c, "`%s`: the duration is too long", c->row->name);
        return false;
    }
    return rc == 0 && in_range(c->row, ms) ? true : wrong_range(c, put_duration);
}

static void put_percent(struct text *t, uint64_t percent)
{
    text_printf(t, "%llu%%", (unsigned long long)percent);
}

static bool check_percent(struct check *c)
{
    uint64_t percent = 0;
    uint64_t plain = 0;
    struct slice s = c->item->text;
    int rc = conf_value_percent(s, &percent);
    if (rc != E_INVALID) {
        ensure(c->row->max > 0);
        return rc == 0 && in_range(c->row, percent) ? true : wrong_range(c, put_percent);
    }
    WRONG(c, "`%s` takes a percentage%s, not `%.*s`", c->row->name,
          c->row->off_ok ? " or `off`" : "", SLICE_ARG(c->shown));
    if (num_parse_u64(s, UINT64_MAX, &plain) == 0) {
        HINT(c, "write %.*s%%", SLICE_ARG(s));
    } else if (slice_find_char(s, '.') >= 0 || slice_find_char(s, ',') >= 0) {
        HINT(c, "whole numbers only, as in 20%%");
    } else {
        HINT(c, "a number with a percent sign, as in 20%%");
    }
    return false;
}

static void hint_size(struct check *c, struct slice s)
{
    static const char *const letters = "kmgtKMGT";
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') {
        digits++;
    }
    struct slice unit = slice_trim(slice_from(s, digits));
    const char *at = unit.len > 0 ? strchr(letters, unit.ptr[0]) : NULL;
    if (digits > 0 && slice_starts(unit, SLICE("."))) {
        HINT(c, "whole numbers only: 1.5MiB is 1536KiB");
    } else if (digits > 0 && at != NULL && *at != '\0') {
        char letter = letters[4 + (at - letters) % 4];
        HINT(c, "write %.*s%ciB (1024) or %.*s%cB (1000)", (int)digits, s.ptr, letter, (int)digits,
             s.ptr, letter);
    } else {
        HINT(c, "a number of bytes, or with a unit: KiB, MiB, GiB (1024) or KB, MB, GB (1000)");
    }
}

static bool check_size(struct check *c)
{
    uint64_t bytes = 0;
    int rc = conf_value_size(c->item->text, &bytes);
    if (rc == E_INVALID) {
        WRONG(c, "`%s` takes a size%s, not `%.*s`", c->row->name, c->row->off_ok ? " or `off`" : "",
              SLICE_ARG(c->shown));
        hint_size(c, c->item->text);
        return false;
    }
    if (rc != 0 && c->row->max == 0) {
        WRONG(c, "`%s`: the size is too large", c->row->name);
        return false;
    }
    return rc == 0 && in_range(c->row, bytes) ? true : wrong_range(c, put_size);
}

static bool check_enum(struct check *c)
{
    char buffer[CANONICAL_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    struct conf_nearest nearest = conf_nearest_to(c->item->text);
    ensure(c->row->words != NULL);
    for (const char *const *w = c->row->words; *w != NULL; w++) {
        text_printf(&t, "%s`%s`",
                    w == c->row->words                ? ""
                    : w[1] == NULL && !c->row->off_ok ? " or "
                                                      : ", ",
                    *w);
        conf_nearest_offer(&nearest, slice_str(*w));
    }
    text_str(&t, c->row->off_ok ? " or `off`" : "");
    WRONG(c, "`%s` is %.*s, not `%.*s`", c->row->name, SLICE_ARG(text_slice(&t)),
          SLICE_ARG(c->shown));
    if (nearest.best.len > 0) {
        HINT(c, "did you mean `%.*s`?", SLICE_ARG(nearest.best));
    }
    return false;
}

// ---- addresses ----------------------------------------------------------------------------------

typedef int address_fn(struct slice s, struct text *out, struct conf_problem *problem);

static bool check_address(struct check *c, address_fn *canonical)
{
    char buffer[CANONICAL_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    struct conf_problem problem = {"", ""};
    if (canonical(c->item->text, &t, &problem) != 0) {
        WRONG(c, "`%.*s`: %s", SLICE_ARG(c->shown), problem.what);
        HINT(c, "%s", problem.hint);
        return false;
    }
    return set_text(c, &t);
}

static bool check_cidr(struct check *c)
{
    struct slice s = c->item->text;
    struct os_cidr ignored;
    struct os_addr address;
    if ((c->row->condition || c->row->not_ok) && slice_starts(s, SLICE("not "))) {
        s = slice_trim(slice_from(s, 4));
    }
    if (os_cidr_parse(s, &ignored) == 0) {
        return true;
    }
    WRONG(c, "`%.*s` is not a network", SLICE_ARG(c->shown));
    ptrdiff_t slash = slice_find_char(s, '/');
    if ((c->row->condition || c->row->not_ok) && s.len > 0 &&
        (s.ptr[0] == '!' || s.ptr[0] == '-')) {
        HINT(c, "the word for negation is `not`: \"not %.*s\"", SLICE_ARG(slice_from(s, 1)));
    } else if (slash > 0 && os_addr_parse_ip(slice_sub(s, 0, (size_t)slash), 1, &address) == 0) {
        HINT(c, "the address must end where its prefix ends, as in 10.1.0.0/16");
    } else {
        HINT(c, "an address or a range, as in 10.0.0.0/8, fd00::/8 or 192.0.2.7");
    }
    return false;
}

// ---- matches ------------------------------------------------------------------------------------

static bool check_regex(struct check *c, struct slice pattern)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    if (pattern.len == 0 || pattern.len > REGEX_BYTES_MAX) {
        WRONG(c, pattern.len == 0 ? "an empty regular expression"
                                  : "the regular expression is too long");
        return false;
    }
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, 0, &code, &offset, NULL);
    if (compiled == NULL) {
        PCRE2_UCHAR message[CANONICAL_MAX];
        (void)pcre2_get_error_message(code, message, sizeof message);
        WRONG(c, "regular expression, at character %zu: %s", (size_t)offset + 1, (char *)message);
        if (pattern.ptr[0] == '*') {
            HINT(c, "case is ignored by (?i): \"~ (?i)%.*s\"",
                 SLICE_ARG(slice_trim(slice_from(pattern, 1))));
        }
        return false;
    }
    pcre2_code_free(compiled);
    return true;
}

// "~ REGEX" in its one spelling; false when it is not one.
static bool is_regex(struct slice s, struct slice *pattern)
{
    if (s.len == 0 || s.ptr[0] != '~') {
        return false;
    }
    *pattern = slice_trim(slice_from(s, 1));
    return true;
}

static bool set_regex(struct check *c, struct slice pattern)
{
    if (!check_regex(c, pattern)) {
        return false;
    }
    char *buffer = arena_bytes(c->b->arena, pattern.len + 2);
    if (buffer == NULL) {
        conf_build_no_memory(c->b);
        return false;
    }
    struct text t = text_on(buffer, pattern.len + 2);
    text_put(&t, SLICE("~ "));
    text_put(&t, pattern);
    c->item->text = text_slice(&t);
    return true;
}

static bool check_path(struct check *c)
{
    struct slice pattern;
    struct slice s = c->item->text;
    if (is_regex(s, &pattern)) {
        return set_regex(c, pattern);
    }
    if (s.len == 0 || s.ptr[0] != '/') {
        WRONG(c, "a path begins with `/`, a regular expression with `~ `: `%.*s`",
              SLICE_ARG(c->shown));
        if (s.len > 0 && s.ptr[0] == '^') {
            HINT(c, "\"~ %.*s\"", SLICE_ARG(s));
        } else if (slice_find(s, SLICE("://")) > 0) {
            HINT(c, "the host is the name of the site, or `host:` in a route");
        } else {
            HINT(c, "/%.*s", SLICE_ARG(s));
        }
        return false;
    }
    if (slice_find_char(s, '?') >= 0) {
        WRONG(c, "a path has no query");
        HINT(c, "match it with `query: {name: value}`; one character of any kind is not `?` here");
        return false;
    }
    if (slice_find_char(s, '#') >= 0) {
        WRONG(c, "a path has no `#`: browsers keep what follows it to themselves");
        return false;
    }
    if (slice_find_char(s, '%') >= 0) {
        WRONG(c, "paths are matched decoded: write the character itself instead of `%%`");
        return false;
    }
    return true;
}

static bool check_pattern(struct check *c)
{
    struct slice pattern;
    bool on = false;
    if (is_regex(c->item->text, &pattern)) {
        return set_regex(c, pattern);
    }
    if (conf_value_bool(c->item->text, &on) == 0) {
        c->item->text = on ? SLICE("on") : SLICE("off");
    }
    return true;
}

static bool check_method(struct check *c)
{
    struct slice s = c->item->text;
    if (!conf_is_token(s)) {
        WRONG(c, "`%.*s` is not a method", SLICE_ARG(c->shown));
        return false;
    }
    static const char *const known[] = {"GET",     "HEAD",  "POST",     "PUT",   "DELETE",
                                        "OPTIONS", "PATCH", "PROPFIND", "QUERY", "MKCOL"};
    for (size_t i = 0; i < array_len(known); i++) {
        if (slice_eq_nocase(s, slice_str(known[i])) && !slice_eq(s, slice_str(known[i]))) {
            WRONG(c, "methods are case-sensitive: `%.*s` is not `%s`", SLICE_ARG(c->shown),
                  known[i]);
            HINT(c, "write %s", known[i]);
            return false;
        }
    }
    return true;
}

static bool check_field(struct check *c)
{
    if (conf_is_token(c->item->text)) {
        return true;
    }
    WRONG(c, "`%.*s` is not a field name", SLICE_ARG(c->shown));
    if (slice_ends(c->item->text, SLICE(":"))) {
        HINT(c, "without the colon");
    }
    return false;
}

static bool check_status(struct check *c)
{
    unsigned status = 0;
    int rc = conf_value_status(c->item->text, c->row->classes_ok, &status);
    if (rc == 0 && (status < 10 || in_range(c->row, status))) {
        return true;
    }
    long long min = c->row->max != 0 ? (long long)c->row->min : 100;
    long long max = c->row->max != 0 ? (long long)c->row->max : 599;
    WRONG(c, "`%.*s` is not a status: %lld to %lld%s", SLICE_ARG(c->shown), min, max,
          c->row->classes_ok ? ", or a class like 5xx" : "");
    return false;
}

static bool check_name(struct check *c)
{
    if (conf_address_is_name(c->item->text)) {
        return true;
    }
    WRONG(c, "`%.*s` is not a name", SLICE_ARG(c->shown));
    HINT(c, "a name begins with a letter and has letters, digits, `-`, `_` and `.`");
    return false;
}

static bool check_file(struct check *c)
{
    struct slice content;
    if (c->item->text.len == 0) {
        WRONG(c, "`%s` needs a path", c->row->name);
        return false;
    }
    if (!read_file(c, c->item->text, CONTENT_BYTES_MAX, &content)) {
        return false;
    }
    c->item->text = content;
    return true;
}

static bool check_file_path(struct check *c)
{
    struct slice path = c->item->text;
    if (slice_starts(path, SLICE("-----BEGIN"))) {
        WRONG(c, "`%s` is the path of a file, not what is in it", c->row->name);
        return false;
    }
    if (path.len == 0 || path.ptr[path.len - 1] == '/' || path.len > FILE_PATH_MAX) {
        WRONG(c, path.len == 0 ? "`%s` needs a path" : "`%s` is the path of a file", c->row->name);
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] < ' ' || path.ptr[i] == '|') {
            WRONG(c, "`%s`: the path has a character that cannot be in it", c->row->name);
            return false;
        }
    }
    c->item->text = conf_path_join(c->b, c->item->spot.file, path);
    return true;
}

static bool check_string(struct check *c)
{
    if (slice_find_char(c->item->text, '\0') >= 0) {
        WRONG(c, "`%s` has a NUL byte in it", c->row->name);
        return false;
    }
    uint64_t most = c->row->max > 0 ? (uint64_t)c->row->max : UINT64_MAX;
    if (c->item->text.len < (uint64_t)c->row->min || c->item->text.len > most) {
        WRONG(c, c->item->text.len < (uint64_t)c->row->min ? "`%s` is empty" : "`%s` is too long",
              c->row->name);
        return false;
    }
    return true;
}

// ---- all types ----------------------------------------------------------------------------------

static bool check_type(struct check *c, enum conf_type type)
{
    struct conf_template t;
    struct slice pattern;
    switch (type) {
    case CONF_TYPE_BOOL:
        return check_bool(c);
    case CONF_TYPE_INT:
        return check_int(c);
    case CONF_TYPE_DURATION:
        return check_duration(c);
    case CONF_TYPE_SIZE:
        return check_size(c);
    case CONF_TYPE_PERCENT:
        return check_percent(c);
    case CONF_TYPE_STRING:
        return check_string(c);
    case CONF_TYPE_TEMPLATE:
        return check_string(c) && parse_template(c, &t) && put_outside(c, true);
    case CONF_TYPE_ENUM:
        return check_enum(c);
    case CONF_TYPE_ADDRESS:
        return check_address(c, conf_address_origin);
    case CONF_TYPE_LISTEN:
        return check_address(c, c->row->datagrams_ok ? conf_address_stream : conf_address_listen);
    case CONF_TYPE_CIDR:
        return check_cidr(c);
    case CONF_TYPE_HOST:
        return check_address(c, conf_address_host);
    case CONF_TYPE_PATH:
        return check_path(c);
    case CONF_TYPE_REGEX:
        if (is_regex(c->item->text, &pattern)) {
            c->item->text = pattern;
        }
        return check_regex(c, c->item->text);
    case CONF_TYPE_PATTERN:
        return check_pattern(c);
    case CONF_TYPE_METHOD:
        return check_method(c);
    case CONF_TYPE_FIELD:
        return check_field(c);
    case CONF_TYPE_STATUS:
        return check_status(c);
    case CONF_TYPE_FILE:
        return check_file(c);
    case CONF_TYPE_NAME:
        return check_name(c);
    case CONF_TYPE_FILE_PATH:
        return check_file_path(c);
    case CONF_TYPE_OBJECT:
    case CONF_TYPE_MAP:
    case CONF_TYPE_UPSTREAM:
    case CONF_TYPE_COUNT:
        break;
    }
    unreachable();
}

// A regular expression may hold `$env(`; there it means what it says.
static bool takes_outside(enum conf_type type)
{
    return type != CONF_TYPE_TEMPLATE && type != CONF_TYPE_REGEX && type != CONF_TYPE_PATH &&
           type != CONF_TYPE_PATTERN;
}

bool conf_check_scalar(struct conf_build *b, struct conf_item *item,
                       const struct conf_directive *row)
{
    struct check c = {b, item, row, item->spot, item->text, false};
    bool on = true;
    if (takes_outside((enum conf_type)row->type) && mentions_outside(item->text)) {
        if (!put_outside(&c, false)) {
            return false;
        }
        c.outside = true;
    }
    if (row->off_ok && conf_value_bool(item->text, &on) == 0 && !on) {
        item->text = SLICE("off");
        return true;
    }
    for (const char *const *w = row->words; w != NULL && *w != NULL; w++) {
        if (slice_eq(item->text, slice_str(*w))) {
            return true;
        }
    }
    return check_type(&c, (enum conf_type)row->type);
}

bool conf_check_key(struct conf_build *b, struct conf_item *entry, enum conf_type type)
{
    struct conf_directive row = {.name = "key", .type = (uint8_t)type, .classes_ok = true};
    struct conf_item key = {.kind = CONF_SCALAR, .text = entry->key, .spot = entry->key_spot};
    struct check c = {b, &key, &row, entry->key_spot, entry->key, false};
    if (type == CONF_TYPE_STATUS) {
        row.min = 400;
        row.max = 599;
    }
    bool ok = check_type(&c, type);
    if (ok) {
        entry->key = key.text;
    }
    return ok;
}

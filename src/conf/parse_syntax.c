// SPDX-License-Identifier: Apache-2.0
//
// Broken YAML in words that say what to write instead. libfyaml's texts are matched by what is in
// them; one that is not known is passed on as it is, so a change there costs a hint, not an error.

#include "base/num.h"
#include "conf/parse_int.h"
#include "conf/value.h"

// ---- places -------------------------------------------------------------------------------------

static struct slice line_at(struct slice text, uint32_t line)
{
    for (uint32_t i = 1; i < line; i++) {
        ptrdiff_t end = slice_find_char(text, '\n');
        if (end < 0) {
            return SLICE("");
        }
        text = slice_from(text, (size_t)end + 1);
    }
    ptrdiff_t end = slice_find_char(text, '\n');
    return end < 0 ? text : slice_sub(text, 0, (size_t)end);
}

static struct slice from_column(struct slice line, uint32_t column)
{
    size_t at = 0;
    for (uint32_t i = 1; i < column && at < line.len; i++) {
        at++;
        while (at < line.len && ((unsigned char)line.ptr[at] & 0xc0) == 0x80) {
            at++;
        }
    }
    return slice_from(line, at);
}

// ---- bytes --------------------------------------------------------------------------------------

static const char *byte_problem(struct slice rest, size_t len, uint32_t code)
{
    if (len == 0) {
        return "a byte that is not UTF-8";
    }
    if (code == '\r' && (rest.len < 2 || rest.ptr[1] != '\n')) {
        return "a carriage return without a line feed";
    }
    if ((code < 0x20 && code != '\t' && code != '\n' && code != '\r') ||
        (code >= 0x7f && code <= 0x9f)) {
        return "a control character";
    }
    if (conf_is_deceptive(code)) {
        return "an invisible character that changes lines or the order of the text";
    }
    return code == 0xfeff ? "a byte order mark inside the text" : NULL;
}

bool conf_syntax_bytes(struct conf_build *b, uint16_t file, struct slice text)
{
    struct conf_spot spot = {.file = file, .line = 1, .column = 1, .width = 1};
    for (size_t i = 0; i < text.len;) {
        uint32_t code = 0;
        struct slice rest = slice_from(text, i);
        size_t len = conf_utf8_take(rest, &code);
        const char *problem = byte_problem(rest, len, code);
        if (problem != NULL) {
            conf_report(b->diags, CONF_ERROR, spot, "%s (0x%02x)", problem,
                        len > 0 ? code : (unsigned)(unsigned char)rest.ptr[0]);
            conf_hint(b->diags, "configuration files are UTF-8; in double quotes \\xNN and \\uNNNN "
                                "stand for other characters");
            return false;
        }
        i += len;
        if (code == '\n') {
            spot.line++;
            spot.column = 1;
        } else {
            spot.column++;
        }
    }
    return true;
}

// ---- errors -------------------------------------------------------------------------------------

void conf_syntax_collect(struct conf_syntax_error *e, struct slice piece)
{
    for (size_t i = 0; i < piece.len && !e->complete; i++) {
        if (piece.ptr[i] == '\n' || e->len == sizeof e->text) {
            e->complete = true;
        } else {
            e->text[e->len++] = piece.ptr[i];
        }
    }
}

// What messages contain, and ours. An empty `hint` leaves it out.
struct translation {
    const char *needle;
    const char *message;
    const char *hint;
    bool behind; // libfyaml's place is one behind the character that is meant
};

static const struct translation translations[] = {
    {"tab character", "a tab in the indentation", "indent with blanks: YAML does not take tabs",
     false},
    {"block sequence on the same line", "a list cannot begin behind its key on the same line",
     "put each `- entry` on a line of its own below the key, or write [a, b]", false},
    {"invalid nested block mapping", "a second `: ` in one line",
     "quote the value, or put the inner keys on lines of their own below", false},
    {"without closing quote", "this quote is never closed", "add the closing quote", true},
    {"invalid multiline plain key", "the next line is indented deeper, but this key has a value",
     "line the keys up, or take the value away", false},
    {"invalid trailing content", "text after the closing quote",
     "quote the whole value; inside '...' a quote is written '', inside \"...\" it is \\\"", false},
    {"invalid escape", "unknown escape in double quotes",
     "in single quotes a backslash is just a backslash: '^/a\\.b$'", false},
    {"invalid indentation", "this line is indented unlike its neighbours",
     "keys of one map begin in the same column", false},
    {"did not find expected key", "expected a key here",
     "keys of one map begin in the same column; entries of a list begin with `- `", false},
    {"extra closing", "a bracket closes nothing", "take it out, or quote the value", false},
    {"no linebreak found", "`|` and `>` begin a text on the lines below",
     "quote a value that begins with one of them", true},
    {"invalid anchor", "`&` without quotes is a YAML anchor, which this language has not",
     "quote the value", true},
    {"invalid alias", "`*` without quotes is a YAML alias, which this language has not",
     "quote the value", true},
    {"depth", "nested too deeply", "", false},
};

struct problem {
    struct conf_build *b;
    struct conf_spot spot;
    struct slice message;
    struct slice line; // of the source
    struct slice rest; // of it, from the place on
    const struct conf_item *open;
};

static bool contains(struct slice s, const char *needle)
{
    return slice_find(s, slice_str(needle)) >= 0;
}

// The plain word at the front of s, to show it quoted.
static struct slice word_of(struct slice s)
{
    size_t len = 0;
    while (len < s.len && strchr(" ,]}\t\r", s.ptr[len]) == NULL) {
        len++;
    }
    return slice_sub(s, 0, len);
}

static bool report_first_char(struct problem *p)
{
    struct slice trimmed = slice_trim(p->line);
    if (contains(p->message, "plain scalar cannot start with") && p->rest.len > 0) {
        p->spot.width = (uint32_t)word_of(p->rest).len;
        conf_report(p->b->diags, CONF_ERROR, p->spot,
                    "a value cannot begin with `%c` unless quoted", p->rest.ptr[0]);
        conf_hint(p->b->diags, "quote it: \"%.*s\"", SLICE_ARG(word_of(p->rest)));
        return true;
    }
    if (slice_starts(trimmed, SLICE("*")) && slice_find_char(trimmed, ':') > 0) {
        size_t colon = (size_t)slice_find_char(trimmed, ':');
        p->spot.column = (uint32_t)(trimmed.ptr - p->line.ptr) + 1;
        p->spot.width = (uint32_t)colon;
        conf_report(p->b->diags, CONF_ERROR, p->spot,
                    "`%.*s` without quotes is a YAML alias, which this language has not",
                    (int)colon, trimmed.ptr);
        conf_hint(p->b->diags, "quote it: \"%.*s\":", (int)colon, trimmed.ptr);
        return true;
    }
    return false;
}

/** `listen ":8080"`: the parser takes the whole line for a word that goes on in the next one. */
static bool report_colon(struct problem *p)
{
    struct slice line = slice_trim(p->line);
    ptrdiff_t blank = slice_find_char(line, ' ');
    if (!contains(p->message, "invalid multiline plain key") || blank <= 0 ||
        contains(line, ": ") || slice_ends(line, SLICE(":"))) {
        return false;
    }
    p->spot.column = (uint32_t)(line.ptr - p->line.ptr) + 1;
    p->spot.width = (uint32_t)blank;
    conf_report(p->b->diags, CONF_ERROR, p->spot, "there is no colon behind `%.*s`", (int)blank,
                line.ptr);
    conf_hint(p->b->diags, "write `%.*s: %.*s`", (int)blank, line.ptr,
              SLICE_ARG(slice_from(line, (size_t)blank + 1)));
    return true;
}

static bool report_bracket(struct problem *p)
{
    char at = p->rest.len > 0 ? p->rest.ptr[0] : '\0';
    bool missing_comma = contains(p->message, "missing comma");
    if (missing_comma && (at == '[' || at == '{' || at == ']' || at == '}')) {
        conf_report(p->b->diags, CONF_ERROR, p->spot,
                    "inside [ ] and { } a value without quotes ends at `%c`", at);
        conf_hint(p->b->diags, "quote the whole value: \"~ ^/a[0-9]{2}\"");
        return true;
    }
    if (missing_comma || contains(p->message, "without a closing")) {
        char open = '\0';
        if (p->open != NULL && p->open->flow) {
            open = p->open->kind == CONF_LIST ? '[' : '{';
        }
        if (open != '\0' && at == '\0') {
            conf_report(p->b->diags, CONF_ERROR, p->open->spot, "this `%c` is never closed", open);
            return true;
        }
        conf_report(p->b->diags, CONF_ERROR, p->spot,
                    "a comma is missing, or a bracket is not closed");
        if (open != '\0') {
            conf_other(p->b->diags, p->open->spot, "opened here");
        }
        return true;
    }
    if (contains(p->message, "invalid") && contains(p->line, "]:")) {
        conf_report(p->b->diags, CONF_ERROR, p->spot, "text after the end of a [ ] list");
        conf_hint(p->b->diags, "quote an IPv6 address with a port: \"[::1]:8080\"");
        return true;
    }
    return false;
}

static void report_translated(struct problem *p)
{
    for (size_t i = 0; i < array_len(translations); i++) {
        if (contains(p->message, translations[i].needle)) {
            p->spot.column -= translations[i].behind && p->spot.column > 1;
            conf_report(p->b->diags, CONF_ERROR, p->spot, "%s", translations[i].message);
            conf_hint(p->b->diags, "%s", translations[i].hint);
            return;
        }
    }
    conf_report(p->b->diags, CONF_ERROR, p->spot, "not valid YAML: %.*s", SLICE_ARG(p->message));
    conf_hint(p->b->diags, "check the indentation and the quotes of this line and the one before");
}

// "...:LINE:COLUMN: error: TEXT"
static void take_apart(const struct conf_syntax_error *e, struct problem *p)
{
    struct slice whole = slice_of(e->text, e->len);
    ptrdiff_t at = slice_find(whole, SLICE(": error: "));
    p->message = at < 0 ? whole : slice_from(whole, (size_t)at + 9);
    uint64_t numbers[2] = {1, 1}; // column, line
    struct slice head = at < 0 ? SLICE("") : slice_sub(whole, 0, (size_t)at);
    for (size_t i = 0; i < 2; i++) {
        size_t start = head.len;
        while (start > 0 && head.ptr[start - 1] != ':') {
            start--;
        }
        if (num_parse_u64(slice_from(head, start), UINT32_MAX, &numbers[i]) != 0) {
            break;
        }
        head = slice_sub(head, 0, start > 0 ? start - 1 : 0);
    }
    p->spot.column = (uint32_t)numbers[0];
    p->spot.line = (uint32_t)numbers[1];
}

void conf_syntax_report(struct conf_build *b, uint16_t file, struct slice text,
                        const struct conf_syntax_error *e, const struct conf_item *open)
{
    struct problem p = {.b = b, .open = open};
    p.spot = (struct conf_spot){.file = file, .line = 1, .column = 1, .width = 1};
    take_apart(e, &p);
    p.line = line_at(text, p.spot.line);
    p.rest = from_column(p.line, p.spot.column);
    if (!report_first_char(&p) && !report_colon(&p) && !report_bracket(&p)) {
        report_translated(&p);
    }
}

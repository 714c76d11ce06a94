// SPDX-License-Identifier: Apache-2.0
//
// Weighted lists. An element is a name and parameters; the only parameter looked at is q. The most
// specific element that matches wins, whatever the order (RFC 9110 12.5.1).

#include "http/accept.h"

#include "base/ensure.h"

enum { WEIGHT_FULL = 1000, WEIGHT_BAD = -1 };

// qvalue: 0, 1, or up to three decimals (RFC 9110 12.4.2); thousandths or WEIGHT_BAD.
static int parse_weight(struct slice s)
{
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1')) {
        return WEIGHT_BAD;
    }
    int value = (s.ptr[0] - '0') * WEIGHT_FULL;
    if (s.len > 1 && s.ptr[1] != '.') {
        return WEIGHT_BAD;
    }
    int unit = 100;
    for (size_t i = 2; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return WEIGHT_BAD;
        }
        value += (s.ptr[i] - '0') * unit;
        unit /= 10;
    }
    return value <= WEIGHT_FULL ? value : WEIGHT_BAD;
}

// Cuts "name;a=b;q=0.5" into its name and its weight.
static int split_element(struct slice element, struct slice *name)
{
    ptrdiff_t semicolon = slice_find_char(element, ';');
    size_t end = semicolon < 0 ? element.len : (size_t)semicolon;
    *name = slice_trim(slice_sub(element, 0, end));
    int weight = WEIGHT_FULL;
    while (end < element.len) {
        struct slice rest = slice_from(element, end + 1);
        semicolon = slice_find_char(rest, ';');
        size_t len = semicolon < 0 ? rest.len : (size_t)semicolon;
        struct slice parameter = slice_trim(slice_sub(rest, 0, len));
        if (parameter.len >= 2 && (parameter.ptr[0] | 0x20) == 'q' && parameter.ptr[1] == '=') {
            weight = parse_weight(slice_from(parameter, 2));
        }
        end += 1 + len;
    }
    return weight;
}

// Best weights found so far for one wish; -1: not named.
struct wish {
    int exact;
    int group; // "application/*" and the like
    int any;   // "*" or "*/*"
};

#define WISH_NONE ((struct wish){-1, -1, -1})

static int wish_weight(const struct wish *w)
{
    if (w->exact >= 0) {
        return w->exact;
    }
    return w->group >= 0 ? w->group : w->any;
}

static void raise(int *weight, int to)
{
    if (to > *weight) {
        *weight = to;
    }
}

// ---- Accept-Encoding -------------------------------------------------------------------------------

unsigned http_coding_weight(const struct fields *request, struct slice coding)
{
    struct wish wish = WISH_NONE;
    for (uint16_t i = 0; fields_has(request, HTTP_ACCEPT_ENCODING) && i < request->count; i++) {
        if (request->entries[i].id != HTTP_ACCEPT_ENCODING) {
            continue;
        }
        struct slice rest = field_value(request, &request->entries[i]);
        struct slice element;
        while (slice_next_element(&rest, &element)) {
            struct slice name;
            int weight = split_element(element, &name);
            if (slice_eq_nocase(name, coding)) {
                raise(&wish.exact, weight);
            } else if (slice_eq(name, SLICE("*"))) {
                raise(&wish.any, weight);
            }
        }
    }
    int weight = wish_weight(&wish);
    if (weight >= 0) {
        return (unsigned)weight;
    }
    return slice_eq(coding, SLICE("identity")) ? WEIGHT_FULL : 0;
}

// ---- Accept ----------------------------------------------------------------------------------------

static void note_type(struct slice type, int weight, struct wish *html, struct wish *json)
{
    if (slice_eq_nocase(type, SLICE("text/html")) ||
        slice_eq_nocase(type, SLICE("application/xhtml+xml"))) {
        raise(&html->exact, weight);
    } else if (slice_eq_nocase(type, SLICE("application/json")) ||
               slice_ends_nocase(type, SLICE("+json"))) {
        raise(&json->exact, weight);
    } else if (slice_eq_nocase(type, SLICE("text/*"))) {
        raise(&html->group, weight);
    } else if (slice_eq_nocase(type, SLICE("application/*"))) {
        raise(&json->group, weight);
    }
}

enum http_page http_page_wanted(const struct fields *request)
{
    struct wish html = WISH_NONE;
    struct wish json = WISH_NONE;
    for (uint16_t i = 0; fields_has(request, HTTP_ACCEPT) && i < request->count; i++) {
        if (request->entries[i].id != HTTP_ACCEPT) {
            continue;
        }
        struct slice rest = field_value(request, &request->entries[i]);
        struct slice element;
        while (slice_next_element(&rest, &element)) {
            struct slice type;
            int weight = split_element(element, &type);
            note_type(type, weight, &html, &json);
        }
    }
    int html_weight = wish_weight(&html);
    int json_weight = wish_weight(&json);
    if (html_weight <= 0 && json_weight <= 0) {
        return HTTP_PAGE_TEXT;
    }
    return json_weight > html_weight ? HTTP_PAGE_JSON : HTTP_PAGE_HTML;
}

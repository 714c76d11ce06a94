// SPDX-License-Identifier: Apache-2.0
//
// See parse.h.

#include "acme/parse.h"

#include <jansson.h>
#include <time.h>

#include "base/error.h"
#include "base/num.h"

#include "acme/http.h"

enum { PARSE_TEXT_MAX = 1024, NAME_MAX_BYTES = 253 };

// ---- pieces ---------------------------------------------------------------------------------------

bool acme_is_base64url(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
        if (!ok) {
            return false;
        }
    }
    return s.len > 0;
}

static int bad(struct text *why, const char *what)
{
    text_printf(why, "the CA's answer cannot be used: %s", what);
    return E_INVALID;
}

// The document, an object; NULL with `why`.
static json_t *open_object(struct slice json, struct text *why)
{
    json_error_t error;
    json_t *root = json.len <= ACME_BODY_MAX ? json_loadb(json.ptr != NULL ? json.ptr : "",
                                                          json.len, JSON_REJECT_DUPLICATES, &error)
                                             : NULL;
    if (!json_is_object(root)) {
        json_decref(root);
        (void)bad(why, "it is not a JSON object");
        return NULL;
    }
    return root;
}

static struct slice text_of(const json_t *value)
{
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : SLICE("");
}

// A member that must be a URL, copied. E_NOT_FOUND: it is not there.
static int take_url(const json_t *object, const char *name, struct arena *a, struct slice *out)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value)) {
        return E_NOT_FOUND;
    }
    struct slice url = text_of(value);
    if (!acme_url_ok(url, false)) {
        return E_INVALID;
    }
    *out = arena_dup(a, url);
    return out->ptr != NULL ? 0 : E_NO_MEMORY;
}

static int need_url(const json_t *object, const char *name, struct arena *a, struct slice *out,
                    struct text *why)
{
    int rc = take_url(object, name, a, out);
    if (rc == E_NO_MEMORY) {
        return rc;
    }
    if (rc != 0) {
        text_printf(why, "the CA's answer cannot be used: \"%s\" is not an https URL", name);
        return E_INVALID;
    }
    return 0;
}

static enum acme_status status_of(const json_t *object)
{
    static const struct {
        struct slice word;
        enum acme_status status;
    } words[] = {
        {SLICE_INIT("pending"), ACME_STATUS_PENDING},
        {SLICE_INIT("processing"), ACME_STATUS_PROCESSING},
        {SLICE_INIT("ready"), ACME_STATUS_READY},
        {SLICE_INIT("valid"), ACME_STATUS_VALID},
        {SLICE_INIT("invalid"), ACME_STATUS_INVALID},
        {SLICE_INIT("deactivated"), ACME_STATUS_DEACTIVATED},
        {SLICE_INIT("expired"), ACME_STATUS_EXPIRED},
        {SLICE_INIT("revoked"), ACME_STATUS_REVOKED},
    };
    struct slice word = text_of(json_object_get(object, "status"));
    for (size_t i = 0; i < array_len(words); i++) {
        if (slice_eq(word, words[i].word)) {
            return words[i].status;
        }
    }
    return ACME_STATUS_OTHER;
}

// ---- problems -------------------------------------------------------------------------------------

// Text of theirs that will be printed: bounded, one line, no control bytes.
static struct slice take_words(const json_t *value, struct arena *a)
{
    struct slice s = slice_sub(text_of(value), 0, PARSE_TEXT_MAX);
    char *bytes = s.len > 0 ? arena_bytes(a, s.len) : NULL;
    if (bytes == NULL) {
        return SLICE("");
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bytes[i] = c < ' ' || c == 0x7f ? ' ' : s.ptr[i];
    }
    return slice_trim(slice_of(bytes, s.len));
}

static struct slice take_name(const json_t *object, struct arena *a)
{
    struct slice name =
        take_words(json_object_get(json_object_get(object, "identifier"), "value"), a);
    return slice_sub(name, 0, NAME_MAX_BYTES);
}

static void take_problem(const json_t *object, struct arena *a, struct acme_problem *out)
{
    *out = (struct acme_problem){.type = take_words(json_object_get(object, "type"), a),
                                 .detail = take_words(json_object_get(object, "detail"), a)};
    out->kind = acme_problem_kind_of(out->type);
    const json_t *subs = json_object_get(object, "subproblems");
    size_t count = json_is_array(subs) ? json_array_size(subs) : 0;
    for (size_t i = 0; i < count && out->sub_count < ACME_SUBPROBLEMS_MAX; i++) {
        const json_t *sub = json_array_get(subs, i);
        struct acme_subproblem *s = &out->subs[out->sub_count];
        if (json_is_object(sub)) {
            s->kind = acme_problem_kind_of(take_words(json_object_get(sub, "type"), a));
            s->detail = take_words(json_object_get(sub, "detail"), a);
            s->name = take_name(sub, a);
            out->sub_count++;
        }
    }
}

int acme_parse_problem(struct slice json, struct arena *a, struct acme_problem *out)
{
    struct text ignored = text_on(NULL, 0);
    json_t *root = open_object(json, &ignored);
    if (root == NULL) {
        return E_INVALID;
    }
    take_problem(root, a, out);
    json_decref(root);
    return out->type.len > 0 || out->detail.len > 0 ? 0 : E_INVALID;
}

static void take_error(const json_t *object, struct arena *a, bool *failed,
                       struct acme_problem *out)
{
    const json_t *error = json_object_get(object, "error");
    *failed = json_is_object(error);
    if (*failed) {
        take_problem(error, a, out);
    }
}

// ---- the directory --------------------------------------------------------------------------------

static int take_profiles(const json_t *meta, struct arena *a, struct acme_directory *out)
{
    json_t *profiles = json_object_get(meta, "profiles");
    const char *name;
    json_t *value;
    json_object_foreach(profiles, name, value)
    {
        struct slice s = slice_str(name);
        bool usable = acme_is_base64url(s) && s.len <= 64;
        if (usable && out->profile_count < ACME_PROFILES_MAX) {
            struct slice copy = arena_dup(a, s);
            if (copy.ptr == NULL) {
                return E_NO_MEMORY;
            }
            out->profiles[out->profile_count++] = copy;
        }
    }
    return 0;
}

static int take_directory(const json_t *root, struct arena *a, struct acme_directory *out,
                          struct text *why)
{
    int rc = need_url(root, "newNonce", a, &out->new_nonce, why);
    if (rc == 0) {
        rc = need_url(root, "newAccount", a, &out->new_account, why);
    }
    if (rc == 0) {
        rc = need_url(root, "newOrder", a, &out->new_order, why);
    }
    if (rc != 0) {
        return rc;
    }
    rc = take_url(root, "renewalInfo", a, &out->renewal_info);
    if (rc == E_NO_MEMORY) {
        return rc;
    }
    const json_t *meta = json_object_get(root, "meta");
    out->external_account_required = json_is_true(json_object_get(meta, "externalAccountRequired"));
    return take_profiles(meta, a, out);
}

int acme_parse_directory(struct slice json, struct arena *a, struct acme_directory *out,
                         struct text *why)
{
    *out = (struct acme_directory){.profile_count = 0};
    json_t *root = open_object(json, why);
    if (root == NULL) {
        return E_INVALID;
    }
    int rc = take_directory(root, a, out, why);
    json_decref(root);
    return rc;
}

// ---- orders ---------------------------------------------------------------------------------------

static int take_authorizations(const json_t *root, struct arena *a, struct acme_order *out,
                               struct text *why)
{
    const json_t *list = json_object_get(root, "authorizations");
    size_t count = json_is_array(list) ? json_array_size(list) : 0;
    if (count > ACME_NAMES_MAX) {
        return bad(why, "more authorisations than names");
    }
    for (size_t i = 0; i < count; i++) {
        struct slice url = text_of(json_array_get(list, i));
        if (!acme_url_ok(url, false)) {
            return bad(why, "an authorisation that is not an https URL");
        }
        out->authorizations[i] = arena_dup(a, url);
        if (out->authorizations[i].ptr == NULL) {
            return E_NO_MEMORY;
        }
    }
    out->authorization_count = (uint32_t)count;
    return 0;
}

static int take_order(const json_t *root, struct arena *a, struct acme_order *out, struct text *why)
{
    out->status = status_of(root);
    if (out->status == ACME_STATUS_OTHER) {
        return bad(why, "an order without a known status");
    }
    int rc = need_url(root, "finalize", a, &out->finalize, why);
    if (rc == 0) {
        rc = take_authorizations(root, a, out, why);
    }
    if (rc == 0 && out->status == ACME_STATUS_VALID) {
        rc = need_url(root, "certificate", a, &out->certificate, why);
    }
    if (rc == 0) {
        take_error(root, a, &out->failed, &out->problem);
    }
    return rc;
}

int acme_parse_order(struct slice json, struct arena *a, struct acme_order *out, struct text *why)
{
    *out = (struct acme_order){.authorization_count = 0};
    json_t *root = open_object(json, why);
    if (root == NULL) {
        return E_INVALID;
    }
    int rc = take_order(root, a, out, why);
    json_decref(root);
    return rc;
}

// ---- authorisations ---------------------------------------------------------------------------------

static bool kind_of(struct slice type, enum acme_challenge_kind *out)
{
    static const struct {
        struct slice type;
        enum acme_challenge_kind kind;
    } kinds[] = {
        {SLICE_INIT("http-01"), ACME_HTTP_01},
        {SLICE_INIT("tls-alpn-01"), ACME_TLS_ALPN_01},
        {SLICE_INIT("dns-01"), ACME_DNS_01},
    };
    for (size_t i = 0; i < array_len(kinds); i++) {
        if (slice_eq(type, kinds[i].type)) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

// One offer. E_NOT_FOUND: of a kind that we do not know.
static int take_offer(const json_t *object, struct arena *a, struct acme_offer *out,
                      struct text *why)
{
    if (!kind_of(text_of(json_object_get(object, "type")), &out->kind)) {
        return E_NOT_FOUND;
    }
    out->status = status_of(object);
    struct slice token = text_of(json_object_get(object, "token"));
    if (!acme_is_base64url(token) || token.len > ACME_TOKEN_MAX) {
        return bad(why, "a challenge's token is not base64url");
    }
    out->token = arena_dup(a, token);
    if (out->token.ptr == NULL) {
        return E_NO_MEMORY;
    }
    take_error(object, a, &out->failed, &out->problem);
    return need_url(object, "url", a, &out->url, why);
}

static int take_offers(const json_t *root, struct arena *a, struct acme_authz *out,
                       struct text *why)
{
    const json_t *list = json_object_get(root, "challenges");
    size_t count = json_is_array(list) ? json_array_size(list) : 0;
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        struct acme_offer offer = {.failed = false};
        int rc = take_offer(json_array_get(list, i), a, &offer, why);
        if (rc != 0 && rc != E_NOT_FOUND) {
            return rc;
        }
        if (rc == 0 && (seen & offer.kind) == 0) {
            seen |= offer.kind;
            out->offers[out->offer_count++] = offer;
        }
    }
    return 0;
}

static int take_authz(const json_t *root, struct arena *a, struct acme_authz *out, struct text *why)
{
    out->status = status_of(root);
    if (out->status == ACME_STATUS_OTHER) {
        return bad(why, "an authorisation without a known status");
    }
    const json_t *identifier = json_object_get(root, "identifier");
    struct slice type = text_of(json_object_get(identifier, "type"));
    struct slice name = text_of(json_object_get(identifier, "value"));
    out->is_ip = slice_eq(type, SLICE("ip"));
    bool known = out->is_ip || slice_eq(type, SLICE("dns"));
    if (!known || name.len == 0 || name.len > NAME_MAX_BYTES) {
        return bad(why, "an authorisation without a name");
    }
    out->name = arena_dup(a, name);
    if (out->name.ptr == NULL) {
        return E_NO_MEMORY;
    }
    out->wildcard = json_is_true(json_object_get(root, "wildcard"));
    return take_offers(root, a, out, why);
}

int acme_parse_authz(struct slice json, struct arena *a, struct acme_authz *out, struct text *why)
{
    *out = (struct acme_authz){.offer_count = 0};
    json_t *root = open_object(json, why);
    if (root == NULL) {
        return E_INVALID;
    }
    int rc = take_authz(root, a, out, why);
    json_decref(root);
    return rc;
}

// ---- times ------------------------------------------------------------------------------------------

// Two digits at `at`, at most `max`; -1: they are not.
static int two_digits(struct slice s, size_t at, unsigned max)
{
    uint64_t value = 0;
    return num_parse_u64(slice_sub(s, at, 2), max, &value) == 0 && s.len >= at + 2 ? (int)value
                                                                                   : -1;
}

static int seconds_of(const struct tm *tm, uint64_t *out)
{
    struct tm normal = *tm;
    time_t s = timegm(&normal);
    // The 31st of June comes back as another day.
    if (s < 0 || normal.tm_mday != tm->tm_mday) {
        return E_INVALID;
    }
    *out = (uint64_t)s;
    return 0;
}

static int clock_of(struct slice s, size_t at, struct tm *tm)
{
    tm->tm_hour = two_digits(s, at, 23);
    tm->tm_min = two_digits(s, at + 3, 59);
    tm->tm_sec = two_digits(s, at + 6, 60);
    bool ok = tm->tm_hour >= 0 && tm->tm_min >= 0 && tm->tm_sec >= 0 && s.ptr[at + 2] == ':' &&
              s.ptr[at + 5] == ':';
    return ok ? 0 : E_INVALID;
}

// "Z", "+01:00" or "-01:00" in seconds.
static int offset_of(struct slice s, int64_t *out)
{
    if (slice_eq_nocase(s, SLICE("Z"))) {
        *out = 0;
        return 0;
    }
    int hours = two_digits(s, 1, 23);
    int minutes = two_digits(s, 4, 59);
    if (s.len != 6 || hours < 0 || minutes < 0 || s.ptr[3] != ':' ||
        (s.ptr[0] != '+' && s.ptr[0] != '-')) {
        return E_INVALID;
    }
    *out = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *out = s.ptr[0] == '-' ? -*out : *out;
    return 0;
}

int acme_parse_time(struct slice s, uint64_t *out)
{
    struct tm tm = {0};
    uint64_t year = 0;
    if (s.len < 20 || s.len > 40 || num_parse_u64(slice_sub(s, 0, 4), 9999, &year) != 0 ||
        year < 1970) {
        return E_INVALID;
    }
    tm.tm_year = (int)year - 1900;
    tm.tm_mon = two_digits(s, 5, 12) - 1;
    tm.tm_mday = two_digits(s, 8, 31);
    bool shaped = s.ptr[4] == '-' && s.ptr[7] == '-' && (s.ptr[10] == 'T' || s.ptr[10] == 't');
    if (!shaped || tm.tm_mon < 0 || tm.tm_mday < 1 || clock_of(s, 11, &tm) != 0) {
        return E_INVALID;
    }
    size_t at = 19;
    if (s.ptr[at] == '.') {
        at++;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9') {
            at++;
        }
    }
    int64_t offset = 0;
    uint64_t seconds = 0;
    if (offset_of(slice_from(s, at), &offset) != 0 || seconds_of(&tm, &seconds) != 0 ||
        (int64_t)seconds < offset) {
        return E_INVALID;
    }
    *out = (uint64_t)((int64_t)seconds - offset);
    return 0;
}

int acme_parse_http_date(struct slice s, uint64_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {.tm_mon = -1};
    uint64_t year = 0;
    if (s.len != 29 || !slice_eq(slice_from(s, 25), SLICE(" GMT")) || s.ptr[3] != ',' ||
        num_parse_u64(slice_sub(s, 12, 4), 9999, &year) != 0 || year < 1970) {
        return E_INVALID;
    }
    for (int i = 0; i < 12; i++) {
        if (memcmp(months + (size_t)i * 3, s.ptr + 8, 3) == 0) {
            tm.tm_mon = i;
        }
    }
    tm.tm_year = (int)year - 1900;
    tm.tm_mday = two_digits(s, 5, 31);
    if (tm.tm_mon < 0 || tm.tm_mday < 1 || clock_of(s, 17, &tm) != 0) {
        return E_INVALID;
    }
    return seconds_of(&tm, out);
}

// ---- renewal information ------------------------------------------------------------------------------

int acme_parse_window(struct slice json, struct acme_window *out, struct text *why)
{
    json_t *root = open_object(json, why);
    if (root == NULL) {
        return E_INVALID;
    }
    const json_t *window = json_object_get(root, "suggestedWindow");
    int rc = acme_parse_time(text_of(json_object_get(window, "start")), &out->start);
    if (rc == 0) {
        rc = acme_parse_time(text_of(json_object_get(window, "end")), &out->end);
    }
    json_decref(root);
    if (rc != 0 || out->end <= out->start) {
        return bad(why, "renewal information without a usable window");
    }
    return 0;
}

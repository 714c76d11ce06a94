// SPDX-License-Identifier: Apache-2.0
//
// See http.h. One easy handle per run, so that its connection is used again. Every option is set anew
// for every call.

#include "acme/http.h"

#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "os/clock.h"

#include "acme/curl.h"
#include "acme/parse.h"

enum {
    HTTP_MAGIC = 0xac3e47b1,
    CONNECT_TIME_MS = 10000,
    FIELDS_MAX = 200, // of all answers of a call
    SLEEP_STEP_MS = 50,
    RETRY_AFTER_MAX_S = 30 * 24 * 3600,
    BODY_FIRST = 8 << 10,
    PEM_MAX = 1 << 20,
};

struct acme_http {
    uint32_t magic;
    uint32_t fields; // seen in this call
    CURL *easy;
    const atomic_bool *cancel;
    struct slice ca;
    const char *ca_file; // of the system, unless ca is given
    char *body;
    size_t body_len;
    size_t body_capacity;
    int body_error;
    char location[ACME_URL_MAX];
    size_t location_len;
    char nonce[ACME_NONCE_MAX];
    size_t nonce_len;
    uint64_t retry_after_ms;
    char error[CURL_ERROR_SIZE];
};

static atomic_bool stopped;

void acme_http_stop(void)
{
    atomic_store(&stopped, true);
}

bool acme_http_cancelled(const atomic_bool *cancel)
{
    return atomic_load(&stopped) || (cancel != NULL && atomic_load(cancel));
}

int acme_http_sleep(const atomic_bool *cancel, uint64_t ms)
{
    uint64_t end = os_clock_ms() + ms;
    for (;;) {
        if (acme_http_cancelled(cancel)) {
            return E_DRAINING;
        }
        uint64_t now = os_clock_ms();
        if (now >= end) {
            return 0;
        }
        uint64_t step = num_min_u64(end - now, SLEEP_STEP_MS);
        (void)nanosleep(&(struct timespec){0, (long)step * 1000000}, NULL);
    }
}

// ---- pure parts -----------------------------------------------------------------------------------

bool acme_url_ok(struct slice url, bool clear)
{
    size_t scheme = slice_starts(url, SLICE("https://"))           ? 8
                    : clear && slice_starts(url, SLICE("http://")) ? 7
                                                                   : 0;
    if (scheme == 0 || url.len <= scheme || url.len > ACME_URL_MAX || url.ptr[scheme] == '/') {
        return false;
    }
    for (size_t i = 0; i < url.len; i++) {
        if (url.ptr[i] <= ' ' || url.ptr[i] > '~' || url.ptr[i] == '"' || url.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

uint64_t acme_retry_after_ms(struct slice value, uint64_t now_s)
{
    uint64_t seconds = 0;
    value = slice_trim(value);
    if (num_parse_u64(value, UINT64_MAX, &seconds) != 0) {
        uint64_t at = 0;
        if (acme_parse_http_date(value, &at) != 0 || at <= now_s) {
            return 0;
        }
        seconds = at - now_s;
    }
    return num_min_u64(seconds, RETRY_AFTER_MAX_S) * 1000;
}

// ---- what libcurl calls ---------------------------------------------------------------------------

static bool grow_body(struct acme_http *h, size_t need)
{
    size_t capacity = h->body_capacity > 0 ? h->body_capacity : BODY_FIRST;
    while (capacity < need) {
        capacity *= 2;
    }
    char *bytes = mem_realloc(h->body, capacity);
    if (bytes == NULL) {
        return false;
    }
    h->body = bytes;
    h->body_capacity = capacity;
    return true;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *arg)
{
    struct acme_http *h = arg;
    ensure_magic(h, HTTP_MAGIC);
    ensure(one == 1);
    if (len > ACME_BODY_MAX - h->body_len) {
        h->body_error = E_TOO_LARGE;
        return len + 1;
    }
    if (h->body_len + len > h->body_capacity && !grow_body(h, h->body_len + len)) {
        h->body_error = E_NO_MEMORY;
        return len + 1;
    }
    memcpy(h->body + h->body_len, bytes, len);
    h->body_len += len;
    return len;
}

static void forget_fields(struct acme_http *h)
{
    h->location_len = 0;
    h->nonce_len = 0;
    h->retry_after_ms = 0;
}

static void keep_field(struct acme_http *h, struct slice name, struct slice value)
{
    if (slice_eq_nocase(name, SLICE("location")) && acme_url_ok(value, false)) {
        memcpy(h->location, value.ptr, value.len);
        h->location_len = value.len;
    } else if (slice_eq_nocase(name, SLICE("replay-nonce")) && acme_is_base64url(value) &&
               value.len <= ACME_NONCE_MAX) {
        memcpy(h->nonce, value.ptr, value.len);
        h->nonce_len = value.len;
    } else if (slice_eq_nocase(name, SLICE("retry-after"))) {
        h->retry_after_ms = acme_retry_after_ms(value, os_clock_wall_ms() / 1000);
    }
}

static size_t on_field(char *bytes, size_t one, size_t len, void *arg)
{
    struct acme_http *h = arg;
    ensure_magic(h, HTTP_MAGIC);
    ensure(one == 1);
    struct slice line = slice_of(bytes, len);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (++h->fields > FIELDS_MAX) {
        h->body_error = E_TOO_MANY_FIELDS;
        return len + 1;
    }
    ptrdiff_t colon = slice_find_char(line, ':');
    if (slice_starts(line, SLICE("HTTP/"))) {
        forget_fields(h); // an interim answer or a redirect came before
    } else if (colon > 0) {
        keep_field(h, slice_sub(line, 0, (size_t)colon),
                   slice_trim(slice_from(line, (size_t)colon + 1)));
    }
    return len;
}

// Not 0 ends the call. Called at least once a second.
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct acme_http *h = arg;
    ensure_magic(h, HTTP_MAGIC);
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return acme_http_cancelled(h->cancel);
}

// ---- handles --------------------------------------------------------------------------------------

// Where distributions keep the authorities of the web.
static const char *system_authorities(void)
{
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    };
    for (size_t i = 0; i < array_len(files); i++) {
        if (access(files[i], R_OK) == 0) {
            return files[i];
        }
    }
    return files[0];
}

int acme_http_open(struct slice ca, const atomic_bool *cancel, struct acme_http **out,
                   struct text *why)
{
    int rc = acme_curl_load(why);
    if (rc != 0) {
        return rc;
    }
    if (ca.len > PEM_MAX) {
        text_str(why, "the file of the CA's authorities is too long");
        return E_TOO_LARGE;
    }
    struct acme_http *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        return E_NO_MEMORY;
    }
    h->magic = HTTP_MAGIC;
    h->cancel = cancel;
    h->ca = ca;
    h->ca_file = ca.len == 0 ? system_authorities() : NULL;
    h->easy = acme_curl()->easy_init();
    if (h->easy == NULL) {
        acme_http_close(h);
        return E_NO_MEMORY;
    }
    *out = h;
    return 0;
}

void acme_http_close(struct acme_http *h)
{
    if (h == NULL) {
        return;
    }
    ensure_magic(h, HTTP_MAGIC);
    if (h->easy != NULL) {
        acme_curl()->easy_cleanup(h->easy);
    }
    h->magic = 0;
    mem_free(h->body);
    mem_free(h);
}

// ---- a call ---------------------------------------------------------------------------------------

static bool set_trust(struct acme_http *h)
{
    const struct curl_api *curl = acme_curl();
    bool ok =
        curl->easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
        curl->easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
        curl->easy_setopt(h->easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
        curl->easy_setopt(h->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    if (h->ca_file != NULL) {
        return ok && curl->easy_setopt(h->easy, CURLOPT_CAINFO, h->ca_file) == CURLE_OK;
    }
    char *bytes = NULL;
    ensure(h->ca.len > 0);
    memcpy(&bytes, &h->ca.ptr, sizeof(bytes)); // libcurl copies it, and says nothing of const
    struct curl_blob blob = {bytes, h->ca.len, CURL_BLOB_COPY};
    return ok && curl->easy_setopt(h->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

static bool set_limits(struct acme_http *h, const struct acme_call *c)
{
    const struct curl_api *curl = acme_curl();
    const char *protocols = c->clear_allowed ? "http,https" : "https";
    long time_ms = c->time_max_ms > 0 ? (long)c->time_max_ms : ACME_CALL_TIME_MS;
    return curl->easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_REDIR_PROTOCOLS_STR, protocols) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_FOLLOWLOCATION, c->redirects_max > 0 ? 1L : 0L) ==
               CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_MAXREDIRS, (long)c->redirects_max) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS,
                             (long)(time_ms < CONNECT_TIME_MS ? time_ms : CONNECT_TIME_MS)) ==
               CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, time_ms) == CURLE_OK &&
           (!c->direct || curl->easy_setopt(h->easy, CURLOPT_PROXY, "") == CURLE_OK);
}

static bool set_callbacks(struct acme_http *h)
{
    const struct curl_api *curl = acme_curl();
    return curl->easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_WRITEDATA, h) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_field) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_HEADERDATA, h) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_XFERINFODATA, h) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl->easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error) == CURLE_OK;
}

static bool set_message(struct acme_http *h, const struct acme_call *c, const char *url)
{
    const struct curl_api *curl = acme_curl();
    bool ok = curl->easy_setopt(h->easy, CURLOPT_URL, url) == CURLE_OK &&
              curl->easy_setopt(h->easy, CURLOPT_USERAGENT, "adit/" ADIT_VERSION) == CURLE_OK;
    if (c->method == ACME_HEAD) {
        return ok && curl->easy_setopt(h->easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (c->method == ACME_POST) {
        return ok && curl->easy_setopt(h->easy, CURLOPT_POST, 1L) == CURLE_OK &&
               curl->easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE, (long)c->body.len) == CURLE_OK &&
               curl->easy_setopt(h->easy, CURLOPT_POSTFIELDS, c->body.ptr) == CURLE_OK;
    }
    return ok;
}

static struct curl_slist *add_field(struct curl_slist *list, const char *name, const char *value)
{
    char line[256];
    struct text t = text_on(line, sizeof(line) - 1);
    text_printf(&t, "%s: %s", name, value);
    line[t.len] = '\0';
    struct curl_slist *longer = acme_curl()->slist_append(list, line);
    if (longer == NULL) {
        acme_curl()->slist_free_all(list);
    }
    return longer;
}

static struct curl_slist *make_fields(const struct acme_call *c)
{
    // English, so that the log reads in one language (RFC 8555 6.1).
    struct curl_slist *list = add_field(NULL, "Accept-Language", "en");
    if (list != NULL && c->accept != NULL) {
        list = add_field(list, "Accept", c->accept);
    }
    if (list != NULL && c->content_type != NULL) {
        list = add_field(list, "Content-Type", c->content_type);
    }
    return list;
}

static int error_of(const struct acme_http *h, CURLcode code)
{
    static const struct {
        CURLcode code;
        int error;
    } table[] = {
        {CURLE_COULDNT_RESOLVE_HOST, E_UNREACHABLE},
        {CURLE_COULDNT_RESOLVE_PROXY, E_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, E_REFUSED},
        {CURLE_OPERATION_TIMEDOUT, E_RESPONSE_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, E_TLS_UNTRUSTED},
        {CURLE_SSL_CONNECT_ERROR, E_TLS_HANDSHAKE},
        {CURLE_OUT_OF_MEMORY, E_NO_MEMORY},
        {CURLE_ABORTED_BY_CALLBACK, E_DRAINING},
        {CURLE_TOO_MANY_REDIRECTS, E_INVALID},
        {CURLE_URL_MALFORMAT, E_INVALID},
    };
    if (h->body_error != 0) {
        return h->body_error;
    }
    for (size_t i = 0; i < array_len(table); i++) {
        if (table[i].code == code) {
            return table[i].error;
        }
    }
    return E_IO;
}

// "https://host:port" of a URL: enough to say who was asked.
static struct slice origin_of(struct slice url)
{
    ptrdiff_t scheme = slice_find(url, SLICE("://"));
    size_t host = scheme < 0 ? 0 : (size_t)scheme + 3;
    ptrdiff_t path = slice_find_char(slice_from(url, host), '/');
    return path < 0 ? url : slice_sub(url, 0, host + (size_t)path);
}

static int say_failure(struct acme_http *h, const struct acme_call *c, CURLcode code,
                       struct text *why)
{
    int error = error_of(h, code);
    const char *reason = h->body_error != 0 ? error_text(h->body_error)
                         : h->error[0] != 0 ? h->error
                                            : acme_curl()->easy_strerror(code);
    if (error == E_DRAINING) {
        text_str(why, "cancelled");
        return error;
    }
    text_printf(why, "no answer from %.*s: %s", SLICE_ARG(origin_of(c->url)), reason);
    return error;
}

static int take_answer(struct acme_http *h, struct arena *a, struct acme_answer *out)
{
    long status = 0;
    (void)acme_curl()->easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    *out = (struct acme_answer){.status = (int)status, .retry_after_ms = h->retry_after_ms};
    out->body = arena_dup(a, slice_of(h->body, h->body_len));
    out->location = arena_dup(a, slice_of(h->location, h->location_len));
    out->nonce = arena_dup(a, slice_of(h->nonce, h->nonce_len));
    bool whole = out->body.len == h->body_len && out->location.ptr != NULL &&
                 out->nonce.ptr != NULL && (out->body.ptr != NULL || h->body_len == 0);
    return whole ? 0 : E_NO_MEMORY;
}

int acme_http_call(struct acme_http *h, const struct acme_call *c, struct arena *a,
                   struct acme_answer *out, struct text *why)
{
    ensure_magic(h, HTTP_MAGIC);
    if (!acme_url_ok(c->url, c->clear_allowed)) {
        text_printf(why, "\"%.*s\" is not %s", SLICE_ARG(slice_sub(c->url, 0, 100)),
                    c->clear_allowed ? "a URL" : "an https URL");
        return E_INVALID;
    }
    if (acme_http_cancelled(h->cancel)) {
        text_str(why, "cancelled");
        return E_DRAINING;
    }
    char *url = arena_strdup(a, c->url);
    struct curl_slist *fields = make_fields(c);
    h->body_len = 0;
    h->body_error = 0;
    h->fields = 0;
    h->error[0] = '\0';
    forget_fields(h);
    acme_curl()->easy_reset(h->easy);
    bool ready = url != NULL && fields != NULL && set_trust(h) && set_limits(h, c) &&
                 set_callbacks(h) && set_message(h, c, url) &&
                 acme_curl()->easy_setopt(h->easy, CURLOPT_HTTPHEADER, fields) == CURLE_OK;
    CURLcode code = ready ? acme_curl()->easy_perform(h->easy) : CURLE_OUT_OF_MEMORY;
    int rc = code == CURLE_OK ? take_answer(h, a, out) : say_failure(h, c, code, why);
    if (fields != NULL) {
        acme_curl()->slist_free_all(fields);
    }
    return rc;
}

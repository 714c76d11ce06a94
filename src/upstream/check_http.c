// SPDX-License-Identifier: Apache-2.0
//
// What an HTTP or gRPC check asks, and how it judges the answer. The head decides where no text of the
// body is wanted; the rest of the body is then read only so that the server sees an orderly end.

#include "base/error.h"
#include "base/text.h"
#include "http/session.h"
#include "upstream/called.h"
#include "upstream/check_int.h"

enum {
    HEAD_BYTES = 16384,
    HEAD_FIELDS = 128,
    WORDS_MAX = 60, // bytes of a peer's text in a reason
    GRPC_SERVING = 1,
};

static struct check *check_of(struct http_stream *s)
{
    struct check *c = s->user;
    ensure_magic(c, CHECK_MAGIC);
    return c;
}

static bool is_grpc(const struct check *c)
{
    return c->order.settings->type == CHECK_GRPC;
}

/** What a peer sent, fit for a log line: cut, and without anything that is not plain. */
static const char *plain(char out[WORDS_MAX + 1], struct slice s)
{
    size_t n = s.len < WORDS_MAX ? s.len : WORDS_MAX;
    for (size_t i = 0; i < n; i++) {
        out[i] = s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f ? s.ptr[i] : '?';
    }
    out[n] = '\0';
    return out;
}

// ---- judging ----------------------------------------------------------------------------------------

static void judge_status(struct check *c, unsigned status)
{
    char wanted[80];
    struct text t = text_on(wanted, sizeof(wanted));
    status_set_text(&c->order.settings->status, &t);
    check_judge(c, VERDICT_BAD, "HTTP %u (want %.*s)", status, (int)t.len, t.ptr);
}

static bool has_field(const struct check_settings *s, const struct fields *f)
{
    for (uint16_t i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (slice_eq_nocase(field_name(f, e), s->field_name) &&
            slice_find(field_value(f, e), s->field_value) >= 0) {
            return true;
        }
    }
    return false;
}

static void judge_head(struct check *c, const struct http_head *head)
{
    const struct check_settings *s = c->order.settings;
    if (!status_set_has(&s->status, head->status)) {
        judge_status(c, head->status);
    } else if (s->field_name.len > 0 && !has_field(s, &head->fields)) {
        check_judge(c, VERDICT_BAD, "HTTP %u without `%.*s: %.*s`", head->status,
                    SLICE_ARG(s->field_name), SLICE_ARG(s->field_value));
    } else if (s->body.len == 0) {
        check_judge(c, VERDICT_GOOD, "HTTP %u", head->status);
    }
}

/** gRPC's own status, in the trailers or, without a message, in the head. False: it failed. */
static bool grpc_status_is_ok(struct check *c, const struct fields *f)
{
    char words[WORDS_MAX + 1];
    struct slice status = f == NULL ? slice_of(NULL, 0) : fields_get(f, SLICE("grpc-status"));
    if (slice_eq(status, SLICE("0"))) {
        return true;
    }
    if (status.len == 0) {
        check_judge(c, VERDICT_BAD, "no grpc-status");
    } else if (slice_eq(status, SLICE("5"))) {
        check_judge(c, VERDICT_BAD, "grpc-status 5: it does not know the service");
    } else if (slice_eq(status, SLICE("12"))) {
        check_judge(c, VERDICT_BAD, "grpc-status 12: it has no health service");
    } else {
        check_judge(c, VERDICT_BAD, "grpc-status %s", plain(words, status));
    }
    return false;
}

static void judge_grpc(struct check *c, const struct fields *trailers)
{
    uint64_t status = 0;
    if (!grpc_status_is_ok(c, trailers)) {
        return;
    }
    if (check_grpc_read(slice_of(c->grpc, c->grpc_len), &status) < 0) {
        check_judge(c, VERDICT_BAD, "the answer is not one of grpc.health.v1");
    } else {
        check_judge(c, status == GRPC_SERVING ? VERDICT_GOOD : VERDICT_BAD, "%s",
                    check_grpc_text(status));
    }
}

// ---- the body ---------------------------------------------------------------------------------------

/** Looks for the text across the pieces it comes in (Knuth, Morris, Pratt). */
static void look_for_text(struct check *c, struct slice piece)
{
    const struct check_settings *s = c->order.settings;
    for (size_t i = 0; i < piece.len && !c->matched; i++) {
        while (c->match > 0 && s->body.ptr[c->match] != piece.ptr[i]) {
            c->match = s->body_fail[c->match];
        }
        c->match = (uint8_t)(c->match + (s->body.ptr[c->match] == piece.ptr[i]));
        c->matched = c->match == s->body.len;
    }
}

static void keep_message(struct check *c, struct slice piece)
{
    if (piece.len > CHECK_GRPC_MAX - c->grpc_len) {
        check_judge(c, VERDICT_BAD, "the answer is not one of grpc.health.v1");
        check_over(c);
        return;
    }
    memcpy(c->grpc + c->grpc_len, piece.ptr, piece.len);
    c->grpc_len += (uint32_t)piece.len;
}

static void judge_body(struct check *c, const struct http_body *b)
{
    const struct check_settings *s = c->order.settings;
    if (is_grpc(c)) {
        judge_grpc(c, b->trailers);
    } else {
        check_judge(c, c->matched ? VERDICT_GOOD : VERDICT_BAD, "HTTP %u %s `%.*s`",
                    c->response.status, c->matched ? "with" : "without", (int)s->body.len,
                    s->body.ptr);
    }
}

static void on_data(struct http_body *b, void *consumer)
{
    struct check *c = consumer;
    ensure_magic(c, CHECK_MAGIC);
    while (b->q.bytes > 0 && !c->over) {
        struct slice piece = bufq_front(&b->q);
        if (is_grpc(c)) {
            keep_message(c, piece);
        } else {
            look_for_text(c, piece);
        }
        http_body_take(b, piece.len);
    }
    if (c->over || b->error != 0) {
        return;
    }
    if (c->matched || http_body_done(b)) {
        judge_body(c, b);
    } else if (b->taken_total > CHECK_READ_MAX) {
        check_judge(c, VERDICT_BAD, "no `%.*s` in the first MiB",
                    SLICE_ARG(c->order.settings->body));
    }
    if (c->judged && !http_body_done(b)) {
        check_over(c);
        return;
    }
    http_body_pull(b);
}

// ---- the exchange -----------------------------------------------------------------------------------

/** An agent with a password or a list of addresses asks for them before its service does, and a check has
 * neither: it says so itself that it is there. */
static bool is_kept_out(const struct check *c, unsigned status)
{
    return c->order.called != NULL && (status == 401 || status == 403);
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct check *c = check_of(s);
    if (http_status_is_interim(head->status)) {
        return;
    }
    bool bare = head->body == HTTP_BODY_NONE;
    if (is_kept_out(c, head->status)) {
        check_judge(c, VERDICT_GOOD, "HTTP %u: it lets in only whom it knows", head->status);
    } else if (!is_grpc(c)) {
        judge_head(c, head);
        if (bare && !c->judged) {
            judge_body(c, &c->response_body);
        }
    } else if (head->status != 200) {
        judge_status(c, head->status);
    } else if (bare || fields_get(&head->fields, SLICE("grpc-status")).len > 0) {
        if (grpc_status_is_ok(c, &head->fields)) {
            check_judge(c, VERDICT_BAD, "no answer of grpc.health.v1");
        }
    }
    if (bare) {
        return;
    }
    s->ops->receive_body(s, &c->response_body);
    if (c->judged) {
        c->response_body.total_max = CHECK_READ_MAX; // it may have no end
        http_body_discard(&c->response_body);
    }
}

static void on_bad_message(struct http_stream *s, int error)
{
    check_judge(check_of(s), VERDICT_BAD, "%s", error_text(error));
}

static void on_error(struct http_stream *s, int error)
{
    bool ours = error_class_of(error) == ERROR_CLASS_LOCAL || error == E_NO_MEMORY ||
                check_of(s)->order.called != NULL;
    check_judge(check_of(s), ours ? VERDICT_NONE : VERDICT_BAD, "%s", error_text(error));
}

static void on_sent(struct http_stream *s)
{
    (void)check_of(s);
}

static void on_closed(struct http_stream *s)
{
    struct check *c = check_of(s);
    c->stream = NULL;
    check_judge(c, c->order.called != NULL ? VERDICT_NONE : VERDICT_BAD,
                "the connection ended before the answer did");
    check_over(c);
}

static const struct http_stream_events events = {
    .on_head = on_head,
    .on_bad_message = on_bad_message,
    .on_error = on_error,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

static struct slice host_of(const struct check *c)
{
    const struct check_settings *s = c->order.settings;
    if (s->host.len > 0) {
        return s->host;
    }
    return slice_starts(c->order.host, SLICE("unix:")) ? SLICE("localhost") : c->order.host;
}

/** 0 or E_NO_MEMORY. */
static int make_request(struct check *c)
{
    const struct check_settings *s = c->order.settings;
    struct http_head *h = &c->request;
    http_head_init(h, &c->arena, HEAD_BYTES, HEAD_FIELDS);
    h->method_text = is_grpc(c) ? SLICE("POST") : s->method;
    h->method = (uint8_t)http_method_of(h->method_text);
    h->version_minor = 1;
    h->keep_alive = true;
    h->scheme = c->order.kind->tls != NULL ? SLICE("https") : SLICE("http");
    h->authority = host_of(c);
    h->host = h->authority;
    h->target = is_grpc(c) ? SLICE("/grpc.health.v1.Health/Check") : s->target;
    h->path = h->target;
    int e = fields_add(&h->fields, SLICE("user-agent"), SLICE("adit-health/" ADIT_VERSION));
    if (e < 0 || !is_grpc(c)) {
        return e < 0 ? e : fields_add(&h->fields, SLICE("accept"), SLICE("*/*"));
    }
    char message[CHECK_GRPC_MAX];
    size_t n = check_grpc_write(message, s->service);
    h->te_trailers = true;
    h->body = HTTP_BODY_STREAM;
    e = fields_add(&h->fields, SLICE("content-type"), SLICE("application/grpc"));
    if (e == 0) {
        e = http_body_write(&c->request_body, &c->loop->chunks, message, n);
        http_body_end(&c->request_body, NULL);
    }
    return e;
}

static struct http_stream *take(const struct check *c, int *error)
{
    *error = E_NO_MEMORY;
    return c->order.called != NULL ? called_take(c->order.called, c->loop->core, error)
                                   : c->session->ops->take(c->session);
}

void check_http_ask(struct check *c)
{
    static const struct http_timeouts none = {0}; // the check's deadline holds for all
    int e = make_request(c);
    struct http_stream *s = e == 0 ? take(c, &e) : NULL;
    c->asked = true;
    if (s == NULL) {
        check_judge(c, VERDICT_NONE, "%s", error_text(e));
        check_over(c);
        return;
    }
    http_head_init(&c->response, &c->arena, HEAD_BYTES, HEAD_FIELDS);
    http_body_set_consumer(&c->response_body, c, on_data);
    c->stream = s;
    s->events = &events;
    s->user = c;
    s->receive_head = &c->response;
    s->ops->set_timeouts(s, &none);
    s->ops->send_head(s, &c->request, is_grpc(c) ? &c->request_body : NULL);
}

// SPDX-License-Identifier: Apache-2.0
//
// What edges say to an agent: the answer to a handshake, and the text of a GOAWAY. Whatever comes, what
// is kept is bounded and can be shown on a terminal.

#include <stdlib.h>
#include <string.h>

#include "agent/answer.h"
#include "base/error.h"
#include "h1/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
    .head_bytes = ANSWER_HEAD_MAX, .target_bytes = 1024, .fields = ANSWER_FIELDS_MAX};

static void check_text(const char *s, size_t room, char least)
{
    size_t len = strnlen(s, room);
    ensure(len < room);
    for (size_t i = 0; i < len; i++) {
        ensure(s[i] >= least && s[i] < 0x7f);
    }
}

static void check_answer(const struct agent_answer *a)
{
    ensure(a->status == 101 || (a->status >= 200 && a->status <= 599));
    ensure(a->url_count <= ANSWER_URLS_MAX);
    ensure(a->status != 101 || a->url_count > 0);
    ensure(a->status == 101 || (a->url_count == 0 && a->secret[0] == '\0'));
    for (uint32_t i = 0; i < a->url_count; i++) {
        check_text(a->urls[i], ANSWER_URL_MAX, 0x21);
        ensure(strstr(a->urls[i], "://") != NULL);
    }
    check_text(a->name, sizeof(a->name), 0x21);
    check_text(a->secret, sizeof(a->secret), 0x21);
    check_text(a->ticket, sizeof(a->ticket), 0x21);
    check_text(a->reason, sizeof(a->reason), 0x21);
    check_text(a->suggestion, sizeof(a->suggestion), 0x21);
    check_text(a->nonce, sizeof(a->nonce), 0x21);
    ensure(strchr(a->nonce, '"') == NULL);
    ensure(a->within_ms <= ANSWER_WITHIN_MAX_MS && a->retry_after_s <= ANSWER_RETRY_AFTER_MAX_S);
    ensure(a->body_bytes >= -1);
}

static void parse_answer(const char *p, size_t n)
{
    struct h1_scan scan = {0};
    size_t head_len = 0;
    if (h1_scan_head(&scan, &limits, p, n, &head_len) != 0) {
        return;
    }
    struct agent_answer *a = malloc(sizeof(*a));
    char *head = malloc(head_len); // of the exact size, so that a byte too far is seen
    ensure(a != NULL && head != NULL);
    memcpy(head, p, head_len);
    if (agent_answer_parse(head, head_len, a) == 0) {
        check_answer(a);
        agent_answer_text(a, slice_of(p + head_len, n - head_len));
        check_text(a->text, sizeof(a->text), 0x20);
    }
    free(head);
    free(a);
}

static void parse_farewell(const char *p, size_t n)
{
    struct agent_farewell f;
    agent_farewell_parse(slice_of(p, n), &f);
    ensure(!(f.end && f.reconnect));
    ensure(f.within_ms <= ANSWER_WITHIN_MAX_MS);
    check_text(f.text, sizeof(f.text), 0x20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *copy = malloc(size);
    ensure(copy != NULL);
    memcpy(copy, data, size);
    if (copy[0] == 'G') {
        parse_farewell(copy + 1, size - 1);
    } else {
        parse_answer(copy, size);
    }
    free(copy);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The core's checker (access/checker.h). All of its state is the thread's; it has a timer only while
// somebody waits.

#include "access/checker.h"

#include "base/error.h"
#include "base/text.h"

enum { CLAIM_BYTES_MAX = DIGEST_BYTES + 4 + 2 * PASSWORD_MAX };

static _Thread_local struct checker {
    bool ready;
    uint32_t count;
    uint8_t key[DIGEST_BYTES];
    struct list jobs;
    struct loop *loop; // while there are jobs
    struct wheel_timer timer;
    uint8_t known[CHECKER_REMEMBERED][DIGEST_BYTES]; // zeros: free
} checker;

static void on_tick(struct wheel_timer *timer);

static int prepare(void)
{
    if (checker.ready) {
        return 0;
    }
    int rc = digest_random(checker.key, sizeof(checker.key));
    if (rc == 0) {
        list_init(&checker.jobs);
        wheel_timer_init(&checker.timer, on_tick);
        checker.ready = true;
    }
    return rc;
}

/** The digest under which a right claim is remembered: of what is stored, so that another password of
 * the same user is another claim; and of the user's name with its length, so that nothing moves from
 * the name into the password. */
static int tag_of(const struct checker_claim *c, uint8_t tag[DIGEST_BYTES])
{
    char bytes[CLAIM_BYTES_MAX];
    struct text t = text_on(bytes, sizeof(bytes));
    uint32_t len = (uint32_t)c->user.len;
    text_put(&t, slice_of((const char *)c->stored->hash, DIGEST_BYTES));
    text_put(&t, slice_of((const char *)&len, sizeof(len)));
    text_put(&t, c->user);
    text_put(&t, c->password);
    struct slice key = slice_of((const char *)checker.key, sizeof(checker.key));
    return t.overflow ? E_TOO_LARGE : digest_hmac(key, text_slice(&t), tag);
}

static uint8_t *place_of(const uint8_t tag[DIGEST_BYTES])
{
    return checker.known[(tag[0] | (unsigned)tag[1] << 8) % CHECKER_REMEMBERED];
}

enum checker_verdict checker_ask(const struct checker_claim *c)
{
    uint8_t made[DIGEST_BYTES];
    if (c->stored->iterations == 0) {
        bool right = digest_sha256(c->password, made) == 0 &&
                     digest_equal(made, c->stored->hash, DIGEST_BYTES);
        return right && c->exists ? CHECKER_RIGHT : CHECKER_WRONG;
    }
    if (prepare() != 0 || tag_of(c, made) != 0) {
        return CHECKER_FULL;
    }
    bool known = c->exists && digest_equal(made, place_of(made), DIGEST_BYTES);
    return known ? CHECKER_RIGHT : CHECKER_LATER;
}

static void leave(struct checker_job *job)
{
    list_remove(&job->link);
    list_init(&job->link);
    checker.count--;
}

static void finish(struct checker_job *job, bool right)
{
    right = right && job->claim.exists &&
            digest_equal(job->chain.sum, job->claim.stored->hash, DIGEST_BYTES);
    if (right) {
        memcpy(place_of(job->tag), job->tag, DIGEST_BYTES);
    }
    leave(job);
    job->done(job, right);
}

static void on_tick(struct wheel_timer *timer)
{
    ensure(timer == &checker.timer);
    struct list *first = list_first(&checker.jobs);
    ensure(first != NULL);
    struct loop *loop = checker.loop;
    struct checker_job *job = list_entry(first, struct checker_job, link);
    int rc = digest_chain_step(&job->chain, job->claim.password, CHECKER_ITERATIONS_PER_STEP);
    if (rc != 0 || job->chain.left == 0) {
        finish(job, rc == 0);
    }
    if (checker.count > 0) {
        loop_timer_set(loop, &checker.timer, CHECKER_TICK_MS);
    }
}

static bool is_crowded(const struct os_addr *client)
{
    uint32_t same = 0;
    for (struct list *n = checker.jobs.next; n != &checker.jobs; n = n->next) {
        same += os_addr_same_ip(&list_entry(n, struct checker_job, link)->client, client) ? 1 : 0;
    }
    return same >= CHECKER_JOBS_PER_CLIENT;
}

enum checker_verdict checker_begin(struct loop *l, struct checker_job *job)
{
    const struct password *p = job->claim.stored;
    ensure(p->iterations > 0);
    struct slice salt = slice_of((const char *)p->salt, p->salt_len);
    if (prepare() != 0 || checker.count == CHECKER_JOBS_MAX || is_crowded(&job->client) ||
        tag_of(&job->claim, job->tag) != 0 ||
        digest_chain_begin(&job->chain, job->claim.password, salt, p->iterations) != 0) {
        return CHECKER_FULL;
    }
    ensure(checker.count == 0 || checker.loop == l);
    list_init(&job->link);
    list_push_back(&checker.jobs, &job->link);
    checker.loop = l;
    if (checker.count++ == 0) {
        loop_timer_set(l, &checker.timer, CHECKER_TICK_MS);
    }
    return CHECKER_LATER;
}

void checker_cancel(struct loop *l, struct checker_job *job)
{
    leave(job);
    if (checker.count == 0) {
        loop_timer_stop(l, &checker.timer);
    }
}

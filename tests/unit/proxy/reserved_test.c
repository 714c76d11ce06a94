// SPDX-License-Identifier: Apache-2.0
//
// Reserved requests: who gets them, before any route and for any host, at once or after a wait; and the
// hand-over of the client's connection.

#include "proxy/reserved.h"

#include "proxy/fake_world.h"

enum plan { ANSWERS, WAITS, HANDS_OVER };

static enum plan plan;
static unsigned answers;
static unsigned resumes;
static struct exchange *asked;
static struct http_heir heir;
static int handed;

static bool is_ours(const struct reserved *r, const struct exchange *x)
{
    CHECK(r->resume != NULL);
    CHECK(x->site == NULL);
    return slice_eq(x->request.host, SLICE("agent.invalid"));
}

static enum stage_result finish(struct exchange *x)
{
    exchange_begin_answer(x, plan == HANDS_OVER ? 101 : 200);
    if (plan == HANDS_OVER) {
        x->response.upgrade = SLICE("test/1");
        handed = exchange_hand_over(x, &heir);
        if (handed == 0) {
            return STAGE_ANSWER;
        }
        exchange_fail_status(x, 426);
        return STAGE_ANSWER;
    }
    exchange_answer(x, SLICE("text/plain"), SLICE("reserved"));
    return STAGE_ANSWER;
}

static enum stage_result on_answer(const struct reserved *r, struct exchange *x)
{
    (void)r;
    answers++;
    asked = x;
    return plan == WAITS ? STAGE_WAIT : finish(x);
}

static enum stage_result on_resume(const struct reserved *r, struct exchange *x)
{
    (void)r;
    resumes++;
    return finish(x);
}

static const struct reserved ours = {.is = is_ours, .answer = on_answer, .resume = on_resume};

static struct http_head *begin(enum plan p)
{
    plan = p;
    answers = resumes = 0;
    world_begin("respond: site");
    reserved_add(&world->core, &ours);
    struct http_head *h = world_request("GET", "/anything");
    h->host = SLICE("agent.invalid");
    return h;
}

static void answers_before_any_site(void)
{
    struct http_head *h = begin(ANSWERS);
    world_go(h);
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_STR(world_take(), "reserved");
    CHECK_EQ_INT(answers, 1);
    world_sent();
    world_end();
}

static void other_requests_take_their_route(void)
{
    struct http_head *h = begin(ANSWERS);
    h->host = SLICE("example.com");
    world_go(h);
    CHECK_STR(world_take(), "site");
    CHECK_EQ_INT(answers, 0);
    world_sent();
    world_end();
}

static void reads_the_body_away(void)
{
    struct http_head *h = begin(ANSWERS);
    h->body = HTTP_BODY_STREAM;
    world_go(h);
    REQUIRE(world->request_body != NULL);
    CHECK(world->request_body->discarding);
    world_sent();
    world_end();
}

static void may_answer_later(void)
{
    struct http_head *h = begin(WAITS);
    world_go(h);
    CHECK_EQ_INT(world->down_status, 0);
    exchange_resume(asked);
    CHECK_EQ_INT(resumes, 1);
    CHECK_EQ_INT(world->down_status, 200);
    CHECK_STR(world_take(), "reserved");
    world_sent();
    world_end();
}

static void a_client_may_go_while_it_waits(void)
{
    struct http_head *h = begin(WAITS);
    world_go(h);
    world->down.events->on_error(&world->down, E_RESET);
    world->down_closed = true;
    world->down.events->on_closed(&world->down);
    CHECK_EQ_INT(world->core.live_count, 1); // the handler holds it
    CHECK(asked->down == NULL);
    exchange_resume(asked);
    CHECK_EQ_INT(resumes, 0);
    world_end();
}

static void gives_the_connection_away(void)
{
    struct http_head *h = begin(HANDS_OVER);
    world_go(h);
    CHECK_EQ_INT(handed, 0);
    CHECK_EQ_INT(world->down_status, 101);
    CHECK(world->heir == &heir);
    CHECK_EQ_INT(world_count(COUNTER_upgrades), 1);
    CHECK_EQ_INT(world_count(COUNTER_responses_1xx), 1);
    world_sent();
    world_end();
}

static void says_when_it_cannot_be_given(void)
{
    struct http_head *h = begin(HANDS_OVER);
    static struct http_stream_ops without;
    without = *world->down.ops;
    without.hand_over = NULL;
    world->down.ops = &without;
    world_go(h);
    CHECK_EQ_INT(handed, E_UNSUPPORTED);
    CHECK_EQ_INT(world->down_status, 426);
    CHECK(world->heir == NULL);
    CHECK_EQ_INT(world_count(COUNTER_upgrades), 0);
    world_sent();
    world_end();
}

TAP_MAIN(answers_before_any_site, other_requests_take_their_route, reads_the_body_away,
         may_answer_later, a_client_may_go_while_it_waits, gives_the_connection_away,
         says_when_it_cannot_be_given)

// SPDX-License-Identifier: Apache-2.0
//
// The loop on a fake sys that hands out what the test queued, and once on the real one with threads.

#include "loop/loop.h"

#include <pthread.h>

#include "base/error.h"
#include "tap.h"

struct fake {
    struct sys sys;
    uint64_t ns;
    struct sys_event queue[8];
    int queued;
    int last_timeout;
    int waits;
    int watched;
    int closed;
    int wakes;
    int clock_reads;
};

static struct fake fake;
static struct loop l;

static uint64_t fake_now(struct sys *s)
{
    (void)s;
    fake.clock_reads++;
    return fake.ns;
}

static uint64_t fake_wall(struct sys *s)
{
    (void)s;
    return 1000;
}

static int fake_wait(struct sys *s, struct sys_event *events, int max, int timeout_ms)
{
    (void)s;
    (void)max;
    fake.waits++;
    fake.last_timeout = timeout_ms;
    int n = fake.queued;
    memcpy(events, fake.queue, sizeof(fake.queue[0]) * (size_t)n);
    fake.queued = 0;
    if (n == 0 && timeout_ms > 0) {
        fake.ns += (uint64_t)timeout_ms * 1000000u;
    }
    return n;
}

static void fake_wake(struct sys *s)
{
    (void)s;
    fake.wakes++;
}

static int fake_watch(struct sys *s, int fd, void *data, bool listener)
{
    (void)s;
    (void)data;
    (void)listener;
    if (fd == 99) {
        return E_NO_MEMORY;
    }
    fake.watched++;
    return 0;
}

static int fake_unwatch(struct sys *s, int fd)
{
    (void)s;
    (void)fd;
    fake.watched--;
    return 0;
}

static void fake_close(struct sys *s, int fd, bool reset)
{
    (void)s;
    (void)fd;
    (void)reset;
    fake.closed++;
}

static void fake_random(struct sys *s, void *buf, size_t len)
{
    (void)s;
    memset(buf, 7, len);
}

static const struct sys_ops fake_ops = {
    .name = "fake",
    .now_ns = fake_now,
    .wall_ms = fake_wall,
    .wait = fake_wait,
    .wake = fake_wake,
    .watch = fake_watch,
    .unwatch = fake_unwatch,
    .close = fake_close,
    .random = fake_random,
};

static char story[64];

static void tell(char c)
{
    size_t n = strlen(story);
    REQUIRE(n + 1 < sizeof(story));
    story[n] = c;
    story[n + 1] = '\0';
}

static void setup(void)
{
    static const struct loop_limits limits = {8, 8};
    memset(&fake, 0, sizeof(fake));
    fake.sys.ops = &fake_ops;
    fake.ns = UINT64_C(5000000000);
    story[0] = '\0';
    REQUIRE(loop_init(&l, &fake.sys, 0, &limits) == 0);
}

static void queue_event(struct io *io, unsigned events)
{
    fake.queue[fake.queued++] = (struct sys_event){io, events};
}

// ---- events ------------------------------------------------------------------------------------------

static struct io a;
static struct io b;

static void ready(struct io *io, unsigned events)
{
    tell(io == &a ? 'a' : 'b');
    tell((char)('0' + events));
}

static void ready_then_close_both(struct io *io, unsigned events)
{
    ready(io, events);
    loop_close(&l, &a, false);
    loop_close(&l, &b, true);
    // Freed by its owner: whatever is there now must not be looked at.
    memset(&b, 0x5a, sizeof(b));
}

static void hands_out_events(void)
{
    setup();
    io_init(&a, 3, ready);
    io_init(&b, 4, ready);
    REQUIRE(loop_watch(&l, &a, false) == 0 && loop_watch(&l, &b, true) == 0);
    CHECK_ABORTS(loop_watch(&l, &a, false) != 0);
    queue_event(&a, SYS_READ);
    queue_event(&b, SYS_READ | SYS_WRITE);
    loop_turn(&l, -1);
    CHECK_STR(story, "a1b3");
    CHECK_EQ_INT(fake.last_timeout, -1);
    loop_close(&l, &a, false);
    CHECK(a.fd == -1 && fake.watched == 2 && fake.closed == 1);
    loop_close(&l, &a, false);
    CHECK_EQ_INT(fake.closed, 1);
    loop_close(&l, &b, false); // a listener leaves the set explicitly
    CHECK(fake.watched == 1 && fake.closed == 2);
    io_init(&a, 99, ready);
    CHECK_EQ_INT(loop_watch(&l, &a, false), E_NO_MEMORY);
    CHECK_EQ_INT(a.fd, 99);
    loop_fini(&l);
}

static void drops_events_of_what_was_closed(void)
{
    setup();
    io_init(&a, 3, ready_then_close_both);
    io_init(&b, 4, ready_then_close_both);
    REQUIRE(loop_watch(&l, &a, false) == 0 && loop_watch(&l, &b, false) == 0);
    queue_event(&a, SYS_READ);
    queue_event(&b, SYS_READ);
    queue_event(&a, SYS_WRITE);
    loop_turn(&l, 0);
    CHECK_STR(story, "a1");
    CHECK_EQ_INT(fake.closed, 2);
    loop_fini(&l);
}

static void ready_then_unwatch(struct io *io, unsigned events)
{
    ready(io, events);
    loop_unwatch(&l, &b);
}

static void drops_events_of_what_is_no_longer_watched(void)
{
    setup();
    io_init(&a, 3, ready_then_unwatch);
    io_init(&b, 4, ready);
    REQUIRE(loop_watch(&l, &a, false) == 0 && loop_watch(&l, &b, false) == 0);
    queue_event(&a, SYS_READ);
    queue_event(&b, SYS_READ);
    loop_turn(&l, 0);
    CHECK_STR(story, "a1");
    CHECK(fake.watched == 1 && b.fd == 4);
    REQUIRE(loop_watch(&l, &b, false) == 0);
    queue_event(&b, SYS_WRITE);
    loop_turn(&l, 0);
    CHECK_STR(story, "a1b2");
    loop_fini(&l);
}

// ---- timers and tasks ----------------------------------------------------------------------------------

static struct wheel_timer timer;
static struct task task_a;
static struct task task_b;
static struct mail mail_a;
static struct mail mail_b;

static void on_timer(struct wheel_timer *t)
{
    (void)t;
    tell('t');
}

static void on_task(struct task *t)
{
    tell(t == &task_a ? 'A' : 'B');
}

static void on_mail(struct mail *m, struct loop *to)
{
    CHECK(to == &l);
    tell(m == &mail_a ? 'x' : 'y');
}

static void waits_for_the_next_timer(void)
{
    setup();
    wheel_timer_init(&timer, on_timer);
    loop_timer_set(&l, &timer, 50);
    loop_turn(&l, -1);
    while (fake.waits < 5 && story[0] == '\0') {
        CHECK(fake.last_timeout > 0 && fake.last_timeout <= 50);
        loop_turn(&l, -1);
    }
    CHECK_STR(story, "t");
    CHECK_EQ_INT(l.now_ms, 5050);
    CHECK_EQ_INT(fake.clock_reads, 1 + fake.waits);
    loop_turn(&l, 7);
    CHECK_EQ_INT(fake.last_timeout, 7);
    loop_timer_set(&l, &timer, 3);
    loop_turn(&l, 7);
    CHECK(fake.last_timeout <= 3);
    loop_timer_stop(&l, &timer);
    loop_fini(&l);
}

static void keeps_the_order_of_a_turn(void)
{
    setup();
    io_init(&a, 3, ready);
    task_init(&task_a, on_task);
    task_init(&task_b, on_task);
    wheel_timer_init(&timer, on_timer);
    mail_a = (struct mail){.fn = on_mail};
    mail_b = (struct mail){.fn = on_mail};
    loop_timer_set(&l, &timer, 0);
    loop_defer(&l, &task_a);
    loop_defer(&l, &task_b);
    loop_defer(&l, &task_a);
    loop_post(&l, &mail_a);
    loop_post(&l, &mail_b);
    CHECK_EQ_INT(fake.wakes, 1);
    queue_event(&a, SYS_READ);
    loop_turn(&l, -1);
    CHECK_EQ_INT(fake.last_timeout, 0);
    CHECK_STR(story, "a1tABxy");
    loop_defer(&l, &task_a);
    loop_cancel(&l, &task_a);
    loop_turn(&l, -1);
    CHECK_EQ_INT(fake.last_timeout, -1);
    CHECK_STR(story, "a1tABxy");
    loop_fini(&l);
}

static int rounds;

static void count_round(struct task *t)
{
    rounds++;
    loop_defer(&l, t);
}

static void leaves_endless_tasks_for_the_next_turn(void)
{
    setup();
    rounds = 0;
    task_init(&task_a, count_round);
    loop_defer(&l, &task_a);
    loop_turn(&l, -1);
    CHECK_EQ_INT(rounds, LOOP_TASK_ROUNDS_MAX);
    loop_turn(&l, -1);
    CHECK_EQ_INT(fake.last_timeout, 0);
    CHECK_EQ_INT(rounds, 2 * LOOP_TASK_ROUNDS_MAX);
    loop_cancel(&l, &task_a);
    loop_fini(&l);
}

// ---- threads -------------------------------------------------------------------------------------------

enum { MAILS = 10000 };

static struct mail mails[MAILS];
static int received;

static void count_mail(struct mail *m, struct loop *to)
{
    CHECK(m == &mails[received]);
    if (++received == MAILS) {
        loop_stop(to);
    }
}

static void *post_all(void *arg)
{
    for (int i = 0; i < MAILS; i++) {
        mails[i] = (struct mail){.fn = count_mail};
        loop_post(arg, &mails[i]);
    }
    return NULL;
}

static void receives_mail_from_another_thread(void)
{
    static const struct loop_limits limits = {8, 8};
    struct sys *s = os_linux_new();
    REQUIRE(s != NULL);
    REQUIRE(loop_init(&l, s, 1, &limits) == 0);
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, post_all, &l) == 0);
    loop_run(&l);
    (void)pthread_join(t, NULL);
    CHECK_EQ_INT(received, MAILS);
    loop_fini(&l);
    os_linux_free(s);
}

TAP_MAIN(hands_out_events, drops_events_of_what_was_closed,
         drops_events_of_what_is_no_longer_watched, waits_for_the_next_timer,
         keeps_the_order_of_a_turn, leaves_endless_tasks_for_the_next_turn,
         receives_mail_from_another_thread)

// SPDX-License-Identifier: Apache-2.0
//
// Loading: what checks out becomes a plan, what does not is told and changes nothing.

#include <fcntl.h>

#include "base/error.h"
#include "base/text.h"
#include "keeper/keeper_int.h"

#include "tap.h"

#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;
static char path[] = "/tmp/adit-keeper-XXXXXX";
static char buffer[4096];

static int load(const char *yaml, int32_t answer, uint32_t *generation)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
    (void)close(fd);
    keeper_init(&keeper);
    keeper.tables = conf_tables;
    ipc_set_text(keeper.path, sizeof keeper.path, slice_str(path));
    fake_start(&supervisor, answer);
    struct text out = text_on(buffer, sizeof buffer - 1);
    int error = keeper_load(&keeper, generation, &out);
    buffer[out.len] = '\0';
    fake_stop(&supervisor);
    keeper_fini(&keeper);
    return error;
}

static void a_good_file_becomes_a_plan(void)
{
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    (void)close(fd);
    uint32_t generation = 0;
    CHECK_EQ_INT(load("listen: 8081\nsites: {default: {proxy: 3000}}\n", 0, &generation), 0);
    CHECK_EQ_INT(generation, 5);
    CHECK(supervisor.planned);
    CHECK(!supervisor.failed);
    CHECK_EQ_INT(supervisor.at[0].addr.port, 8081);
}

static void a_bad_file_is_told_with_its_place(void)
{
    uint32_t generation = 0;
    CHECK_EQ_INT(load("sites: {default: {proxi: 3000}}\n", 0, &generation), E_CONFIG);
    CHECK(!supervisor.planned);
    CHECK(supervisor.failed);
    CHECK(strstr(buffer, ":1:19: error: ") != NULL);
}

static void an_objection_is_passed_on(void)
{
    uint32_t generation = 0;
    CHECK_EQ_INT(load("sites: {default: {proxy: 3000}}\n", E_IN_USE, &generation), E_IN_USE);
    CHECK(supervisor.planned);
    CHECK(strstr(buffer, "as you say\n") != NULL);
    (void)unlink(path);
}

static void orders_that_come_in_between_are_kept(void)
{
    fake_open(&supervisor);
    struct ipc_message m;
    struct ipc_fds fds;
    ipc_init(&m, IPC_load);
    CHECK(ipc_send(supervisor.channel, &m, NULL, 0) == 0);
    ipc_init(&m, IPC_control);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(ipc_send(supervisor.channel, &m, &null, 1) == 0);
    ipc_init(&m, IPC_result);
    CHECK(ipc_send(supervisor.channel, &m, NULL, 0) == 0);
    keeper_init(&keeper);
    CHECK_EQ_INT(keeper_await(&keeper, IPC_result, &m, &fds), 0);
    CHECK(keeper.load_wanted);
    CHECK(keeper.control >= 0);
    (void)close(keeper.control);
    (void)close(null);
    (void)close(supervisor.channel);
    CHECK_EQ_INT(keeper_await(&keeper, IPC_result, &m, &fds), E_EOF);
    CHECK(keeper.ending);
    keeper_fini(&keeper);
}

TAP_MAIN(a_good_file_becomes_a_plan, a_bad_file_is_told_with_its_place, an_objection_is_passed_on,
         orders_that_come_in_between_are_kept)

// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a file is said, and it is left as it is; an older one is brought up step by step.

#include "state/sqlite_int.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

#define FILE_NAME "test.db"

static char folder[] = "/tmp/adit-sqlite-XXXXXX";
static int dir = -1;
static char buffer[512];

static const char *const steps[] = {
    "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1);",
    "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 5; INSERT INTO t VALUES (2, 6);",
    "CREATE TABLE u (c INTEGER); INSERT INTO missing VALUES (1);",
};

static int open_with(struct db *db, uint32_t count)
{
    struct text why = text_on(buffer, sizeof buffer - 1);
    int error = db_open(db, dir, FILE_NAME, steps, count, &why);
    buffer[why.len] = '\0';
    return error;
}

static void write_file(const char *bytes, size_t len)
{
    int fd = openat(dir, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    CHECK(write(fd, bytes, len) == (ssize_t)len);
    (void)close(fd);
}

static off_t size_of_file(void)
{
    struct stat st;
    return fstatat(dir, FILE_NAME, &st, 0) == 0 ? st.st_size : -1;
}

static void setup(void)
{
    REQUIRE(mkdtemp(folder) != NULL);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(dir >= 0);
}

static void sum_row(void *arg, sqlite3_stmt *st)
{
    *(uint64_t *)arg += db_number(st, 0);
}

static uint64_t sum(struct db *db, const char *sql)
{
    uint64_t total = 0;
    struct db_order order = {.sql = sql, .row = sum_row, .arg = &total};
    CHECK_EQ_INT(db_do(db, &order, NULL), 0);
    return total;
}

static void brought_up_step_by_step(void)
{
    struct db db;
    REQUIRE(open_with(&db, 1) == 0);
    CHECK_EQ_INT(sum(&db, "SELECT a FROM t"), 1);
    db_close(&db);
    REQUIRE(open_with(&db, 2) == 0);
    CHECK_EQ_INT(sum(&db, "SELECT b FROM t"), 11);
    db_close(&db);
    REQUIRE(open_with(&db, 2) == 0); // not once more
    CHECK_EQ_INT(sum(&db, "SELECT b FROM t"), 11);
    db_close(&db);
}

static void a_step_that_fails_leaves_nothing(void)
{
    struct db db;
    CHECK_EQ_INT(open_with(&db, 3), E_IO);
    CHECK(strstr(buffer, "missing") != NULL);
    REQUIRE(open_with(&db, 2) == 0);
    CHECK_EQ_INT(sum(&db, "SELECT count(*) FROM sqlite_schema"), 1);
    db_close(&db);
}

static void a_newer_one_is_left_alone(void)
{
    struct db db;
    CHECK_EQ_INT(open_with(&db, 1), E_UNSUPPORTED);
    CHECK(strstr(buffer, "newer") != NULL);
    REQUIRE(open_with(&db, 2) == 0);
    db_close(&db);
}

static void what_is_damaged_is_left_alone(void)
{
    struct db db;
    static const char text[] = "this is no database, it is a letter to somebody else, quite long";
    write_file(text, sizeof text);
    CHECK_EQ_INT(open_with(&db, 2), E_INVALID);
    CHECK(strstr(buffer, "damaged") != NULL);
    CHECK_EQ_INT(size_of_file(), sizeof text);
    write_file("", 0);
    CHECK_EQ_INT(open_with(&db, 2), E_INVALID);
    CHECK(strstr(buffer, "empty") != NULL);
    CHECK_EQ_INT(size_of_file(), 0);
    REQUIRE(unlinkat(dir, FILE_NAME, 0) == 0);
    REQUIRE(mkdirat(dir, FILE_NAME, 0700) == 0);
    CHECK_EQ_INT(open_with(&db, 2), E_INVALID);
    REQUIRE(unlinkat(dir, FILE_NAME, AT_REMOVEDIR) == 0);
}

static void a_page_that_was_overwritten_is_found(void)
{
    struct db db;
    REQUIRE(open_with(&db, 2) == 0);
    db_close(&db);
    char page[4096];
    memset(page, 0x5a, sizeof page);
    int fd = openat(dir, FILE_NAME, O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK(pwrite(fd, page, sizeof page, 4096) == (ssize_t)sizeof page);
    (void)close(fd);
    off_t size = size_of_file();
    CHECK_EQ_INT(open_with(&db, 2), E_INVALID);
    CHECK(strstr(buffer, "damaged") != NULL);
    CHECK_EQ_INT(size_of_file(), size);
    REQUIRE(unlinkat(dir, FILE_NAME, 0) == 0);
}

static void another_programs_is_left_alone(void)
{
    struct db db;
    REQUIRE(open_with(&db, 2) == 0);
    CHECK_EQ_INT(db_script(&db, "PRAGMA application_id=7"), 0);
    db_close(&db);
    CHECK_EQ_INT(open_with(&db, 2), E_INVALID);
    CHECK(strstr(buffer, "not adit's") != NULL);
    REQUIRE(unlinkat(dir, FILE_NAME, 0) == 0);
}

static void what_was_half_made_is_made_anew(void)
{
    struct db db;
    int fd = openat(dir, FILE_NAME ".new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    CHECK(write(fd, "half", 4) == 4);
    (void)close(fd);
    REQUIRE(open_with(&db, 2) == 0);
    db_close(&db);
    CHECK(faccessat(dir, FILE_NAME ".new", F_OK, 0) != 0);
}

static void it_is_found_wherever_its_directory_went(void)
{
    struct db db;
    char elsewhere[64];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s-moved", folder);
    REQUIRE(rename(folder, elsewhere) == 0);
    REQUIRE(open_with(&db, 2) == 0);
    CHECK_EQ_INT(sum(&db, "SELECT a FROM t"), 3);
    db_close(&db);
    REQUIRE(rename(elsewhere, folder) == 0);
}

static void values_go_in_and_out(void)
{
    struct db db;
    struct text why = text_on(buffer, sizeof buffer);
    REQUIRE(db_open(&db, -1, FILE_NAME, steps, 1, &why) == 0);
    const struct db_value values[] = {DB_N(41)};
    struct db_order order = {.sql = "INSERT INTO t VALUES (?)", .values = values, .count = 1};
    int changed = 0;
    CHECK_EQ_INT(db_do(&db, &order, &changed), 0);
    CHECK_EQ_INT(changed, 1);
    CHECK_EQ_INT(sum(&db, "SELECT a FROM t"), 42);
    CHECK_EQ_INT(sum(&db, "SELECT -1"), 0);
    order.sql = "INSERT INTO nowhere VALUES (?)";
    CHECK_EQ_INT(db_do(&db, &order, NULL), E_IO);
    CHECK(strstr(db.trouble, "nowhere") != NULL);
    db_close(&db);
    db_close(&db);
}

static void teardown(void)
{
    (void)unlinkat(dir, FILE_NAME, 0);
    (void)close(dir);
    CHECK(rmdir(folder) == 0); // nothing else was left in it
}

TAP_MAIN(setup, brought_up_step_by_step, a_step_that_fails_leaves_nothing,
         a_newer_one_is_left_alone, what_is_damaged_is_left_alone,
         a_page_that_was_overwritten_is_found, another_programs_is_left_alone,
         what_was_half_made_is_made_anew, it_is_found_wherever_its_directory_went,
         values_go_in_and_out, teardown)

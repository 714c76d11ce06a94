// SPDX-License-Identifier: Apache-2.0
//
// sticky_key: made once, kept on disk where there is one, and taken over from credentials where not.

#include "keeper/sticky_key.h"

#include <sys/stat.h>

#include "keeper/shelf.h"
#include "tap.h"

#include "made.h"

static char path[] = "/tmp/adit-sticky-XXXXXX";

static void a_directory_keeps_it(void)
{
    struct vault first;
    struct vault second;
    vault_init(&first);
    vault_init(&second);
    int dir = made_dir(path);
    sticky_key_ready(&first, dir);
    REQUIRE(first.has_sticky_key);
    struct stat st;
    CHECK(fstatat(dir, STICKY_KEY_FILE, &st, 0) == 0 && (st.st_mode & 0777) == SHELF_KEY);
    sticky_key_ready(&second, dir);
    CHECK(second.has_sticky_key);
    CHECK(memcmp(first.sticky_key, second.sticky_key, sizeof first.sticky_key) == 0);
    made_remove(path, dir);
    vault_fini(&first);
    vault_fini(&second);
}

static void credentials_keep_it_without_a_directory(void)
{
    struct vault v;
    vault_init(&v);
    sticky_key_recover(&v, SLICE("too short"));
    CHECK(!v.has_sticky_key);
    sticky_key_recover(&v, SLICE("0123456789abcdef"));
    sticky_key_recover(&v, SLICE("fedcba9876543210"));
    sticky_key_ready(&v, -1);
    CHECK(memcmp(v.sticky_key, "0123456789abcdef", sizeof v.sticky_key) == 0);
    vault_fini(&v);
    struct vault other;
    vault_init(&other);
    sticky_key_ready(&other, -1);
    CHECK(other.has_sticky_key);
    CHECK(memcmp(other.sticky_key, "0123456789abcdef", sizeof other.sticky_key) != 0);
    vault_fini(&other);
}

// A keeper that takes over and finds no file, as after the directory was emptied, writes it again.
static void a_recovered_one_is_written(void)
{
    struct vault v;
    struct vault next;
    vault_init(&v);
    vault_init(&next);
    char dir_path[] = "/tmp/adit-sticky-XXXXXX";
    int dir = made_dir(dir_path);
    sticky_key_recover(&v, SLICE("0123456789abcdef"));
    sticky_key_ready(&v, dir);
    sticky_key_ready(&next, dir);
    CHECK(memcmp(next.sticky_key, "0123456789abcdef", sizeof next.sticky_key) == 0);
    made_remove(dir_path, dir);
    vault_fini(&v);
    vault_fini(&next);
}

TAP_MAIN(a_directory_keeps_it, credentials_keep_it_without_a_directory, a_recovered_one_is_written)

// SPDX-License-Identifier: Apache-2.0
//
// SQLite (state/sqlite_int.h). Three things are not as it does them by itself:
//
// The file is found by the descriptor of its directory, as /proc/self/fd/N/state.db, since the keeper
// may neither walk to the directory by its path nor may anybody put another one there under its feet.
// SQLite would resolve such a name to the path behind it, so its file system layer is used with that
// one function replaced.
//
// A new file is made under another name and renamed when its tables are in it. So an empty file, or
// one without our tables, is never one that we began: it was damaged, and is not quietly filled.
//
// A write-ahead log is kept, each commit synced (synchronous=FULL): what was answered is there after
// the power went.

#include "state/sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

enum {
    APPLICATION_ID = 0x61646974, // "adit"
    BUSY_MS = 5000,              // somebody makes a copy, or looks into it
    NAME_MAX_BYTES = 64,
    FILE_MODE = 0600,
    VALUE_BYTES_MAX = 1 << 20,
    CACHE_KIB = 512,
};

static sqlite3_vfs layer;
static pthread_once_t layer_once = PTHREAD_ONCE_INIT;

static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    int len = snprintf(out, (size_t)size, "%s", name);
    return len > 0 && len < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static void make_layer(void)
{
    const sqlite3_vfs *unix_layer = sqlite3_vfs_find("unix");
    if (unix_layer != NULL) {
        layer = *unix_layer;
        layer.zName = "adit";
        layer.xFullPathname = keep_name;
        (void)sqlite3_vfs_register(&layer, 0);
    }
}

// ---- errors -------------------------------------------------------------------------------------

static int code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_INVALID;
    case SQLITE_CONSTRAINT:
        return E_EXISTS;
    case SQLITE_NOMEM:
        return E_NO_MEMORY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return E_DENIED;
    case SQLITE_TOOBIG:
        return E_TOO_LARGE;
    default:
        return E_IO;
    }
}

static int failed(struct db *db, int rc)
{
    if (code_of(rc) != 0) {
        int os = db->handle != NULL ? sqlite3_system_errno(db->handle) : 0;
        (void)snprintf(db->trouble, sizeof db->trouble, "%s%s%s",
                       db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc),
                       os != 0 ? ": " : "", os != 0 ? error_text(error_from_errno(os)) : "");
    }
    return code_of(rc);
}

// ---- statements ---------------------------------------------------------------------------------

static int bind(sqlite3_stmt *st, const struct db_order *order)
{
    int rc = SQLITE_OK;
    for (uint32_t i = 0; rc == SQLITE_OK && i < order->count; i++) {
        const struct db_value *v = &order->values[i];
        const char *bytes = v->bytes.len > 0 ? v->bytes.ptr : "";
        int at = (int)i + 1;
        switch (v->kind) {
        case DB_NUMBER:
            rc = sqlite3_bind_int64(st, at, (sqlite3_int64)v->number);
            break;
        case DB_TEXT:
            rc = sqlite3_bind_text(st, at, bytes, (int)v->bytes.len, SQLITE_STATIC);
            break;
        case DB_BLOB:
            rc = sqlite3_bind_blob(st, at, bytes, (int)v->bytes.len, SQLITE_STATIC);
            break;
        }
    }
    return rc;
}

int db_do(struct db *db, const struct db_order *order, int *changed)
{
    sqlite3_stmt *st = NULL;
    ensure(order->count <= DB_VALUES_MAX);
    int rc = sqlite3_prepare_v2(db->handle, order->sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = bind(st, order);
    }
    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
            if (order->row != NULL) {
                order->row(order->arg, st);
            }
        }
    }
    int error = failed(db, rc);
    if (changed != NULL) {
        *changed = sqlite3_changes(db->handle);
    }
    (void)sqlite3_finalize(st);
    return error;
}

int db_script(struct db *db, const char *sql)
{
    return failed(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

struct slice db_text(sqlite3_stmt *st, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(st, column);
    int len = sqlite3_column_bytes(st, column);
    return bytes != NULL ? slice_of(bytes, (size_t)len) : SLICE("");
}

uint64_t db_number(sqlite3_stmt *st, int column)
{
    sqlite3_int64 n = sqlite3_column_int64(st, column);
    return n > 0 ? (uint64_t)n : 0;
}

void db_blob(sqlite3_stmt *st, int column, uint8_t *out, size_t size)
{
    const void *bytes = sqlite3_column_blob(st, column);
    memset(out, 0, size);
    if (bytes != NULL && (size_t)sqlite3_column_bytes(st, column) == size) {
        memcpy(out, bytes, size);
    }
}

static void take_first(void *arg, sqlite3_stmt *st)
{
    *(uint64_t *)arg = db_number(st, 0);
}

static int ask_number(struct db *db, const char *sql, uint64_t *out)
{
    struct db_order order = {.sql = sql, .row = take_first, .arg = out};
    *out = 0;
    return db_do(db, &order, NULL);
}

// ---- opening ------------------------------------------------------------------------------------

static int open_handle(struct db *db, const char *path)
{
    ensure(pthread_once(&layer_once, make_layer) == 0);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int rc = sqlite3_open_v2(path, &db->handle, flags, path[0] == '/' ? "adit" : NULL);
    if (rc != SQLITE_OK) {
        return failed(db, rc);
    }
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, BUSY_MS);
    (void)sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    char pragmas[256];
    (void)snprintf(pragmas, sizeof pragmas,
                   "PRAGMA cell_size_check=ON; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; "
                   "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d",
                   CACHE_KIB);
    return db_script(db, pragmas);
}

// From the version that the file has to the newest, each step whole or not at all.
static int migrate(struct db *db, uint64_t version, const char *const *steps, uint32_t count)
{
    int error = 0;
    for (uint64_t v = version; error == 0 && v < count; v++) {
        char mark[64];
        (void)snprintf(mark, sizeof mark, "PRAGMA user_version=%u; COMMIT", (unsigned)(v + 1));
        error = db_script(db, "BEGIN IMMEDIATE");
        error = error == 0 ? db_script(db, steps[v]) : error;
        error = error == 0 ? db_script(db, mark) : error;
        if (error != 0) {
            (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL); // the first error counts
        }
    }
    return error;
}

static void take_check(void *arg, sqlite3_stmt *st)
{
    bool *sound = arg;
    *sound = *sound && slice_eq(db_text(st, 0), SLICE("ok"));
}

// Whether it is ours, sound, and of a version that we know.
static int judge(struct db *db, uint32_t newest, uint64_t *version)
{
    uint64_t id = 0;
    bool sound = true;
    struct db_order check = {.sql = "PRAGMA quick_check(1)", .row = take_check, .arg = &sound};
    int error = ask_number(db, "PRAGMA application_id", &id);
    error = error == 0 ? ask_number(db, "PRAGMA user_version", version) : error;
    error = error == 0 ? db_do(db, &check, NULL) : error;
    if (error != 0) {
        return error;
    }
    if (id != APPLICATION_ID || *version == 0 || !sound) {
        (void)snprintf(db->trouble, sizeof db->trouble, "%s",
                       sound ? "it is not adit's" : "its pages do not fit together");
        return E_INVALID;
    }
    return *version > newest ? E_UNSUPPORTED : 0;
}

static int remove_name(int dir, const char *name)
{
    return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : error_from_errno(errno);
}

// An empty file, with a mode that SQLite also gives to those beside it.
static int touch(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int error = fchmod(fd, FILE_MODE) == 0 ? 0 : E_IO;
    (void)close(fd);
    return error;
}

static void path_of(int dir, const char *name, char out[NAME_MAX_BYTES])
{
    int len = snprintf(out, NAME_MAX_BYTES, "/proc/self/fd/%d/%s", dir, name);
    ensure(len > 0 && len < NAME_MAX_BYTES);
}

static int fill(struct db *db, const char *const *steps, uint32_t count)
{
    char mark[64];
    (void)snprintf(mark, sizeof mark, "PRAGMA application_id=%d", APPLICATION_ID);
    int error = db_script(db, mark);
    return error == 0 ? migrate(db, 0, steps, count) : error;
}

// Under another name first; closing writes the log back into the file and takes it away.
static int make_file(struct db *db, int dir, const char *name, const char *const *steps,
                     uint32_t count)
{
    char fresh[NAME_MAX_BYTES / 2];
    char path[NAME_MAX_BYTES];
    (void)snprintf(fresh, sizeof fresh, "%s.new", name);
    path_of(dir, fresh, path);
    int error = remove_name(dir, fresh);
    error = error == 0 ? touch(dir, fresh) : error;
    error = error == 0 ? open_handle(db, path) : error;
    error = error == 0 ? fill(db, steps, count) : error;
    db_close(db);
    if (error == 0 && (renameat(dir, fresh, dir, name) != 0 || fsync(dir) != 0)) {
        error = error_from_errno(errno);
    }
    return error;
}

static void explain(const struct db *db, int error, const char *name, struct text *why)
{
    text_str(why, name);
    if (error == E_INVALID) {
        text_printf(why,
                    " is damaged (%s): it is left as it is and nothing is written to it. Put a "
                    "copy from a backup in its place, or move it away to begin anew without the "
                    "tokens and names in it",
                    db->trouble);
    } else if (error == E_UNSUPPORTED) {
        text_str(why, " was written by a newer adit: it is left as it is");
    } else {
        text_printf(why, ": %s", db->trouble[0] != '\0' ? db->trouble : error_text(error));
    }
}

static int open_file(struct db *db, int dir, const char *name, const char *const *steps,
                     uint32_t count)
{
    char path[NAME_MAX_BYTES];
    struct stat st;
    uint64_t version = 0;
    path_of(dir, name, path);
    int error = 0;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        error = errno == ENOENT ? make_file(db, dir, name, steps, count) : error_from_errno(errno);
    } else if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        (void)snprintf(db->trouble, sizeof db->trouble, "%s",
                       S_ISREG(st.st_mode) ? "it is empty" : "it is no file");
        return E_INVALID;
    }
    error = error == 0 ? open_handle(db, path) : error;
    error = error == 0 ? judge(db, count, &version) : error;
    error = error == 0 ? db_script(db, "PRAGMA journal_mode=WAL") : error;
    return error == 0 ? migrate(db, version, steps, count) : error;
}

int db_open(struct db *db, int dir, const char *name, const char *const *steps, uint32_t count,
            struct text *why)
{
    *db = (struct db){0};
    int error = 0;
    if (dir < 0) {
        error = open_handle(db, ":memory:");
        error = error == 0 ? fill(db, steps, count) : error;
    } else {
        error = open_file(db, dir, name, steps, count);
    }
    if (error != 0) {
        explain(db, error, name, why);
        db_close(db);
    }
    return error;
}

void db_close(struct db *db)
{
    if (db->handle != NULL) {
        (void)sqlite3_close(db->handle);
    }
    db->handle = NULL;
}

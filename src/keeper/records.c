// SPDX-License-Identifier: Apache-2.0
//
// Certificates and accounts on disk (keeper/records.h).

#include "keeper/records.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "tls/cert.h"

#include "keeper/shelf.h"

enum { RECORD_BYTES_MAX = 4 << 20, RECORD_FILE_MAX = 1 << 20, RECORD_FOLDER_MAX = 320 };

// "certificates/NAME/FILE"; false when the name cannot be a folder's.
static bool path_of(const struct holding *h, const char *file, char out[SHELF_PATH_MAX])
{
    char folder[RECORD_FOLDER_MAX];
    if (!shelf_folder(h->name, folder, sizeof folder)) {
        return false;
    }
    bool second = slice_ends(h->id, SLICE("#rsa"));
    int len =
        snprintf(out, SHELF_PATH_MAX, "certificates/%s%s/%s", folder, second ? "_rsa" : "", file);
    return len > 0 && len < SHELF_PATH_MAX;
}

// ---- status -------------------------------------------------------------------------------------

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 ? (uint64_t)n : 0;
}

static void take_text(char *out, size_t size, const json_t *value)
{
    const char *text = json_string_value(value);
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void load_status(struct holding *h, int dir, struct arena *a)
{
    char path[SHELF_PATH_MAX];
    struct slice bytes;
    if (!path_of(h, "status.json", path) ||
        shelf_read(dir, path, RECORD_FILE_MAX, a, &bytes) != 0) {
        return;
    }
    json_t *status = json_loadb(bytes.ptr, bytes.len, 0, NULL);
    if (!json_is_object(status)) {
        json_decref(status);
        return;
    }
    h->failures = (uint32_t)(number_of(status, "failures") % 1000);
    h->next_attempt = number_of(status, "next_attempt");
    h->renew_at = number_of(status, "renew_at");
    h->window.start = number_of(status, "window_start");
    h->window.end = number_of(status, "window_end");
    h->window.ask_again = number_of(status, "window_ask_again");
    h->allowed = json_is_true(json_object_get(status, "on_demand"));
    take_text(h->error, sizeof h->error, json_object_get(status, "last_error"));
    take_text(h->via, sizeof h->via, json_object_get(status, "via"));
    json_decref(status);
}

// What a hook or a CA said may be cut in the middle of a letter, or be in none that JSON knows: without
// those the rest is still kept, above all when to try again.
static json_t *words_of(const char *text)
{
    json_t *words = json_string(text);
    char plain[HOLDING_ERROR_MAX];
    size_t n = 0;
    for (; words == NULL && text[n] != '\0' && n < sizeof plain - 1; n++) {
        plain[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    }
    return words != NULL ? words : json_stringn(plain, n);
}

void record_status(const struct holding *h, int dir)
{
    char path[SHELF_PATH_MAX];
    if (dir < 0 || !path_of(h, "status.json", path)) {
        return;
    }
    json_t *status = json_pack(
        "{s:s%, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:o, s:b}", "name", h->name.ptr,
        h->name.len, "issuer", words_of(h->issuer), "via", h->via, "not_before",
        (json_int_t)h->not_before, "not_after", (json_int_t)h->not_after, "renew_at",
        (json_int_t)h->renew_at, "window_start", (json_int_t)h->window.start, "window_end",
        (json_int_t)h->window.end, "window_ask_again", (json_int_t)h->window.ask_again, "failures",
        (int)h->failures, "next_attempt", (json_int_t)h->next_attempt, "last_error",
        words_of(h->error), "on_demand", (int)h->on_demand);
    char *text = json_dumps(status, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (text != NULL) {
        int ignored = shelf_write(dir, path, slice_str(text), SHELF_PUBLIC);
        (void)ignored;
    }
    free(text);
    json_decref(status);
}

// ---- certificate and key ------------------------------------------------------------------------

static int take_pair(struct holding *h, int dir, const char *key_file, struct slice chain,
                     uint64_t now, struct arena *a)
{
    char path[SHELF_PATH_MAX];
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    struct slice key;
    int error =
        path_of(h, key_file, path) ? shelf_read(dir, path, RECORD_FILE_MAX, a, &key) : E_INVALID;
    if (error == 0) {
        error = cert_check(chain, key, now, &why);
    }
    return error == 0 ? holding_set(h, chain, key) : error;
}

void record_load(struct holding *h, int dir, uint64_t now)
{
    char path[SHELF_PATH_MAX];
    char from[SHELF_PATH_MAX];
    struct slice chain;
    struct arena a;
    arena_init(&a, NULL, 0, NULL, RECORD_BYTES_MAX);
    h->looked = true;
    if (path_of(h, "certificate.pem", path) &&
        shelf_read(dir, path, RECORD_FILE_MAX, &a, &chain) == 0) {
        int error = take_pair(h, dir, "key.pem", chain, now, &a);
        // The certificate was replaced, and then not all the rest.
        if (error != 0 && take_pair(h, dir, "key.new.pem", chain, now, &a) == 0 &&
            path_of(h, "key.new.pem", from) && path_of(h, "key.pem", path)) {
            int ignored = shelf_replace(dir, from, path);
            (void)ignored;
        }
    }
    load_status(h, dir, &a);
    arena_fini(&a);
}

int record_save(const struct holding *h, int dir, struct slice chain, struct slice key)
{
    char fresh[SHELF_PATH_MAX];
    char path[SHELF_PATH_MAX];
    if (!path_of(h, "key.new.pem", fresh) || !path_of(h, "certificate.pem", path)) {
        return E_INVALID;
    }
    int error = shelf_write(dir, fresh, key, SHELF_KEY);
    if (error == 0) {
        error = shelf_write(dir, path, chain, SHELF_PUBLIC);
    }
    if (error == 0 && path_of(h, "key.pem", path)) {
        error = shelf_replace(dir, fresh, path);
    }
    return error;
}

// ---- on demand ----------------------------------------------------------------------------------

struct listing {
    int dir;
    void (*each)(void *arg, struct slice name);
    void *arg;
};

static void look_at(void *arg, const char *folder)
{
    const struct listing *l = arg;
    char path[SHELF_PATH_MAX];
    struct slice bytes;
    struct arena a;
    arena_init(&a, NULL, 0, NULL, RECORD_BYTES_MAX);
    int len = snprintf(path, sizeof path, "certificates/%s/status.json", folder);
    if (len > 0 && len < SHELF_PATH_MAX &&
        shelf_read(l->dir, path, RECORD_FILE_MAX, &a, &bytes) == 0) {
        json_t *status = json_loadb(bytes.ptr, bytes.len, 0, NULL);
        const char *name = json_string_value(json_object_get(status, "name"));
        if (name != NULL && json_is_true(json_object_get(status, "on_demand"))) {
            l->each(l->arg, slice_str(name));
        }
        json_decref(status);
    }
    arena_fini(&a);
}

void records_on_demand(int dir, void (*each)(void *arg, struct slice name), void *arg)
{
    struct listing l = {dir, each, arg};
    shelf_names(dir, "certificates", look_at, &l);
}

// ---- accounts -----------------------------------------------------------------------------------

static bool account_path(const struct acme_issuer *i, const char *file, char out[SHELF_PATH_MAX])
{
    char folder[RECORD_FOLDER_MAX];
    if (!shelf_folder(i->name, folder, sizeof folder)) {
        return false;
    }
    int len = snprintf(out, SHELF_PATH_MAX, "acme/%s/%s", folder, file);
    return len > 0 && len < SHELF_PATH_MAX;
}

bool account_load(int dir, const struct acme_issuer *i, struct arena *a, struct slice *key,
                  struct slice *url)
{
    char path[SHELF_PATH_MAX];
    struct slice bytes;
    if (!account_path(i, "account.key", path) ||
        shelf_read(dir, path, RECORD_FILE_MAX, a, key) != 0 ||
        !account_path(i, "account.json", path) ||
        shelf_read(dir, path, RECORD_FILE_MAX, a, &bytes) != 0) {
        return false;
    }
    json_t *account = json_loadb(bytes.ptr, bytes.len, 0, NULL);
    const char *text = json_string_value(json_object_get(account, "url"));
    const char *directory = json_string_value(json_object_get(account, "directory"));
    bool ours = text != NULL && directory != NULL && slice_eq(slice_str(directory), i->directory);
    *url = ours ? arena_dup(a, slice_str(text)) : slice_of(NULL, 0);
    json_decref(account);
    return url->ptr != NULL;
}

int account_save(int dir, const struct acme_issuer *i, struct slice key, struct slice url)
{
    char path[SHELF_PATH_MAX];
    json_t *account = json_pack("{s:s%, s:s%, s:s%}", "url", url.ptr, url.len, "directory",
                                i->directory.ptr, i->directory.len, "email",
                                i->email.ptr != NULL ? i->email.ptr : "", i->email.len);
    char *text = json_dumps(account, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    int error = text != NULL ? 0 : E_NO_MEMORY;
    if (error == 0) {
        error = account_path(i, "account.key", path) ? shelf_write(dir, path, key, SHELF_KEY)
                                                     : E_INVALID;
    }
    if (error == 0 && account_path(i, "account.json", path)) {
        error = shelf_write(dir, path, slice_str(text), SHELF_PUBLIC);
    }
    free(text);
    json_decref(account);
    return error;
}

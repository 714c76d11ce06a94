// SPDX-License-Identifier: Apache-2.0
//
// Listings (files/listing.h): folders first, then by name. Names are whatever the file system has, so
// they are escaped in both of their places.

#include "files/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "os/folder.h"

enum {
    ENTRIES_MAX = 1000,
    NAMES_MAX = 64 * 1024,
    PAGE_HEAD_MAX = 2048,
    ENTRY_MAX = 64, // beside its name, which may grow fivefold and threefold
};

struct entry {
    const char *name;
    bool folder;
};

struct listing {
    struct arena *arena;
    struct entry *entries;
    uint32_t count;
    size_t name_bytes;
    bool more;
    bool failed;
};

static bool add(void *arg, const char *name, bool folder)
{
    struct listing *l = arg;
    size_t len = strlen(name);
    if (name[0] == '.') {
        return true;
    }
    if (l->count == ENTRIES_MAX || l->name_bytes + len > NAMES_MAX / 4) {
        l->more = true;
        return false;
    }
    const char *copy = arena_strdup(l->arena, slice_of(name, len));
    if (copy == NULL) {
        l->failed = true;
        return false;
    }
    l->entries[l->count++] = (struct entry){copy, folder};
    l->name_bytes += len;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return x->folder != y->folder ? y->folder - x->folder : strcmp(x->name, y->name);
}

/** A segment of a relative reference (RFC 3986 4.2): whatever is not plain is escaped. */
static void put_segment(struct text *t, const char *name)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            text_char(t, (char)c);
        } else {
            const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            text_put(t, slice_of(escape, sizeof(escape)));
        }
    }
}

static void put_entry(struct text *t, const struct entry *e)
{
    text_str(t, "<li><a href=\"./");
    put_segment(t, e->name);
    text_str(t, e->folder ? "/\">" : "\">");
    text_html(t, slice_str(e->name));
    text_str(t, e->folder ? "/</a>\n" : "</a>\n");
}

int files_listing(int fd, struct slice path, bool is_root, struct arena *arena, struct slice *out)
{
    struct listing l = {.arena = arena};
    l.entries = arena_alloc(arena, ENTRIES_MAX * sizeof(l.entries[0]));
    if (l.entries == NULL) {
        return E_NO_MEMORY;
    }
    int e = os_folder_list(fd, add, &l);
    if (e != 0 || l.failed) {
        return e != 0 ? e : E_NO_MEMORY;
    }
    qsort(l.entries, l.count, sizeof(l.entries[0]), by_name);
    size_t room = PAGE_HEAD_MAX + 12 * path.len + l.count * (size_t)ENTRY_MAX + 9 * l.name_bytes;
    char *bytes = arena_bytes(arena, room);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, room);
    text_str(&t, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    text_html(&t, path);
    text_str(&t,
             "</title>\n<style>body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:8vh "
             "auto 0;padding:0 1.5rem}ul{list-style:none;padding:0}</style>\n<h1>");
    text_html(&t, path);
    text_str(&t, "</h1>\n<ul>\n");
    text_str(&t, is_root ? "" : "<li><a href=\"../\">../</a>\n");
    for (uint32_t i = 0; i < l.count; i++) {
        put_entry(&t, &l.entries[i]);
    }
    text_str(&t, l.more ? "<li>and more\n</ul>\n" : "</ul>\n");
    ensure(!t.overflow);
    *out = text_slice(&t);
    return 0;
}

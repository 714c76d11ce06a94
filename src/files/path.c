// SPDX-License-Identifier: Apache-2.0
//
// Paths and types (files/path.h).

#include "files/path.h"

#include "base/error.h"

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** The byte at *i, decoded; -1: none that may be in a name. Moves *i behind it. */
static int take_byte(struct slice path, size_t *i)
{
    int c = (unsigned char)path.ptr[(*i)++];
    if (c == '%') {
        bool whole = path.len - *i >= 2;
        int high = whole ? hex_of(path.ptr[*i]) : -1;
        int low = whole ? hex_of(path.ptr[*i + 1]) : -1;
        *i += 2;
        c = high < 0 || low < 0 ? -1 : high * 16 + low;
        return c == '/' ? -1 : c < ' ' ? -1 : c;
    }
    return c < ' ' || c == 0x7f ? -1 : c;
}

int files_path_read(struct slice path, char out[FILES_PATH_MAX])
{
    size_t n = 0;
    bool begins = true; // a segment
    for (size_t i = 0; i < path.len;) {
        bool slash = path.ptr[i] == '/';
        int c = take_byte(path, &i);
        if (c < 0 || n + 2 >= FILES_PATH_MAX || (begins && c == '.')) {
            return E_NOT_FOUND;
        }
        if (slash && begins) {
            continue; // of several in a row the first counts, and none in front
        }
        out[n++] = (char)c;
        begins = slash;
    }
    if (n > 0 && begins) {
        n--; // the slash at its end
    }
    out[n] = '\0';
    return 0;
}

static const struct {
    struct slice extension;
    struct slice type;
} types[] = {
#define TYPE(extension, type)                                                                      \
    {                                                                                              \
        SLICE_INIT(extension), SLICE_INIT(type)                                                    \
    }
    TYPE("html", "text/html; charset=utf-8"),
    TYPE("htm", "text/html; charset=utf-8"),
    TYPE("css", "text/css; charset=utf-8"),
    TYPE("js", "text/javascript; charset=utf-8"),
    TYPE("mjs", "text/javascript; charset=utf-8"),
    TYPE("json", "application/json"),
    TYPE("map", "application/json"),
    TYPE("webmanifest", "application/manifest+json"),
    TYPE("wasm", "application/wasm"),
    TYPE("txt", "text/plain; charset=utf-8"),
    TYPE("md", "text/markdown; charset=utf-8"),
    TYPE("csv", "text/csv; charset=utf-8"),
    TYPE("log", "text/plain; charset=utf-8"),
    TYPE("xml", "application/xml"),
    TYPE("yaml", "application/yaml"),
    TYPE("yml", "application/yaml"),
    TYPE("pdf", "application/pdf"),
    TYPE("zip", "application/zip"),
    TYPE("gz", "application/gzip"),
    TYPE("tar", "application/x-tar"),
    TYPE("svg", "image/svg+xml"),
    TYPE("png", "image/png"),
    TYPE("jpg", "image/jpeg"),
    TYPE("jpeg", "image/jpeg"),
    TYPE("gif", "image/gif"),
    TYPE("webp", "image/webp"),
    TYPE("avif", "image/avif"),
    TYPE("ico", "image/x-icon"),
    TYPE("mp3", "audio/mpeg"),
    TYPE("ogg", "audio/ogg"),
    TYPE("wav", "audio/wav"),
    TYPE("mp4", "video/mp4"),
    TYPE("webm", "video/webm"),
    TYPE("woff", "font/woff"),
    TYPE("woff2", "font/woff2"),
    TYPE("ttf", "font/ttf"),
    TYPE("otf", "font/otf"),
#undef TYPE
};

struct slice files_type_of(struct slice name)
{
    size_t dot = name.len;
    while (dot > 0 && name.ptr[dot - 1] != '.' && name.ptr[dot - 1] != '/') {
        dot--;
    }
    bool has = dot > 0 && name.ptr[dot - 1] == '.';
    for (size_t i = 0; has && i < array_len(types); i++) {
        if (slice_eq_nocase(slice_from(name, dot), types[i].extension)) {
            return types[i].type;
        }
    }
    return SLICE("application/octet-stream");
}

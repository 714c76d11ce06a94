// SPDX-License-Identifier: Apache-2.0
//
// Templates: text with $variables, the one interpolation of the language (redirects, headers,
// rewrites, bodies, secrets). Parsed to a list of pieces; who evaluates them knows what a request is
// (proxy/vars.h), this file does not.
//
//     $host  $path  $query  $header(name)  $match(1)  $env(NAME)  $file(PATH)  $$ (a dollar)
//     ${host}name where a letter follows
//
// $env and $file are put in when the configuration is loaded; a checked document has none left.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct arena;
struct text;

// X(ID, "name", argument, "what it is"). Argument: N none, F a field name, D a digit 0..9, T a text.
#define CONF_VARIABLE_TABLE(X)                                                                     \
    X(HOST, "host", N, "host of the request, lower case, without port")                            \
    X(PATH, "path", N, "path as the client wrote it, without the query")                           \
    X(QUERY, "query", N, "query with its leading `?`, or nothing when there is none")              \
    X(METHOD, "method", N, "method of the request")                                                \
    X(SCHEME, "scheme", N, "http or https, as the client sees it")                                 \
    X(CLIENT, "client", N, "address of the client, behind trusted proxies the forwarded one")      \
    X(ID, "id", N, "id of the request, also in X-Request-Id and in the logs")                      \
    X(STATUS, "status", N, "status of the answer")                                                 \
    X(TLS_VERSION, "tls_version", N, "TLSv1.3 or TLSv1.2; nothing in clear")                       \
    X(TLS_CIPHER, "tls_cipher", N, "cipher as IANA names it")                                      \
    X(TLS_SERVER_NAME, "tls_server_name", N, "name the client asked for in its handshake (SNI)")   \
    X(CLIENT_CERT_VERIFIED, "client_cert_verified", N,                                             \
      "on when the client showed a certificate that the CA stands for, else off")                  \
    X(CLIENT_CERT_NAME, "client_cert_name", N,                                                     \
      "first DNS, URI or mail name of the client's certificate, else its CN")                      \
    X(CLIENT_CERT_SUBJECT, "client_cert_subject", N,                                               \
      "subject of the client's certificate (RFC 4514)")                                            \
    X(CLIENT_CERT_SERIAL, "client_cert_serial", N,                                                 \
      "serial number of the client's certificate, hexadecimal")                                    \
    X(CLIENT_CERT_FINGERPRINT, "client_cert_fingerprint", N,                                       \
      "SHA-256 of the client's certificate, hexadecimal")                                          \
    X(CLIENT_CERT, "client_cert", N, "the client's certificate, base64 of its DER")                \
    X(HEADER, "header", F, "a field of the request, values joined by commas")                      \
    X(MATCH, "match", D, "what the route's path caught: 0 all, 1 the first `*` or group")          \
    X(ENV, "env", T, "an environment variable, read when the configuration is loaded")             \
    X(FILE, "file", T, "a file's text without its last line end, read with the configuration")

enum conf_variable {
    CONF_VAR_TEXT, // a piece of plain text
#define CONF_VARIABLE_ID(id, name, argument, what) CONF_VAR_##id,
    CONF_VARIABLE_TABLE(CONF_VARIABLE_ID)
#undef CONF_VARIABLE_ID
        CONF_VAR_COUNT
};

struct conf_piece {
    uint8_t variable;  // enum conf_variable
    uint8_t number;    // MATCH
    struct slice text; // TEXT: the text; HEADER, ENV, FILE: the argument
};

struct conf_template {
    const struct conf_piece *pieces;
    uint32_t count;
};

enum { CONF_PIECES_MAX = 64, CONF_TEMPLATE_MESSAGE_MAX = 160 };

struct conf_template_error {
    size_t offset;                           // where in the text
    char message[CONF_TEMPLATE_MESSAGE_MAX]; // what is wrong
    char hint[CONF_TEMPLATE_MESSAGE_MAX];    // what to do; may be empty
};

/** Slices of the pieces point into `s`; the list is in the arena. 0, E_INVALID (`e` says why),
 * E_TOO_LARGE (more than CONF_PIECES_MAX pieces; `e` as well), E_NO_MEMORY. `e` may be NULL. */
int conf_template_parse(struct slice s, struct arena *a, struct conf_template *out,
                        struct conf_template_error *e) must_check;
/** True when it is nothing but text; then *out is that text ("" for an empty template). */
bool conf_template_is_text(const struct conf_template *t, struct slice *out);
/** Writes s so that it is read back as text: every `$` doubled. */
void conf_template_escape(struct text *out, struct slice s);
/** One piece as it is written in a template. */
void conf_template_write(struct text *out, const struct conf_piece *piece);

struct conf_variable_info {
    const char *name;
    char argument; // 'N', 'F', 'D', 'T'
    const char *what;
};
/** For the pages. Not for CONF_VAR_TEXT. */
const struct conf_variable_info *conf_variable_info(enum conf_variable v);

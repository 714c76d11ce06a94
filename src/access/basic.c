// SPDX-License-Identifier: Apache-2.0
//
// The module `basic`: a user's name and password in the field Authorization (RFC 7617). Every level that
// has users must know the login; what is missing or wrong is answered with 401 and one text, so that
// nobody learns whether a name exists, nor by the time it takes: for a name that nobody has the same
// work is done. A login that was used is not passed on: the origin did not ask for it.
//
// A password that is not known on this core yet is computed in small steps (access/checker.h); until then
// the exchange waits, and its state is in the module's slot.

#include "base/base64.h"
#include "base/error.h"
#include "conf/diag.h"
#include "proxy/exchange.h"

#include "access/access.h"
#include "access/checker.h"

enum {
    USERS_MAX = 1000,
    USER_NAME_MAX = 128,
    REALM_MAX = 200,
    LOGIN_MAX = USER_NAME_MAX + 1 + PASSWORD_MAX,
    LEVELS_MAX = 4,
};

struct basic_user {
    struct slice name;
    struct password password;
};

struct basic_level {
    struct slice challenge; // the value of WWW-Authenticate
    uint32_t count;
    struct basic_user *users;          // sorted by nothing: a handful
    const struct password *for_nobody; // what is computed for names that are not there
};

struct basic {
    unsigned slot;
    uint32_t count;
    struct basic_level levels[LEVELS_MAX];
};

enum basic_found { BASIC_UNKNOWN, BASIC_RIGHT, BASIC_WRONG };

/** Of an exchange, on its arena. */
struct basic_state {
    struct exchange *x;
    struct slice user;
    struct slice password;
    uint32_t level;                 // that is looked at
    uint8_t found;                  // enum basic_found, by the job
    const struct basic_level *asks; // its challenge goes into the answer
    struct checker_job job;
};

// ---- configuration ------------------------------------------------------------------------------

static bool is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_user(struct conf_diags *d, struct conf_node user)
{
    struct slice name = conf_key(user);
    struct password p;
    const char *why = NULL;
    if (name.len == 0 || name.len > USER_NAME_MAX || slice_find_char(name, ':') >= 0 ||
        !is_clean(name)) {
        conf_error(d, user, "a user's name has 1 to %d characters and no colon", USER_NAME_MAX);
    }
    if (password_parse(conf_text(user), &p, &why) != 0) {
        conf_error(d, user, "%s", why);
        conf_hint(d, "`adit password` makes a line for here; a secret from elsewhere is "
                     "\"plain:$env(NAME)\" or \"plain:$file(PATH)\"");
    }
}

static void check_basic(struct conf_diags *d, struct conf_node value)
{
    struct conf_node users = conf_get(value, "users");
    struct slice realm = conf_string(conf_get(value, "realm"), "");
    if (conf_is_off(value)) {
        return;
    }
    uint32_t count = conf_count(users);
    if (count == 0 || count > USERS_MAX) {
        conf_error(d, conf_exists(users) ? users : value,
                   count == 0 ? "no users, so nobody could come in" : "more than %d users",
                   USERS_MAX);
    }
    conf_each(user, users)
    {
        check_user(d, user);
    }
    if (slice_find_char(realm, '"') >= 0 || slice_find_char(realm, '\\') >= 0 || !is_clean(realm)) {
        conf_error(d, conf_get(value, "realm"), "a realm is one line without quotes");
    }
}

static const struct conf_directive user_row[] = {
    {.name = "password",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = PASSWORD_MAX + 10,
     .text = "A line that `adit password` made, or `plain:` with the secret behind it."},
    CONF_END,
};

static const struct conf_directive basic_rows[] = {
    {.name = "users",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_STRING,
     .rows = user_row,
     .required = true,
     .aka = "accounts htpasswd auth_basic_user_file",
     .text = "Users with their passwords: `name: pbkdf2-sha256:...`, which `adit password` makes, "
             "or `name: \"plain:$env(SECRET)\"`."},
    {.name = "realm",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = REALM_MAX,
     .fallback = "restricted",
     .text = "What browsers say that the password is for."},
    CONF_END,
};

const struct conf_directive basic_directives[] = {
    {.name = "basic_auth",
     .contexts = CONF_IN_ALL,
     .type = CONF_TYPE_OBJECT,
     .merge = CONF_MERGE_ALL,
     .rows = basic_rows,
     .off_ok = true,
     .aka = "auth_basic basicauth basic_authentication http_auth auth",
     .text =
         "Asks for a name and a password (RFC 7617). The origin does not get to see them. Users "
         "of the levels around it are asked for as well; `off` takes them away.",
     .example =
         "sites:\n"
         "  example.com:\n"
         "    basic_auth:\n"
         "      users:\n"
         "        ann: "
         "pbkdf2-sha256:100000:MDEyMzQ1Njc4OWFiY2RlZg:A19p7YdhKE5lkRlRtWr1dLngVhh6RQq7gpdssJ0eDXA\n"
         "    routes:\n"
         "      - {path: /public/*, basic_auth: off, proxy: 3000}\n"
         "      - {proxy: 3000}\n",
     .check = check_basic},
    CONF_END,
};

static int compile_level(const struct module_compile *c, struct conf_node node,
                         struct basic_level *level)
{
    struct slice realm = conf_string(conf_get(node, "realm"), "restricted");
    struct conf_node users = conf_get(node, "users");
    size_t room = realm.len + 40;
    char *bytes = arena_bytes(c->arena, room);
    level->users = arena_alloc(c->arena, conf_count(users) * sizeof(struct basic_user));
    if (bytes == NULL || level->users == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, room);
    text_put(&t, SLICE("Basic realm=\""));
    text_put(&t, realm);
    text_put(&t, SLICE("\", charset=\"UTF-8\""));
    ensure(!t.overflow);
    level->challenge = text_slice(&t);
    conf_each(at, users)
    {
        struct basic_user *u = &level->users[level->count++];
        const char *why = NULL;
        u->name = conf_key(at);
        if (password_parse(conf_text(at), &u->password, &why) != 0) {
            conf_error(c->diags, at, "%s", why);
            return E_CONFIG;
        }
        if (level->for_nobody == NULL || u->password.iterations > level->for_nobody->iterations) {
            level->for_nobody = &u->password;
        }
    }
    return 0;
}

static int compile(const struct module_compile *c, void **conf)
{
    struct basic *b = NULL;
    size_t levels = access_levels(c->scope, "basic_auth");
    for (size_t i = 0; i < levels; i++) {
        struct conf_node node = conf_get(c->scope->level[i], "basic_auth");
        if (!conf_exists(node)) {
            continue;
        }
        if (b == NULL) {
            b = arena_zalloc(c->arena, sizeof(*b));
        }
        int rc = b == NULL ? E_NO_MEMORY : compile_level(c, node, &b->levels[b->count]);
        if (rc != 0) {
            return rc;
        }
        b->slot = module_index(&basic_module);
        b->count++;
    }
    *conf = b;
    return 0;
}

// ---- the field ----------------------------------------------------------------------------------

/** Reads the login out of the request. E_NO_LOGIN: there is none that could be right. */
static int read_login(struct exchange *x, struct basic_state *s)
{
    const struct field *f = fields_find_id(&x->request.fields, HTTP_AUTHORIZATION);
    struct slice value = fields_get_id(&x->request.fields, HTTP_AUTHORIZATION);
    static const struct slice scheme = SLICE_INIT("basic ");
    if (f == NULL || !slice_eq_nocase(slice_sub(value, 0, scheme.len), scheme)) {
        return E_NO_LOGIN;
    }
    value = slice_trim(slice_from(value, scheme.len));
    if (value.len > BASE64_MAX(LOGIN_MAX)) {
        return E_NO_LOGIN;
    }
    size_t len = 0;
    char *bytes = arena_bytes(&x->arena, value.len + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    if (base64_read(value, BASE64_PADDED, bytes, value.len, &len) != 0) {
        return E_NO_LOGIN;
    }
    struct slice login = slice_of(bytes, len);
    ptrdiff_t colon = slice_find_char(login, ':');
    if (colon < 1 || !is_clean(login)) {
        return E_NO_LOGIN;
    }
    s->user = slice_sub(login, 0, (size_t)colon);
    s->password = slice_from(login, (size_t)colon + 1);
    return s->password.len <= PASSWORD_MAX && s->user.len <= USER_NAME_MAX ? 0 : E_NO_LOGIN;
}

// ---- requests -----------------------------------------------------------------------------------

static enum stage_result refuse(struct exchange *x, struct basic_state *s,
                                const struct basic_level *level)
{
    s->asks = level;
    exchange_fail(x, E_NO_LOGIN, HTTP_DOWN);
    return STAGE_ANSWER;
}

static void on_found(struct checker_job *job, bool right)
{
    struct basic_state *s = container_of(job, struct basic_state, job);
    s->found = right ? BASIC_RIGHT : BASIC_WRONG;
    exchange_ask_again(s->x);
}

static void on_gone(struct exchange *x)
{
    struct basic_state *s = x->slots[module_index(&basic_module)];
    checker_cancel(x->loop, &s->job);
}

static struct checker_claim claim_of(const struct basic_state *s, const struct basic_level *level)
{
    struct checker_claim claim = {s->user, s->password, level->for_nobody, false};
    for (uint32_t i = 0; i < level->count; i++) {
        if (slice_eq(level->users[i].name, s->user)) {
            claim.stored = &level->users[i].password;
            claim.exists = true;
        }
    }
    return claim;
}

static enum checker_verdict judge(struct exchange *x, struct basic_state *s,
                                  const struct basic_level *level)
{
    if (s->found != BASIC_UNKNOWN) {
        bool right = s->found == BASIC_RIGHT;
        s->found = BASIC_UNKNOWN;
        return right ? CHECKER_RIGHT : CHECKER_WRONG;
    }
    s->job.claim = claim_of(s, level);
    enum checker_verdict v = checker_ask(&s->job.claim);
    if (v == CHECKER_WRONG && level->for_nobody->iterations > 0) {
        // A plain secret among hashes: that it is wrong takes as long as a name that nobody has.
        s->job.claim.stored = level->for_nobody;
        s->job.claim.exists = false;
        v = CHECKER_LATER;
    }
    if (v == CHECKER_LATER) {
        s->job.client = x->client;
        s->job.done = on_found;
        v = checker_begin(x->loop, &s->job);
    }
    return v;
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct basic *b = conf;
    struct basic_state *s = exchange_slot(x, b->slot);
    if (s == NULL) {
        s = arena_zalloc(&x->arena, sizeof(*s));
        if (s == NULL) {
            exchange_fail(x, E_NO_MEMORY, HTTP_DOWN);
            return STAGE_ANSWER;
        }
        s->x = x;
        x->slots[b->slot] = s;
        int rc = read_login(x, s);
        if (rc == E_NO_MEMORY) {
            exchange_fail(x, rc, HTTP_DOWN);
            return STAGE_ANSWER;
        }
        if (rc != 0) {
            return refuse(x, s, &b->levels[0]);
        }
    }
    for (; s->level < b->count; s->level++) {
        switch (judge(x, s, &b->levels[s->level])) {
        case CHECKER_RIGHT:
            break;
        case CHECKER_WRONG:
            return refuse(x, s, &b->levels[s->level]);
        case CHECKER_LATER:
            x->give_up = on_gone;
            return STAGE_WAIT;
        case CHECKER_FULL:
            exchange_fail(x, E_OVERLOADED, HTTP_DOWN);
            return STAGE_ANSWER;
        }
    }
    (void)fields_remove_id(&x->request.fields, HTTP_AUTHORIZATION);
    return STAGE_CONTINUE;
}

static enum stage_result on_response(struct exchange *x, const void *conf)
{
    const struct basic *b = conf;
    const struct basic_state *s = exchange_slot(x, b->slot);
    if (s != NULL && s->asks != NULL && x->response.status == 401) {
        // Without room for it the client is still told that it may not.
        int rc = fields_set_id(&x->response.fields, HTTP_WWW_AUTHENTICATE, s->asks->challenge);
        (void)rc;
    }
    return STAGE_CONTINUE;
}

const struct module basic_module = {
    .name = "basic",
    .directives = basic_directives,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};

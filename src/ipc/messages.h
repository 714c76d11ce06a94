// SPDX-License-Identifier: Apache-2.0
//
// What supervisor, keeper and worker say to each other: small structs of fixed size over packet
// sockets (os/fdpass.h), some with descriptors. There is one table: who may send a type, how long it
// is, how many descriptors come with it; ipc_recv() refuses everything else, and texts that are not
// terminated. So a receiver that trusts nobody need only judge values.
//
// A sender is trusted no more than its privileges deserve: the supervisor treats whatever keeper and
// worker say as if an attacker had written it.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

enum {
    IPC_CHANNEL = 3, // where a child finds its channel
    IPC_PATH_MAX = 1024,
    IPC_TEXT_MAX = 1024,
    IPC_USER_MAX = 40,
    IPC_VERSION_MAX = 32,
    IPC_NAME_MAX = 256,     // a host name
    IPC_LISTENERS_MAX = 64, // of the configuration
    IPC_PORTS_MAX = 4096,   // of tunnels; their indexes follow those of the listeners
    IPC_INDEXES_MAX = IPC_LISTENERS_MAX + IPC_PORTS_MAX,
    IPC_PORTS_BATCH = 64, // that come with one message
    IPC_PORT_RANGES_MAX = 8,
    IPC_PROXIES_MAX = 32, // sources of PROXY headers on a listener
    IPC_CORES_MAX = 256,
    IPC_DOC_MAX = 64 << 20,  // bytes of a document
    IPC_NAMES_MAX = 1 << 20, // of resolv.conf, of hosts
    IPC_FILE_MAX = 16 << 20, // bytes of a file the keeper asks for
};

// Of a drain order: clients that are idle may ask once more, and are told in the answer to come anew.
enum { IPC_DRAIN_AT_ONCE, IPC_DRAIN_PATIENT };

// argv[0] of the processes that the supervisor starts, by which main() knows what it is to be.
#define KEEPER_ARGV0 "adit: keeper"
#define WORKER_ARGV0 "adit: worker"

enum ipc_peer { IPC_SUPERVISOR = 1, IPC_KEEPER = 2, IPC_WORKER = 4 };

/** Descriptors that came with a message; the receiver owns those that are not -1. */
struct ipc_fds {
    uint32_t count;
    int fd[IPC_PORTS_BATCH];
};

// X(name, senders, descriptors at least, at most)
//
// After an upgrade a supervisor speaks to the worker of the program before, which may be of another
// version. All they say to each other are the first three: their numbers and structs never change.
#define IPC_TABLE(X)                                                                               \
    X(drain, IPC_SUPERVISOR, 0, 0)                                                                 \
    X(logs, IPC_SUPERVISOR, 0, 1)                                                                  \
    X(left, IPC_WORKER, 0, 0)                                                                      \
    X(start_keeper, IPC_SUPERVISOR, 0, 2)                                                          \
    X(load, IPC_SUPERVISOR | IPC_KEEPER, 0, 0)                                                     \
    X(file, IPC_SUPERVISOR, 0, 1)                                                                  \
    X(result, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                                   \
    X(status, IPC_SUPERVISOR, 0, 1)                                                                \
    X(control, IPC_SUPERVISOR, 1, 1)                                                               \
    X(file_request, IPC_KEEPER, 0, 0)                                                              \
    X(load_failed, IPC_KEEPER, 0, 0)                                                               \
    X(plan, IPC_KEEPER, 1, 2)                                                                      \
    X(status_request, IPC_KEEPER, 0, 0)                                                            \
    X(reopen_request, IPC_KEEPER, 0, 0)                                                            \
    X(listener, IPC_SUPERVISOR | IPC_KEEPER, 0, 1)                                                 \
    X(start_worker, IPC_SUPERVISOR, 1, 2)                                                          \
    X(doc, IPC_SUPERVISOR, 1, 2)                                                                   \
    X(credentials, IPC_SUPERVISOR | IPC_KEEPER, 1, 1)                                              \
    X(in_force, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                                 \
    X(want, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                                     \
    X(names, IPC_SUPERVISOR | IPC_KEEPER, 2, 2)                                                    \
    X(servers, IPC_SUPERVISOR | IPC_KEEPER, 1, 1)                                                  \
    X(servers_done, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                             \
    X(hook_request, IPC_KEEPER, 0, 0)                                                              \
    X(hook, IPC_SUPERVISOR, 0, 0)                                                                  \
    X(unlisten, IPC_SUPERVISOR, 0, 0)                                                              \
    X(upgrade_request, IPC_KEEPER, 1, 1)                                                           \
    X(drain_request, IPC_KEEPER, 0, 0)                                                             \
    X(leave, IPC_SUPERVISOR, 0, 0)                                                                 \
    X(old_worker, IPC_SUPERVISOR, 0, 1)                                                            \
    X(death, IPC_WORKER, 0, 0)                                                                     \
    X(grants, IPC_SUPERVISOR | IPC_KEEPER, 1, 1)                                                   \
    X(grants_done, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                              \
    X(tunnels_kept, IPC_KEEPER, 1, 1)                                                              \
    X(tunnels, IPC_SUPERVISOR, 0, 2)                                                               \
    X(kick, IPC_SUPERVISOR | IPC_KEEPER, 0, 0)                                                     \
    X(kicked, IPC_SUPERVISOR | IPC_WORKER, 0, 0)                                                   \
    X(port_request, IPC_WORKER, 0, 0)                                                              \
    X(port, IPC_SUPERVISOR, 0, 0)                                                                  \
    X(ports, IPC_SUPERVISOR, 1, IPC_PORTS_BATCH)                                                   \
    X(unlisten_ports, IPC_SUPERVISOR, 0, 0)

enum ipc_type {
    IPC_none,
#define IPC_TYPE(name, senders, fds_min, fds_max) IPC_##name,
    IPC_TABLE(IPC_TYPE)
#undef IPC_TYPE
        IPC_TYPE_COUNT
};

struct ipc_identity {
    uint32_t change; // 0: stay who you are
    uint32_t uid;
    uint32_t gid;
};

/** First message of a keeper. A running edge's control socket and the state directory come with it,
 * in this order. A keeper that takes over then gets the document in force with its credentials. */
struct ipc_start_keeper {
    int32_t parent;       // pid of the supervisor
    uint32_t load;        // 1: load at once; 0: a keeper that takes over from one that died
    uint32_t has_control; // which descriptors came
    uint32_t has_state;
    struct ipc_identity identity;
    char path[IPC_PATH_MAX];  // the main file, as the user named it
    char state[IPC_PATH_MAX]; // the state directory, for messages; empty: none was asked for
};

/** Load the configuration anew; from the keeper: it begins to, on its own account. */
struct ipc_load {
    uint32_t unused;
};

enum ipc_file_kind {
    IPC_FILE_CONTENT, // a regular file: its descriptor
    IPC_FILE_NAMES,   // a directory: a memory file of the names in it, each ended by a NUL
};

struct ipc_file_request {
    uint32_t kind; // enum ipc_file_kind
    char path[IPC_PATH_MAX];
};

/** Answer to a file_request, with the descriptor when error is 0. */
struct ipc_file {
    int32_t error;
    char text[IPC_TEXT_MAX]; // why, for people
};

/** The configuration does not check out; the keeper has said so to people. */
struct ipc_load_failed {
    uint32_t by_control; // asked for over the control socket
};

enum ipc_access { IPC_ACCESS_OFF, IPC_ACCESS_STDOUT, IPC_ACCESS_STDERR, IPC_ACCESS_FILE };
enum ipc_control { IPC_CONTROL_DEFAULT, IPC_CONTROL_OFF, IPC_CONTROL_PATH };

/** Public ports that the worker may have opened for tunnels. */
struct ipc_port_range {
    uint64_t keys[2]; // of the streams: TCP, UDP
    uint32_t last;
    struct os_addr first; // with the address to bind
};

/** What a checked document asks of the supervisor. Its listeners came before, one message each; the
 * document and its credentials (tls/credentials.h), both sealed, come with it. */
struct ipc_plan {
    uint64_t credentials; // their number
    uint32_t listeners;
    uint32_t workers; // threads; 0: as many as CPUs
    uint32_t log_level;
    uint32_t access;  // enum ipc_access
    uint32_t control; // enum ipc_control
    uint32_t connections;
    uint64_t memory_bytes;
    uint64_t drain_ms;
    uint32_t port_ranges;
    struct ipc_port_range ranges[IPC_PORT_RANGES_MAX];
    char user[IPC_USER_MAX];
    char access_path[IPC_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
};

/** What is spoken on a listener. It never changes in a listener's life: a reload that changes it opens
 * another on the same socket. All bytes count when two are compared. */
struct ipc_speech {
    uint64_t stream;      // key of the stream (l4/plan.h); 0: for the sites
    uint32_t datagram;    // 1: UDP
    uint32_t secure;      // 1: clients speak TLS
    uint32_t proxy_count; // not 0: a PROXY header comes first, and only from these sources
    struct os_cidr proxies[IPC_PROXIES_MAX];
};

/** One listener: wanted (keeper), bound with its descriptor (to the worker) or as it is (status). */
struct ipc_listener {
    uint32_t index; // stays the same as long as the listener is open
    uint32_t backlog;
    struct ipc_speech speech;
    struct os_addr addr;
};

/** What became of a plan (to the keeper) or of a document (from the worker). The worker's first
 * result says that it is ready. */
struct ipc_result {
    int32_t error;
    uint32_t generation;
    char text[IPC_TEXT_MAX];
};

struct ipc_status_request {
    uint32_t unused;
};

/** The counters and the servers' rows (obs/server_rows.h) come with it, in one block, then a listener
 * message for each listener and an old_worker message for each worker of before an upgrade. */
struct ipc_status {
    int32_t supervisor;
    int32_t keeper;
    int32_t worker;
    uint32_t cores;
    uint32_t listeners;
    uint32_t ports[2]; // of tunnels: TCP, UDP
    uint32_t generation;
    uint32_t worker_restarts;
    uint32_t draining;
    uint32_t old_workers;
    uint32_t upgrades; // in the life of this edge
    uint64_t started_wall_ms;
    uint64_t loaded_wall_ms; // when the current generation began
    char path[IPC_PATH_MAX];
    char program[IPC_PATH_MAX]; // where the running program came from
};

/** The control socket comes with it. */
struct ipc_control_socket {
    uint32_t unused;
};

struct ipc_reopen_request {
    uint32_t unused;
};

/** First message of a worker: counters, and the access log's descriptor unless it is off. Listeners
 * and the document follow. */
struct ipc_start_worker {
    int32_t parent;
    uint32_t cores;
    uint32_t log_level;
    uint32_t connections;
    uint64_t memory_bytes;
    struct ipc_identity identity;
};

/** A document and the credentials that go with it: a reload changes both or neither. */
struct ipc_doc {
    uint32_t generation;
    uint64_t credentials; // their number
};

/** New credentials for the document that is in force. Numbers only grow in the life of an edge. */
struct ipc_credentials {
    uint64_t number;
};

/** What became of something that came with this number: credentials without a document (in_force),
 * servers (servers_done), who may have tunnels (grants_done). Error 0: every core uses it; E_AGAIN: there
 * is no worker just now, the next one begins with it. */
struct ipc_done {
    uint64_t number;
    int32_t error;
    char text[IPC_TEXT_MAX];
};

/** A client asked for a name that has no certificate but may get one. */
struct ipc_want {
    char name[IPC_NAME_MAX];
};

/** The texts of resolv.conf and hosts, in this order, sealed. */
struct ipc_names {
    uint32_t unused;
};

/** A servers document (upstream/servers.h), sealed: what watched files and commands say. The newest
 * counts, whatever configuration is in force. A keeper that takes over gets it back. */
struct ipc_servers {
    uint64_t number;
};

enum ipc_hook_action { IPC_HOOK_PRESENT, IPC_HOOK_CLEANUP };

/** Run the command that puts a TXT record into the DNS, or takes it away. */
struct ipc_hook_request {
    uint64_t number;
    uint32_t action;            // enum ipc_hook_action
    char command[IPC_PATH_MAX]; // whole path
    char domain[IPC_NAME_MAX];  // the name that is validated, without "*."
    char value[IPC_NAME_MAX];   // of the record at _acme-challenge.DOMAIN
};

/** How it ended. */
struct ipc_hook {
    uint64_t number;
    int32_t error;           // 0: the command ran and its exit code was 0
    char text[IPC_TEXT_MAX]; // why not, with the end of what it wrote
};

struct ipc_unlisten {
    uint32_t index;
};

/** Stop taking connections, end when the last exchange has or when the time is over. A second one
 * can only shorten it. Never changes (IPC_TABLE). */
struct ipc_drain {
    uint64_t limit_ms;
    uint32_t patient; // IPC_DRAIN_...
    uint32_t unused;
};

static_assert((int)sizeof(struct ipc_drain) == 16,
              "as it was in the first program that could upgrade");

/** The worker has left its listeners: every new connection is another's. Never changes (IPC_TABLE). */
struct ipc_left {
    uint32_t unused;
};

/** Another program takes over: end when nothing is under way, answer who has asked. */
struct ipc_leave {
    uint32_t unused;
};

/** The access log's new descriptor, or none: off. Never changes (IPC_TABLE). */
struct ipc_logs {
    uint32_t log_level;
};

/** Somebody wants another program to take over. The connection of who asks comes with it: the
 * supervisor answers there. */
struct ipc_upgrade_request {
    char path[IPC_PATH_MAX]; // empty: where ours came from
};

/** The edge is to stop as it does by SIGTERM. */
struct ipc_drain_request {
    uint32_t unused;
};

/** A worker of before an upgrade, with its counters if they mean the same as ours. */
struct ipc_old_worker {
    int32_t pid;
    uint32_t cores;
    uint32_t draining; // 0: it still serves, the upgrade is under way
    uint64_t left_ms;  // until the drain limit
    char version[IPC_VERSION_MAX];
};

/** A worker's last words, before any core file is written. */
struct ipc_death {
    int32_t signal;
    int32_t core; // -1: not a core's thread
    uint64_t address;
    char text[IPC_TEXT_MAX];
};

/** Who may have tunnels (tunnel/access.h), sealed: the newest counts, whatever configuration is in
 * force. A keeper that takes over gets it back. */
struct ipc_grants {
    uint64_t number;
};

/** Rows of the tunnels that there were when the edge ended, for its first worker. */
struct ipc_tunnels_kept {
    uint32_t unused;
};

/** Rows of tunnels (obs/tunnel_rows.h). To a worker that begins, its second message: its own, and, if
 * there was one, those of the worker before. To the keeper, whenever a worker is ready, and to a keeper
 * that begins: those of the worker in force. */
struct ipc_tunnels {
    uint32_t unused;
};

/** End a tunnel; its agent is told why. */
struct ipc_kick {
    uint64_t number;
    char zone[IPC_NAME_MAX]; // name of its site; empty: whichever has it
    char name[IPC_NAME_MAX];
    char text[IPC_TEXT_MAX];
};

/** How it went. */
struct ipc_kicked {
    uint64_t number;
    int32_t error;  // E_AGAIN: there is no worker just now
    uint32_t count; // tunnels that were ended
};

/** Open a port of a tunnel, or close the listener of one that the worker has left. */
struct ipc_port_request {
    uint64_t number;
    uint64_t stream; // key; 0: close
    uint32_t datagram;
    uint32_t port;
    uint32_t index; // to close
};

/** A port of a tunnel, with its descriptor. */
struct ipc_open_port {
    uint64_t stream; // key
    uint32_t index;
    uint16_t port;
    uint16_t datagram;
};

/** Ports of tunnels, as many as descriptors came: one that was asked for, or what a worker that begins
 * is given. */
struct ipc_ports {
    struct ipc_open_port at[IPC_PORTS_BATCH];
};

/** Ports to leave, by a bit each: no range of the new configuration has them. */
struct ipc_unlisten_ports {
    uint64_t bits[IPC_PORTS_MAX / 64];
};

/** What became of it; the port itself came before. Nothing is said of one that was closed. */
struct ipc_port {
    uint64_t number;
    int32_t error; // 0, E_IN_USE, E_DENIED (no range has it, or no privilege), E_TOO_LARGE, E_AGAIN
};

struct ipc_message {
    uint32_t type; // enum ipc_type
    union {
        struct ipc_start_keeper start_keeper;
        struct ipc_load load;
        struct ipc_file file;
        struct ipc_result result;
        struct ipc_status status;
        struct ipc_control_socket control;
        struct ipc_file_request file_request;
        struct ipc_load_failed load_failed;
        struct ipc_plan plan;
        struct ipc_status_request status_request;
        struct ipc_reopen_request reopen_request;
        struct ipc_listener listener;
        struct ipc_start_worker start_worker;
        struct ipc_doc doc;
        struct ipc_credentials credentials;
        struct ipc_done in_force;
        struct ipc_want want;
        struct ipc_names names;
        struct ipc_servers servers;
        struct ipc_done servers_done;
        struct ipc_hook_request hook_request;
        struct ipc_hook hook;
        struct ipc_unlisten unlisten;
        struct ipc_drain drain;
        struct ipc_logs logs;
        struct ipc_left left;
        struct ipc_leave leave;
        struct ipc_upgrade_request upgrade_request;
        struct ipc_drain_request drain_request;
        struct ipc_old_worker old_worker;
        struct ipc_death death;
        struct ipc_port_request port_request;
        struct ipc_port port;
        struct ipc_ports ports;
        struct ipc_unlisten_ports unlisten_ports;
        struct ipc_grants grants;
        struct ipc_done grants_done;
        struct ipc_tunnels_kept tunnels_kept;
        struct ipc_tunnels tunnels;
        struct ipc_kick kick;
        struct ipc_kicked kicked;
    } u;
};

/** A message of that type, all zero. */
void ipc_init(struct ipc_message *m, enum ipc_type type);
/** Sends it; `fds` stay the caller's. Never waits. 0, E_AGAIN (the other side does not read),
 * E_RESET (it is gone). Safe in a signal handler. */
int ipc_send(int channel, const struct ipc_message *m, const int *fds, unsigned count) must_check;
/** Takes the next message of `from` (one enum ipc_peer), waiting up to timeout_ms (-1: for ever). 0,
 * E_AGAIN (none), E_EOF (the other side is gone), E_INVALID (the table does not allow it). */
int ipc_recv(int channel, enum ipc_peer from, struct ipc_message *m, struct ipc_fds *fds,
             int timeout_ms) must_check;
/** Closes the descriptors that nobody took. */
void ipc_drop(struct ipc_fds *fds);
/** What ipc_recv() checks of a message whose body has `len` bytes: 0 or E_INVALID. */
int ipc_check(const struct ipc_message *m, size_t len, unsigned fds, enum ipc_peer from) must_check;
/** The name in the table, for logs. */
const char *ipc_name(uint32_t type);
/** Copies text into a message's field, cut to what fits. */
void ipc_set_text(char *field, size_t size, struct slice text);

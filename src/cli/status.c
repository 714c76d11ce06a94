// SPDX-License-Identifier: Apache-2.0
//
// adit status: how the running edge is. It works on a hung worker as well: the counters are read from
// memory that the supervisor shares.

#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/server.h"
#include "cli/tables.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "?";
}

static int64_t pid_of(const json_t *answer, const char *process)
{
    return control_number(json_object_get(answer, process), "pid");
}

static void print_uptime(int64_t seconds)
{
    printf("up           ");
    if (seconds >= 86400) {
        printf("%" PRId64 "d ", seconds / 86400);
    }
    if (seconds >= 3600) {
        printf("%" PRId64 "h ", seconds / 3600 % 24);
    }
    printf("%" PRId64 "m %" PRId64 "s\n", seconds / 60 % 60, seconds % 60);
}

static void print_servers(const json_t *servers)
{
    const json_t *unhealthy = json_object_get(servers, "unhealthy");
    int64_t total = control_number(servers, "total");
    if (total > 0) {
        printf("servers      %" PRId64 ", %zu of them not healthy\n", total,
               json_array_size(unhealthy));
    }
    size_t index = 0;
    json_t *one = NULL;
    json_array_foreach(unhealthy, index, one)
    {
        char state[160];
        cli_server_state(one, state, sizeof state);
        printf("%-12s %s %s: %s\n", "", text_of(one, "upstream"), text_of(one, "address"), state);
    }
    cli_server_drift(json_object_get(servers, "overrides"), "");
}

static void print_ports(const json_t *ports)
{
    int64_t tcp = control_number(ports, "tcp");
    int64_t udp = control_number(ports, "udp");
    if (tcp + udp > 0) {
        printf("tunnel ports %" PRId64 " of TCP, %" PRId64 " of UDP\n", tcp, udp);
    }
}

static void print_tunnels(const json_t *counters)
{
    int64_t live = control_number(counters, "tunnels_live");
    int64_t parked = control_number(counters, "tunnels_parked");
    if (live + parked > 0) {
        printf("tunnels      %" PRId64 " live on %" PRId64 " connections of agents, %" PRId64
               " parked, %" PRId64 " visitors wait\n",
               live, control_number(counters, "tunnel_agents"), parked,
               control_number(counters, "tunnel_visitors_waiting"));
    }
}

static void print_for_people(const json_t *answer)
{
    const json_t *worker = json_object_get(answer, "worker");
    const json_t *configuration = json_object_get(answer, "configuration");
    printf("adit %s%s\n", text_of(answer, "version"),
           json_is_true(json_object_get(answer, "draining")) ? ", stopping" : "");
    print_uptime(control_number(answer, "uptime_s"));
    printf("processes    supervisor %" PRId64 ", keeper %" PRId64 ", worker %" PRId64 "\n",
           pid_of(answer, "supervisor"), pid_of(answer, "keeper"), pid_of(answer, "worker"));
    printf("worker       %" PRId64 " threads, restarted %" PRId64 " times\n",
           control_number(worker, "threads"), control_number(worker, "restarts"));
    size_t index = 0;
    json_t *one = NULL;
    json_array_foreach(json_object_get(answer, "old_workers"), index, one)
    {
        printf("%-12s %" PRId64 " of adit %s, %" PRId64 " connections, at most %" PRId64
               " s more\n",
               index == 0 ? "draining" : "", control_number(one, "pid"), text_of(one, "version"),
               control_number(one, "connections"), control_number(one, "left_ms") / 1000);
    }
    printf("config       %s, generation %" PRId64 "\n", text_of(configuration, "path"),
           control_number(configuration, "generation"));
    json_array_foreach(json_object_get(answer, "listeners"), index, one)
    {
        printf("%-12s %s\n", index == 0 ? "listening" : "", text_of(one, "address"));
    }
    print_tunnels(json_object_get(answer, "counters"));
    print_ports(json_object_get(answer, "tunnel_ports"));
    print_servers(json_object_get(answer, "servers"));
    const char *name = NULL;
    json_t *value = NULL;
    unsigned zeros = 0;
    printf("counters\n");
    json_object_foreach(json_object_get(answer, "counters"), name, value)
    {
        zeros += json_integer_value(value) == 0;
        if (json_integer_value(value) != 0) {
            printf("  %-24s %" PRId64 "\n", name, (int64_t)json_integer_value(value));
        }
    }
    if (zeros > 0) {
        printf("  and %u that are 0; --json has them all\n", zeros);
    }
}

static int run(const struct cli_parsed *p)
{
    return cli_order(p, "status", print_for_people);
}

static const struct cli_option options[] = {
    {.name = "control", .value = "PATH", .text = "the control socket, if not in its usual place"},
    {.name = "json", .text = "as one JSON object"},
    {.name = NULL},
};

const struct cli_command cli_status = {
    .name = "status",
    .text = "shows how the running edge is: processes, listeners, counters",
    .options = options,
    .run = run,
};

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A DNS hook for `tls: {dns: /etc/adit/dns-hook}`: DNS-01 by dynamic updates (RFC 2136) with nsupdate.
#
#   dns-hook present _acme-challenge.example.com VALUE
#   dns-hook cleanup _acme-challenge.example.com VALUE
#
# DNS_SERVER and DNS_KEY (a TSIG key file) come from the environment that adit was started with.
# Install it as root, executable, writable for nobody else.
set -eu

action=$1 name=$2 value=$3
server=${DNS_SERVER:-127.0.0.1}

case $action in
present) change="update add $name. 60 TXT \"$value\"" ;;
cleanup) change="update delete $name. TXT \"$value\"" ;;
*) echo "unknown action: $action" >&2; exit 2 ;;
esac

printf 'server %s\n%s\nsend\n' "$server" "$change" | nsupdate ${DNS_KEY:+-k "$DNS_KEY"}

# Return when the record can be seen: the CA asks at once.
[ "$action" = present ] || exit 0
tries=0
until dig +short TXT "$name" "@$server" | grep -qF "$value"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "$server does not answer with the new record" >&2; exit 1; }
    sleep 2
done

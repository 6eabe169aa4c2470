#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A PostgreSQL primary and streaming replicas for tests: on free loopback ports, as an ordinary user, without fsync.
# shellcheck source=scripts/services/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

usage() {
  cat <<'TEXT'
usage: scripts/services/postgres.sh COMMAND DIR [ARGUMENT...]
  start DIR [REPLICAS]      node 0 is the primary, 1 to REPLICAS follow it; prints PG_NODES and PG_NODE_<n>_URL
  hold DIR [REPLICAS]       the same, and stops when standard input ends
  stop DIR                  ends all of it
  promote DIR NODE          makes a replica a primary
  halt DIR NODE [SIGNAL]    INT (default) ends it in order, QUIT at once, KILL as a crash; STOP freezes it
  resume DIR NODE           starts it again, or thaws it
  lag DIR NODE SECONDS      a replica shows everything that much later; 0 ends it
  follow DIR NODE UPSTREAM  a running replica follows another node
  rejoin DIR NODE UPSTREAM  a node, running or not, becomes a replica of another: rewound, or copied afresh
  env DIR                   prints the lines of start again
SPILLWAY_PG_BIN names the folder of the server programs, if they are not where Debian puts them.
TEXT
}

find_programs() {
  local candidate root
  root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
  for candidate in "${SPILLWAY_PG_BIN:-}" $(printf '%s\n' "$root"/build/tools/usr/lib/postgresql/*/bin /usr/lib/postgresql/*/bin | sort -rV) \
    "$(dirname "$(command -v postgres || printf /nowhere/x)")"; do
    if [[ -x $candidate/postgres && -x $candidate/initdb && -x $candidate/pg_basebackup ]]; then
      bin=$candidate
      return
    fi
  done
  die "no PostgreSQL server found (postgres, initdb, pg_basebackup): scripts/test installs one, or set SPILLWAY_PG_BIN"
}

settings() { # NODE PORT
  local sockets=$folder
  ((${#sockets} <= 80)) || sockets=
  cat <<TEXT
port = $2
listen_addresses = '127.0.0.1'
unix_socket_directories = '$sockets'
cluster_name = 'node$1'
fsync = off
full_page_writes = on
wal_log_hints = on
shared_buffers = 64MB
max_connections = 120
wal_keep_size = 256MB
max_wal_senders = 12
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
max_prepared_transactions = 10
log_min_messages = warning
autovacuum_naptime = 10s
jit = off
TEXT
}

ready() { [[ $(sed -n 8p "$folder/node$1/postmaster.pid") == ready* ]]; }
run_node() {
  # Of a process that is gone: an init that does not collect the dead makes it look alive.
  rm -f "$folder/node$1/postmaster.pid" "$folder/.s.PGSQL.$(port_of "$1")"*
  spawn "node$1" "$bin/postgres" -D "$folder/node$1"
  wait_for 60 ready_or_gone "$1"
  ready "$1" 2>/dev/null
}
ready_or_gone() { ready "$1" || gone "node$1"; }
port_of() { cat "$folder/node$1.port"; }

# The port may be taken between the look and the start: then another one.
run_new_node() {
  local port tries
  for ((tries = 0; tries < 5; tries++)); do
    free_port port
    sed -i "s/^port = .*/port = $port/" "$folder/node$1/postgresql.conf"
    printf '%s\n' "$port" >"$folder/node$1.port"
    if run_node "$1"; then return 0; fi
    grep -q 'Address already in use' "$folder/node$1.log" || break
  done
  tail -n 20 "$folder/node$1.log" >&2
  die "node $1 did not start"
}

copy_node() { # NODE UPSTREAM
  rm -rf "$folder/node$1"
  "${as_user[@]}" "$bin/pg_basebackup" -D "$folder/node$1" -R -X stream -c fast -d "host=127.0.0.1 port=$(port_of "$2") user=spillway" \
    >"$folder/copy.log" 2>&1 || { cat "$folder/copy.log" >&2; die "cannot copy node $2"; }
  sed -i '/^port = /,$d' "$folder/node$1/postgresql.conf"
  settings "$1" "$(port_of "$1" 2>/dev/null || printf 0)" >>"$folder/node$1/postgresql.conf"
}

cmd_start() {
  local replicas=${1:-0} node
  [[ $replicas =~ ^[0-9]$ ]] || die "REPLICAS is '$replicas'; it must be 0 to 9"
  find_programs
  "${as_user[@]}" "$bin/initdb" -D "$folder/node0" -U spillway -A trust -N -E UTF8 --locale=C.UTF-8 --wal-segsize=4 >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; die "initdb failed"; }
  # One role needs a password, so that wrong ones can be tried.
  sed -i '1i host all guarded 127.0.0.1/32 scram-sha-256' "$folder/node0/pg_hba.conf"
  settings 0 0 >>"$folder/node0/postgresql.conf"
  run_new_node 0
  tell PG_NODES $((replicas + 1))
  tell PG_NODE_0_URL "postgresql://spillway@127.0.0.1:$(port_of 0)/postgres"
  for ((node = 1; node <= replicas; node++)); do
    copy_node "$node" 0
    run_new_node "$node"
    tell "PG_NODE_${node}_URL" "postgresql://spillway@127.0.0.1:$(port_of "$node")/postgres"
  done
}

signal_all() { # SIGNAL PID: the server and its processes
  local pids
  if [[ $1 == CONT ]]; then
    mapfile -t pids < <(children_of "$2")
    pids+=("$2")
  else
    kill -STOP "$2" 2>/dev/null || true # first, so that it starts no more
    mapfile -t pids < <(children_of "$2")
    pids+=("$2")
  fi
  kill "-$1" "${pids[@]}" 2>/dev/null || true
}
cmd_halt() {
  local node=$1 signal=${2:-INT} pid
  [[ $signal =~ ^(INT|TERM|QUIT|KILL|STOP)$ ]] || die "SIGNAL is '$signal'; allowed: INT TERM QUIT KILL STOP"
  pid=$(alive "node$node") || die "node $node does not run"
  if [[ $signal == STOP ]]; then
    signal_all STOP "$pid"
    return
  fi
  if [[ $signal == KILL ]]; then signal_all KILL "$pid"; else kill "-$signal" "$pid"; fi
  if ! wait_for 20 gone "node$node"; then
    signal_all KILL "$pid"
    wait_for 5 gone "node$node" || die "node $node does not end"
  fi
}
cmd_resume() {
  local pid
  if pid=$(alive "node$1"); then
    signal_all CONT "$pid"
    return
  fi
  find_programs
  run_node "$1" || { tail -n 20 "$folder/node$1.log" >&2; die "node $1 did not start"; }
}
cmd_promote() {
  find_programs
  "${as_user[@]}" "$bin/pg_ctl" promote -D "$folder/node$1" -w -t 60 >"$folder/promote.log" 2>&1 || { cat "$folder/promote.log" >&2; die "cannot promote node $1"; }
}
set_and_reload() { # NODE NAME VALUE
  sed -i "/^$2 = /d" "$folder/node$1/postgresql.auto.conf" "$folder/node$1/postgresql.conf"
  printf "%s = '%s'\n" "$2" "$3" >>"$folder/node$1/postgresql.auto.conf"
  local pid
  if pid=$(alive "node$1"); then kill -HUP "$pid"; fi
}
upstream_of() { printf 'host=127.0.0.1 port=%s user=spillway' "$(port_of "$1")"; }
cmd_lag() { set_and_reload "$1" recovery_min_apply_delay "${2}s"; }
cmd_follow() { set_and_reload "$1" primary_conninfo "$(upstream_of "$2")"; }
cmd_rejoin() {
  local node=$1
  find_programs
  if alive "node$node" >/dev/null; then
    cmd_resume "$node" # it may be frozen
    cmd_halt "$node" INT
  fi
  rm -f "$folder/node$node/postmaster.pid"
  # pg_rewind goes by the control file, which a promotion changes with the first checkpoint after it.
  "${as_user[@]}" "$bin/psql" -qX -c CHECKPOINT "host=127.0.0.1 port=$(port_of "$2") user=spillway dbname=postgres" >>"$folder/rewind.log" 2>&1 || true
  if "${as_user[@]}" "$bin/pg_rewind" -N -D "$folder/node$node" --source-server="$(upstream_of "$2") dbname=postgres" >"$folder/rewind.log" 2>&1; then
    # The files of the other node came along, its port and name too.
    sed -i '/^port = /,$d' "$folder/node$node/postgresql.conf"
    settings "$node" "$(port_of "$node")" >>"$folder/node$node/postgresql.conf"
    "${as_user[@]}" touch "$folder/node$node/standby.signal"
  else
    copy_node "$node" "$2"
  fi
  cmd_follow "$node" "$2"
  cmd_resume "$node"
}
cmd_stop() {
  local file pid
  for file in "$folder"/processes/*; do
    [[ -e $file ]] || continue
    file=${file##*/}
    if pid=$(alive "$file"); then signal_all KILL "$pid"; fi
  done
  for file in "$folder"/processes/*; do
    [[ ! -e $file ]] || wait_for 10 gone "${file##*/}" || true
  done
  rm -rf "$folder/processes" "$folder"/node* "$folder/env"
}

check_arguments() {
  local -A names=([promote]="NODE" [halt]="NODE" [resume]="NODE" [lag]="NODE SECONDS" [follow]="NODE UPSTREAM" [rejoin]="NODE UPSTREAM")
  local name
  for name in ${names[$command]:-}; do
    (($# > 0)) || die "$command needs $name after DIR"
    if [[ $name == SECONDS ]]; then
      [[ $1 =~ ^[0-9]{1,6}$ ]] || die "SECONDS is '$1'; it must be a whole number"
    else
      [[ $1 =~ ^[0-9]$ && -e $folder/node$1.port ]] || die "$name is '$1'; the nodes are$(printf ' %s' "$folder"/node?.port | sed "s|$folder/node||g; s|\.port||g")"
    fi
    shift
  done
}

command=${1:-}
case $command in
  start | hold)
    shift
    (($# >= 1)) || { usage >&2; exit 2; }
    take_folder "$1"
    shift
    trap 'code=$?; if ((code != 0)); then cmd_stop; fi' EXIT
    cmd_start "$@"
    if [[ $command == hold ]]; then
      tell PG_READY 1
      stop_at_end_of_input
    fi
    ;;
  stop | promote | halt | resume | lag | follow | rejoin)
    shift
    (($# >= 1)) || { usage >&2; exit 2; }
    open_folder "$1"
    shift
    check_arguments "$@"
    "cmd_$command" "$@"
    ;;
  env)
    cat "${2:?}/env"
    ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac

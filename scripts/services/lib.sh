# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts share that start real servers for tests: an ordinary user, free ports, and processes that are known by pid and start time,
# so that a number that was given away again is never signalled.
set -euo pipefail

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# As root servers run as SPILLWAY_SERVICE_USER (default nobody), who must be able to reach the folder.
own_folder() {
  folder=$1
  as_user=(env "HOME=$folder" LC_ALL=C.UTF-8)
  if ((EUID == 0)); then
    local user=${SPILLWAY_SERVICE_USER:-nobody}
    as_user=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups -- "${as_user[@]}")
  fi
}
take_folder() {
  mkdir -p "$1"
  own_folder "$(cd "$1" && pwd -P)"
  [[ ! -e $folder/processes ]] || die "$folder is in use: stop it first"
  if ((EUID == 0)); then chown "${SPILLWAY_SERVICE_USER:-nobody}:" "$folder"; fi
  "${as_user[@]}" test -w "$folder" || die "$folder cannot be reached by the user who runs the servers; take a folder below /tmp"
  mkdir "$folder/processes"
}
open_folder() {
  [[ -d ${1:-}/processes ]] || die "'${1:-}' is no folder of a running service"
  own_folder "$(cd "$1" && pwd -P)"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port NAME: puts a port below the ephemeral range, where nobody listens, into the variable.
free_port() {
  local candidate tries
  for ((tries = 0; tries < 200; tries++)); do
    candidate=$((15000 + (RANDOM * 32768 + RANDOM) % 15000))
    if ! listening "$candidate"; then
      printf -v "$1" '%s' "$candidate"
      return 0
    fi
  done
  die "no free port found"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    ((SECONDS < end)) || return 1
    sleep 0.02
  done
}

# Fields of /proc/PID/stat behind the name: state is the first, parent the second, start time the twentieth.
stat_of() {
  local line
  line=$(<"/proc/$1/stat") || return 1
  printf '%s\n' "${line##*) }"
} 2>/dev/null
start_of() {
  local fields
  read -ra fields < <(stat_of "$1") && printf '%s' "${fields[19]}"
}

# spawn NAME COMMAND...: in a session of its own, without this shell's descriptors, talking to NAME.log.
spawn() {
  local name=$1 pid
  shift
  (
    for descriptor in /proc/"$BASHPID"/fd/*; do
      descriptor=${descriptor##*/}
      if ((descriptor > 2)); then eval "exec $descriptor>&-" 2>/dev/null || true; fi
    done
    exec setsid "${as_user[@]}" "$@"
  ) >>"$folder/$name.log" 2>&1 </dev/null &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(start_of "$pid")" >"$folder/processes/$name"
}
# The pid of what runs under this name; fails if it is gone.
alive() {
  local pid start fields
  read -r pid start 2>/dev/null <"$folder/processes/$1" || return 1
  read -ra fields < <(stat_of "$pid") || return 1
  [[ ${fields[19]:-} == "$start" && ${fields[0]} != Z ]] && printf '%s' "$pid"
}
gone() { ! alive "$1" >/dev/null; }
children_of() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$1" '{ pid = $1; sub(/^.*\) /, ""); if ($2 == parent) print pid }'
}

# One line KEY=value, that needs no quoting; kept for `env`.
tell() { printf '%s=%s\n' "$1" "$2" | tee -a "$folder/env"; }

# With a closed standard input as the sign to stop: whoever started this may die as he likes.
stop_at_end_of_input() {
  # Nor must a signal, which often goes to the whole group, leave the servers behind.
  trap - EXIT
  trap 'trap "" INT TERM HUP; cmd_stop; exit 0' INT TERM HUP
  while read -r; do :; done
  cmd_stop
}

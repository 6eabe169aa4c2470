# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What demo, test and bench share: progress, Debian packages, configure and build.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/build/tools
postgres=usr/lib/postgresql/15/bin # not on the path where Debian's packages are installed
export PATH=$tools/usr/bin:$tools/usr/sbin:$PATH:/$postgres:$tools/$postgres
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export NINJA_STATUS='      [%f/%t, %e s] '

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# A wrong call: says what is allowed.
refuse() {
  printf '%s: %s\n\n' "$(basename "$0")" "$1" >&2
  usage >&2
  exit 2
}

steps=0
step=0
step_started=0

# Names the step that begins and closes the one before.
begin_step() {
  end_step
  step=$((step + 1))
  step_started=$SECONDS
  printf '[%d/%d] %s\n' "$step" "$steps" "$1"
}
end_step() {
  if ((step > 0)); then
    printf '      took %d s\n' $((SECONDS - step_started))
  fi
}

# Runs a talkative command with its output in a log; shows its last line every ten seconds, and the log's end if it fails.
quietly() {
  local log=$root/build/logs/$1.log pid code=0 ticks=0
  shift
  mkdir -p "${log%/*}"
  "$@" >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    ticks=$((ticks + 1))
    if ((ticks % 50 == 0)); then
      printf '      %d s: %s\n' $((ticks / 5)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  wait "$pid" || code=$?
  trap - INT TERM
  if ((code != 0)); then
    tail -n 40 "$log" >&2
    die "exit code $code: $* (all of its output: ${log#"$root"/})"
  fi
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "needs root or sudo to run: $*"
  fi
}

# Of the packages named, those that are not installed.
absent_packages() {
  local package status
  local -A installed=()
  while read -r package status; do
    installed[$package]=$status
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    if [[ ${installed[$package]:-} != installed ]]; then
      printf '%s\n' "$package"
    fi
  done
}

apt() {
  as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

unpack_package() {
  mkdir -p "$tools/debs"
  (cd "$tools/debs" && apt-get -q -o Acquire::Retries=3 download "$1" && dpkg-deb -x "$1"_*.deb "$tools")
}

# need_packages GROUP...: makes sure that every package of these groups is there, and asks nobody if so.
need_packages() {
  local group package how program
  local -a wanted=() absent=() unpack=()
  if [[ ${SKIP_PACKAGES:-} == 1 ]]; then
    printf '      SKIP_PACKAGES=1: using what is installed\n'
    return
  fi
  command -v dpkg-query >/dev/null || die "installs packages on Debian alone; elsewhere install what scripts/packages lists, then set SKIP_PACKAGES=1"
  while read -r group package how program; do
    if [[ " $* " != *" $group "* ]]; then
      continue
    elif [[ $how != unpack ]]; then
      wanted+=("$package")
    elif ! command -v "$program" >/dev/null; then
      unpack+=("$package")
    fi
  done < <(grep -v '^#' "$root/scripts/packages")
  mapfile -t absent < <(absent_packages "${wanted[@]}")
  if ((${#absent[@]} + ${#unpack[@]} == 0)); then
    printf '      all %d are there\n' "${#wanted[@]}"
    return
  fi
  quietly apt-update apt update
  if ((${#absent[@]} > 0)); then
    printf '      installing %d: %s\n' "${#absent[@]}" "${absent[*]}"
    quietly apt-install apt install --no-install-recommends "${absent[@]}"
  fi
  for package in "${unpack[@]}"; do
    printf '      unpacking %s into build/tools\n' "$package"
    quietly "unpack-$package" unpack_package "$package"
  done
}

# Compilers at once: one a processor, if there is about 1.2 GiB of memory for each.
compilers() {
  local processors by_memory
  processors=$(nproc)
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1250000) }' /proc/meminfo)
  if ((by_memory < processors)); then
    processors=$((by_memory > 1 ? by_memory : 1))
  fi
  printf '%d' "$processors"
}

configure() {
  (cd "$root" && quietly "configure-$1" cmake --preset "$1")
}

# build PRESET TARGET...
build() {
  local preset=$1
  shift
  (cd "$root" && cmake --build --preset "$preset" -j "$(compilers)" --target "$@")
}

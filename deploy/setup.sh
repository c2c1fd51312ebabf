#!/usr/bin/env bash
# Installs what Carnet needs on Debian or Ubuntu and is not there yet; a second run changes nothing. Never asks.
#
#   deploy/setup.sh [build] [test] [cluster] [monitoring] [bench]      (without a name: build test cluster monitoring)
#
#   build    C++ compiler, make, ccache and libclang, for RocksDB, its bindings and the allocator
#   test     cargo-nextest, rustfmt and clippy
#   cluster  iproute2, nftables, and tools that make ext4 and cut its power (e2fsprogs, mount, xfsprogs), for the tests
#            with real processes and real faults; grpcio and @grpc/grpc-js, in the cache folder, where Python and Node are
#   monitoring
#            promtool (in prometheus), which tests the alert rules
#   bench    etcd-server and PostgreSQL, the systems the benchmarks are run beside, and strace
#
# Exit code: not 0 only when `build` or `test` cannot be had. Without the others work goes on, and the tests
# that need them report themselves as skipped. Other scripts source this file, which only defines `carnet_setup`.

CARNET_NEXTEST_VERSION="0.9.143"
CARNET_GRPCIO_VERSION="1.85.3"
CARNET_GRPC_JS_VERSION="1.14.7"

carnet_setup() {
  local group failed=0
  [ $# -gt 0 ] || set -- build test cluster monitoring
  export PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
  CARNET_APT_FRESH=0
  for group in "$@"; do
    case "$group" in
      build | test | cluster | monitoring | bench) ;;
      *)
        _carnet_say "no group \"$group\"; there are build, test, cluster, monitoring and bench"
        return 2
        ;;
    esac
    if "_carnet_group_$group"; then
      _carnet_say "$group: ready"
    elif [ "$group" = build ] || [ "$group" = test ]; then
      _carnet_say "$group: NOT ready, see above"
      failed=1
    else
      _carnet_say "$group: not complete, see above; tests that need it will be skipped"
    fi
  done
  return "$failed"
}

_carnet_group_build() {
  local missing=()
  command -v git >/dev/null 2>&1 || missing+=(git)
  command -v cc >/dev/null 2>&1 || missing+=(gcc libc6-dev)
  command -v g++ >/dev/null 2>&1 || missing+=(g++)
  command -v make >/dev/null 2>&1 || missing+=(make)
  command -v ccache >/dev/null 2>&1 || missing+=(ccache)
  _carnet_has_libclang || missing+=(libclang-dev)
  _carnet_install "${missing[@]}" || return 1
  if ! command -v cargo >/dev/null 2>&1; then
    _carnet_say "no cargo: install Rust 1.95 or newer (https://rustup.rs) and run this again"
    return 1
  fi
}

_carnet_group_test() {
  local component
  for component in fmt:rustfmt clippy:clippy; do
    if ! cargo "${component%%:*}" --version >/dev/null 2>&1; then
      _carnet_say "adding the Rust component ${component##*:}"
      rustup component add "${component##*:}" || return 1
    fi
  done
  if ! cargo nextest --version >/dev/null 2>&1; then
    _carnet_say "building cargo-nextest $CARNET_NEXTEST_VERSION, once: about 10 minutes on two cores"
    # A folder of its own: our build flags and caches are not its.
    (unset CARGO_TARGET_DIR && cd / && cargo install --locked --quiet --version "$CARNET_NEXTEST_VERSION" cargo-nextest) || return 1
  fi
}

_carnet_group_cluster() {
  local missing=()
  _carnet_has_tool ip && _carnet_has_tool tc || missing+=(iproute2)
  _carnet_has_tool nft || missing+=(nftables)
  _carnet_has_tool mkfs.ext4 || missing+=(e2fsprogs)
  _carnet_has_tool mount && _carnet_has_tool umount || missing+=(mount)
  _carnet_has_tool xfs_io || missing+=(xfsprogs)
  _carnet_install "${missing[@]}" || return 1
  _carnet_stacks
}

# Other people's gRPC, which the client plane has to speak to. Their runtimes are whatever the machine has.
_carnet_stacks() {
  local folder="${CARNET_CACHE:-${HOME:-/tmp}/.cache/carnet}/stacks" failed=0
  mkdir -p "$folder" || return 1
  if command -v python3 >/dev/null 2>&1; then
    if ! "$folder/python/bin/python" -c 'import grpc' >/dev/null 2>&1; then
      _carnet_say "fetching grpcio $CARNET_GRPCIO_VERSION for Python"
      python3 -m venv "$folder/python" >/dev/null \
        && "$folder/python/bin/python" -m pip install --quiet "grpcio==$CARNET_GRPCIO_VERSION" >&2 || failed=1
    fi
  else
    _carnet_say "no python3: grpcio is not tried"
  fi
  if command -v npm >/dev/null 2>&1; then
    if [ ! -d "$folder/node/node_modules/@grpc/grpc-js" ]; then
      _carnet_say "fetching @grpc/grpc-js $CARNET_GRPC_JS_VERSION for Node"
      mkdir -p "$folder/node" \
        && (cd "$folder/node" && npm install --silent --no-audit --no-fund "@grpc/grpc-js@$CARNET_GRPC_JS_VERSION") >&2 || failed=1
    fi
  else
    _carnet_say "no npm: @grpc/grpc-js is not tried"
  fi
  return "$failed"
}

_carnet_group_monitoring() {
  _carnet_has_tool promtool && return 0
  _carnet_install prometheus || return 1
  # Only promtool is wanted: the server that comes with it should not run.
  if [ -d /run/systemd/system ]; then
    _carnet_root systemctl disable --now prometheus >/dev/null 2>&1
  elif [ -x /etc/init.d/prometheus ]; then
    _carnet_root /etc/init.d/prometheus stop >/dev/null 2>&1
  fi
  return 0
}

_carnet_group_bench() {
  _carnet_has_tool etcd && _carnet_has_tool etcdctl && _carnet_has_tool strace && _carnet_has_tool pgbench && return 0
  _carnet_install etcd-server etcd-client strace postgresql postgresql-contrib || return 1
  # The packages start services of their own; the benchmarks start both themselves, and the machine should stay idle.
  local service
  for service in etcd postgresql; do
    if [ -d /run/systemd/system ]; then
      _carnet_root systemctl disable --now "$service" >/dev/null 2>&1
    elif [ -x "/etc/init.d/$service" ]; then
      _carnet_root "/etc/init.d/$service" stop >/dev/null 2>&1
    fi
  done
  return 0
}

# Installs the Debian packages named, if any are.
_carnet_install() {
  [ $# -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    _carnet_say "no apt-get here; please install what Debian calls: $*"
    return 1
  fi
  if [ "$(id -u)" != 0 ] && ! sudo -n true >/dev/null 2>&1; then
    _carnet_say "neither root nor sudo without a password; please run: apt-get install $*"
    return 1
  fi
  if [ "$CARNET_APT_FRESH" = 0 ]; then
    _carnet_say "reading the list of packages"
    _carnet_apt update || _carnet_say "the list could not be read; trying with the one that is there"
    CARNET_APT_FRESH=1
  fi
  _carnet_say "installing $*"
  _carnet_apt install --yes --no-install-recommends "$@"
}

_carnet_apt() {
  _carnet_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

_carnet_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Tools of the administrator are not on everybody's path.
_carnet_has_tool() {
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

_carnet_has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] || [ -n "$(find /usr/lib /usr/local/lib \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) -print -quit 2>/dev/null)" ]
}

_carnet_say() {
  printf 'setup: %s\n' "$*" >&2
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  carnet_setup "$@"
fi

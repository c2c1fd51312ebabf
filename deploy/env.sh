# Sourced by every script: one compiler cache and one target directory for all clones of this repository on a machine,
# so that RocksDB's C++ is compiled once. Sets nothing that a caller has set already.

# Flags from the environment would replace those of .cargo/config.toml and give a second set of build products.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS

CARNET_CACHE="${CARNET_CACHE:-${HOME:-/tmp}/.cache/carnet}"
export CARNET_CACHE
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CARNET_CACHE/target}"
if command -v ccache >/dev/null 2>&1; then
  export CC="${CC:-ccache cc}" CXX="${CXX:-ccache g++}"
  export CCACHE_DIR="${CCACHE_DIR:-$CARNET_CACHE/ccache}" CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-4G}"
  export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-time_macros,include_file_mtime,include_file_ctime}"
fi
mkdir -p "$CARNET_CACHE"

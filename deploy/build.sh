# Sourced by demo.sh and test.sh, after setup.sh and env.sh: builds the programs and puts a copy where no other build
# of this machine replaces them while they run.

# Says how long the build is going to take, when there is nothing to build upon.
carnet_expect_build() {
  if compgen -G "$CARGO_TARGET_DIR/release/deps/librocksdb-*.rlib" >/dev/null; then
    echo "build: warm, the libraries are compiled already in $CARGO_TARGET_DIR" >&2
  else
    echo "build: cold. The first build on this machine takes $1 on two cores, most of it RocksDB's C++;" >&2
    echo "build: later builds reuse $CARGO_TARGET_DIR" >&2
  fi
}

# carnet_build_programs FOLDER [cargo flags]: `carnet` and `carnetd` into FOLDER. Features are resolved for the whole
# workspace, so that the tests and the demo share one set of libraries.
carnet_build_programs() {
  local folder=$1 program
  shift
  cargo build --locked --release --workspace --bin carnet --bin carnetd "$@" || return 1
  mkdir -p "$folder" || return 1
  for program in carnet carnetd; do
    ln -f "$CARGO_TARGET_DIR/release/$program" "$folder/$program" 2>/dev/null ||
      cp "$CARGO_TARGET_DIR/release/$program" "$folder/$program" || return 1
  done
}

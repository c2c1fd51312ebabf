#!/bin/sh
# rustc, which puts libFuzzer's counters into the crates of this repository and into no other: those are what is fuzzed, and
# arithmetic on curves is slow enough without. The options are stable ones; no nightly toolchain is needed.
rustc=$1
shift
case " $* " in
*" --crate-name carnet_"*)
  exec "$rustc" "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1
  ;;
*) exec "$rustc" "$@" ;;
esac

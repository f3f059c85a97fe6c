#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "io/byte_source.h"
#include "io/error.h"

/// What a fuzz target does: `read` may refuse its input with an InputError and nothing else.
template <class Read>
int try_input(const uint8_t* data, size_t size, Read read) {
  const recon::io::MemorySource source(std::as_bytes(std::span(data, size)), "fuzz");
  try {
    read(source);
  } catch (const recon::io::InputError& error) {
    if (error.exit_code != recon::io::bad_data && error.exit_code != recon::io::no_input) __builtin_trap();
    if (error.fault().problem.empty() || error.fault().repair.empty()) __builtin_trap();
  }
  return 0;
}

inline void require(bool condition) {
  if (!condition) __builtin_trap();
}

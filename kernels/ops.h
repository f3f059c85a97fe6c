#pragma once
#include <cstddef>

namespace recon {

class Device;
struct Hartley2d;
struct Hartley3d;
struct WindowImages;
struct GatherPixels;
struct ShiftImages;
struct EvaluateCtf;
struct PhaseFlip;

/// What a backend must be able to do. Callers use the free functions of the contract headers, which check the arguments
/// once and then call through this table; backends may trust what they get.
struct Ops {
  const char* name;

  void* (*allocate)(size_t bytes);  ///< 64-byte aligned; null when there is none
  void (*release)(void*);
  void (*upload)(void* to_device, const void* from_host, size_t bytes);
  void (*download)(void* to_host, const void* from_device, size_t bytes);
  void (*zero)(void* on_device, size_t bytes);

  void (*hartley2d)(Device&, const Hartley2d&);
  void (*hartley3d)(Device&, const Hartley3d&);
  void (*window_images)(Device&, const WindowImages&);
  void (*gather_pixels)(Device&, const GatherPixels&);
  void (*shift_images)(Device&, const ShiftImages&);
  void (*evaluate_ctf)(Device&, const EvaluateCtf&);
  void (*phase_flip)(Device&, const PhaseFlip&);
};

/// The table of the CPU backend: kernels/ops_cpu.cpp.
const Ops& cpu_ops();

}  // namespace recon

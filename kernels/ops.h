#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace recon {

class Device;
class DeviceState;
struct Hartley2d;
struct Hartley3d;
struct WindowImages;
struct GatherPixels;
struct ShiftImages;
struct EvaluateCtf;
struct PhaseFlip;
struct ScalePixels;
struct ResidualPower;
struct DecodeSlices;
struct DecodePoints;
struct DecodeSlicesBackward;
struct Adam;
struct AdamProduct;
struct AdamRows;
struct AverageWeights;
struct LinearForward;
struct LinearBackward;
struct Reparameterize;
struct ReparameterizeBackward;
struct GatherLatents;
struct LatentPrior;
struct SquaredError;
struct SumValues;
struct SampleSlices;
struct PoseScore;
struct PoseBest;
struct PoseDraw;
struct PoseBound;
struct PoseReserve;
struct PoseEquations;
struct PoseSelect;
struct PoseExpand;
struct PoseCount;
struct ScatterVolume;
struct PadVolume;
struct GatherRows;
struct ScatterRows;
struct TakeRow;
struct Narrow;
struct WidenRows;
struct PoseKept;
struct PoseNodes;
enum class Precision;

/// What a backend must be able to do. Callers use the free functions of the contract headers, which check the arguments
/// once and then call through this table; backends may trust what they get.
struct Ops {
  const char* name;

  std::unique_ptr<DeviceState> (*open)(int index);                 ///< null: the backend keeps nothing
  std::unique_ptr<DeviceState> (*count)(const DeviceState& like);  ///< of a device that only counts memory
  std::vector<std::string> (*report)();                            ///< what it finds on this machine, a line each
  void* (*allocate)(Device&, size_t bytes);                        ///< 64-byte aligned; null when there is none
  void (*release)(Device&, void*);
  void (*upload)(Device&, void* to_device, const void* from_host, size_t bytes);
  void (*download)(Device&, void* to_host, const void* from_device, size_t bytes);
  void (*zero)(Device&, void* on_device, size_t bytes);

  void (*hartley2d)(Device&, const Hartley2d&);
  void (*hartley3d)(Device&, const Hartley3d&);
  void (*window_images)(Device&, const WindowImages&);
  void (*gather_pixels)(Device&, const GatherPixels&);
  void (*shift_images)(Device&, const ShiftImages&);
  void (*evaluate_ctf)(Device&, const EvaluateCtf&);
  void (*phase_flip)(Device&, const PhaseFlip&);
  void (*scale_pixels)(Device&, const ScalePixels&);
  void (*residual_power)(Device&, const ResidualPower&);
  bool (*decodes_in)(Precision);
  void (*decode_slices)(Device&, const DecodeSlices&);
  void (*decode_points)(Device&, const DecodePoints&);
  void (*decode_slices_backward)(Device&, const DecodeSlicesBackward&);
  void (*adam)(Device&, const Adam&);
  void (*adam_product)(Device&, const AdamProduct&);
  void (*adam_rows)(Device&, const AdamRows&);
  void (*average_weights)(Device&, const AverageWeights&);
  void (*linear_forward)(Device&, const LinearForward&);
  void (*linear_backward)(Device&, const LinearBackward&);
  void (*reparameterize)(Device&, const Reparameterize&);
  void (*reparameterize_backward)(Device&, const ReparameterizeBackward&);
  void (*gather_latents)(Device&, const GatherLatents&);
  void (*latent_prior)(Device&, const LatentPrior&);
  void (*squared_error)(Device&, const SquaredError&);
  void (*sum_values)(Device&, const SumValues&);
  void (*sample_slices)(Device&, const SampleSlices&);
  void (*pose_score)(Device&, const PoseScore&);
  void (*pose_best)(Device&, const PoseBest&);
  void (*pose_draw)(Device&, const PoseDraw&);
  void (*pose_bound)(Device&, const PoseBound&);
  void (*pose_reserve)(Device&, const PoseReserve&);
  void (*pose_equations)(Device&, const PoseEquations&);
  void (*pose_select)(Device&, const PoseSelect&);
  void (*pose_expand)(Device&, const PoseExpand&);
  void (*pose_count)(Device&, const PoseCount&);
  void (*scatter_volume)(Device&, const ScatterVolume&);
  void (*pad_volume)(Device&, const PadVolume&);
  void (*gather_rows)(Device&, const GatherRows&);
  void (*scatter_rows)(Device&, const ScatterRows&);
  void (*take_row)(Device&, const TakeRow&);
  void (*narrow)(Device&, const Narrow&);
  void (*widen_rows)(Device&, const WidenRows&);
  void (*pose_finalists)(Device&, const PoseKept&, const PoseNodes&, int level);
};

/// The table of the CPU backend: kernels/ops_cpu.cpp.
const Ops& cpu_ops();
/// The table of the CUDA backend (kernels/ops_cuda.cu), null in a build without one (kernels/ops_cuda_absent.cpp).
const Ops* cuda_ops();

}  // namespace recon

// The stream layer on the hardware: one device, one stream. Host code only.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "kernels/device/block_cache.h"
#include "kernels/device/check_cuda.h"
#include "kernels/device/libraries_cuda.h"
#include "kernels/device/products_cuda.h"
#include "kernels/device/queue.h"

namespace recon::cuda {
namespace {

constexpr size_t staging_bytes = size_t{4} << 20;

void check(cufftResult result, const char* what) {
  if (result != CUFFT_SUCCESS)
    throw DeviceFailure(std::string("cuFFT: ") + what + ": status " + std::to_string(result));
}

/// Two halves of pinned memory that take turns: a half is written again once its copies have left it.
struct Staging {
  unsigned char* memory = nullptr;
  cudaEvent_t left[2] = {};
  size_t used = 0;
  int half = 0;
};

/// A moment in the stream's own time.
class Mark {
 public:
  explicit Mark(cudaStream_t stream) {
    cuda::check(cudaEventCreate(&event_), "creating an event");
    cuda::check(cudaEventRecord(event_, stream), "recording an event");
  }
  ~Mark() { cudaEventDestroy(event_); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  double seconds_since(const Mark& earlier) const {
    float milliseconds = 0;
    cuda::check(cudaEventSynchronize(event_), "waiting for an event");
    cuda::check(cudaEventElapsedTime(&milliseconds, earlier.event_, event_), "reading the time between events");
    return 1e-3 * double(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

struct Queue::Impl {
  int index = 0;
  cudaDeviceProp properties{};
  cudaStream_t stream = nullptr;
  Staging staging;
  Products products;
  void* products_workspace = nullptr;
  std::map<std::tuple<int, int, int64_t>, cufftHandle> plans;
  std::set<const void*> allowed;
  BlockCache blocks;
  uintptr_t imagined = 0;  // the next address of a queue that only counts
  size_t free_at_start = 0;
  std::vector<cudaGraphExec_t> graphs;
  bool recording = false;
};

Queue::Queue(int index) : impl_(std::make_unique<Impl>()) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "looking for devices");
  if (index < 0 || index >= count)
    throw DeviceError("CUDA device " + std::to_string(index) + ": there " + (count == 1 ? "is 1" : "are ") +
                      (count == 1 ? "" : std::to_string(count)) + " (numbered from 0)");
  impl_->index = index;
  check(cudaSetDevice(index), "choosing the device");
  check(cudaGetDeviceProperties(&impl_->properties, index), "asking for the device's properties");
  check(cudaStreamCreateWithFlags(&impl_->stream, cudaStreamNonBlocking), "creating the stream");
  check(cudaMallocHost(reinterpret_cast<void**>(&impl_->staging.memory), staging_bytes), "allocating pinned memory");
  for (cudaEvent_t& event : impl_->staging.left)
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
}

Queue::Queue(const Queue& like) : impl_(std::make_unique<Impl>()), counts_only_(true) {
  impl_->properties = like.impl_->properties;
  impl_->free_at_start = like.free_bytes();
  impl_->imagined = uintptr_t{1} << 40;
}

Queue::~Queue() {
  if (counts_only_) return;
  // Nothing is checked: after a failure every call fails, and the process is about to end.
  cudaStreamSynchronize(impl_->stream);
  for (const cudaGraphExec_t graph : impl_->graphs) cudaGraphExecDestroy(graph);
  for (const auto& [key, plan] : impl_->plans) Cufft::load().destroy(plan);
  impl_->blocks.drop_idle([](void* block) { cudaFree(block); });
  impl_->blocks.for_each_in_use([](void* block, size_t) { cudaFree(block); });
  for (const cudaEvent_t event : impl_->staging.left) cudaEventDestroy(event);
  cudaFreeHost(impl_->staging.memory);
  cudaStreamDestroy(impl_->stream);
}

std::vector<std::string> Queue::report() {
  std::vector<std::string> lines;
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  lines.push_back("runtime " + version(runtime) + ", " +
                  (driver > 0 ? "driver for CUDA " + version(driver) : std::string("no driver")));
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    lines.push_back(std::string("no device: ") + cudaGetErrorString(error));
    count = 0;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    lines.push_back("cuda:" + std::to_string(i) + " " + p.name + ", " + std::to_string(p.totalGlobalMem >> 20) +
                    " MiB, compute capability " + std::to_string(p.major) + "." + std::to_string(p.minor) + ", " +
                    std::to_string(p.multiProcessorCount) + " multiprocessors");
  }
  lines.push_back("cuBLASLt " + cublaslt_file());
  lines.push_back("cuFFT " + cufft_file());
  return lines;
}

void* Queue::allocate(size_t bytes) {
  if (void* kept = impl_->blocks.take(bytes)) return kept;
  expect(!impl_->recording, "queue: memory is allocated while a step is recorded");
  ++allocations_;
  void* pointer = nullptr;
  if (counts_only_) {
    pointer = reinterpret_cast<void*>(impl_->imagined);
    impl_->imagined += (bytes + 255) / 256 * 256;
    impl_->blocks.add(pointer, bytes);
    return pointer;
  }
  cudaError_t error = cudaMalloc(&pointer, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky
    check(cudaStreamSynchronize(impl_->stream), "waiting for the stream");
    impl_->blocks.drop_idle([](void* block) { check(cudaFree(block), "cudaFree"); });
    error = cudaMalloc(&pointer, bytes);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(error, "cudaMalloc");
  impl_->blocks.add(pointer, bytes);
  return pointer;
}

// Work that still uses the block is ahead of its next user on the one stream.
void Queue::release(void* pointer) { impl_->blocks.give_back(pointer); }

void Queue::upload(void* to, const void* from, size_t bytes) {
  if (counts_only_) return;
  expect(!impl_->recording, "queue: an upload while a step is recorded");
  Staging& s = impl_->staging;
  constexpr size_t half_bytes = staging_bytes / 2;
  for (size_t done = 0; done < bytes;) {
    if (s.used == half_bytes) {
      check(cudaEventRecord(s.left[s.half], impl_->stream), "recording an event");
      s.half ^= 1;
      s.used = 0;
      if (cudaEventQuery(s.left[s.half]) == cudaErrorNotReady) {
        ++synchronizations_;
        check(cudaEventSynchronize(s.left[s.half]), "waiting for uploads");
      }
    }
    const size_t some = std::min(bytes - done, half_bytes - s.used);
    unsigned char* place = s.memory + static_cast<size_t>(s.half) * half_bytes + s.used;
    std::memcpy(place, static_cast<const unsigned char*>(from) + done, some);
    check(cudaMemcpyAsync(static_cast<unsigned char*>(to) + done, place, some, cudaMemcpyHostToDevice, impl_->stream),
          "uploading");
    s.used = std::min(half_bytes, (s.used + some + 255) / 256 * 256);
    done += some;
  }
}

void Queue::download(void* to, const void* from, size_t bytes) {
  if (counts_only_) {
    std::memset(to, 0, bytes);
    return;
  }
  expect(!impl_->recording, "queue: a download while a step is recorded");
  ++synchronizations_;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, impl_->stream), "downloading");
  check(cudaStreamSynchronize(impl_->stream), "waiting for the device");
}

void Queue::zero(void* pointer, size_t bytes) {
  if (counts_only_) return;
  check(cudaMemsetAsync(pointer, 0, bytes, impl_->stream), "zeroing");
}

void Queue::copy(void* to, const void* from, size_t bytes) {
  if (counts_only_) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, impl_->stream), "copying on the device");
}

void Queue::synchronize() {
  if (counts_only_) return;
  ++synchronizations_;
  check(cudaStreamSynchronize(impl_->stream), "waiting for the device");
}

void Queue::gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (!impl_->products_workspace) impl_->products_workspace = allocate(Products::workspace_bytes);
  if (!impl_->products_workspace) throw DeviceError("out of memory for the workspace of matrix products");
  if (!counts_only_) impl_->products.multiply(g, impl_->products_workspace, impl_->stream);
}

void Queue::fft(float* complex, int side, int dimensions, int64_t batch) {
  const auto key = std::make_tuple(side, dimensions, batch);
  auto plan = impl_->plans.find(key);
  if (plan == impl_->plans.end()) {
    expect(!impl_->recording, "queue: a plan of a transform is made while a step is recorded");
    // Its work area comes from the queue, so that it is counted and planned for like everything else.
    int sides[3] = {side, side, side};
    cufftHandle handle = 0;
    size_t work = static_cast<size_t>(batch) * sizeof(cufftComplex);
    for (int d = 0; d < dimensions; ++d) work *= static_cast<size_t>(side);
    if (!counts_only_) {
      const Cufft& lib = Cufft::load();
      check(lib.create(&handle), "creating a plan");
      check(lib.set_auto_allocation(handle, 0), "asking for a plan without memory");
      check(lib.make_plan(handle, dimensions, sides, nullptr, 1, 0, nullptr, 1, 0, CUFFT_C2C, static_cast<int>(batch),
                          &work),
            "planning a transform");
      check(lib.set_stream(handle, impl_->stream), "choosing the stream");
    }
    void* area = work > 0 ? allocate(work) : nullptr;
    if (work > 0 && !area) throw DeviceError("out of memory for a transform of side " + std::to_string(side));
    if (!counts_only_) check(Cufft::load().set_work_area(handle, area), "giving the work area");
    plan = impl_->plans.emplace(key, handle).first;
  }
  if (counts_only_) return;
  const Cufft& lib = Cufft::load();
  auto* data = reinterpret_cast<cufftComplex*>(complex);
  check(lib.execute(plan->second, data, data, CUFFT_FORWARD), "a transform");
}

double Queue::seconds(const std::function<void()>& work) {
  const Mark start(impl_->stream);
  work();
  const Mark end(impl_->stream);
  ++synchronizations_;
  return end.seconds_since(start);
}

int Queue::multiprocessors() const { return impl_->properties.multiProcessorCount; }
int Queue::generation() const { return impl_->properties.major; }
size_t Queue::shared_bytes_per_block() const { return impl_->properties.sharedMemPerBlockOptin; }

size_t Queue::free_bytes() const {
  if (counts_only_) return impl_->free_at_start - std::min(impl_->free_at_start, impl_->blocks.reserved());
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  return free + impl_->blocks.idle_bytes();
}

size_t Queue::bytes_reserved_peak() const { return impl_->blocks.peak(); }

std::string Queue::description() const {
  return "cuda:" + std::to_string(impl_->index) + " (" + impl_->properties.name + ")";
}

void* Queue::stream() const { return impl_->stream; }

void Queue::allow_shared(const void* kernel, const char* name, size_t bytes) {
  if (bytes <= 48 * 1024 || !impl_->allowed.insert(kernel).second) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(impl_->properties.sharedMemPerBlockOptin)),
        name);
}

void Queue::check_launch(const char* name) { check(cudaGetLastError(), name); }

void Queue::repeat(Recording& recording, const std::function<void()>& body) {
  if (recording.runs == 0 || counts_only_) {
    // The first time everything that grows (workspaces, plans, modules) grows.
    body();
  } else {
    if (recording.runs == 1) {
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t executable = nullptr;
      impl_->recording = true;
      try {
        check(cudaStreamBeginCapture(impl_->stream, cudaStreamCaptureModeThreadLocal), "beginning a recording");
        body();
      } catch (...) {
        impl_->recording = false;
        cudaStreamEndCapture(impl_->stream, &graph);
        throw;
      }
      impl_->recording = false;
      check(cudaStreamEndCapture(impl_->stream, &graph), "ending a recording");
      check(cudaGraphInstantiate(&executable, graph, 0), "making a recording ready");
      check(cudaGraphDestroy(graph), "forgetting a recording's outline");
      impl_->graphs.push_back(executable);
      recording.number = static_cast<int64_t>(impl_->graphs.size()) - 1;
    }
    check(cudaGraphLaunch(impl_->graphs[static_cast<size_t>(recording.number)], impl_->stream), "replaying a step");
  }
  ++recording.runs;
}

}  // namespace recon::cuda

// The queue of the emulator: device memory is host memory that the host may not touch, libraries are answered by plain
// loops, and launches run at once.
#include "kernels/device/queue.h"

#include <sys/mman.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <unordered_set>
#include <vector>

#include "kernels/device/block_cache.h"
#include "kernels/device/mma.h"
#include "tests/simt/simt.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool guarded = false;  // the sanitizers watch heap blocks, to the byte
#else
constexpr bool guarded = true;
#endif

namespace recon::cuda {
namespace {

/// Device memory: one range of addresses, of which the part in use is opened and closed in one call. Outside of a
/// launch or a copy nobody may touch it: an engine that reads device memory on the host dies at that line, here as on a
/// GPU.
class GuardedMemory {
 public:
  GuardedMemory() = default;
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory() {
    if (start_) munmap(start_, range);
  }

  /// Pages of their own; null when the range is used up. Never given back: the queue's cache keeps what is released.
  void* take(size_t bytes) {
    if (!start_) {
      void* at = mmap(nullptr, range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (at == MAP_FAILED) return nullptr;
      start_ = static_cast<std::byte*>(at);
    }
    const size_t size = (bytes + page - 1) / page * page;
    if (size > range - used_) return nullptr;
    void* at = start_ + used_;
    if (depth_ > 0) mprotect(at, size, PROT_READ | PROT_WRITE);
    used_ += size;
    return at;
  }
  void open() {
    if (depth_++ == 0 && used_ > 0) mprotect(start_, used_, PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--depth_ == 0 && used_ > 0) mprotect(start_, used_, PROT_NONE);
  }

 private:
  static constexpr size_t page = 4096, range = size_t{1} << 34;
  std::byte* start_ = nullptr;
  size_t used_ = 0;
  int depth_ = 0;
};

}  // namespace

struct Queue::Impl {
  GuardedMemory memory;
  std::unordered_set<void*> blocks;  // of the heap, where sanitizers watch
  BlockCache cache;
  uintptr_t imagined = uintptr_t{1} << 40;
  std::vector<std::vector<std::function<void()>>> recordings;
  bool recording = false, counting = false;

  /// Does it now, or writes it down: a recorded step is replayed from what was captured, as a graph is.
  void issue(std::function<void()> work) {
    if (counting) return;
    if (recording)
      recordings.back().push_back(std::move(work));
    else
      work();
  }

  struct Open {
    Impl& impl;
    explicit Open(Impl& i) : impl(i) {
      if (guarded) impl.memory.open();
    }
    ~Open() {
      if (guarded) impl.memory.close();
    }
  };
};

Queue::Queue(int index) : impl_(std::make_unique<Impl>()) {
  if (index != 0) throw DeviceError("the emulator has one device: 0");
}

Queue::Queue(const Queue&) : impl_(std::make_unique<Impl>()), counts_only_(true) { impl_->counting = true; }

Queue::~Queue() {
  for (void* at : impl_->blocks) std::free(at);
}

std::vector<std::string> Queue::report() { return {"emulated"}; }

void* Queue::allocate(size_t bytes) {
  expect(!impl_->recording, "queue: memory is allocated while a step is recorded");
  // The same reuse of released blocks as on the hardware, for equal counts; their contents are poisoned again.
  if (void* kept = impl_->cache.take(bytes)) {
    if (!counts_only_) {
      const Impl::Open open(*impl_);
      std::memset(kept, 0xFF, bytes);
    }
    return kept;
  }
  ++allocations_;
  if (counts_only_) {
    void* imagined = reinterpret_cast<void*>(impl_->imagined);
    impl_->imagined += (bytes + 255) / 256 * 256;
    impl_->cache.add(imagined, bytes);
    return imagined;
  }
  void* at = guarded ? impl_->memory.take(bytes) : std::aligned_alloc(64, bytes);
  if (!at) return nullptr;
  const Impl::Open open(*impl_);
  std::memset(at, 0xFF, bytes);  // floats are NaN: what is read before it is written shows
  if (!guarded) impl_->blocks.insert(at);
  impl_->cache.add(at, bytes);
  return at;
}

void Queue::release(void* pointer) {
  impl_->cache.give_back(pointer);
  if (guarded || counts_only_) return;
  // Under a sanitizer a released block is freed, so that its use is reported.
  impl_->cache.drop_idle([&](void* block) {
    impl_->blocks.erase(block);
    std::free(block);
  });
}

void Queue::upload(void* to, const void* from, size_t bytes) {
  if (counts_only_) return;
  expect(!impl_->recording, "queue: an upload while a step is recorded");
  const Impl::Open open(*impl_);
  std::memcpy(to, from, bytes);
}
void Queue::download(void* to, const void* from, size_t bytes) {
  if (counts_only_) {
    std::memset(to, 0, bytes);
    return;
  }
  expect(!impl_->recording, "queue: a download while a step is recorded");
  ++synchronizations_;
  const Impl::Open open(*impl_);
  std::memcpy(to, from, bytes);
}
void Queue::zero(void* pointer, size_t bytes) {
  impl_->issue([=, this] {
    const Impl::Open open(*impl_);
    std::memset(pointer, 0, bytes);
  });
}
void Queue::copy(void* to, const void* from, size_t bytes) {
  impl_->issue([=, this] {
    const Impl::Open open(*impl_);
    std::memcpy(to, from, bytes);
  });
}
void Queue::synchronize() { ++synchronizations_; }

namespace {

float number_at(const void* from, Precision type, int64_t at) {
  if (type == Precision::fp32) return static_cast<const float*>(from)[at];
  if (type == Precision::tf32)
    return std::bit_cast<float>((std::bit_cast<uint32_t>(static_cast<const float*>(from)[at]) + 0x1000) & ~0x1fffu);
  const uint16_t bits = static_cast<const uint16_t*>(from)[at];
  return type == Precision::bf16 ? emulated::widen(bf16{bits}) : emulated::widen(fp16{bits});
}
void round_into(void* to, Precision type, int64_t at, float value) {
  if (type == Precision::fp32)
    static_cast<float*>(to)[at] = value;
  else
    static_cast<uint16_t*>(to)[at] = static_cast<uint16_t>(type == Precision::bf16 ? emulated::round_to(bf16{}, value)
                                                                                   : emulated::round_to(fp16{}, value));
}

/// The operand as rows of what is summed over.
std::vector<float> widened(const void* from, Precision type, int64_t first, int64_t rows, int64_t k, int64_t row_step,
                           int64_t step) {
  std::vector<float> to(static_cast<size_t>(rows * k));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < k; ++j)
      to[static_cast<size_t>(i * k + j)] = number_at(from, type, first + i * row_step + j * step);
  return to;
}

/// The value that is rounded and stored; the mask of a relu is written, that of its gradient is read.
float finished(const Gemm& g, int64_t i, int64_t j, float value) {
  if (g.finish == Finish::none) return value;
  uint32_t* word = g.mask ? g.mask + i * mask_words(g.n) + j / 32 : nullptr;
  const uint32_t bit = uint32_t{1} << (j % 32);
  if (g.finish == Finish::relu_gradient) return (*word & bit) ? value : 0.0f;
  const bool on = value > 0;  // the library's relu makes 0 of what is no number
  if (word) *word = on ? *word | bit : *word & ~bit;
  return on ? value : 0.0f;
}

void plain_gemm(const Gemm& g) {
  for (int64_t batch = 0; batch < g.batch; ++batch) {
    const auto a =
        widened(g.a, g.operands, batch * g.stride_a, g.m, g.k, g.transpose_a ? 1 : g.lda, g.transpose_a ? g.lda : 1);
    const auto b =
        widened(g.b, g.operands, batch * g.stride_b, g.n, g.k, g.transpose_b ? g.ldb : 1, g.transpose_b ? 1 : g.ldb);
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        const float *row = a.data() + i * g.k, *column = b.data() + j * g.k;
        double sum = 0;
        for (int64_t k = 0; k < g.k; ++k) sum += double(row[k]) * double(column[k]);
        const int64_t at = batch * g.stride_c + i * g.ldc + j;
        sum *= double(g.alpha);
        if (g.beta != 0) sum += double(g.beta) * double(number_at(g.addend ? g.addend : g.c, g.results, at));
        if (g.bias) sum += double(number_at(g.bias, g.results, j));
        round_into(g.c, g.results, at, finished(g, i, j, static_cast<float>(sum)));
      }
  }
}

void plain_fft(float* complex, int side, int dimensions, int64_t batch) {
  const auto n = static_cast<int64_t>(side);
  int64_t size = 1;
  for (int d = 0; d < dimensions; ++d) size *= n;
  std::vector<std::complex<double>> turns(static_cast<size_t>(n)), line(turns.size());
  for (int64_t i = 0; i < n; ++i)
    turns[static_cast<size_t>(i)] = std::polar(1.0, -2 * std::numbers::pi * double(i) / double(n));
  auto* data = reinterpret_cast<std::complex<float>*>(complex);
  for (int64_t stride = 1; stride < size; stride *= n)
    for (int64_t first = 0; first < batch * size; ++first) {
      if (first / stride % n != 0) continue;  // not the start of a line
      for (int64_t k = 0; k < n; ++k) {
        std::complex<double> sum = 0;
        for (int64_t i = 0; i < n; ++i)
          sum += std::complex<double>(data[first + i * stride]) * turns[static_cast<size_t>(i * k % n)];
        line[static_cast<size_t>(k)] = sum;
      }
      for (int64_t k = 0; k < n; ++k) data[first + k * stride] = std::complex<float>(line[static_cast<size_t>(k)]);
    }
}

}  // namespace

void Queue::gemm(const Gemm& product) {
  expect(product.k > 0, "queue: a product without a sum");
  expect(product.finish == Finish::none || product.batch == 1 || !product.mask, "queue: a mask for a batch");
  impl_->issue([=, this] {
    const Impl::Open open(*impl_);
    plain_gemm(product);
  });
}

void Queue::fft(float* complex, int side, int dimensions, int64_t batch) {
  impl_->issue([=, this] {
    const Impl::Open open(*impl_);
    plain_fft(complex, side, dimensions, batch);
  });
}

void Queue::repeat(Recording& recording, const std::function<void()>& body) {
  if (recording.runs++ == 0 || counts_only_) return body();
  if (recording.number < 0) {
    recording.number = static_cast<int64_t>(impl_->recordings.size());
    impl_->recordings.emplace_back();
    impl_->recording = true;
    try {
      body();
    } catch (...) {
      impl_->recording = false;
      throw;
    }
    impl_->recording = false;
  }
  for (const auto& work : impl_->recordings[static_cast<size_t>(recording.number)]) work();
}

double Queue::seconds(const std::function<void()>& work) {
  ++synchronizations_;
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int Queue::generation() const { return 9; }
int Queue::multiprocessors() const { return 3; }  // odd and small: several blocks, uneven shares
size_t Queue::shared_bytes_per_block() const { return 227 * 1024; }
size_t Queue::free_bytes() const { return (size_t{1} << 32) - impl_->cache.reserved(); }
size_t Queue::bytes_reserved_peak() const { return impl_->cache.peak(); }
std::string Queue::description() const { return "cuda:0 (emulated)"; }
void* Queue::stream() const { return nullptr; }
void Queue::allow_shared(const void*, const char*, size_t) {}
void Queue::check_launch(const char*) {}

void Queue::run_emulated(const char* name, simt::Dim grid, simt::Dim block, size_t shared_bytes,
                         const std::function<void()>& body, bool cooperative) {
  if (shared_bytes > shared_bytes_per_block())
    throw DeviceError(std::string("kernel ") + name + ": wants " + std::to_string(shared_bytes) +
                      " bytes of shared memory");
  impl_->issue([=, this] {
    const Impl::Open open(*impl_);
    simt::run(name, grid, block, shared_bytes, body, cooperative);
  });
}

}  // namespace recon::cuda

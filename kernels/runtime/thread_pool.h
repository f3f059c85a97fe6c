#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace recon {

/// A persistent pool. Work is split by size, never by the number of threads, and each task writes only its own
/// results, so that every result has the same bits for any number of threads.
class ThreadPool {
 public:
  /// `threads` workers in all, the caller's thread included; 0 asks for one per core.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Runs `task(index, worker)` for index in [0, count), worker in [0, size()); returns when all are done. The first
  /// exception of a task is rethrown here. A call from inside a task runs its tasks in place.
  void run(int64_t count, const std::function<void(int64_t, int)>& task);

  /// Splits [0, count) into ranges of at most `grain` and runs `body(first, last)` on each.
  void for_range(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  void work(int worker);
  void drain(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t, int)>* task_ = nullptr;
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0;
  uint64_t generation_ = 0;
  int busy_ = 0;                      ///< workers that have joined
  bool open_ = false, stop_ = false;  ///< whether workers may join what runs; whether they end
  std::exception_ptr failure_;
};

}  // namespace recon

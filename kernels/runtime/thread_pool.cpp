#include "kernels/runtime/thread_pool.h"

#include <algorithm>

namespace recon {
namespace {
thread_local int inside_worker = -1;
}

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { work(worker); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : workers_) thread.join();
}

void ThreadPool::drain(int worker) {
  const int outer = inside_worker;
  inside_worker = worker;
  for (int64_t index = next_.fetch_add(1); index < count_; index = next_.fetch_add(1)) {
    try {
      (*task_)(index, worker);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(count_);
    }
  }
  inside_worker = outer;
}

void ThreadPool::work(int worker) {
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || (open_ && generation_ != seen); });
    if (stop_) return;
    seen = generation_;
    ++busy_;
    lock.unlock();
    drain(worker);
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

void ThreadPool::run(int64_t count, const std::function<void(int64_t, int)>& task) {
  if (count <= 0) return;
  if (inside_worker >= 0 || workers_.empty() || count == 1) {
    const int worker = std::max(inside_worker, 0);
    for (int64_t index = 0; index < count; ++index) task(index, worker);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_.store(0);
    failure_ = nullptr;
    ++generation_;
    open_ = true;
  }
  wake_.notify_all();
  drain(0);
  // No task is left: a worker that has not woken yet is not waited for, and finds nothing when it does.
  std::unique_lock lock(mutex_);
  open_ = false;
  done_.wait(lock, [&] { return busy_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

void ThreadPool::for_range(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t tasks = (count + grain - 1) / grain;
  run(tasks, [&](int64_t index, int) { body(index * grain, std::min(count, (index + 1) * grain)); });
}

}  // namespace recon

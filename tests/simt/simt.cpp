// The fibers behind simt.h, all on the calling thread: one block at a time, or all of a cooperative launch. Built
// without sanitizers; under them the fibers are announced through their public interfaces, found as weak symbols.
#include "tests/simt/simt.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

static_assert(sizeof(void*) == 8 && __x86_64__, "the emulator switches stacks in x86-64 assembly");

extern "C" {
void* __tsan_get_current_fiber(void) __attribute__((weak));
void* __tsan_create_fiber(unsigned) __attribute__((weak));
void __tsan_switch_to_fiber(void*, unsigned) __attribute__((weak));
void __tsan_acquire(void*) __attribute__((weak));
void __tsan_release(void*) __attribute__((weak));
void __asan_unpoison_memory_region(void const volatile*, size_t) __attribute__((weak));
/// Saves the callee's registers and the stack pointer, and takes up another stack.
void simt_switch_stack(void** save, void* load);
}
asm(R"(.text
.globl simt_switch_stack
.type simt_switch_stack,@function
simt_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp,(%rdi)
  mov %rsi,%rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size simt_switch_stack,.-simt_switch_stack
)");

namespace simt {
namespace {

constexpr size_t stack_bytes = 128 * 1024;
constexpr unsigned warp_size = 32;

struct Barrier {
  unsigned expected = 0, arrived = 0, mask = 0;
  uint64_t generation = 0;
  Site first{};
};

struct Fiber {
  void* stack_pointer = nullptr;
  void* announced = nullptr;  // to ThreadSanitizer
  Dim index;
  unsigned lane = 0, warp = 0, block = 0;  // of those that are alive
  bool done = false;
  const Barrier* waiting = nullptr;
  uint64_t waiting_for = 0;
  std::vector<std::vector<Copy>> copies;  // by commit groups, oldest first
  bool stuck() const { return waiting && waiting->generation == waiting_for; }
};

struct Warp {
  Barrier barrier;
  unsigned live = 0;
  alignas(64) unsigned char slots[2][warp_size][slot_bytes];
};

struct Block {
  Dim index;
  Barrier barrier;
  unsigned char* shared = nullptr;
};

struct Machine {
  const char* name = "";
  Dim grid, block;
  bool cooperative = false;
  const std::function<void()>* body = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<Block> blocks;  // alive: one, or all of a cooperative launch
  Barrier grid_barrier;
  std::vector<unsigned> order, place;  // the order in which fibers take their turns, and where each stands in it
  std::unique_ptr<unsigned char[]> stacks;
  std::vector<void*> announced;  // ThreadSanitizer's fibers, made once: a launch costs thousands otherwise
  size_t stack_count = 0, shared_size = 0;
  void *host_stack = nullptr, *host_fiber = nullptr;
  char started = 0, ended = 0;  // what ThreadSanitizer sees threads begin after, and the host go on after
  unsigned current = 0;
  std::string fault;
  uint64_t random = 0x9E3779B97F4A7C15u;
};
Machine machine;
Machine* const m = &machine;

Fiber& self() { return m->fibers[m->current]; }
void acquire(void* at) {
  if (__tsan_acquire) __tsan_acquire(at);
}
void release(void* at) {
  if (__tsan_release) __tsan_release(at);
}
void announce(void* fiber) {
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(fiber, 1);  // 1: no order between the two
}

uint64_t draw() {
  m->random ^= m->random << 13;
  m->random ^= m->random >> 7;
  return m->random ^= m->random << 17;
}

bool same(const Site& a, const Site& b) { return a.line() == b.line() && a.file_name() == b.file_name(); }
std::string where(const Site& site) { return std::string(site.file_name()) + ":" + std::to_string(site.line()); }

void switch_to(unsigned next) {
  Fiber& from = self();
  m->current = next;
  announce(m->fibers[next].announced);
  simt_switch_stack(&from.stack_pointer, m->fibers[next].stack_pointer);
}

void leave_block(void** save) {
  announce(m->host_fiber);
  simt_switch_stack(save, m->host_stack);
}

[[noreturn]] void fail(const std::string& what) {
  m->fault = std::string("kernel ") + m->name + ": " + what;
  release(&m->ended);
  void* abandoned = nullptr;
  leave_block(&abandoned);
  std::abort();
}

/// The next fiber in turn that can go on, or −1.
int runnable() {
  const size_t count = m->fibers.size();
  size_t at = m->place[m->current];
  for (size_t i = 0; i < count; ++i) {
    at = at + 1 == count ? 0 : at + 1;
    const Fiber& fiber = m->fibers[m->order[at]];
    if (!fiber.done && !fiber.stuck()) return static_cast<int>(m->order[at]);
  }
  return -1;
}

void wait(Barrier& barrier, Site site) {
  release(&barrier);
  if (barrier.arrived == 0) {
    barrier.first = site;
  } else if (!same(barrier.first, site) && where(barrier.first) != where(site)) {
    fail("divergent barrier: some threads wait at " + where(barrier.first) + ", others at " + where(site));
  }
  const uint64_t generation = barrier.generation;
  if (++barrier.arrived == barrier.expected) {
    barrier.arrived = 0;
    ++barrier.generation;
  } else {
    Fiber& me = self();
    me.waiting = &barrier;
    me.waiting_for = generation;
    while (barrier.generation == generation) {
      const int next = runnable();
      if (next < 0) fail("divergent barrier: not every thread reaches the one at " + where(site));
      switch_to(static_cast<unsigned>(next));
    }
    me.waiting = nullptr;
  }
  acquire(&barrier);
}

void enter() {
  acquire(&m->started);
  (*m->body)();
  release(&m->ended);  // another object than the one before: a thread that starts later is not ordered by it
  self().done = true;
  const int next = runnable();
  if (next >= 0) switch_to(static_cast<unsigned>(next));
  // Nobody can go on: either all are done, or the rest waits for threads that have left.
  for (const Fiber& fiber : m->fibers)
    if (!fiber.done)
      fail("divergent barrier: some threads have left the kernel, others wait at " + where(fiber.waiting->first));
  void* finished = nullptr;
  leave_block(&finished);
  std::abort();
}

void prepare(Dim block, unsigned blocks) {
  const unsigned threads = block.x * block.y * block.z, warps = (threads + warp_size - 1) / warp_size;
  if (threads == 0 || threads > 1024)
    throw Fault(std::string("kernel ") + m->name + ": a block of " + std::to_string(threads) + " threads");
  const unsigned count = threads * blocks;
  if (m->stack_count < count) {
    m->stacks.reset(new unsigned char[stack_bytes * count]);
    m->stack_count = count;
  }
  m->fibers.assign(count, {});
  m->warps.assign(size_t{warps} * blocks, {});
  m->blocks.assign(blocks, {});
  m->order.resize(count), m->place.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    Fiber& f = m->fibers[i];
    const unsigned t = i % threads;
    f.index = {t % block.x, t / block.x % block.y, t / (block.x * block.y)};
    f.block = i / threads, f.lane = t % warp_size, f.warp = f.block * warps + t / warp_size;
    m->warps[f.warp].live |= 1u << f.lane;
    m->order[i] = i;
    if (__tsan_create_fiber) {
      if (m->announced.size() <= i) m->announced.push_back(__tsan_create_fiber(0));
      f.announced = m->announced[i];
    }
  }
}

/// Runs the blocks from number `first` on that are alive together.
void run_blocks(unsigned first) {
  m->grid_barrier = {};
  m->grid_barrier.expected = static_cast<unsigned>(m->fibers.size());
  for (Block& block : m->blocks) {
    block.index = {first % m->grid.x, first / m->grid.x % m->grid.y, first / (m->grid.x * m->grid.y)};
    ++first;
    block.barrier = {};
    block.barrier.expected = static_cast<unsigned>(m->fibers.size() / m->blocks.size());
    if (m->shared_size > 0) std::memset(block.shared, 0xFF, m->shared_size);
  }
  for (Warp& warp : m->warps) warp.barrier = {};
  for (size_t i = m->order.size(); i > 1; --i) std::swap(m->order[i - 1], m->order[draw() % i]);
  for (size_t i = 0; i < m->order.size(); ++i) m->place[m->order[i]] = static_cast<unsigned>(i);
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(m->stacks.get(), stack_bytes * m->fibers.size());
  for (size_t i = 0; i < m->fibers.size(); ++i) {
    Fiber& f = m->fibers[i];
    f.done = false, f.waiting = nullptr;
    f.copies.clear();
    const auto end = reinterpret_cast<uintptr_t>(m->stacks.get() + stack_bytes * (i + 1)) & ~uintptr_t{15};
    auto* top = reinterpret_cast<void**>(end);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&enter);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    f.stack_pointer = top;
  }
  m->current = m->order[0];
  release(&m->started);
  announce(m->fibers[m->current].announced);
  simt_switch_stack(&m->host_stack, m->fibers[m->current].stack_pointer);
  acquire(&m->ended);
}

}  // namespace

void run(const char* name, Dim grid, Dim block, size_t shared_size, const std::function<void()>& body,
         bool cooperative) {
  m->name = name, m->grid = grid, m->block = block, m->cooperative = cooperative, m->body = &body;
  m->fault.clear();
  if (const char* seed = std::getenv("RECON_SIMT_SEED"))
    m->random ^= std::strtoull(seed, nullptr, 10) * 0x2545F4914F6CDD1Du;
  const unsigned count = grid.x * grid.y * grid.z, alive = cooperative ? count : 1;
  prepare(block, alive);
  if (__tsan_get_current_fiber) m->host_fiber = __tsan_get_current_fiber();
  m->shared_size = shared_size;
  for (Block& one : m->blocks) {
    // From the heap, so that AddressSanitizer knows the exact end.
    void* memory = nullptr;
    if (shared_size > 0 && posix_memalign(&memory, 128, shared_size) != 0) throw std::bad_alloc();
    one.shared = static_cast<unsigned char*>(memory);
  }
  for (unsigned first = 0; first < count && m->fault.empty(); first += alive) run_blocks(first);
  for (const Block& one : m->blocks) std::free(one.shared);
  if (!m->fault.empty()) throw Fault(m->fault);
}

const Dim& thread_index() { return self().index; }
const Dim& block_index() { return m->blocks[self().block].index; }
const Dim& block_dimensions() { return m->block; }
const Dim& grid_dimensions() { return m->grid; }
unsigned lane() { return self().lane; }
void* shared() { return m->blocks[self().block].shared; }
size_t shared_bytes() { return m->shared_size; }
unsigned live_lanes() { return m->warps[self().warp].live; }

void sync_block(Site site) { wait(m->blocks[self().block].barrier, site); }

void sync_grid(Site site) {
  if (!m->cooperative) fail("a barrier of the grid in a launch that is not cooperative, at " + where(site));
  wait(m->grid_barrier, site);
}

void sync_warp(unsigned mask, Site site) {
  Warp& warp = m->warps[self().warp];
  mask &= warp.live;
  if (!(mask >> self().lane & 1)) fail("a lane that its own mask leaves out, at " + where(site));
  if (warp.barrier.arrived > 0 && warp.barrier.mask != mask) fail("lanes meet with different masks, at " + where(site));
  warp.barrier.mask = mask;
  warp.barrier.expected = static_cast<unsigned>(__builtin_popcount(mask));
  wait(warp.barrier, site);
}

void put(const void* value, size_t bytes) {
  Warp& warp = m->warps[self().warp];
  std::memcpy(warp.slots[warp.barrier.generation & 1][self().lane], value, bytes);
}

// Called after the lanes have met: the generation has moved on, the values stand in the other half.
void get(unsigned lane, void* value, size_t bytes) {
  const Warp& warp = m->warps[self().warp];
  std::memcpy(value, warp.slots[~warp.barrier.generation & 1][lane], bytes);
}

void copy_async(void* to, const void* from, size_t bytes) {
  auto& groups = self().copies;
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({to, from, bytes});
}

void commit_copies() {
  auto& groups = self().copies;
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}

bool next_copy(int groups_in_flight, Copy& copy) {
  auto& groups = self().copies;
  while (static_cast<int>(groups.size()) - 1 > groups_in_flight) {
    if (!groups.front().empty()) {
      copy = groups.front().back();
      groups.front().pop_back();
      return true;
    }
    groups.erase(groups.begin());
  }
  return false;
}

}  // namespace simt

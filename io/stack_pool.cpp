#include "io/stack_pool.h"

#include "io/error.h"

namespace recon::io {

MrcHeader StackPool::add(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto source = std::make_shared<FileSource>(path);
  const int64_t size = source->size(), modified_ns = source->modified_ns();
  MrcFile file = MrcFile::open(std::move(source), options_);
  known_.push_back({path, file.header(), size, modified_ns});
  keep(static_cast<uint32_t>(known_.size() - 1), std::move(file));
  return known_.back().header;
}

MrcFile StackPool::get(uint32_t file) {
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(file); found != open_.end()) return found->second;
  const Known& known = known_.at(file);
  auto source = std::make_shared<FileSource>(known.path);
  if (source->size() != known.size || source->modified_ns() != known.modified_ns)
    throw InputError({.file = known.path,
                      .problem = "the file changed since it was first opened",
                      .repair = "leave the stacks alone during a run; start again"});
  return keep(file, MrcFile::open(std::move(source), options_));
}

MrcFile StackPool::keep(uint32_t file, MrcFile opened) {
  if (open_.size() >= kMostOpen) {
    open_.erase(age_.front());  // readers that still hold a copy finish undisturbed
    age_.pop_front();
  }
  age_.push_back(file);
  return open_.emplace(file, std::move(opened)).first->second;
}

}  // namespace recon::io

#include <string>

#include "io/star.h"
#include "tests/fuzz/input.h"

/// Parses; what was accepted must be written back byte by byte, and must survive a replaced column.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace recon::io;
  return try_input(data, size, [&](const MemorySource& memory) {
    StarDocument document = StarDocument::parse(memory);
    require(document.text() == std::string_view(reinterpret_cast<const char*>(data), size));
    size_t tables = 0;
    for (StarBlock& block : document.blocks())
      for (StarLoop& loop : block.loops) {
        loop.for_each_row([&](int64_t, auto cells) { require(cells.size() == loop.labels().size()); });
        if (loop.rows() > 0) require(loop.line(loop.rows() - 1) >= loop.rows());
        loop.set_column("_new", std::vector<std::string>(static_cast<size_t>(loop.rows()), "a b"));
        std::vector<int64_t> backwards(static_cast<size_t>(loop.rows()));
        for (size_t i = 0; i < backwards.size(); ++i) backwards[i] = static_cast<int64_t>(backwards.size() - 1 - i);
        if (tables % 2 == 1) loop.keep_rows(backwards);
        ++tables;
      }
    const StarDocument again = StarDocument::parse_text(document.text(), "again");
    require(again.blocks().size() == document.blocks().size());
    for (size_t b = 0; b < again.blocks().size(); ++b) {
      const auto &before = document.blocks()[b].loops, &after = again.blocks()[b].loops;
      require(before.size() == after.size());
      for (size_t l = 0; l < before.size(); ++l) {
        require(before[l].rows() == after[l].rows());
        for (int64_t row = 0; row < before[l].rows(); ++row) {
          const auto old_cells = before[l].row(row), new_cells = after[l].row(row);
          for (size_t i = 0; i < old_cells.size(); ++i)
            require(old_cells[i] == new_cells[i] || before[l].labels()[i] == "_new");
        }
      }
    }
  });
}

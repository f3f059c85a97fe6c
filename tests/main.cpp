#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

// doctest's own seed is always 0; tests/run chooses one and says it, so that each run tries another order.
int main(int argc, char** argv) {
  doctest::Context context;
  if (const char* seed = std::getenv("RECON_TEST_SEED")) {
    context.setOption("rand-seed", std::atoi(seed));
    std::printf("test order: RECON_TEST_SEED=%s\n", seed);
  }
  context.applyCommandLine(argc, argv);
  return context.run();
}

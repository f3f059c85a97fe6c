#include "apps/command_line.h"
#include "apps/common.h"

int main(int argc, char** argv) {
  const recon::apps::Command command = recon::apps::parse_command_line(argc, argv);
  return recon::apps::report_errors(command.json, command.run);
}

#include "io/pickle.h"

#include "tests/io/support.h"

using namespace recon::io;

namespace {

// What pickle.dumps of Python 3.11 and NumPy 1.24 gave, as hexadecimal digits: the array [[0, 1, 2], [3, 4, 5]] of
// float64 in every protocol, as float32 in Fortran order, as big-endian int32; a list of whole numbers, one of NumPy's
// scalars, and a tuple of the identity and a translation.
const char* kProtocol2 =
    "8002636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d70790a6e6461"
    "727261790a71014b00857102635f636f646563730a656e636f64650a7103580100000062710458060000006c6174696e3171"
    "05867106527107877108527109284b014b024b0386710a636e756d70790a64747970650a710b58020000006638710c898887"
    "710d52710e284b0358010000003c710f4e4e4e4affffffff4affffffff4b0074711062896803583100000000000000000000"
    "00000000000000c3b03f00000000000000400000000000000840000000000000104000000000000014407111680586711252"
    "7113747114622e";
const char* kProtocol3 =
    "8003636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7100636e756d70790a6e6461"
    "727261790a71014b008571024301627103877104527105284b014b024b03867106636e756d70790a64747970650a71075802"
    "00000066387108898887710952710a284b0358010000003c710b4e4e4e4affffffff4affffffff4b0074710c628943300000"
    "000000000000000000000000f03f0000000000000040000000000000084000000000000010400000000000001440710d7471"
    "0e622e";
const char* kProtocol4 =
    "800495ba000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73747275637494"
    "93948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b024b03869468038c05647479"
    "70659493948c02663894898887945294284b038c013c944e4e4e4affffffff4affffffff4b00749462894330000000000000"
    "0000000000000000f03f0000000000000040000000000000084000000000000010400000000000001440947494622e";
const char* kProtocol5 =
    "800595a5000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665729493942896"
    "30000000000000000000000000000000000000000000f03f0000000000000040000000000000084000000000000010400000"
    "000000001440948c056e756d7079948c0564747970659493948c02663894898887945294284b038c013c944e4e4e4affffff"
    "ff4affffffff4b007494624b024b0386948c014394749452942e";
const char* kFortran4 =
    "800495a2000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73747275637494"
    "93948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b024b03869468038c05647479"
    "70659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff4b00749462884318000000000000"
    "40400000803f00008040000000400000a040947494622e";
const char* kFortran5 =
    "8005958d000000000000008c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d6275666665729493942896"
    "180000000000000000000000000040400000803f00008040000000400000a040948c056e756d7079948c0564747970659493"
    "948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494624b024b0386948c014694749452"
    "942e";
const char* kBigEndian =
    "800495a2000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73747275637494"
    "93948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b024b03869468038c05647479"
    "70659493948c02693494898887945294284b038c013e944e4e4e4affffffff4affffffff4b00749462894318000000000000"
    "000100000002000000030000000400000005947494622e";
const char* kNumbers = "80049511000000000000005d94284b014b024d2c014a90eefeff652e";
const char* kScalars =
    "80025d710028636e756d70792e636f72652e6d756c746961727261790a7363616c61720a7101636e756d70790a6474797065"
    "0a71025802000000693871038988877104527105284b0358010000003c71064e4e4e4affffffff4affffffff4b0074710762"
    "635f636f646563730a656e636f64650a710858080000000500000000000000710958060000006c6174696e31710a86710b52"
    "710c86710d52710e68016805680858080000000700000000000000710f680a867110527111867112527113652e";
const char* kPoses =
    "800495da000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e73747275637494"
    "93948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b014b034b03879468038c0564"
    "747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494628943240000803f"
    "0000000000000000000000000000803f0000000000000000000000000000803f94749462680268054b008594680787945294"
    "284b014b014b028694680f8943080000803e000000bf9474946286942e";

std::string unhex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

std::vector<std::vector<NpyArray>> unpickled(const std::string& bytes) {
  return read_pickles(test::memory(bytes, "p"));
}

std::vector<double> values(const NpyArray& array) { return npy_values(array, "p"); }

}  // namespace

TEST_CASE("pickle: an array comes out of every protocol, order and byte order, by the names of old and new NumPy") {
  const std::vector<double> wanted = {0, 1, 2, 3, 4, 5};
  for (const char* text : {kProtocol2, kProtocol3, kProtocol4, kProtocol5, kFortran4, kFortran5, kBigEndian}) {
    const auto found = unpickled(unhex(text));
    REQUIRE(found.size() == 1);
    REQUIRE(found[0].size() == 1);
    CHECK(found[0][0].shape == std::vector<int64_t>{2, 3});
    CHECK(values(found[0][0]) == wanted);
  }
  const std::string renamed = test::replaced(unhex(kProtocol3), "numpy.core.", "numpy._core.");
  CHECK(values(unpickled(renamed)[0][0]) == wanted);
}

TEST_CASE("pickle: tuples, lists of numbers and pickles that follow one another") {
  const auto poses = unpickled(unhex(kPoses))[0];
  REQUIRE(poses.size() == 2);
  CHECK(values(poses[0]) == std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
  CHECK(values(poses[1]) == std::vector<double>{0.25, -0.5});
  CHECK(values(unpickled(unhex(kNumbers))[0][0]) == std::vector<double>{1, 2, 300, -70000});
  CHECK(values(unpickled(unhex(kScalars))[0][0]) == std::vector<double>{5, 7});
  const auto two = unpickled(unhex(kProtocol4) + unhex(kNumbers));
  REQUIRE(two.size() == 2);
  CHECK(values(two[1][0]).back() == -70000);
}

TEST_CASE("pickle: what is written is read back") {
  test::TempDir dir;
  const NpyArray matrix{NpyType::f4, {1, 2}, std::vector<std::byte>(8)},
      list{NpyType::i8, {3}, std::vector<std::byte>(24)};
  write_pickles(dir / "a.pkl", {{{matrix, list}, true}, {{list}, false}});
  const auto found = read_pickles(dir / "a.pkl");
  REQUIRE(found.size() == 2);
  REQUIRE(found[0].size() == 2);
  CHECK(found[0][0].shape == matrix.shape);
  CHECK(found[0][1].type == NpyType::i8);
  CHECK(found[1][0].shape == list.shape);
}

TEST_CASE("pickle: every cut and no changed byte is more than refused") {
  const std::string whole = unhex(kPoses);
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK(test::failure([&] { unpickled(whole.substr(0, length)); }).starts_with("65 p"));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    const std::string message = test::failure([&] { unpickled(changed); });
    CHECK((message.empty() || message.starts_with("65 p")));
  }
}

// test/native/lazy_array_test.cpp — memory that is there when it is used, and in which pages.
#include "datapath/lazy_array.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace vtep::test {
namespace {

// A line of /proc/self/smaps about the mapping that holds an address: "Rss:", "VmFlags:".
std::string mapping_line(const void* address, const std::string& name) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uintptr_t from = 0, to = 0;
    char dash = 0;
    if (words >> std::hex >> from >> dash >> to && dash == '-')
      inside = from <= wanted && wanted < to;
    else if (inside && line.starts_with(name))
      return line;
  }
  return "";
}

TEST(LazyArray, IsZeroAndTakesMemoryWhereItIsTouched) {
  LazyArray<uint64_t> array(1u << 20, "a test");
  EXPECT_EQ(array.size(), 1u << 20);
  EXPECT_EQ(array[12345], 0u);
  array[12345] = 7;
  EXPECT_EQ(array[12345], 7u);
  const std::string rss = mapping_line(array.data(), "Rss:");
  EXPECT_LE(std::stoul(rss.substr(4)), 64u) << rss;
}

TEST(LazyArray, AsksForHugePagesWhenItIsLargeAndShould) {
  const size_t large = huge_array_bytes + 4096;
  const auto asked = [](const LazyArray<std::byte>& array) {
    return mapping_line(array.data() + huge_page_bytes, "VmFlags:").find(" hg") !=
           std::string::npos;
  };
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").good())
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  LazyArray<std::byte> huge(large, "a test", PageSize::Huge);
  EXPECT_TRUE(asked(huge));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(huge.data()) % huge_page_bytes, 0u);
  huge[large - 1] = std::byte{1};
  EXPECT_EQ(huge[large - 2], std::byte{0});
  EXPECT_FALSE(asked(LazyArray<std::byte>(large, "a test")));
  EXPECT_FALSE(asked(LazyArray<std::byte>(huge_array_bytes - 4096, "a test", PageSize::Huge)));
}

TEST(LazyArray, SaysWhatThereIsNoMemoryFor) {
  try {
    LazyArray<std::byte> array(size_t{1} << 60, "a million tests", PageSize::Huge);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_LIMIT");
    EXPECT_NE(std::string(error.what()).find("a million tests"), std::string::npos);
  }
}

}  // namespace
}  // namespace vtep::test

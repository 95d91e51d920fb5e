// test/native/end_marks_test.cpp — marks of ended connections: each is found once, when it is due.
#include "datapath/end_marks.h"

#include <gtest/gtest.h>

#include <vector>

namespace vtep::test {
namespace {

std::vector<uint32_t> look(EndMarks& marks) {
  std::vector<uint32_t> found;
  marks.begin();
  while (marks.looking()) {
    marks.look(1, [&](uint32_t number) {
      found.push_back(number);
      return true;
    });
  }
  return found;
}

TEST(EndMarks, AreFoundByTheSecondLookAfterThem) {
  EndMarks marks(256);
  marks.mark(7);  // nobody wants to know
  marks.want(true);
  for (const uint32_t number : {1u, 256u, 63u, 64u}) marks.mark(number);
  EXPECT_TRUE(look(marks).empty());
  marks.mark(2);
  EXPECT_EQ(look(marks), (std::vector<uint32_t>{1, 63, 64, 256}));
  EXPECT_EQ(look(marks), (std::vector<uint32_t>{2}));
  EXPECT_TRUE(look(marks).empty());
}

TEST(EndMarks, OneThatIsRefusedIsGivenAgain) {
  EndMarks marks(256);
  marks.want(true);
  marks.mark(3);
  marks.mark(70);
  look(marks);
  marks.begin();
  uint32_t refused = 0;
  EXPECT_FALSE(marks.look(100, [&](uint32_t number) {
    if (number == 70) refused++;
    return number != 70;
  }));
  EXPECT_TRUE(marks.looking());
  EXPECT_EQ(refused, 1u);
  std::vector<uint32_t> found;
  EXPECT_TRUE(marks.look(100, [&](uint32_t number) {
    found.push_back(number);
    return true;
  }));
  EXPECT_EQ(found, (std::vector<uint32_t>{70}));
  EXPECT_FALSE(marks.looking());
}

}  // namespace
}  // namespace vtep::test

// test/native/zones_test.cpp — what a worker hears of zones that change.

#include "datapath/zones.h"

#include <gtest/gtest.h>

namespace vtep::test {
namespace {

TEST(ChangedZones, NamesThePlacesThatChangedAndNoOthers) {
  Zones zones;
  ChangedZones changed;
  EXPECT_FALSE(changed.follow(zones));
  for (uint32_t port = 1; port < zone_changes_max; port++) zones.set_port(port, port + 1, 9);
  zones.set_port(1, 2, 9);  // no change
  EXPECT_TRUE(changed.follow(zones));
  EXPECT_FALSE(changed.follow(zones));
  for (uint32_t port = 1; port < zone_changes_max; port++) {
    EXPECT_TRUE(changed.has(place_of_vlan(port, port + 1)));
    EXPECT_FALSE(changed.has(place_of_vlan(port, port)));
    EXPECT_FALSE(changed.has(place_of_vni(port)));
  }
  zones.set_vni(5, 9);
  EXPECT_TRUE(changed.follow(zones));
  EXPECT_TRUE(changed.has(place_of_vni(5)));
  EXPECT_TRUE(changed.has(place_of_vlan(1, 2)));
  zones.set_vni(6, 9);  // one more than there is room for: all
  EXPECT_TRUE(changed.follow(zones));
  EXPECT_TRUE(changed.has(place_of_vni(1000)));
  changed.clear();
  EXPECT_FALSE(changed.has(place_of_vni(5)));
}

}  // namespace
}  // namespace vtep::test

// test/native/control_socket_test.cpp — the datapath process's socket: every call there and back,
// and clients that lie, stop half-way, never read or send garbage.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "base/error.h"
#include "host/datapath_client.h"
#include "host/datapath_server.h"
#include "host/socket_io.h"
#include "host/socket_lock.h"
#include "test/native/datapath_support.h"

namespace vtep::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int second_ms = 1000;

Ipv6Bytes mapped(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 31, 1, last};
}

PortConfig memory_port(uint32_t number) {
  PortConfig config;
  config.number = number;
  config.kind = PortKind::Memory;
  snprintf(config.name, sizeof config.name, "control%d-%u", getpid(), number);
  return config;
}

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

size_t open_descriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    count++;
  }
  return count;
}

MessageWriter good_hello() {
  MessageWriter hello;
  hello.put(HelloRequest{layout_magic, static_cast<uint32_t>(getpid()), protocol_fingerprint()});
  return hello;
}

// A client that does as it is told, byte by byte.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : socket_(connect_unix(path)) {}

  bool send(Call call, const std::vector<uint8_t>& payload, uint32_t announced = 0) {
    const MessageHeader header{announced != 0 ? announced : static_cast<uint32_t>(payload.size()),
                               static_cast<uint32_t>(call), 0, ++sequence_};
    return send_message(socket_.get(), header, payload, {}, second_ms);
  }
  // The reply; status 2: the server hung up.
  Message receive() {
    Message reply;
    if (!receive_message(socket_.get(), reply, second_ms)) reply.header.status = 2;
    return reply;
  }
  Message ask(Call call, const std::vector<uint8_t>& payload) {
    return send(call, payload) ? receive() : Message{{0, 0, 2, 0}, {}, {}};
  }
  bool hello() { return ask(Call::Hello, good_hello().bytes()).header.status == 0; }
  // The code of an error reply.
  static std::string code(const Message& reply) {
    if (reply.header.status == 0) return "";
    if (reply.header.status == 2) return "gone";
    return MessageReader(reply.payload).get_text();
  }
  int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  uint32_t sequence_ = 0;
};

class ControlSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/vtep-control-XXXXXX";
    folder_ = mkdtemp(folder);
    path_ = folder_ + "/datapath.sock";
    server_ = std::make_unique<DatapathServer>(path_, config());
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  static DatapathConfig config() {
    DatapathConfig config = Bench::manual_config();
    config.manual = 0;
    config.worker_count = 2;
    return config;
  }
  // Attaches; the client before may have gone only a moment ago.
  std::unique_ptr<DatapathControl> attach() {
    for (int tries = 0;; tries++) {
      try {
        return attach_datapath(path_);
      } catch (const Error& error) {
        if (tries == 200 || std::string(error.code()) != "ERR_BUSY") throw;
        usleep(5000);
      }
    }
  }

  std::string folder_;
  std::string path_;
  std::unique_ptr<DatapathServer> server_;
};

TEST_F(ControlSocketTest, PortsZonesAndCapturesCrossTheSocketAndTheNextClientReadsThemBack) {
  auto control = attach();
  EXPECT_EQ(control->add_port(memory_port(3)).kind, PortKind::Memory);
  EXPECT_EQ(code_of([&] { control->add_port(memory_port(3)); }), "ERR_PORT_EXISTS");
  control->set_zone(3, 0, 9);
  control->set_capture(3, true);
  EXPECT_EQ(code_of([&] { control->set_zone(3, 5, 9); }), "ERR_LIMIT");
  control.reset();
  control = attach();
  const auto ports = control->list_ports();
  ASSERT_EQ(ports.size(), 1u);
  EXPECT_EQ(ports[0].first.number, 3u);
  EXPECT_STREQ(ports[0].first.name, memory_port(3).name);
  control->remove_port(3);
  EXPECT_EQ(code_of([&] { control->remove_port(3); }), "ERR_PORT_NOT_FOUND");
  EXPECT_TRUE(control->list_ports().empty());
}

TEST_F(ControlSocketTest, TablesCrossTheSocketAndTheNextClientReadsThemBack) {
  auto control = attach();
  control->set_endpoints({{mapped(1), be16(4789), be16(6081)}});
  control->set_networks({{100, 1}, {200, 2}});
  TunnelConfig tunnel;
  tunnel.number = 7;
  tunnel.local = mapped(1);
  tunnel.remote = mapped(2);
  control->set_tunnel(tunnel);
  control->set_groups({{5, {{GroupMember::Kind::Port, 3, 12}, {GroupMember::Kind::Tunnel, 7, 0}}}});
  control->set_meter(4, {1000, 2000, true});
  control.reset();
  control = attach();
  ASSERT_EQ(control->list_endpoints().size(), 1u);
  EXPECT_EQ(control->list_endpoints()[0].address, mapped(1));
  ASSERT_EQ(control->list_networks().size(), 2u);
  EXPECT_EQ(control->list_networks()[1].vni, 200u);
  ASSERT_EQ(control->list_tunnels().size(), 1u);
  EXPECT_EQ(control->list_tunnels()[0].config.remote, mapped(2));
  EXPECT_EQ(control->list_tunnels()[0].resolved, 0u);
  EXPECT_STRNE(control->list_tunnels()[0].why, "");
  ASSERT_EQ(control->list_groups().size(), 1u);
  EXPECT_EQ(control->list_groups()[0].members.at(0).vlan_vid, 12);
  EXPECT_EQ(code_of([&] { control->remove_groups({5, 6}); }), "ERR_NOT_FOUND");
  EXPECT_EQ(control->list_groups().size(), 1u) << "refused whole";
  control->remove_groups({5});
  control->remove_meter(4);
  control->remove_tunnel(7);
  EXPECT_EQ(code_of([&] { control->remove_meter(4); }), "ERR_NOT_FOUND");
  EXPECT_TRUE(control->list_groups().empty() && control->list_tunnels().empty());
}

TEST_F(ControlSocketTest, MoreGroupsThanOneMessageTakesCrossTheSocket) {
  auto control = attach();
  std::vector<GroupConfig> groups;
  for (uint32_t number = 1; number <= 600; number++)
    groups.push_back({number, std::vector<GroupMember>(number, {GroupMember::Kind::Tunnel, 7, 0})});
  control->set_groups(groups);
  const auto listed = control->list_groups();
  ASSERT_EQ(listed.size(), groups.size());
  for (const GroupConfig& group : listed) EXPECT_EQ(group.members.size(), group.number);
  control->set_groups({});
  EXPECT_EQ(control->list_groups().size(), groups.size()) << "an empty batch changes nothing";
}

TEST_F(ControlSocketTest, AClientOfAnotherBuildIsRefusedBySentence) {
  RawClient client(path_);
  MessageWriter hello;
  hello.put(HelloRequest{layout_magic, 1, protocol_fingerprint() + 1});
  const Message reply = client.ask(Call::Hello, hello.bytes());
  EXPECT_EQ(RawClient::code(reply), "ERR_PROTOCOL");
  EXPECT_EQ(client.receive().header.status, 2u) << "the server hangs up";
  RawClient other(path_);
  EXPECT_EQ(RawClient::code(other.ask(Call::ListPorts, {})), "ERR_PROTOCOL");
}

TEST_F(ControlSocketTest, ASecondClientIsToldWhoHoldsTheDatapath) {
  auto first = attach();
  try {
    attach_datapath(path_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), "ERR_BUSY");
    EXPECT_NE(std::string(error.what()).find("pid " + std::to_string(getpid())), std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(first->list_ports().empty()) << "the first is as attached as before";
  EXPECT_EQ(code_of([&] { DatapathServer(path_, config()); }), "ERR_BUSY");
}

TEST_F(ControlSocketTest, OfServersThatStartAtOnceOneWins) {
  server_.reset();
  for (int round = 0; round < 10; round++) {
    std::atomic<int> ready{0}, served{0}, refused{0};
    std::vector<std::unique_ptr<DatapathServer>> servers(4);
    std::vector<std::thread> starters;
    for (auto& server : servers)
      starters.emplace_back([&] {
        ready++;
        while (ready < 4) std::this_thread::yield();
        const std::string code =
            code_of([&] { server = std::make_unique<DatapathServer>(path_, config()); });
        served += code == "";
        refused += code == "ERR_BUSY";
      });
    for (std::thread& starter : starters) starter.join();
    EXPECT_EQ(served, 1);
    EXPECT_EQ(refused, 3);
    EXPECT_NO_THROW(attach());
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".lock"));
}

TEST_F(ControlSocketTest, AServerWaitsForTheLockOfOneThatEnds) {
  server_.reset();
  auto ending = std::make_unique<SocketLock>(path_);
  std::thread end([&] {
    usleep(200000);
    ending.reset();
  });
  EXPECT_NO_THROW(server_ = std::make_unique<DatapathServer>(path_, config()));
  end.join();
  server_.reset();
  const SocketLock held(path_);
  EXPECT_EQ(code_of([&] { DatapathServer(path_, config()); }), "ERR_BUSY");
}

TEST_F(ControlSocketTest, ALockFileThatAKilledServerLeftIsTakenOver) {
  server_.reset();
  std::ofstream(path_ + ".lock").close();
  std::ofstream(path_).close();
  EXPECT_NO_THROW(server_ = std::make_unique<DatapathServer>(path_, config()));
  EXPECT_NO_THROW(attach());
}

TEST_F(ControlSocketTest, CallersThatSayNothingHoldUpNobody) {
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 3; i++) silent.push_back(std::make_unique<RawClient>(path_));
  const auto start = Clock::now();
  auto control = attach();
  EXPECT_TRUE(control->list_ports().empty());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
}

TEST_F(ControlSocketTest, AClientThatDiesInsideAMessageLeavesTheDatapathFree) {
  for (const uint32_t missing : {1u, 7u, 1000u}) {
    RawClient client(path_);
    ASSERT_TRUE(client.hello());
    const auto payload = MessageWriter().put(memory_port(4)).bytes();
    ASSERT_TRUE(
        client.send(Call::AddPort, payload, static_cast<uint32_t>(payload.size()) + missing));
    EXPECT_EQ(code_of([&] { attach_datapath(path_); }), "ERR_BUSY");
    shutdown(client.fd(), SHUT_RDWR);
    EXPECT_TRUE(attach()->list_ports().empty()) << "half a message is no message";
  }
}

TEST_F(ControlSocketTest, AClientThatReadsNoRepliesHoldsUpNobody) {
  RawClient client(path_);
  ASSERT_TRUE(client.hello());
  ASSERT_EQ(client.ask(Call::AddPort, MessageWriter().put(memory_port(4)).bytes()).header.status,
            0u);
  const MessageHeader header{0, static_cast<uint32_t>(Call::ListPorts), 0, 1};
  fcntl(client.fd(), F_SETFL, O_NONBLOCK);
  while (::send(client.fd(), &header, sizeof header, MSG_NOSIGNAL) > 0) {
  }
  EXPECT_EQ(errno, EAGAIN) << "the server reads no further while replies wait";
  const auto start = Clock::now();
  EXPECT_EQ(code_of([&] { attach_datapath(path_); }), "ERR_BUSY");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
}

TEST_F(ControlSocketTest, CountsAndNumbersThatLieAreRefusedAndTheConnectionGoesOn) {
  RawClient client(path_);
  ASSERT_TRUE(client.hello());
  const auto code = [&](Call call, const MessageWriter& payload) {
    return RawClient::code(client.ask(call, payload.bytes()));
  };
  EXPECT_EQ(code(Call::SetGroups, MessageWriter().put(1u).put(5u).put(~0u)), "ERR_PROTOCOL");
  EXPECT_EQ(code(Call::SetGroups, MessageWriter().put(2u).put(5u).put(0u)), "ERR_PROTOCOL");
  EXPECT_EQ(code(Call::SetGroups, MessageWriter().put(~0u)), "ERR_PROTOCOL");
  EXPECT_EQ(code(Call::RemoveGroups, MessageWriter().put(~0u)), "ERR_PROTOCOL");
  EXPECT_EQ(code(Call::SetEndpoints, MessageWriter().put(1u << 20)), "ERR_PROTOCOL");
  EXPECT_EQ(code(Call::AddPort, MessageWriter()), "ERR_PROTOCOL");
  EXPECT_EQ(code(static_cast<Call>(4711), MessageWriter()), "ERR_PROTOCOL");
  GroupMember member{static_cast<GroupMember::Kind>(7), 4000, 0};
  EXPECT_EQ(code(Call::SetGroups, MessageWriter().put(1u).put(5u).put_list(std::vector{member})),
            "ERR_LIMIT");
  TunnelConfig tunnel;
  tunnel.number = 7;
  tunnel.encap = static_cast<Encap>(9);
  EXPECT_EQ(code(Call::SetTunnel, MessageWriter().put(tunnel)), "ERR_LIMIT");
  PortConfig port = memory_port(4);
  port.kind = PortKind::AfPacket;
  memset(port.name, 'x', sizeof port.name);
  memset(port.device, 'x', sizeof port.device);
  memset(port.rx_path, 'x', sizeof port.rx_path);
  memset(port.tx_path, 'x', sizeof port.tx_path);
  EXPECT_EQ(code(Call::AddPort, MessageWriter().put(port)), "ERR_DEVICE_NOT_FOUND");
  EXPECT_EQ(code(Call::SetMeter,
                 MessageWriter().put(4u).put(uint64_t{1}).put(uint64_t{1}).put(uint8_t{255})),
            "");
  EXPECT_EQ(code(Call::ListPorts, MessageWriter()), "");
}

TEST_F(ControlSocketTest, AMessageThatAnnouncesTooMuchEndsTheConnection) {
  RawClient client(path_);
  ASSERT_TRUE(client.hello());
  ASSERT_TRUE(client.send(Call::SetGroups, {}, message_bytes_max + 1));
  EXPECT_EQ(client.receive().header.status, 2u);
  EXPECT_NO_THROW(attach());
}

TEST_F(ControlSocketTest, GarbageIsAnsweredOrHungUpOnAndTheServerGoesOn) {
  std::mt19937 random(1);
  auto client = std::make_unique<RawClient>(path_);
  ASSERT_TRUE(client->hello());
  for (int round = 0; round < 3000; round++) {
    std::vector<uint8_t> payload(random() % 2 ? random() % 64 : random() % 1000);
    for (auto& byte : payload) byte = static_cast<uint8_t>(random() % 4 ? 0 : random());
    const auto call = static_cast<Call>(1 + random() % 19);
    // A payload that makes a device or a file would leave something behind.
    if (call == Call::AddPort && payload.size() >= 8) payload[4] = 7, payload[5] = 0;
    const Message reply = client->ask(call, payload);
    ASSERT_NE(reply.header.status, 2u) << "call " << static_cast<uint32_t>(call);
  }
  client.reset();
  auto control = attach();
  EXPECT_NO_THROW(control->list_ports());
  EXPECT_NO_THROW(control->list_groups());
  EXPECT_NO_THROW(control->list_tunnels());
}

TEST_F(ControlSocketTest, ClientsThatComeAndGoLeaveNoDescriptors) {
  attach();
  { RawClient settle(path_); }
  usleep(50000);
  const size_t before = open_descriptors();
  for (int i = 0; i < 30; i++) {
    attach();
    RawClient client(path_);
    // Descriptors that nobody asked for.
    const MessageHeader header{sizeof(HelloRequest), static_cast<uint32_t>(Call::Hello), 0, 1};
    send_message(client.fd(), header, good_hello().bytes(), {0, 1, 2}, second_ms);
    client.receive();
  }
  for (int i = 0; i < 200 && open_descriptors() != before; i++) usleep(5000);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ControlSocketTest, TheSharedMemoryCannotBeCutUnderTheWorkers) {
  RawClient client(path_);
  const Message reply = client.ask(Call::Hello, good_hello().bytes());
  ASSERT_EQ(reply.header.status, 0u);
  ASSERT_EQ(reply.fds.size(), 4u);
  EXPECT_NE(ftruncate(reply.fds[0].get(), 4096), 0);
  EXPECT_EQ(errno, EPERM);
}

TEST_F(ControlSocketTest, StoppingRemovesTheSocketAndSoDoesAStartThatFails) {
  auto control = attach();
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(code_of([&] { control->list_ports(); }), "ERR_DATAPATH_CLOSED");
  EXPECT_EQ(code_of([&] { attach_datapath(path_); }), "ERR_DATAPATH_CLOSED");
  DatapathConfig wrong = config();
  wrong.exact_max = 1000;
  EXPECT_EQ(code_of([&] { DatapathServer(path_, wrong); }), "ERR_LIMIT");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace vtep::test

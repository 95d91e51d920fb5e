// port/ingress_guard.cpp — a two-instruction program at tc ingress, by bpf_link or by rtnetlink.
#include "port/ingress_guard.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "port/bpf.h"
#include "port/device.h"
#include "port/kernel_abi.h"

namespace vtep {
namespace {

// r0 = TC_ACT_SHOT (TCX_DROP is the same number); exit
const bpf_insn drop_all[] = {
    {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, TC_ACT_SHOT},
    {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
};

constexpr uint32_t filter_priority =
    0xc0de;  // ours: a filter left by a killed process is found again
constexpr uint32_t filter_handle = 1;

// One rtnetlink request about traffic control, and its acknowledgement.
class TcRequest {
 public:
  TcRequest(uint16_t type, uint16_t flags, uint32_t ifindex) noexcept {
    memset(&message_, 0, sizeof message_);
    message_.header.nlmsg_len = NLMSG_LENGTH(sizeof message_.tc);
    message_.header.nlmsg_type = type;
    message_.header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    message_.tc.tcm_ifindex = static_cast<int>(ifindex);
  }

  tcmsg& tc() noexcept { return message_.tc; }

  // Appends an attribute and returns it, so that nested ones can be closed with end().
  rtattr* add(uint16_t type, const void* bytes, uint16_t length) noexcept {
    auto* attribute = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(&message_) +
                                                NLMSG_ALIGN(message_.header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(length));
    if (length != 0) memcpy(RTA_DATA(attribute), bytes, length);
    message_.header.nlmsg_len = NLMSG_ALIGN(message_.header.nlmsg_len) + RTA_SPACE(length);
    return attribute;
  }
  void end(rtattr* nest) noexcept {
    nest->rta_len =
        static_cast<uint16_t>(reinterpret_cast<char*>(&message_) + message_.header.nlmsg_len -
                              reinterpret_cast<char*>(nest));
  }

  // 0, or an errno.
  int send() noexcept {
    Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket.open()) return errno;
    if (::send(socket.get(), &message_, message_.header.nlmsg_len, 0) < 0) return errno;
    alignas(nlmsghdr) char answer[4096];
    const ssize_t got = ::recv(socket.get(), answer, sizeof answer, 0);
    if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return got < 0 ? errno : EPROTO;
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    if (header->nlmsg_type != NLMSG_ERROR) return EPROTO;
    return -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
  }

 private:
  struct {
    nlmsghdr header;
    tcmsg tc;
    char attributes[256];
  } message_;
};

int add_clsact(uint32_t ifindex) noexcept {
  TcRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
  request.tc().tcm_parent = TC_H_CLSACT;
  request.tc().tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  request.add(TCA_KIND, "clsact", 7);
  return request.send();
}

void name_filter(TcRequest& request) noexcept {
  request.tc().tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
  request.tc().tcm_handle = filter_handle;
  request.tc().tcm_info = TC_H_MAKE(filter_priority << 16, htons(ETH_P_ALL));
  request.add(TCA_KIND, "bpf", 4);
}

// Which network namespace the calling thread is in: an ifindex means nothing without it.
uint64_t namespace_inode() noexcept {
  struct stat status = {};
  return ::stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

Fd load_for_tcx() noexcept {
  return bpf_load(BPF_PROG_TYPE_SCHED_CLS, kernel::tcx_ingress, drop_all, 2);
}

}  // namespace

// Shared with the thread that goes over to TCX; `mutex` is held while programs come and go.
struct IngressGuard::State {
  std::mutex mutex;
  uint32_t ifindex = 0;
  uint64_t network_namespace = 0;
  bool closed = false;
  Fd link;                   // TCX
  bool made_filter = false;  // clsact: we put the filter there
  bool made_qdisc = false;   // clsact: we put the qdisc there

  bool attach_tcx() noexcept;
  bool attach_clsact(int program) noexcept;
  void remove_filter() noexcept;
  void remove_qdisc() noexcept;
};

bool IngressGuard::State::attach_tcx() noexcept {
  const Fd program = load_for_tcx();
  if (program.open()) link = bpf_attach(program.get(), ifindex, kernel::tcx_ingress, 0);
  return link.open();
}

bool IngressGuard::State::attach_clsact(int program) noexcept {
  const int made = add_clsact(ifindex);
  made_qdisc = made == 0;
  if (made != 0 && made != EEXIST) {
    errno = made;
    return false;
  }
  TcRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, ifindex);
  name_filter(request);
  rtattr* options = request.add(TCA_OPTIONS, nullptr, 0);
  const uint32_t descriptor = static_cast<uint32_t>(program);
  const uint32_t direct = TCA_BPF_FLAG_ACT_DIRECT;
  request.add(TCA_BPF_FD, &descriptor, sizeof descriptor);
  request.add(TCA_BPF_NAME, "vtep-guard", 11);
  request.add(TCA_BPF_FLAGS, &direct, sizeof direct);
  request.end(options);
  const int number = request.send();
  made_filter = number == 0;
  if (!made_filter) remove_qdisc();
  errno = number;
  return made_filter;
}

// The device may have gone by now, and the filter with it: there is nobody to tell.
void IngressGuard::State::remove_filter() noexcept {
  if (!made_filter) return;
  TcRequest request(RTM_DELTFILTER, 0, ifindex);
  name_filter(request);
  request.send();
  made_filter = false;
}

// The kernel takes the device out of service for that long: what is sent to it is lost.
void IngressGuard::State::remove_qdisc() noexcept {
  if (!made_qdisc) return;
  TcRequest request(RTM_DELQDISC, 0, ifindex);
  request.tc().tcm_parent = TC_H_CLSACT;
  request.tc().tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  request.send();
  made_qdisc = false;
}

// Guards that are to go over to TCX, and the thread that does it while there are any.
class IngressGuard::Upgrades {
 public:
  // Never destroyed: the thread may outlive everything but the process.
  static Upgrades& instance() {
    static auto* const one = new Upgrades;
    return *one;
  }

  // Without a thread the guard stays what it is.
  void add(std::shared_ptr<State> guard) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(guard));
    if (running_) return;
    try {
      std::thread([this] { run(); }).detach();
      running_ = true;
    } catch (const std::system_error&) {
      waiting_.clear();
    }
  }

 private:
  static constexpr std::chrono::milliseconds quiet{100};  // without a new port: the batch is over

  void run() {
    size_t known = 0;
    for (;;) {
      std::this_thread::sleep_for(quiet);
      std::vector<std::shared_ptr<State>> batch;
      {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
          running_ = false;
          return;
        }
        if (waiting_.size() != known) {
          known = waiting_.size();
          continue;
        }
        batch.swap(waiting_);
        known = 0;
      }
      for (const auto& guard : batch) upgrade(*guard);
    }
  }

  static void upgrade(State& guard) noexcept {
    const std::lock_guard lock(guard.mutex);
    if (guard.closed || guard.network_namespace != namespace_inode()) return;
    if (guard.attach_tcx()) guard.remove_filter();
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<State>> waiting_;
  bool running_ = false;
};

IngressGuard::IngressGuard(const std::string& device, uint32_t ifindex, IngressGuardMethod method)
    : state_(std::make_shared<State>()) {
  const std::string doing = "keeping the host's stack off device '" + device + "'";
  state_->ifindex = ifindex;
  state_->network_namespace = namespace_inode();
  const Fd tcx = method == IngressGuardMethod::Clsact ? Fd() : load_for_tcx();
  const int no_tcx = errno;
  if (method == IngressGuardMethod::Tcx) {
    if (!state_->attach_tcx()) throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", errno);
    return;
  }
  if (method == IngressGuardMethod::Auto && !tcx.open() && (no_tcx == EPERM || no_tcx == EACCES))
    throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", no_tcx);
  const Fd program = bpf_load(BPF_PROG_TYPE_SCHED_CLS, 0, drop_all, 2);
  if (!program.open()) throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", errno);
  if (state_->attach_clsact(program.get())) {
    if (tcx.open()) Upgrades::instance().add(state_);
    return;
  }
  const int no_clsact = errno;
  if (!tcx.open() || !state_->attach_tcx())
    throw_errno(doing, "CAP_BPF and CAP_NET_ADMIN", no_clsact);
}

IngressGuard::~IngressGuard() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  state_->remove_filter();
  state_->remove_qdisc();
  state_->link = Fd();
}

const char* IngressGuard::method() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->link.open() ? "tcx" : "clsact";
}

}  // namespace vtep

// port/pcap.cpp — replay from memory, record through a buffer.
#include "port/pcap.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "port/device.h"

namespace vtep {
namespace {

constexpr size_t record_buffer_bytes = 256 * 1024;
static_assert(record_buffer_bytes >= pcap_record_header_bytes + packet_bytes_max);

uint64_t now_nanoseconds() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

class PcapQueue final : public PortQueue {
 public:
  PcapQueue(std::shared_ptr<PcapFiles> files, const PortConfig& config, bool receives);
  ~PcapQueue() override { write_buffer(); }

  uint32_t rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept override;
  void tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept override;
  void flush(FrameCache&) noexcept override { write_buffer(); }
  bool receives() const noexcept override { return receives_; }
  int rx_fd() const noexcept override { return ready_.get(); }
  bool pending() const noexcept override { return receives_ && next_ < files_->records.size(); }

 private:
  void write_buffer() noexcept;
  void drop(DropReason reason, uint64_t count) noexcept {
    stats.drops[static_cast<uint32_t>(reason)] += count;
  }

  std::shared_ptr<PcapFiles> files_;
  const uint32_t port_number_;
  const bool loop_;
  const bool receives_;
  Fd ready_;                     // readable until the last packet is out
  size_t next_ = 0;              // record to replay next
  std::vector<uint8_t> buffer_;  // records waiting for flush(); capacity never changes
  uint32_t buffered_ = 0;        // how many
};

PcapQueue::PcapQueue(std::shared_ptr<PcapFiles> files, const PortConfig& config, bool receives)
    : files_(std::move(files)),
      port_number_(config.number),
      loop_((config.flags & port_flag_loop) != 0),
      receives_(receives) {
  if (files_->record.open()) buffer_.reserve(record_buffer_bytes);
  if (receives_)
    ready_ = Fd(::eventfd(files_->records.empty() ? 0 : 1, EFD_NONBLOCK | EFD_CLOEXEC));
}

uint32_t PcapQueue::rx_burst(FrameCache& frames, Packet* packets, uint32_t max) noexcept {
  uint32_t count = 0;
  while (count < max && pending()) {
    const PcapRecord& record = files_->records[next_];
    Packet packet = frames.make(record.length);
    if (packet.frame == no_frame) break;  // later: nothing is lost
    memcpy(packet.data, files_->replay.data() + record.offset, record.length);
    packet.in_port = port_number_;
    packets[count++] = packet;
    ++next_;
    if (loop_ && next_ == files_->records.size()) next_ = 0;
  }
  if (count != 0 && !pending()) {
    uint64_t rings = 0;
    if (::read(ready_.get(), &rings, sizeof rings) < 0) rings = 0;  // silent already
  }
  return count;
}

void PcapQueue::tx_burst(FrameCache& frames, const Packet* packets, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    const Packet& packet = packets[i];
    if (files_->record.open()) {
      const size_t bytes = pcap_record_header_bytes + packet.length;
      if (buffer_.capacity() - buffer_.size() < bytes) write_buffer();
      const size_t at = buffer_.size();
      buffer_.resize(at + bytes);
      pcap_write_record(buffer_.data() + at, now_nanoseconds(), packet.length);
      memcpy(buffer_.data() + at + pcap_record_header_bytes, packet.data, packet.length);
      ++buffered_;
    }
    frames.free(packet);
  }
}

// One write, so that records of several workers never mix. A cut write ends the recording: a record
// behind half of another one could not be read.
void PcapQueue::write_buffer() noexcept {
  if (buffered_ == 0) return;
  ssize_t written = -1;
  if (!files_->record_failed.load(std::memory_order_relaxed)) {
    do written = ::write(files_->record.get(), buffer_.data(), buffer_.size());
    while (written < 0 && errno == EINTR);
  }
  if (written != static_cast<ssize_t>(buffer_.size())) {
    files_->record_failed.store(true, std::memory_order_relaxed);
    drop(DropReason::TxError, buffered_);
  }
  buffer_.clear();
  buffered_ = 0;
}

Fd create_record_file(const std::string& path) {
  const std::string doing = "creating capture file '" + path + "'";
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640));
  if (!file.open()) throw_errno(doing, "permission to write there", errno);
  uint8_t header[pcap_header_bytes];
  pcap_write_header(header);
  if (::write(file.get(), header, sizeof header) != static_cast<ssize_t>(sizeof header))
    throw_errno(doing, "permission to write there", errno);
  return file;
}

}  // namespace

PcapPort::PcapPort(const PortConfig& config, FramePool&)
    : Port(config), files_(std::make_shared<PcapFiles>()) {
  const std::string rx_path = config_.rx_path;
  const std::string tx_path = config_.tx_path;
  if (rx_path.empty() && tx_path.empty())
    throw Error("ERR_CONFIG_INVALID", "pcap port '" + std::string(config_.name) +
                                          "' names no file, neither to replay nor to record");
  if (!rx_path.empty()) {
    files_->replay = pcap_read(rx_path);
    files_->records = pcap_parse(files_->replay.data(), files_->replay.size(), rx_path);
  }
  if (!tx_path.empty()) files_->record = create_record_file(tx_path);
}

PortStatus PcapPort::status() const {
  PortStatus status;
  status.kind = PortKind::Pcap;
  status.mtu = config_.mtu != 0 ? config_.mtu : 1500;
  status.link_up = 1;
  uint64_t cut = 0;
  for (const PcapRecord& record : files_->records) cut += record.original > record.length;
  set_text(status.mode, files_->record_failed ? "pcap, recording failed" : "pcap");
  set_text(status.why, cut == 0
                           ? why_
                           : why_ + "; " + std::to_string(cut) +
                                 " packets of the file are cut and will be dropped as malformed");
  return status;
}

std::unique_ptr<PortQueue> PcapPort::open_queue(uint32_t, bool receive) {
  return std::make_unique<PcapQueue>(files_, config_, receive);
}

}  // namespace vtep

// bench/native/generator_bench.cpp — sends and counts frames between two devices, for RFC 2544.
//
//   generator_bench --device-1 eth0 --mac-1 02:.. --ip-1 10.0.0.1 --next-hop-1 02:.. [--netns-1 N]
//                   --device-2 ...
//
// The first end sends forward, the second backward. A line on standard input is an order, and each
// of its answers is a line of JSON:
//
//   trial --rate 100000 --count 500000 --direction both --flows 64 --sizes 64,570,64
//         [--block 100000]     {"sample":...} once a second, then {"trial":...}
//   stop                       ends the trial that is running, which then answers with a fault
//
// It ends with its standard input. {"ready":...} comes when both devices are open; {"error":"..."}
// answers an order that makes no sense. Rates are frames a second and direction, and sizes count 4
// bytes of FCS.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/native/options.h"
#include "bench/native/trial.h"

namespace {

using namespace vtep;         // NOLINT: a bench is a file of its own
using namespace vtep::bench;  // NOLINT

constexpr int sample_ms = 1000;
constexpr size_t sizes_max = 4096;
constexpr uint32_t size_max = 9018;
constexpr double microsecond = 1000;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char one : text) {
    if (one == '"' || one == '\\') out += '\\';
    out += static_cast<unsigned char>(one) < ' ' ? ' ' : one;
  }
  return out + '"';
}

void say(const std::string& line) {
  fputs((line + "\n").c_str(), stdout);
  fflush(stdout);
}

double positive(const std::string& name, const std::string& value) {
  char* end = nullptr;
  const double parsed = strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(parsed > 0) || parsed > 1e12)
    throw std::runtime_error(name + " " + value + ": wants a number above 0");
  return parsed;
}

std::vector<uint32_t> sizes_of(const std::string& text) {
  std::vector<uint32_t> sizes;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const double size = positive("--sizes", part);
    if (size > size_max || sizes.size() == sizes_max)
      throw std::runtime_error("--sizes: at most " + std::to_string(sizes_max) + " of at most " +
                               std::to_string(size_max) + " bytes");
    sizes.push_back(static_cast<uint32_t>(size));
  }
  if (sizes.empty()) throw std::runtime_error("--sizes wants at least one");
  return sizes;
}

TrialOrder order_of(Options& options) {
  static std::mt19937 random(std::random_device{}());
  TrialOrder order;
  order.rate = positive("--rate", options.text("--rate", ""));
  order.count = static_cast<uint64_t>(positive("--count", options.text("--count", "")));
  order.both = options.choice("--direction", {"forward", "both"}) == 1;
  order.flows = options.number("--flows", 1, flow_max);
  const std::string block = options.text("--block", "");
  if (!block.empty()) order.block = static_cast<uint64_t>(positive("--block", block));
  order.sizes = sizes_of(options.text("--sizes", "64"));
  order.run = static_cast<uint32_t>(random()) & ~1u;
  options.finish();
  return order;
}

// Reads lines of standard input, and can be asked whether there is one.
class Lines {
 public:
  // Waits for a line, `other` to become readable, or the time. 1: a line, 0: other or time, -1:
  // end.
  int wait(std::string& line, int other, int timeout_ms) {
    if (take(line)) return 1;
    pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {other, POLLIN, 0}};
    if (::poll(watched, 2, timeout_ms) <= 0 || watched[0].revents == 0) return 0;
    char bytes[4096];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got <= 0) return got < 0 && errno == EINTR ? 0 : -1;
    rest_.append(bytes, static_cast<size_t>(got));
    return take(line) ? 1 : 0;
  }

 private:
  bool take(std::string& line) {
    const size_t end = rest_.find('\n');
    if (end == std::string::npos) return false;
    line = rest_.substr(0, end);
    rest_.erase(0, end + 1);
    return true;
  }

  std::string rest_;
};

std::string json_of(const Latencies& times) {
  std::ostringstream out;
  out.precision(12);
  out << "{\"count\":" << times.count() << ",\"min\":" << times.min() / microsecond
      << ",\"average\":" << times.average() / microsecond
      << ",\"max\":" << times.max() / microsecond << ",\"jitter\":" << times.jitter() / microsecond
      << ",\"buckets\":[";
  const char* comma = "";
  for (uint32_t at = 0; at < times.buckets().size(); at++) {
    if (times.buckets()[at] == 0) continue;
    out << comma << '[' << Latencies::upper(at) / microsecond << ',' << times.buckets()[at] << ']';
    comma = ",";
  }
  out << "]}";
  return out.str();
}

std::string json_of(const DirectionResult& result) {
  std::ostringstream out;
  const Arrivals& arrivals = result.arrivals;
  out << "{\"sent\":" << result.sent << ",\"received\":" << arrivals.received()
      << ",\"reordered\":" << arrivals.reordered() << ",\"duplicated\":" << arrivals.duplicated();
  if (result.timed && result.latencies.count() != 0)
    out << ",\"latency\":" << json_of(result.latencies);
  if (arrivals.received() != 0)
    out << ",\"ttl\":[" << +result.ttl_min << ',' << +result.ttl_max << ']';
  out << ",\"longestGap\":{\"frames\":" << arrivals.longest_gap()
      << ",\"at\":" << arrivals.longest_gap_at()
      << "},\"silence\":" << static_cast<double>(result.silence_ns) / microsecond
      << ",\"late\":" << static_cast<double>(result.late_ns_max) / microsecond
      << ",\"lostByBlock\":[";
  const char* comma = "";
  for (const uint64_t lost : arrivals.lost_by_block()) {
    out << comma << lost;
    comma = ",";
  }
  out << "]}";
  return out.str();
}

std::string json_of(const TrialOutcome& outcome) {
  std::ostringstream out;
  uint64_t longest = 0;
  const char* comma = "";
  out << "{\"counts\":[";
  for (const DirectionResult& result : outcome.directions) {
    longest = std::max(longest, result.sending_ns);
    out << comma << json_of(result);
    comma = ",";
  }
  out << "],\"seconds\":" << static_cast<double>(longest) / 1e9;
  if (!outcome.fault.empty()) out << ",\"fault\":" << quoted(outcome.fault);
  out << '}';
  return out.str();
}

std::string json_of(const Progress (&progress)[2]) {
  std::ostringstream out;
  out << "{\"sent\":[" << progress[0].sent << ',' << progress[1].sent << "],\"received\":["
      << progress[0].received << ',' << progress[1].received << "]}";
  return out.str();
}

// Runs a trial on a thread of its own and listens meanwhile; false when standard input has ended.
bool trial(const TrialEnd (&ends)[2], const TrialOrder& order, Lines& lines) {
  Progress progress[2];
  std::atomic<bool> stop{false};
  const Fd done(::eventfd(0, EFD_CLOEXEC));
  std::string answer;
  std::thread runner([&] {
    try {
      answer = "{\"trial\":" + json_of(run_trial(ends, order, progress, stop)) + "}";
    } catch (const std::exception& error) {
      answer = "{\"error\":" + quoted(error.what()) + "}";
    }
    const uint64_t one = 1;
    if (::write(done.get(), &one, sizeof one) != sizeof one) abort();
  });
  bool open = true;
  for (pollfd end = {done.get(), POLLIN, 0}; ::poll(&end, 1, 0) <= 0;) {
    std::string line;
    const int heard = lines.wait(line, done.get(), sample_ms);
    if (heard < 0) open = false;
    if (heard < 0 || line == "stop") stop = true;
    if (heard == 1 && line != "stop") say("{\"error\":\"a trial is running: stop it first\"}");
    if (heard == 0 && ::poll(&end, 1, 0) <= 0) say("{\"sample\":" + json_of(progress) + "}");
    if (!open) break;
  }
  runner.join();
  if (open) say(answer);
  return open;
}

void serve(const TrialEnd (&ends)[2]) {
  Lines lines;
  for (std::string line;;) {
    const int heard = lines.wait(line, -1, -1);
    if (heard < 0) return;
    if (heard == 0 || line.empty() || line == "stop") continue;
    std::istringstream words(line);
    std::vector<std::string> list;
    for (std::string word; words >> word;) list.push_back(word);
    std::vector<char*> arguments;
    for (std::string& word : list) arguments.push_back(word.data());
    try {
      if (list.empty() || list[0] != "trial")
        throw std::runtime_error("the orders are trial and stop");
      Options options(static_cast<int>(arguments.size()), arguments.data());
      const TrialOrder order = order_of(options);
      if (!trial(ends, order, lines)) return;
    } catch (const std::exception& error) {
      say("{\"error\":" + quoted(error.what()) + "}");
    }
  }
}

TrialEnd end_of(Options& options, const std::string& number, Place& place) {
  TrialEnd end;
  const std::string device = options.text("--device-" + number, "");
  const std::string netns = options.text("--netns-" + number, "");
  place = {netns, device};
  end.name = netns.empty() ? device : device + " (" + netns + ")";
  end.station.mac = mac_of(options.text("--mac-" + number, ""));
  end.station.next_hop = mac_of(options.text("--next-hop-" + number, ""));
  end.station.ip = ip_of(options.text("--ip-" + number, ""));
  return end;
}

void run(int argc, char** argv) {
  Options options(argc, argv);
  Place places[2];
  TrialEnd ends[2] = {end_of(options, "1", places[0]), end_of(options, "2", places[1])};
  options.finish();
  Wire first(places[0]);
  Wire second(places[1]);
  ends[0].wire = &first;
  ends[1].wire = &second;
  say("{\"ready\":true}");
  serve(ends);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

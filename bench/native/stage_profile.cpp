// bench/native/stage_profile.cpp — a timer, a walk up the frame pointers, and this program's own
// symbol table.

#include "bench/native/stage_profile.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

namespace vtep::bench {

namespace {

constexpr long period_ns =
    97'003;  // a prime number of microseconds and a bit: in step with nothing
constexpr uint32_t sample_max = 65536;
constexpr uint32_t depth_max = 12;
constexpr uint32_t other = stage_names.size() - 1;

// The worker's functions that are a stage; what they call belongs to them, the innermost counts.
struct StageFunction {
  const char* name;
  uint32_t stage;
};
constexpr StageFunction stage_functions[] = {
    {"vtep::Worker::receive(", 0},     {"vtep::Worker::next_batch(", 0},
    {"vtep::Worker::parse_batch(", 1}, {"vtep::Worker::look_up(", 2},
    {"vtep::Worker::run(", 3},         {"vtep::Worker::drain(", 4},
    {"vtep::Worker::drain_all(", 4},   {"vtep::Worker::flush_ports(", 4},
};
// Everything a packet goes through is called by this one, inside receive().
constexpr const char* between_stages = "vtep::Worker::process(";

struct Samples {
  uintptr_t frames[sample_max][depth_max];  // 0: no more
  std::atomic<uint32_t> count{0};
  uintptr_t stack_low = 0, stack_high = 0;
};
Samples* samples = nullptr;  // what the handler writes to

// Program counter and frame pointer of what was interrupted.
void registers_of(const ucontext_t& context, uintptr_t& pc, uintptr_t& frame) {
#if defined(__x86_64__)
  pc = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
  frame = static_cast<uintptr_t>(context.uc_mcontext.gregs[REG_RBP]);
#elif defined(__aarch64__)
  pc = context.uc_mcontext.pc;
  frame = context.uc_mcontext.regs[29];
#endif
}

void on_timer(int, siginfo_t*, void* context) {
  const uint32_t number = samples->count.load(std::memory_order_relaxed);
  if (number == sample_max) return;
  uintptr_t pc = 0;
  uintptr_t frame = 0;
  registers_of(*static_cast<const ucontext_t*>(context), pc, frame);
  uintptr_t* to = samples->frames[number];
  for (uint32_t depth = 0; depth < depth_max; depth++) {
    to[depth] = pc;
    if (frame < samples->stack_low || frame + 16 > samples->stack_high || frame % 8 != 0) break;
    const auto* words = reinterpret_cast<const uintptr_t*>(frame);
    pc = words[1];
    frame = words[0];
  }
  samples->count.store(number + 1, std::memory_order_relaxed);
}

uintptr_t load_address() {
  uintptr_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* to) {
        *static_cast<uintptr_t*>(to) = info->dlpi_addr;
        return 1;  // the first is the program itself
      },
      &base);
  return base;
}

struct Symbol {
  std::string name;  // as people write it
  uintptr_t first, end;
};

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&free)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &free);
  return status == 0 ? text.get() : name;
}

// Functions of the worker in this program's symbol table.
std::vector<Symbol> worker_symbols() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(bytes.data());
  const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(bytes.data() + header->e_shoff);
  const uintptr_t base = load_address();
  std::vector<Symbol> found;
  for (uint32_t i = 0; i < header->e_shnum; i++) {
    const ElfW(Shdr)& table = sections[i];
    if (table.sh_type != SHT_SYMTAB) continue;
    const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(bytes.data() + table.sh_offset);
    const char* names = bytes.data() + sections[table.sh_link].sh_offset;
    for (size_t at = 0; at < table.sh_size / sizeof *symbols; at++) {
      const char* name = names + symbols[at].st_name;
      if (symbols[at].st_size == 0 || strstr(name, "6Worker") == nullptr) continue;
      const uintptr_t first = base + symbols[at].st_value;
      found.push_back({demangled(name), first, first + symbols[at].st_size});
    }
  }
  return found;
}

}  // namespace

StageProfile::StageProfile() {
  const std::vector<Symbol> symbols = worker_symbols();
  const auto take = [&](const std::string& name, uint32_t stage) {
    const size_t before = functions_.size();
    for (const Symbol& symbol : symbols)
      if (symbol.name.rfind(name, 0) == 0) functions_.push_back({symbol.first, symbol.end, stage});
    if (functions_.size() == before)
      throw std::runtime_error("there is no function " + name +
                               "...) in this program: see stage_functions");
  };
  for (const StageFunction& one : stage_functions) take(one.name, one.stage);
  take(between_stages, other);

  static const std::unique_ptr<Samples> memory = std::make_unique<Samples>();
  samples = memory.get();
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* stack = nullptr;
  size_t stack_bytes = 0;
  pthread_attr_getstack(&attributes, &stack, &stack_bytes);
  pthread_attr_destroy(&attributes);
  samples->stack_low = reinterpret_cast<uintptr_t>(stack);
  samples->stack_high = samples->stack_low + stack_bytes;

  struct sigaction action {};
  action.sa_sigaction = on_timer;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = gettid();
  if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0)
    throw std::runtime_error(std::string("making a timer: ") + strerror(errno));
}

StageProfile::~StageProfile() { timer_delete(timer_); }

void StageProfile::start() {
  memset(samples->frames, 0, sizeof samples->frames);
  samples->count = 0;
  const itimerspec period{{0, period_ns}, {0, period_ns}};
  timer_settime(timer_, 0, &period, nullptr);
}

uint32_t StageProfile::stage_of(const uintptr_t* frames) const {
  for (uint32_t depth = 0; depth < depth_max && frames[depth] != 0; depth++) {
    const auto found = std::find_if(functions_.begin(), functions_.end(), [&](const Function& one) {
      return frames[depth] >= one.first && frames[depth] < one.end;
    });
    if (found != functions_.end()) return found->stage;
  }
  return other;
}

std::array<double, stage_names.size()> StageProfile::stop() {
  const itimerspec never{};
  timer_settime(timer_, 0, &never, nullptr);
  std::array<double, stage_names.size()> shares{};
  const uint32_t count = samples->count;
  if (count == 0) throw std::runtime_error("no samples: the time was too short");
  for (uint32_t number = 0; number < count; number++)
    shares[stage_of(samples->frames[number])] += 1.0 / count;
  return shares;
}

}  // namespace vtep::bench

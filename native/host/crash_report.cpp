// host/crash_report.cpp — see crash_report.h.
#include "host/crash_report.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace vtep {
namespace {

struct Watched {
  int number;
  const char* name;
  struct sigaction before;
};
Watched watched[] = {{SIGSEGV, "SIGSEGV", {}},
                     {SIGBUS, "SIGBUS", {}},
                     {SIGILL, "SIGILL", {}},
                     {SIGFPE, "SIGFPE", {}},
                     {SIGABRT, "SIGABRT", {}}};

// Where this code is mapped, asked for at installation: dladdr() takes a lock.
uintptr_t code_base = 0;
char code_file[256] = "";
constexpr uintptr_t code_bytes_max = 64u << 20;

// A line of bounded length, without stdio.
class Line {
 public:
  Line& add(const char* text) noexcept {
    while (*text != 0 && used_ < sizeof bytes_ - 1) bytes_[used_++] = *text++;
    return *this;
  }
  Line& add_hex(uintptr_t number) noexcept {
    char digits[2 * sizeof number + 1] = {};
    char* at = digits + 2 * sizeof number;
    do {
      *--at = "0123456789abcdef"[number & 15];
      number >>= 4;
    } while (number != 0);
    return add("0x").add(at);
  }
  void write_out() noexcept {
    bytes_[used_++] = '\n';
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, bytes_, used_);
  }

 private:
  char bytes_[512];
  size_t used_ = 0;
};

uintptr_t code_address(const void* context) noexcept {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(machine.pc);
#else
  static_cast<void>(machine);
  return 0;
#endif
}

void report(const Watched& signal, const char* thread, const siginfo_t& info,
            const void* context) noexcept {
  const uintptr_t code = code_address(context);
  Line line;
  line.add("vtepd-datapath: ").add(signal.name).add(" in thread ").add(thread);
  if (info.si_code > 0) line.add(", address ").add_hex(reinterpret_cast<uintptr_t>(info.si_addr));
  line.add(", code ").add_hex(code);
  if (code >= code_base && code - code_base < code_bytes_max)
    line.add(" (addr2line -Cfe ").add(code_file).add(" ").add_hex(code - code_base).add(")");
  line.write_out();
}

void on_signal(int number, siginfo_t* info, void* context) {
  char thread[16] = {};
  prctl(PR_GET_NAME, thread);
  for (Watched& signal : watched) {
    if (signal.number != number) continue;
    const bool handled = (signal.before.sa_flags & SA_SIGINFO) != 0;
    if (handled && strncmp(thread, "vtep-", 5) != 0)
      return signal.before.sa_sigaction(number, info, context);
    report(signal, thread, *info, context);
  }
  // A fault happens again on return, where it happened, for the sake of the core; one that was
  // sent has to be sent again.
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  sigaction(number, &usual, nullptr);
  if (info->si_code <= 0) raise(number);
}

}  // namespace

void install_crash_report() noexcept {
  Dl_info here = {};
  if (dladdr(reinterpret_cast<const void*>(&install_crash_report), &here) != 0) {
    code_base = reinterpret_cast<uintptr_t>(here.dli_fbase);
    strncpy(code_file, here.dli_fname, sizeof code_file - 1);
  }
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (Watched& signal : watched) sigaction(signal.number, &action, &signal.before);
}

}  // namespace vtep

// test/native/crash_report_test.cpp — a thread that crashes leaves one line, and the process dies
// of the signal as it would have.
#include "host/crash_report.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "datapath/datapath.h"
#include "test/native/datapath_support.h"

namespace vtep::test {
namespace {

// The thread of this process that has the name; 0: none.
pid_t thread_called(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm");
    std::string called;
    if (std::getline(comm, called) && called == name)
      return static_cast<pid_t>(std::stol(task.path().filename()));
  }
  return 0;
}

[[noreturn]] void fault_in_a_thread(const char* name) {
  install_crash_report();
  std::thread([name] {
    pthread_setname_np(pthread_self(), name);
    raise(SIGBUS);
  }).join();
  _exit(0);
}

// Sends the signal to a real worker, as its own fault would.
[[noreturn]] void hit_worker(int signal) {
  install_crash_report();
  DatapathConfig config = Bench::manual_config();
  config.manual = 0;
  config.worker_count = 2;
  Datapath datapath(config);
  for (int i = 0; i < 400 && thread_called("vtep-worker1") == 0; i++) usleep(5000);
  syscall(SYS_tgkill, getpid(), thread_called("vtep-worker1"), signal);
  sleep(5);
  _exit(0);
}

TEST(CrashReportDeathTest, ACrashSaysWhichSignalAndWhichThread) {
  EXPECT_EXIT(fault_in_a_thread("vtep-control"), ::testing::KilledBySignal(SIGBUS),
              "vtepd-datapath: SIGBUS in thread vtep-control, code 0x[0-9a-f]+");
}

TEST(CrashReportDeathTest, AFaultingWorkerIsNamedByItsNumber) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    EXPECT_EXIT(hit_worker(signal), ::testing::KilledBySignal(signal),
                "vtepd-datapath: SIG[A-Z]+ in thread vtep-worker1");
}

TEST(CrashReportDeathTest, AnAssertionIsReportedToo) {
  EXPECT_EXIT(
      {
        install_crash_report();
        abort();
      },
      ::testing::KilledBySignal(SIGABRT), "vtepd-datapath: SIGABRT in thread ");
}

}  // namespace
}  // namespace vtep::test

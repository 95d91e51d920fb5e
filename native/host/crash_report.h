// host/crash_report.h — what the log says when a thread of the datapath process crashes.
//
// Why:    a worker that faults ends the whole process, and vtepd starts another. The one line left
//         behind (signal, thread, address, place in the code) is what a bug report needs, also
//         where no core is kept.
// Thread: install once, before the threads; the handler runs on the thread that crashed and calls
//         nothing that is not async-signal-safe.
// Limits: a stack that overflowed leaves the handler no room: the process dies without a line.
#pragma once

namespace vtep {

// Reports SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT to stderr; then the signal does what it would
// have done. Handlers that were there before (Node has one for WebAssembly) keep their threads.
void install_crash_report() noexcept;

}  // namespace vtep

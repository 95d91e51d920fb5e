// base/error.h — what set-up code throws when the world or the operator is at fault.
//
// Why:    one typed error with a stable code, caught only in binding/ and host/, where it becomes a
//         SwitchError or a reply. Packets never throw: they get a drop reason.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

namespace vtep {

// `code` is one of the catalogue in src/lib/errors.ts ("ERR_DEVICE_NOT_FOUND", ...). `what()` is
// one sentence that names the thing and, where it is known, what to do. `number` is errno or 0.
class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& sentence, int number = 0)
      : std::runtime_error(number ? sentence + ": " + strerror(number) : sentence),
        code_(code),
        number_(number) {}
  const char* code() const noexcept { return code_; }
  int number() const noexcept { return number_; }

 private:
  const char* code_;  // a string literal
  int number_;        // errno, or 0
};

}  // namespace vtep

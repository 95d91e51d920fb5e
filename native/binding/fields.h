// binding/fields.h — reads the fields of one JavaScript object, and says exactly which one is
// wrong.
//
// Why:    messages are made in one place, so that every call refuses in the same words.
// Thread: the JavaScript thread. Owner: borrows the object for the length of a call.
#pragma once

#include <napi.h>

#include <array>
#include <span>
#include <string>

#include "flow/flow_key.h"

namespace vtep {

struct Choice {
  const char* name;
  uint32_t value;
};

class Fields {
 public:
  // `path` begins every message: "addPort" or "setGroups[0]: members[2]".
  Fields(const Napi::Value& value, std::string path);

  bool has(const char* field) const;
  // A whole number in [least, most]; required.
  uint32_t number(const char* field, uint32_t least, uint32_t most) const;
  uint32_t number_or(const char* field, uint32_t fallback, uint32_t least, uint32_t most) const;
  // A whole number in [0, 2^53]; required.
  uint64_t large_number(const char* field) const;
  bool boolean_or(const char* field, bool fallback) const;
  uint32_t choice(const char* field, std::span<const Choice> choices) const;
  uint32_t choice_or(const char* field, uint32_t fallback, std::span<const Choice> choices) const {
    return has(field) ? choice(field, choices) : fallback;
  }
  // Text into a NUL-terminated array; "" when the field is absent and not `required`.
  void text(const char* field, std::span<char> into, bool required) const;
  // IPv4 (v4-mapped) or IPv6 address as text; required.
  Ipv6Bytes address(const char* field) const;
  // Six hex pairs with colons; required.
  MacBytes mac(const char* field) const;
  Napi::Value value(const char* field) const { return object_.Get(field); }
  const std::string& path() const { return path_; }

  [[noreturn]] void refuse(const char* field, const std::string& expected) const;

 private:
  Napi::Object object_;
  std::string path_;
};

// A value as a message shows it: short, strings quoted.
std::string shown(const Napi::Value& value);
[[noreturn]] void refuse_value(const Napi::Value& value, const std::string& what,
                               const std::string& expected);
// A whole number from `least` to `most`, or false.
bool whole_number(const Napi::Value& value, double least, double most, double& number);

std::string mac_text(const MacBytes& mac);

}  // namespace vtep

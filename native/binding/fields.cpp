// binding/fields.cpp — see fields.h.

#include "binding/fields.h"

#include <arpa/inet.h>

#include <cmath>
#include <cstdio>
#include <cstring>

namespace vtep {

namespace {

constexpr size_t shown_max = 60;
constexpr uint8_t v4_mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string range(uint64_t least, uint64_t most) {
  return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

}  // namespace

std::string shown(const Napi::Value& value) {
  if (value.IsUndefined()) return "nothing";
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>().Utf8Value();
    return '"' + (text.size() > shown_max ? text.substr(0, shown_max) + "..." : text) + '"';
  }
  if (value.IsNumber() || value.IsBoolean() || value.IsNull())
    return value.ToString().Utf8Value();
  if (value.IsArray()) return "an array";
  if (value.IsFunction()) return "a function";
  return "an object";
}

void refuse_value(const Napi::Value& value, const std::string& what, const std::string& expected) {
  throw Napi::TypeError::New(value.Env(),
                             what + ": expected " + expected + ", got " + shown(value));
}

bool whole_number(const Napi::Value& value, double least, double most, double& number) {
  if (!value.IsNumber()) return false;
  number = value.As<Napi::Number>().DoubleValue();
  return number >= least && number <= most && number == std::floor(number);
}

Fields::Fields(const Napi::Value& value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsFunction()) refuse_value(value, path_, "an object");
  object_ = value.As<Napi::Object>();
}

bool Fields::has(const char* field) const { return !object_.Get(field).IsUndefined(); }

void Fields::refuse(const char* field, const std::string& expected) const {
  refuse_value(object_.Get(field), path_ + ": " + field, expected);
}

uint32_t Fields::number(const char* field, uint32_t least, uint32_t most) const {
  double number = 0;
  if (!whole_number(object_.Get(field), least, most, number)) refuse(field, range(least, most));
  return static_cast<uint32_t>(number);
}

uint32_t Fields::number_or(const char* field, uint32_t fallback, uint32_t least,
                           uint32_t most) const {
  return has(field) ? number(field, least, most) : fallback;
}

uint64_t Fields::large_number(const char* field) const {
  constexpr uint64_t most = uint64_t{1} << 53;
  double number = 0;
  if (!whole_number(object_.Get(field), 0, static_cast<double>(most), number))
    refuse(field, range(0, most));
  return static_cast<uint64_t>(number);
}

bool Fields::boolean_or(const char* field, bool fallback) const {
  const Napi::Value value = object_.Get(field);
  if (value.IsUndefined()) return fallback;
  if (!value.IsBoolean()) refuse(field, "true or false");
  return value.As<Napi::Boolean>().Value();
}

uint32_t Fields::choice(const char* field, std::span<const Choice> choices) const {
  const Napi::Value value = object_.Get(field);
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  std::string names;
  for (const Choice& choice : choices) {
    if (text == choice.name) return choice.value;
    names += (names.empty() ? "" : ", ") + std::string(choice.name);
  }
  refuse(field, "one of " + names);
}

void Fields::text(const char* field, std::span<char> into, bool required) const {
  const Napi::Value value = object_.Get(field);
  memset(into.data(), 0, into.size());
  if (value.IsUndefined() && !required) return;
  const std::string expected = "text of at most " + std::to_string(into.size() - 1) + " bytes";
  if (!value.IsString()) refuse(field, expected);
  const std::string text = value.As<Napi::String>().Utf8Value();
  if (text.size() >= into.size() || text.find('\0') != std::string::npos) refuse(field, expected);
  memcpy(into.data(), text.data(), text.size());
}

Ipv6Bytes Fields::address(const char* field) const {
  const Napi::Value value = object_.Get(field);
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  Ipv6Bytes address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  memcpy(address.data(), v4_mapped_prefix, sizeof v4_mapped_prefix);
  if (inet_pton(AF_INET, text.c_str(), address.data() + sizeof v4_mapped_prefix) == 1)
    return address;
  refuse(field, "an IPv4 or IPv6 address");
}

MacBytes Fields::mac(const char* field) const {
  const Napi::Value value = object_.Get(field);
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  unsigned bytes[6];
  int read = 0;
  if (sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
             &bytes[4], &bytes[5], &read) != 6 ||
      static_cast<size_t>(read) != text.size())
    refuse(field, "a MAC address such as 02:00:00:00:00:01");
  MacBytes mac;
  for (size_t i = 0; i < mac.size(); i++) mac[i] = static_cast<uint8_t>(bytes[i]);
  return mac;
}

std::string mac_text(const MacBytes& mac) {
  char text[18];
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
           mac[4], mac[5]);
  return text;
}

}  // namespace vtep

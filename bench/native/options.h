// bench/native/options.h — the command lines of the native benches: --name value, and nothing else.
//
// Why:    all of them take the same few options, and a misspelled one must not pass for a default.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace vtep::bench {

// Each getter takes its option away; finish() complains of those that nobody took. All throw
// std::runtime_error with a sentence for people.
class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (name.rfind("--", 0) != 0) throw std::runtime_error("unknown argument " + name);
      if (i + 1 == argc) throw std::runtime_error(name + " wants a value");
      values_[name] = argv[i + 1];
    }
  }

  std::string text(const std::string& name, const std::string& otherwise) {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    const std::string value = found->second;
    values_.erase(found);
    return value;
  }

  // From 1 to `most`.
  uint32_t number(const std::string& name, uint32_t otherwise, uint32_t most) {
    const std::string value = text(name, std::to_string(otherwise));
    char* end = nullptr;
    const unsigned long long parsed = strtoull(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || parsed == 0 || parsed > most)
      throw std::runtime_error(name + " " + value + ": wants a number from 1 to " +
                               std::to_string(most));
    return static_cast<uint32_t>(parsed);
  }

  double seconds(double otherwise) {
    const std::string value = text("--seconds", std::to_string(otherwise));
    char* end = nullptr;
    const double parsed = strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(parsed > 0))
      throw std::runtime_error("--seconds " + value + ": wants a time above 0");
    return parsed;
  }

  // One of `choices`, the first of them by default; returns which.
  size_t choice(const std::string& name, const std::vector<std::string>& choices) {
    const std::string value = text(name, choices.front());
    std::string known;
    for (size_t i = 0; i < choices.size(); i++) {
      if (choices[i] == value) return i;
      known += (i == 0 ? "" : ", ") + choices[i];
    }
    throw std::runtime_error(name + " " + value + ": there are " + known);
  }

  void finish() const {
    if (!values_.empty()) throw std::runtime_error("unknown option " + values_.begin()->first);
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace vtep::bench

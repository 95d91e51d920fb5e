// binding/errors.h — the one place where errors of the native side become errors of JavaScript.
//
// Why:    set-up code throws vtep::Error; JavaScript expects an Error whose `code` scripts can
//         match. A wrong argument is a TypeError that names the field, since it is a bug of the
//         caller.
// Thread: the JavaScript thread.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

#include "base/error.h"

namespace vtep {

inline Napi::Error coded_error(Napi::Env env, const char* code, const std::string& sentence) {
  Napi::Error error = Napi::Error::New(env, sentence);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

// Runs `body`; what it throws comes out as a Napi::Error.
template <typename Body>
auto guarded(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw coded_error(env, error.code(), error.what());
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw coded_error(env, "ERR_INTERNAL", error.what());
  }
}

}  // namespace vtep

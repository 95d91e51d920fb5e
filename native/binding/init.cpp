// binding/init.cpp — the addon's surface, at a glance. src/datapath/native.ts describes it for
// TypeScript.

#include <napi.h>

#include "base/counters.h"
#include "base/drop_reasons.h"
#include "binding/datapath_object.h"

namespace vtep {

namespace {

template <typename Texts>
Napi::Value text_table(Napi::Env env, const Texts& texts) {
  Napi::Array array = Napi::Array::New(env, texts.size());
  for (uint32_t i = 0; i < texts.size(); i++) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", texts[i].name);
    entry.Set("help", texts[i].help);
    array.Set(i, entry);
  }
  return array;
}

Napi::Value drop_reasons(const Napi::CallbackInfo& info) {
  return text_table(info.Env(), drop_reason_texts);
}
Napi::Value port_counters(const Napi::CallbackInfo& info) {
  return text_table(info.Env(), port_counter_texts);
}
Napi::Value worker_counters(const Napi::CallbackInfo& info) {
  return text_table(info.Env(), worker_counter_texts);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  DatapathObject::define(env);
  exports.Set("layout", Napi::Function::New<layout_table>(env, "layout"));
  exports.Set("dropReasons", Napi::Function::New<drop_reasons>(env, "dropReasons"));
  exports.Set("portCounters", Napi::Function::New<port_counters>(env, "portCounters"));
  exports.Set("workerCounters", Napi::Function::New<worker_counters>(env, "workerCounters"));
  exports.Set("createDatapath", Napi::Function::New<create_datapath>(env, "createDatapath"));
  exports.Set("attachDatapath", Napi::Function::New<attach_datapath_object>(env, "attachDatapath"));
  exports.Set("serveDatapath", Napi::Function::New<serve_datapath>(env, "serveDatapath"));
  return exports;
}

}  // namespace

NODE_API_MODULE(vtep, init)

}  // namespace vtep

#include "cutter_binding.h"

#include <string.h>

#include "cutter.h"

namespace covault {

namespace {

// cutBlocks(bytes: Uint8Array, minBytes, normalBytes, maxBytes, last: boolean): Uint32Array
Napi::Value cut_blocks_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 5 || !info[0].IsTypedArray() || !info[1].IsNumber() || !info[2].IsNumber() ||
      !info[3].IsNumber() || !info[4].IsBoolean()) {
    Napi::TypeError::New(env, "cutBlocks(bytes, minBytes, normalBytes, maxBytes, last)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const CutParameters parameters = {.min_bytes = info[1].As<Napi::Number>().Uint32Value(),
                                    .normal_bytes = info[2].As<Napi::Number>().Uint32Value(),
                                    .max_bytes = info[3].As<Napi::Number>().Uint32Value()};
  if (parameters.min_bytes < 1 || parameters.normal_bytes < parameters.min_bytes ||
      parameters.max_bytes < parameters.normal_bytes) {
    Napi::RangeError::New(env, "cut parameters are not in order").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const std::vector<uint32_t> lengths =
      cut_blocks(bytes.Data(), bytes.ByteLength(), parameters, info[4].As<Napi::Boolean>().Value());
  Napi::Uint32Array result = Napi::Uint32Array::New(env, lengths.size());
  if (!lengths.empty()) memcpy(result.Data(), lengths.data(), lengths.size() * sizeof(uint32_t));
  return result;
}

}  // namespace

void register_cutter(Napi::Env env, Napi::Object exports) {
  exports.Set("cutBlocks", Napi::Function::New(env, cut_blocks_from_js, "cutBlocks"));
}

}  // namespace covault

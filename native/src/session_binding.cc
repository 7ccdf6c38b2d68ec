#include "session_binding.h"

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "counters_binding.h"
#include "epoch_binding.h"
#include "mounted.h"
#include "mutation_binding.h"
#include "passthrough.h"

namespace covault {

namespace {

std::string text_of(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

int fd_of(const Napi::Value& value) { return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : -1; }

Transport transport_of(const std::string& name) {
  if (name == "device") return Transport::kDevice;
  return name == "io_uring" ? Transport::kIoUring : Transport::kAuto;
}

Napi::Object request_object(Napi::Env env, const ForwardRequest& request) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", Napi::Number::New(env, static_cast<double>(request.id)));
  result.Set("operation", Napi::Number::New(env, static_cast<double>(request.operation)));
  result.Set("node", Napi::BigInt::New(env, request.node));
  result.Set("handle", Napi::Number::New(env, static_cast<double>(request.handle)));
  result.Set("offset", Napi::Number::New(env, static_cast<double>(request.offset)));
  result.Set("size", Napi::Number::New(env, request.size));
  result.Set("name", Napi::Buffer<char>::Copy(env, request.name.data(), request.name.size()));
  return result;
}

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(
      env, "Session",
      {InstanceMethod("start", &SessionObject::start), InstanceMethod("finishWrites", &SessionObject::finish_writes),
       InstanceMethod("stop", &SessionObject::stop), InstanceMethod("close", &SessionObject::close),
       InstanceMethod("counters", &SessionObject::counters), InstanceMethod("requests", &SessionObject::requests),
       InstanceMethod("answer", &SessionObject::answer), InstanceMethod("openEpoch", &SessionObject::open_epoch),
       InstanceMethod("closeEpoch", &SessionObject::close_epoch),
       InstanceMethod("epochFailure", &SessionObject::epoch_failure),
       InstanceMethod("epochStatistics", &SessionObject::epoch_statistics)});
}

SessionObject::SessionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    Napi::TypeError::New(env, "new Session(options, onEnd)").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  mountpoint_ = text_of(options.Get("mountpoint"));
  helper_ = text_of(options.Get("helper"));
  if (options.Get("log").IsObject()) {
    if (!take_passthrough_options(options)) return;
  } else {
    take_forward_options(env, options);
  }
  make_server(env, options, info[1].As<Napi::Function>());
  open_ = true;
  environment_ = &Environment::of(env);
  environment_->add(this);
}

bool SessionObject::take_passthrough_options(const Napi::Object& options) {
  const MutationLogObject* wrapped = Napi::ObjectWrap<MutationLogObject>::Unwrap(options.Get("log").As<Napi::Object>());
  PassthroughOptions passthrough;
  passthrough.directory_fd = fd_of(options.Get("directoryFd"));
  passthrough.data_mode =
      text_of(options.Get("dataMode")) == "write-through" ? DataMode::kWriteThrough : DataMode::kWriteback;
  passthrough.mutations = wrapped->log();
  passthrough.epochs.spare_directory = text_of(options.Get("spareDirectory"));
  const Napi::Value space = options.Get("cutSpaceBytes");
  if (space.IsNumber())
    passthrough.epochs.space_bytes_max = static_cast<uint64_t>(space.As<Napi::Number>().Int64Value());
  std::string error;
  passthrough_ = make_passthrough(passthrough, &error);
  if (passthrough_ == nullptr) {
    Napi::Error::New(options.Env(), error).ThrowAsJavaScriptException();
    return false;
  }
  handler_ = passthrough_;
  epochs_ = passthrough_epochs(*passthrough_);
  log_ = wrapped->log();
  return true;
}

void SessionObject::take_forward_options(Napi::Env env, const Napi::Object& options) {
  queue_ = std::make_shared<ForwardQueue>(options.Get("inFlightMax").As<Napi::Number>().Uint32Value());
  // The queue disarms itself with each wake-up, so that at most one is on its way.
  on_requests_ =
      Napi::ThreadSafeFunction::New(env, options.Get("onRequests").As<Napi::Function>(), "covault requests", 1, 1);
  queue_->set_waker([wake = on_requests_]() mutable { call_soon(wake); });
  handler_ = make_forward_handler(queue_);
}

void SessionObject::make_server(Napi::Env env, const Napi::Object& options, Napi::Function on_end) {
  on_end_ = Napi::ThreadSafeFunction::New(env, on_end, "covault session", 1, 1);
  ServerOptions server;
  server.fuse_fd = fd_of(options.Get("fuseFd"));
  server.transport = transport_of(text_of(options.Get("transport")));
  // The server calls this from a thread of its own, at most once and never after stop() has returned.
  server.on_end = [on_end = on_end_](EndReason reason) mutable {
    const char* name = reason == EndReason::kFailed ? "failed" : "unmounted";
    on_end.NonBlockingCall(name, [](Napi::Env callback_env, Napi::Function callback, const char* reason_name) {
      if (can_run_javascript(callback_env)) call_unchecked(callback_env, callback, {Napi::String::New(callback_env, reason_name)});
    });
  };
  server_ = std::make_shared<Server>(std::move(server), handler_);
}

SessionObject::~SessionObject() { close_registered(); }

void SessionObject::close_registered() {
  if (!open_) return;
  environment_->remove(this);
  close_now();
}

void SessionObject::close(const Napi::CallbackInfo&) { close_registered(); }

// The end of the process or the environment: while the threads still answer, the kernel writes back what is dirty and
// detaches.
void SessionObject::close_now() {
  if (!open_) return;
  open_ = false;
  // What JavaScript would have to answer is answered with an error first, or detaching could wait for it.
  if (queue_ != nullptr) queue_->close();
  // After stop() the place may belong to somebody else.
  if (!stopped_) detach_mount(mountpoint_, helper_);
  server_->stop();
  release_callbacks();
}

void SessionObject::release_callbacks() {
  if (queue_ != nullptr) {
    queue_->set_waker({});
    on_requests_.Release();
  }
  on_end_.Release();
}

Napi::Value SessionObject::start(const Napi::CallbackInfo& info) {
  const auto problem = std::make_shared<std::string>();
  const auto work = [server = server_, problem] {
    *problem = server->start();
    return 0;
  };
  return Environment::of(info.Env()).run(work, "start", mountpoint_, [problem](Napi::Env env) -> Napi::Value {
    return Napi::String::New(env, *problem);
  });
}

Napi::Value SessionObject::finish_writes(const Napi::CallbackInfo& info) {
  const auto work = [server = server_] {
    server->finish_writes();
    return 0;
  };
  return Environment::of(info.Env()).run(work, "finishWrites", mountpoint_);
}

Napi::Value SessionObject::stop(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (queue_ != nullptr) queue_->close();
  const auto work = [server = server_] {
    server->stop();
    return 0;
  };
  stopped_ = true;
  Ref();  // Until the callback below, this object must not be collected.
  return Environment::of(env).run(work, "stop", mountpoint_, [this](Napi::Env callback_env) -> Napi::Value {
    if (open_) {
      open_ = false;
      environment_->remove(this);
      release_callbacks();
    }
    Unref();
    return callback_env.Undefined();
  });
}

Napi::Value SessionObject::counters(const Napi::CallbackInfo& info) {
  return counters_object(info.Env(), *server_, passthrough_.get());
}

Napi::Value SessionObject::open_epoch(const Napi::CallbackInfo& info) {
  bool lossless = false;
  const uint64_t number = info[0].IsBigInt() ? info[0].As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (epochs_ == nullptr || !lossless) {
    Napi::TypeError::New(info.Env(), "openEpoch(number: bigint), of a live data directory")
        .ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const auto opened = std::make_shared<OpenedEpoch>();
  const auto work = [epochs = epochs_, log = log_, number, opened] {
    *opened = epochs->open([&] { log->cut(number); });
    return opened->error;
  };
  return Environment::of(info.Env()).run(work, "openEpoch", mountpoint_, [opened](Napi::Env env) -> Napi::Value {
    return opened_epoch_object(env, *opened);
  });
}

// Giving back what was kept may take the file system a while.
Napi::Value SessionObject::close_epoch(const Napi::CallbackInfo& info) {
  const uint64_t id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  const auto work = [epochs = epochs_, id] {
    if (epochs != nullptr) epochs->close(id);
    return 0;
  };
  return Environment::of(info.Env()).run(work, "closeEpoch", mountpoint_);
}

Napi::Value SessionObject::epoch_failure(const Napi::CallbackInfo& info) {
  const uint64_t id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  return Napi::String::New(info.Env(), epochs_ == nullptr ? "it is closed" : epochs_->failure(id));
}

Napi::Value SessionObject::epoch_statistics(const Napi::CallbackInfo& info) {
  if (epochs_ == nullptr) return info.Env().Undefined();
  return epoch_statistics_object(info.Env(), epochs_->statistics());
}

Napi::Value SessionObject::requests(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<ForwardRequest> requests = queue_ == nullptr ? std::vector<ForwardRequest>() : queue_->take();
  Napi::Array result = Napi::Array::New(env, requests.size());
  for (size_t i = 0; i < requests.size(); i++) result.Set(static_cast<uint32_t>(i), request_object(env, requests[i]));
  return result;
}

void SessionObject::answer(const Napi::CallbackInfo& info) {
  if (queue_ == nullptr) return;
  const uint64_t id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  const int error = info[1].As<Napi::Number>().Int32Value();
  Bytes payload;
  if (info[2].IsTypedArray()) {
    const auto array = info[2].As<Napi::Uint8Array>();
    payload = std::as_bytes(std::span(array.Data(), array.ByteLength()));
  }
  queue_->answer(id, error, payload);
}

void register_sessions(Napi::Env env, Napi::Object exports) { exports.Set("Session", SessionObject::define(env)); }

}  // namespace covault

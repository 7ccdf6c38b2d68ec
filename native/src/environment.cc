#include "environment.h"

#include <pthread.h>
#include <uv.h>

namespace covault {

struct Environment::Task {
  Task(Environment* owner, Napi::Env env) : environment(owner), deferred(Napi::Promise::Deferred::New(env)) {}

  Environment* environment;
  Napi::Promise::Deferred deferred;
  std::function<int()> work;
  std::function<Napi::Value(Napi::Env)> result;
  std::string call;
  std::string path;
  int error = 0;
  Napi::ThreadSafeFunction done;
  pthread_t thread = {};
  bool running = false;

  void join() {
    if (running) pthread_join(thread, nullptr);
    running = false;
  }

  // The thread: works, and tells the environment's thread.
  static void* perform(void* argument) {
    Task* task = static_cast<Task*>(argument);
    task->error = task->work();
    // The queue has room for this one call; while the environment ends it is refused, and nobody waits for it.
    task->done.NonBlockingCall(task, finish_task);
    task->done.Release();
    return nullptr;
  }
};

Environment::Environment(Napi::Env env) : env_(env) {
  // Node runs these hooks in the opposite order of their registration and those of thread-safe functions among them.
  // Sessions register again, after their thread-safe functions, through add().
  napi_add_env_cleanup_hook(env, close_all, this);
}

Environment::~Environment() { napi_remove_env_cleanup_hook(env_, close_all, this); }

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

void Environment::add(Closable* closable) {
  closables_.push_front(closable);
  napi_remove_env_cleanup_hook(env_, close_all, this);
  napi_add_env_cleanup_hook(env_, close_all, this);
}

void Environment::remove(Closable* closable) { closables_.remove(closable); }

void Environment::close_all(void* environment) {
  Environment* self = static_cast<Environment*>(environment);
  while (!self->closables_.empty()) {
    Closable* closable = self->closables_.front();
    self->closables_.pop_front();
    closable->close_now();
  }
  // Tasks that waited for a mount of ours end now that it is gone; others end with their system call.
  for (const auto& task : self->tasks_) task->join();
}

Napi::Promise Environment::run(std::function<int()> work, const std::string& call, const std::string& path,
                               std::function<Napi::Value(Napi::Env)> result) {
  auto owned = std::make_unique<Task>(this, env_);
  Task* task = owned.get();
  task->work = std::move(work);
  task->result = std::move(result);
  task->call = call;
  task->path = path;
  const Napi::Function unused = Napi::Function::New(env_, [](const Napi::CallbackInfo&) {});
  task->done = Napi::ThreadSafeFunction::New(env_, unused, "covault task", 1, 1);
  const Napi::Promise promise = task->deferred.Promise();
  tasks_.push_back(std::move(owned));
  // As in add(): the hook that joins this thread must run before the one that ends its thread-safe function.
  napi_remove_env_cleanup_hook(env_, close_all, this);
  napi_add_env_cleanup_hook(env_, close_all, this);
  const int error = pthread_create(&task->thread, nullptr, Task::perform, task);
  task->running = error == 0;
  if (error != 0) {
    task->deferred.Reject(system_error(env_, error, "pthread_create", path).Value());
    task->done.Release();
    tasks_.pop_back();
  }
  return promise;
}

void Environment::finish_task(Napi::Env env, Napi::Function, Task* task) {
  task->join();
  if (can_run_javascript(env)) {
    if (task->error != 0) {
      task->deferred.Reject(system_error(env, task->error, task->call, task->path).Value());
    } else {
      task->deferred.Resolve(task->result ? task->result(env) : env.Undefined());
    }
  }
  task->environment->tasks_.remove_if([task](const auto& owned) { return owned.get() == task; });
}

bool can_run_javascript(Napi::Env env) {
  napi_value object;
  return napi_create_object(env, &object) == napi_ok && napi_set_element(env, object, 0, object) == napi_ok;
}

void call_soon(Napi::ThreadSafeFunction& function) {
  function.NonBlockingCall([](Napi::Env env, Napi::Function callback) {
    if (can_run_javascript(env)) call_unchecked(env, callback, {});
  });
}

void call_unchecked(Napi::Env env, const Napi::Function& callback, std::initializer_list<napi_value> arguments) {
  napi_value result;
  napi_call_function(env, env.Undefined(), callback, arguments.size(), arguments.begin(), &result);
}

Napi::Error system_error(Napi::Env env, int error, const std::string& call, const std::string& path) {
  const std::string code = uv_err_name(-error);
  std::string message = code + ": " + uv_strerror(-error) + ", " + call;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("code", Napi::String::New(env, code));
  result.Set("errno", Napi::Number::New(env, -error));
  result.Set("syscall", Napi::String::New(env, call));
  if (!path.empty()) result.Set("path", Napi::String::New(env, path));
  return result;
}

void throw_system_error(Napi::Env env, int error, const std::string& call, const std::string& path) {
  system_error(env, error, call, path).ThrowAsJavaScriptException();
}

bool bytes_argument(const Napi::Value& value, std::string* bytes, bool for_path) {
  if (value.IsString()) {
    *bytes = value.As<Napi::String>().Utf8Value();
  } else if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const auto array = value.As<Napi::Uint8Array>();
    bytes->assign(reinterpret_cast<const char*>(array.Data()), array.ByteLength());
  } else {
    Napi::TypeError::New(value.Env(), "expected a string or a Uint8Array").ThrowAsJavaScriptException();
    return false;
  }
  if (for_path && bytes->find('\0') != std::string::npos) {
    Napi::TypeError::New(value.Env(), "a path has no zero byte").ThrowAsJavaScriptException();
    return false;
  }
  return true;
}

}  // namespace covault

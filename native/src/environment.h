// State of the addon in one JavaScript environment (the main thread or a worker), and the bridge to native threads.
//
// All functions run on the environment's own thread unless they say otherwise. There are no globals: each environment
// that loads the addon has an Environment, and what it started ends with it.
#ifndef COVAULT_ENVIRONMENT_H_
#define COVAULT_ENVIRONMENT_H_

#include <napi.h>

#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <string>

namespace covault {

// Something with threads of its own that must end before the environment does.
class Closable {
 public:
  virtual ~Closable() = default;
  // Ends it without JavaScript; returns when its threads are gone.
  virtual void close_now() = 0;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env);

  // Registered things are closed, the newest first, when the environment ends.
  void add(Closable* closable);
  void remove(Closable* closable);

  // Runs `work`, which returns an errno, on a thread of its own. The promise resolves with what `result` makes
  // (undefined if it is empty), or rejects with a system error that names `call` and `path`.
  Napi::Promise run(std::function<int()> work, const std::string& call, const std::string& path,
                    std::function<Napi::Value(Napi::Env)> result = {});

 private:
  struct Task;
  static void finish_task(Napi::Env env, Napi::Function unused, Task* task);
  static void close_all(void* environment);

  Napi::Env env_;
  std::list<Closable*> closables_;
  std::list<std::unique_ptr<Task>> tasks_;
};

// Whether JavaScript can be called: not while the environment ends, when a callback may still come from a thread-safe
// function. node-addon-api makes the failure of a call then a fatal error, so every such callback asks first.
bool can_run_javascript(Napi::Env env);

// Calls `function` without arguments on the thread of its environment; from any thread, without waiting.
void call_soon(Napi::ThreadSafeFunction& function);

// Calls a function of JavaScript from a callback of Node's, which reports what it throws. Unlike Napi::Function::Call it
// makes no error object when the environment is being ended in the middle of the call: that would end the process.
void call_unchecked(Napi::Env env, const Napi::Function& callback, std::initializer_list<napi_value> arguments);

// An Error as Node.js makes it for a failed system call: code, errno, syscall and, unless empty, path.
Napi::Error system_error(Napi::Env env, int error, const std::string& call, const std::string& path);

// Leaves a system error pending.
void throw_system_error(Napi::Env env, int error, const std::string& call, const std::string& path);

// The bytes of a string (as UTF-8) or of a Uint8Array; leaves a TypeError pending and returns false for anything else
// and, if `for_path`, for bytes with a zero.
bool bytes_argument(const Napi::Value& value, std::string* bytes, bool for_path);

}  // namespace covault

#endif  // COVAULT_ENVIRONMENT_H_

#include "posix_binding.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "environment.h"
#include "posix.h"

namespace covault {

namespace {

// A path (string or Uint8Array) or a descriptor (number). False with a pending exception for anything else.
bool node_argument(const Napi::Value& value, NodeReference* node) {
  if (value.IsNumber()) {
    *node = NodeReference::of_descriptor(value.As<Napi::Number>().Int32Value());
    return true;
  }
  std::string path;
  if (!bytes_argument(value, &path, true)) return false;
  *node = NodeReference::of_path(std::move(path));
  return true;
}

// bigint nanoseconds, or undefined.
bool time_argument(const Napi::Value& value, std::optional<int64_t>* ns) {
  if (value.IsUndefined()) return true;
  bool lossless = false;
  if (value.IsBigInt()) *ns = value.As<Napi::BigInt>().Int64Value(&lossless);
  if (lossless) return true;
  Napi::TypeError::New(value.Env(), "expected nanoseconds as a bigint of 64 bits").ThrowAsJavaScriptException();
  return false;
}

Napi::Value copy_of(Napi::Env env, const std::string& bytes) {
  Napi::Uint8Array result = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) memcpy(result.Data(), bytes.data(), bytes.size());
  return result;
}

// listXattrs(node): { name: Uint8Array, value: Uint8Array }[]
Napi::Value list_xattrs_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  NodeReference node;
  if (!node_argument(info[0], &node)) return env.Undefined();
  std::vector<XattrValue> xattrs;
  const int error = list_xattrs(node, &xattrs);
  if (error != 0) {
    throw_system_error(env, error, "listxattr", node.path);
    return env.Undefined();
  }
  Napi::Array result = Napi::Array::New(env, xattrs.size());
  for (size_t i = 0; i < xattrs.size(); i++) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", copy_of(env, xattrs[i].name));
    item.Set("value", copy_of(env, xattrs[i].value));
    result.Set(static_cast<uint32_t>(i), item);
  }
  return result;
}

// writeXattr(node, name, value): void
void write_xattr_from_js(const Napi::CallbackInfo& info) {
  NodeReference node;
  std::string name;
  std::string value;
  if (!node_argument(info[0], &node) || !bytes_argument(info[1], &name, true) ||
      !bytes_argument(info[2], &value, false)) {
    return;
  }
  const int error = write_xattr(node, name, value);
  if (error != 0) throw_system_error(info.Env(), error, "setxattr", node.path);
}

// removeXattr(node, name): void
void remove_xattr_from_js(const Napi::CallbackInfo& info) {
  NodeReference node;
  std::string name;
  if (!node_argument(info[0], &node) || !bytes_argument(info[1], &name, true)) return;
  const int error = remove_xattr(node, name);
  if (error != 0) throw_system_error(info.Env(), error, "removexattr", node.path);
}

// setTimes(node, atimeNs: bigint | undefined, mtimeNs: bigint | undefined): void
void set_times_from_js(const Napi::CallbackInfo& info) {
  NodeReference node;
  std::optional<int64_t> atime_ns;
  std::optional<int64_t> mtime_ns;
  if (!node_argument(info[0], &node) || !time_argument(info[1], &atime_ns) || !time_argument(info[2], &mtime_ns)) {
    return;
  }
  const int error = set_times(node, atime_ns, mtime_ns);
  if (error != 0) throw_system_error(info.Env(), error, "utimensat", node.path);
}

// makeNode(path, mode: number, rdev: bigint): void
void make_node_from_js(const Napi::CallbackInfo& info) {
  std::string path;
  if (!bytes_argument(info[0], &path, true)) return;
  bool lossless = false;
  uint64_t rdev = 0;
  if (info[2].IsBigInt()) rdev = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  if (!info[1].IsNumber() || !lossless) {
    Napi::TypeError::New(info.Env(), "makeNode(path, mode, rdev)").ThrowAsJavaScriptException();
    return;
  }
  const mode_t mode = info[1].As<Napi::Number>().Uint32Value();
  if (mknod(path.c_str(), mode, rdev) != 0) throw_system_error(info.Env(), errno, "mknod", path);
}

// nextDataRange(fd: number, offset: number): { start: number, end: number } | undefined
Napi::Value next_data_range_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber()) {
    Napi::TypeError::New(env, "nextDataRange(fd, offset)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  DataRange range;
  const int error = next_data_range(info[0].As<Napi::Number>().Int32Value(),
                                    static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()), &range);
  if (error == ENXIO) return env.Undefined();
  if (error != 0) {
    throw_system_error(env, error, "lseek", "");
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("start", Napi::Number::New(env, static_cast<double>(range.start)));
  result.Set("end", Napi::Number::New(env, static_cast<double>(range.end)));
  return result;
}

// setIdleIo(): boolean
Napi::Value set_idle_io_from_js(const Napi::CallbackInfo& info) {
  bool idle = false;
  const int error = set_idle_io(&idle);
  if (error != 0) {
    throw_system_error(info.Env(), error, "ioprio_set", "");
    return info.Env().Undefined();
  }
  return Napi::Boolean::New(info.Env(), idle);
}

// syncFileSystem(fd: number): Promise<void>
Napi::Value sync_file_system_from_js(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) {
    Napi::TypeError::New(info.Env(), "syncFileSystem(fd)").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const int fd = info[0].As<Napi::Number>().Int32Value();
  return Environment::of(info.Env()).run([fd] { return syncfs(fd) == 0 ? 0 : errno; }, "syncfs", "");
}

// openNode(directoryFd: number, path, flags: number): number
Napi::Value open_node_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!bytes_argument(info[1], &path, true)) return env.Undefined();
  if (!info[0].IsNumber() || !info[2].IsNumber()) {
    Napi::TypeError::New(env, "openNode(directoryFd, path, flags)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  FileDescriptor opened;
  const int error =
      open_beneath(info[0].As<Napi::Number>().Int32Value(), path, info[2].As<Napi::Number>().Int32Value(), &opened);
  if (error != 0) {
    throw_system_error(env, error, "openat2", path);
    return env.Undefined();
  }
  return Napi::Number::New(env, opened.release());
}

// endProcessAfter(status: number, milliseconds: number): void
void end_process_after_from_js(const Napi::CallbackInfo& info) {
  end_process_after(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value());
}

}  // namespace

void register_posix(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("listXattrs", list_xattrs_from_js);
  add("writeXattr", write_xattr_from_js);
  add("removeXattr", remove_xattr_from_js);
  add("setTimes", set_times_from_js);
  add("makeNode", make_node_from_js);
  add("nextDataRange", next_data_range_from_js);
  add("setIdleIo", set_idle_io_from_js);
  add("syncFileSystem", sync_file_system_from_js);
  add("openNode", open_node_from_js);
  add("endProcessAfter", end_process_after_from_js);
}

}  // namespace covault

#include "mount_binding.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "environment.h"
#include "forward.h"
#include "mounted.h"

namespace covault {

namespace {

// mountFuse(mountpoint: string, flags: number, options: string): Promise<void>
Napi::Value mount_from_js(const Napi::CallbackInfo& info) {
  std::string mountpoint;
  std::string options;
  if (!bytes_argument(info[0], &mountpoint, true) || !bytes_argument(info[2], &options, true)) {
    return info.Env().Undefined();
  }
  const unsigned long flags = info[1].As<Napi::Number>().Uint32Value();
  return Environment::of(info.Env()).run([=] { return mount_fuse(mountpoint, flags, options); }, "mount", mountpoint);
}

// unmountFuse(mountpoint: string, how: "unused" | "lazy" | "aborted"): Promise<void>
Napi::Value unmount_from_js(const Napi::CallbackInfo& info) {
  std::string mountpoint;
  if (!bytes_argument(info[0], &mountpoint, true)) return info.Env().Undefined();
  std::string name;
  if (!bytes_argument(info[1], &name, false)) return info.Env().Undefined();
  const Unmount how = name == "aborted" ? Unmount::kAborted : name == "lazy" ? Unmount::kLazy : Unmount::kUnused;
  return Environment::of(info.Env()).run([=] { return unmount_fuse(mountpoint, how); }, "umount2", mountpoint);
}

// syncMount(mountpoint: string): Promise<void>
Napi::Value sync_from_js(const Napi::CallbackInfo& info) {
  std::string mountpoint;
  if (!bytes_argument(info[0], &mountpoint, true)) return info.Env().Undefined();
  return Environment::of(info.Env()).run([=] { return sync_mount(mountpoint); }, "syncfs", mountpoint);
}

// socketPair(): [number, number], both closed on exec
Napi::Value socket_pair_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw_system_error(env, errno, "socketpair", "");
    return env.Undefined();
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0u, Napi::Number::New(env, sockets[0]));
  result.Set(1u, Napi::Number::New(env, sockets[1]));
  return result;
}

// receiveDescriptor(socket: number): number
Napi::Value receive_from_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  FileDescriptor received;
  const int error = receive_descriptor(info[0].As<Napi::Number>().Int32Value(), &received);
  if (error != 0) {
    throw_system_error(env, error, "recvmsg", "");
    return env.Undefined();
  }
  return Napi::Number::New(env, received.release());
}

Napi::Object forward_layout(Napi::Env env) {
  using Layout = ForwardLayout;
  const std::pair<const char*, size_t> places[] = {
      {"node", Layout::kNode},
      {"size", Layout::kSize},
      {"blocks", Layout::kBlocks},
      {"atimeNs", Layout::kAtimeNs},
      {"mtimeNs", Layout::kMtimeNs},
      {"ctimeNs", Layout::kCtimeNs},
      {"rdev", Layout::kRdev},
      {"mode", Layout::kMode},
      {"nlink", Layout::kNlink},
      {"uid", Layout::kUid},
      {"gid", Layout::kGid},
      {"cacheMs", Layout::kCacheMs},
      {"nameBytes", Layout::kNameBytes},
      {"directoryOffset", Layout::kDirectoryOffset},
      {"attributesBytes", Layout::kAttributesBytes},
  };
  const std::pair<const char*, ForwardOperation> operations[] = {
      {"lookup", ForwardOperation::kLookup},
      {"attributes", ForwardOperation::kAttributes},
      {"readDirectory", ForwardOperation::kReadDirectory},
      {"readDirectoryPlus", ForwardOperation::kReadDirectoryPlus},
      {"readLink", ForwardOperation::kReadLink},
      {"read", ForwardOperation::kRead},
      {"getXattr", ForwardOperation::kGetXattr},
      {"listXattrs", ForwardOperation::kListXattrs},
      {"releaseDirectory", ForwardOperation::kReleaseDirectory},
  };
  Napi::Object layout = Napi::Object::New(env);
  for (const auto& [name, place] : places) layout.Set(name, Napi::Number::New(env, static_cast<double>(place)));
  Napi::Object numbers = Napi::Object::New(env);
  for (const auto& [name, number] : operations) numbers.Set(name, Napi::Number::New(env, static_cast<double>(number)));
  layout.Set("operations", numbers);
  return layout;
}

// MS_ flags of mount(2), under their names in statvfs.
Napi::Object mount_flags(Napi::Env env) {
  Napi::Object flags = Napi::Object::New(env);
  flags.Set("readOnly", Napi::Number::New(env, MS_RDONLY));
  flags.Set("noSuid", Napi::Number::New(env, MS_NOSUID));
  flags.Set("noDevices", Napi::Number::New(env, MS_NODEV));
  flags.Set("noExecution", Napi::Number::New(env, MS_NOEXEC));
  return flags;
}

}  // namespace

void register_mounting(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("mountFuse", mount_from_js);
  add("unmountFuse", unmount_from_js);
  add("syncMount", sync_from_js);
  add("socketPair", socket_pair_from_js);
  add("receiveDescriptor", receive_from_js);
  exports.Set("treeLayout", forward_layout(env));
  exports.Set("mountFlags", mount_flags(env));
}

}  // namespace covault

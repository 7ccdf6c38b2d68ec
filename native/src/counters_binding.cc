#include "counters_binding.h"

#include <utility>

#include "passthrough.h"

namespace covault {

namespace {

constexpr std::pair<wire::Opcode, const char*> kOperationNames[] = {
    {wire::kLookup, "lookup"},
    {wire::kForget, "forget"},
    {wire::kGetattr, "getattr"},
    {wire::kSetattr, "setattr"},
    {wire::kReadlink, "readlink"},
    {wire::kSymlink, "symlink"},
    {wire::kMknod, "mknod"},
    {wire::kMkdir, "mkdir"},
    {wire::kUnlink, "unlink"},
    {wire::kRmdir, "rmdir"},
    {wire::kRename, "rename"},
    {wire::kLink, "link"},
    {wire::kOpen, "open"},
    {wire::kRead, "read"},
    {wire::kWrite, "write"},
    {wire::kStatfs, "statfs"},
    {wire::kRelease, "release"},
    {wire::kFsync, "fsync"},
    {wire::kSetxattr, "setxattr"},
    {wire::kGetxattr, "getxattr"},
    {wire::kListxattr, "listxattr"},
    {wire::kRemovexattr, "removexattr"},
    {wire::kFlush, "flush"},
    {wire::kInit, "init"},
    {wire::kOpendir, "opendir"},
    {wire::kReaddir, "readdir"},
    {wire::kReleasedir, "releasedir"},
    {wire::kFsyncdir, "fsyncdir"},
    {wire::kAccess, "access"},
    {wire::kCreate, "create"},
    {wire::kInterrupt, "interrupt"},
    {wire::kBmap, "bmap"},
    {wire::kDestroy, "destroy"},
    {wire::kIoctl, "ioctl"},
    {wire::kPoll, "poll"},
    {wire::kBatchForget, "batchForget"},
    {wire::kFallocate, "fallocate"},
    {wire::kReaddirplus, "readdirplus"},
    {wire::kRename2, "rename2"},
    {wire::kLseek, "lseek"},
    {wire::kCopyFileRange, "copyFileRange"},
    {wire::kSyncfs, "syncfs"},
    {wire::kTmpfile, "tmpfile"},
    {wire::kStatx, "statx"},
    {wire::kCopyFileRange64, "copyFileRange64"},
};

void set_number(Napi::Object object, const char* name, uint64_t value) {
  object.Set(name, Napi::Number::New(object.Env(), static_cast<double>(value)));
}

Napi::Object engine_object(Napi::Env env, const Handler& passthrough) {
  const PassthroughStatistics statistics = passthrough_statistics(passthrough);
  Napi::Object result = Napi::Object::New(env);
  set_number(result, "inodes", statistics.inodes);
  set_number(result, "pathDescriptors", statistics.path_descriptors);
  set_number(result, "dataDescriptors", statistics.data_descriptors);
  set_number(result, "pinnedDescriptors", statistics.pinned);
  set_number(result, "openHandles", statistics.open_handles);
  set_number(result, "reopened", statistics.reopened);
  result.Set("privileged", Napi::Boolean::New(env, statistics.privileged));
  return result;
}

}  // namespace

Napi::Object counters_object(Napi::Env env, const Server& server, const Handler* passthrough) {
  const ServerStatistics statistics = server.statistics();
  Napi::Object requests = Napi::Object::New(env);
  for (const auto& [opcode, name] : kOperationNames) {
    if (statistics.requests[opcode] > 0) set_number(requests, name, statistics.requests[opcode]);
  }
  const Connection connection = server.connection();
  Napi::Object result = Napi::Object::New(env);
  result.Set("transport", server.transport() == Transport::kIoUring ? "io_uring" : "device");
  result.Set("dataMode", connection.data_mode == DataMode::kWriteback ? "writeback" : "write-through");
  result.Set("failure", server.failure());
  result.Set("requests", requests);
  set_number(result, "errors", statistics.errors);
  set_number(result, "malformed", statistics.malformed);
  set_number(result, "bytesRead", statistics.bytes_read);
  set_number(result, "bytesWritten", statistics.bytes_written);
  set_number(result, "threads", statistics.threads);
  set_number(result, "threadsPeak", statistics.threads_peak);
  if (passthrough != nullptr) result.Set("engine", engine_object(env, *passthrough));
  return result;
}

}  // namespace covault

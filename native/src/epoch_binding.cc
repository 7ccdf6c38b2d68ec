#include "epoch_binding.h"

#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "environment.h"

namespace covault {

namespace {

uint64_t number_of(const Napi::Value& value) {
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : 0;
}

uint64_t bigint_of(const Napi::Value& value) {
  bool lossless = false;
  return value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
}

Napi::Value copy_of(Napi::Env env, const std::string& bytes) {
  Napi::Uint8Array result = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) memcpy(result.Data(), bytes.data(), bytes.size());
  return result;
}

Napi::Object attributes_object(Napi::Env env, const EpochAttributes& attributes) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("inode", Napi::BigInt::New(env, attributes.inode));
  result.Set("mode", Napi::Number::New(env, attributes.mode));
  result.Set("uid", Napi::Number::New(env, attributes.uid));
  result.Set("gid", Napi::Number::New(env, attributes.gid));
  result.Set("nlink", Napi::Number::New(env, static_cast<double>(attributes.nlink)));
  result.Set("size", Napi::Number::New(env, static_cast<double>(attributes.size)));
  result.Set("mtimeNs", Napi::BigInt::New(env, attributes.mtime_ns));
  result.Set("ctimeNs", Napi::BigInt::New(env, attributes.ctime_ns));
  result.Set("rdev", Napi::BigInt::New(env, attributes.rdev));
  result.Set("isForeign", Napi::Boolean::New(env, attributes.foreign));
  if (S_ISLNK(attributes.mode)) result.Set("target", copy_of(env, attributes.target));
  Napi::Array xattrs = Napi::Array::New(env, attributes.xattrs.size());
  for (size_t i = 0; i < attributes.xattrs.size(); i++) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", copy_of(env, attributes.xattrs[i].name));
    item.Set("value", copy_of(env, attributes.xattrs[i].value));
    xattrs.Set(static_cast<uint32_t>(i), item);
  }
  result.Set("xattrs", xattrs);
  return result;
}

// A reader and the directory at a path. False with an error pending.
struct OpenDirectory {
  std::shared_ptr<Epochs> epochs;
  std::unique_ptr<EpochReader> reader;
  EpochReader::Node node;
};

bool open_directory(const Napi::CallbackInfo& info, OpenDirectory* opened) {
  std::string path;
  if (!bytes_argument(info[2], &path, true)) return false;
  const uint64_t epoch = number_of(info[0]);
  opened->epochs = Epochs::of(epoch);
  int error = opened->epochs == nullptr ? ECANCELED : 0;
  if (error == 0) {
    opened->reader = std::make_unique<EpochReader>(opened->epochs, epoch);
    error = opened->reader->find(path, &opened->node);
  }
  if (error == 0 && opened->node.inode != bigint_of(info[1])) error = ESTALE;
  if (error != 0) throw_system_error(info.Env(), error, "openEpoch", path);
  return error == 0;
}

// lookInEpoch(epoch: number, directory: bigint, path, names: Uint8Array[]): { self, states: (object | undefined)[] }
Napi::Value look_in_epoch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpenDirectory directory;
  if (!open_directory(info, &directory)) return env.Undefined();
  const Napi::Array names = info[3].As<Napi::Array>();
  Napi::Array states = Napi::Array::New(env, names.Length());
  for (uint32_t i = 0; i < names.Length(); i++) {
    std::string name;
    if (!bytes_argument(names.Get(i), &name, true)) return env.Undefined();
    EpochReader::Node node;
    EpochAttributes attributes;
    int error = directory.reader->step(directory.node, name, &node);
    const bool foreign = error == EXDEV;
    if (error == 0) error = directory.reader->attributes(node, &attributes);
    if (foreign) error = read_attributes(node.fd.get(), &attributes);
    attributes.foreign = foreign;
    if (error == ENOENT) continue;
    if (error != 0) {
      throw_system_error(env, error, "lookInEpoch", name);
      return env.Undefined();
    }
    states.Set(i, attributes_object(env, attributes));
  }
  EpochAttributes self;
  if (const int error = directory.reader->attributes(directory.node, &self)) {
    throw_system_error(env, error, "lookInEpoch", "");
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("self", attributes_object(env, self));
  result.Set("states", states);
  return result;
}

// namesInEpoch(epoch: number, directory: bigint, path): Uint8Array[], in ascending order
Napi::Value names_in_epoch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpenDirectory directory;
  if (!open_directory(info, &directory)) return env.Undefined();
  std::vector<std::string> names;
  if (const int error = directory.reader->names(directory.node, &names)) {
    throw_system_error(env, error, "namesInEpoch", "");
    return env.Undefined();
  }
  Napi::Array result = Napi::Array::New(env, names.size());
  for (size_t i = 0; i < names.size(); i++) result.Set(static_cast<uint32_t>(i), copy_of(env, names[i]));
  return result;
}

ssize_t read_all(const EpochFile& file, uint8_t* into, size_t length, uint64_t position) {
  size_t done = 0;
  while (done < length) {
    const ssize_t count = file.read(into + done, length - done, position + done);
    if (count < 0) return -1;
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

Napi::Object opened_epoch_object(Napi::Env env, const OpenedEpoch& opened) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("id", Napi::Number::New(env, static_cast<double>(opened.id)));
  result.Set("timeNs", Napi::BigInt::New(env, opened.time_ns));
  result.Set("heldNs", Napi::Number::New(env, static_cast<double>(opened.held_ns)));
  result.Set("attempts", Napi::Number::New(env, opened.attempts));
  return result;
}

Napi::Object epoch_statistics_object(Napi::Env env, const EpochStatistics& statistics) {
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
  Napi::Array open = Napi::Array::New(env, statistics.open.size());
  for (size_t i = 0; i < statistics.open.size(); i++) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("id", static_cast<double>(statistics.open[i].id));
    item.Set("ageMs", static_cast<double>(statistics.open[i].age_ms));
    open.Set(static_cast<uint32_t>(i), item);
  }
  result.Set("open", open);
  set("opened", statistics.opened);
  set("failed", statistics.failed);
  set("spaceBytes", statistics.space_bytes);
  set("spaceBytesMax", statistics.space_bytes_max);
  set("memoryBytes", statistics.memory_bytes);
  set("keptDescriptors", statistics.kept_descriptors);
  result.Set("sharesBlocks", statistics.shares_blocks);
  set("heldLastNs", statistics.held_last_ns);
  set("heldP50Ns", statistics.held_p50_ns);
  set("heldP99Ns", statistics.held_p99_ns);
  set("heldMaxNs", statistics.held_max_ns);
  set("waitedMaxNs", statistics.waited_max_ns);
  return result;
}

Napi::Function EpochFileObject::define(Napi::Env env) {
  return DefineClass(
      env, "EpochFile",
      {InstanceMethod("attributes", &EpochFileObject::attributes), InstanceMethod("read", &EpochFileObject::read),
       InstanceMethod("readLater", &EpochFileObject::read_later),
       InstanceMethod("nextData", &EpochFileObject::next_data), InstanceMethod("close", &EpochFileObject::close)});
}

EpochFileObject::EpochFileObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  std::string path;
  if (!bytes_argument(info[1], &path, true)) return;
  const uint64_t epoch = number_of(info[0]);
  const auto epochs = Epochs::of(epoch);
  int error = ECANCELED;
  std::unique_ptr<EpochFile> file;
  if (epochs != nullptr) error = EpochFile::open(EpochReader(epochs, epoch), epochs, path, bigint_of(info[2]), &file);
  if (error != 0) throw_system_error(info.Env(), error, "openEpoch", path);
  file_ = std::move(file);
}

Napi::Value EpochFileObject::attributes(const Napi::CallbackInfo& info) {
  if (file_ == nullptr) return info.Env().Undefined();
  return attributes_object(info.Env(), file_->attributes());
}

Napi::Value EpochFileObject::read(const Napi::CallbackInfo& info) {
  auto into = info[0].As<Napi::Uint8Array>();
  const size_t at = std::min<size_t>(number_of(info[1]), into.ByteLength());
  const size_t length = std::min<size_t>(number_of(info[2]), into.ByteLength() - at);
  errno = EBADF;
  const ssize_t count = file_ == nullptr ? -1 : read_all(*file_, into.Data() + at, length, number_of(info[3]));
  if (count < 0) throw_system_error(info.Env(), errno, "readEpoch", "");
  return Napi::Number::New(info.Env(), static_cast<double>(std::max<ssize_t>(count, 0)));
}

Napi::Value EpochFileObject::read_later(const Napi::CallbackInfo& info) {
  const auto bytes = std::make_shared<std::string>();
  const uint64_t position = number_of(info[0]);
  bytes->resize(number_of(info[1]));
  const auto work = [file = file_, bytes, position] {
    if (file == nullptr) return EBADF;
    const ssize_t count = read_all(*file, reinterpret_cast<uint8_t*>(bytes->data()), bytes->size(), position);
    if (count < 0) return errno;
    bytes->resize(static_cast<size_t>(count));
    return 0;
  };
  return Environment::of(info.Env()).run(work, "readEpoch", "", [bytes](Napi::Env env) {
    return copy_of(env, *bytes);
  });
}

Napi::Value EpochFileObject::next_data(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  DataRange range;
  const int error = file_ == nullptr ? EBADF : file_->next_data(number_of(info[0]), &range);
  if (error == ENXIO) return env.Undefined();
  if (error != 0) {
    throw_system_error(env, error, "readEpoch", "");
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("start", Napi::Number::New(env, static_cast<double>(range.start)));
  result.Set("end", Napi::Number::New(env, static_cast<double>(range.end)));
  return result;
}

void EpochFileObject::close(const Napi::CallbackInfo&) { file_.reset(); }

void register_epochs(Napi::Env env, Napi::Object exports) {
  exports.Set("EpochFile", EpochFileObject::define(env));
  exports.Set("lookInEpoch", Napi::Function::New(env, look_in_epoch, "lookInEpoch"));
  exports.Set("namesInEpoch", Napi::Function::New(env, names_in_epoch, "namesInEpoch"));
}

}  // namespace covault

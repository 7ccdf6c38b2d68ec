#include "mutation_binding.h"

#include <string.h>

#include <string>
#include <vector>

namespace covault {

namespace {

size_t size_option(const Napi::Object& options, const char* name, size_t otherwise) {
  const Napi::Value value = options.Get(name);
  return value.IsNumber() ? static_cast<size_t>(value.As<Napi::Number>().Int64Value()) : otherwise;
}

uint64_t bigint_value(const Napi::Value& value) {
  bool lossless = false;
  return value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
}

std::string bytes_value(const Napi::Value& value) {
  std::string bytes;
  if (value.IsTypedArray()) bytes_argument(value, &bytes, false);
  return bytes;
}

Napi::Object layout_object(Napi::Env env) {
  using Layout = MutationLayout;
  const std::pair<const char*, size_t> places[] = {
      {"batchSequence", Layout::kBatchSequence},
      {"batchCount", Layout::kBatchCount},
      {"batchHeaderBytes", Layout::kBatchHeaderBytes},
      {"kind", Layout::kKind},
      {"flags", Layout::kFlags},
      {"nameBytes", Layout::kNameBytes},
      {"newNameBytes", Layout::kNewNameBytes},
      {"inode", Layout::kInode},
      {"recordHeaderBytes", Layout::kRecordHeaderBytes},
      {"first", Layout::kFirst},
      {"second", Layout::kSecond},
      {"nameAfterFirst", Layout::kNameAfterFirst},
      {"nameAfterSecond", Layout::kNameAfterSecond},
      {"alignment", Layout::kAlignment},
      {"exchange", Layout::kExchange},
  };
  const std::pair<const char*, MutationKind> kinds[] = {
      {"content", MutationKind::kContent},       {"truncate", MutationKind::kTruncate},
      {"create", MutationKind::kCreate},         {"link", MutationKind::kLink},
      {"unlink", MutationKind::kUnlink},         {"rename", MutationKind::kRename},
      {"attributes", MutationKind::kAttributes}, {"xattrs", MutationKind::kXattrs},
      {"inode", MutationKind::kInode},           {"subtree", MutationKind::kSubtree},
      {"cut", MutationKind::kCut},
  };
  Napi::Object layout = Napi::Object::New(env);
  for (const auto& [name, place] : places) layout.Set(name, Napi::Number::New(env, static_cast<double>(place)));
  Napi::Object kind_numbers = Napi::Object::New(env);
  for (const auto& [name, kind] : kinds) kind_numbers.Set(name, Napi::Number::New(env, static_cast<double>(kind)));
  layout.Set("kinds", kind_numbers);
  return layout;
}

}  // namespace

Napi::Function MutationLogObject::define(Napi::Env env) {
  return DefineClass(
      env, "MutationLog",
      {InstanceMethod("take", &MutationLogObject::take), InstanceMethod("mark", &MutationLogObject::mark),
       InstanceMethod("statistics", &MutationLogObject::statistics),
       InstanceMethod("report", &MutationLogObject::report), InstanceMethod("close", &MutationLogObject::close)});
}

MutationLogObject::MutationLogObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    Napi::TypeError::New(info.Env(), "new MutationLog(options, wake)").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object given = info[0].As<Napi::Object>();
  MutationLogOptions options;
  options.root_inode = bigint_value(given.Get("rootInode"));
  options.chunk_bytes = size_option(given, "chunkBytes", options.chunk_bytes);
  options.chunks_max = size_option(given, "chunksMax", options.chunks_max);
  options.coarse_records_max = size_option(given, "coarseRecordsMax", options.coarse_records_max);
  log_ = std::make_shared<MutationLog>(options);
  // At most one wake-up is on its way (the log disarms itself), so that the queue never refuses one that matters.
  wake_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "covault mutations", 1, 1);
  wake_.Unref(info.Env());
  log_->set_waker([wake = wake_]() mutable { call_soon(wake); });
  open_ = true;
  environment_ = &Environment::of(info.Env());
  environment_->add(this);
}

// An open log is registered with the environment, which closes it before it ends itself.
MutationLogObject::~MutationLogObject() { close_registered(); }

void MutationLogObject::close_registered() {
  if (!open_) return;
  environment_->remove(this);
  close_now();
}

void MutationLogObject::close_now() {
  if (!open_) return;
  open_ = false;
  log_->set_waker({});
  wake_.Release();
}

void MutationLogObject::close(const Napi::CallbackInfo&) { close_registered(); }

Napi::Value MutationLogObject::take(const Napi::CallbackInfo& info) {
  std::vector<uint8_t> batch;
  if (!log_->take(&batch)) return info.Env().Undefined();
  Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), batch.size());
  memcpy(result.Data(), batch.data(), batch.size());
  return result;
}

Napi::Value MutationLogObject::mark(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(log_->mark()));
}

Napi::Value MutationLogObject::statistics(const Napi::CallbackInfo& info) {
  const MutationLogStatistics statistics = log_->statistics();
  Napi::Object result = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
  set("accepted", statistics.accepted);
  set("folded", statistics.folded);
  set("coarsened", statistics.coarsened);
  set("overflows", statistics.overflows);
  set("batches", statistics.batches);
  set("wakeups", statistics.wakeups);
  set("bytesWaiting", statistics.bytes_waiting);
  return result;
}

// What the engine does, done from JavaScript: tests feed the log with it.
void MutationLogObject::report(const Napi::CallbackInfo& info) {
  const auto kind = static_cast<MutationKind>(info[0].As<Napi::Number>().Uint32Value());
  const uint64_t inode = bigint_value(info[1]);
  const uint64_t first = bigint_value(info[2]);
  const uint64_t second = bigint_value(info[3]);
  const std::string name = bytes_value(info[4]);
  const std::string new_name = bytes_value(info[5]);
  switch (kind) {
    case MutationKind::kContent:
      return log_->content(inode, first, second);
    case MutationKind::kTruncate:
      return log_->truncate(inode, first);
    case MutationKind::kCreate:
      return log_->create(inode, first, name);
    case MutationKind::kLink:
      return log_->link(inode, first, name);
    case MutationKind::kUnlink:
      return log_->unlink(inode, first, name);
    case MutationKind::kRename:
      return log_->rename(inode, first, name, second, new_name, info[6].ToBoolean().Value());
    case MutationKind::kAttributes:
      return log_->attributes(inode);
    case MutationKind::kXattrs:
      return log_->xattrs(inode);
    case MutationKind::kInode:
      return log_->inode(inode);
    case MutationKind::kSubtree:
      return log_->subtree(inode);
    case MutationKind::kCut:
      return log_->cut(inode);
  }
}

void register_mutations(Napi::Env env, Napi::Object exports) {
  exports.Set("MutationLog", MutationLogObject::define(env));
  exports.Set("mutationLayout", layout_object(env));
}

}  // namespace covault

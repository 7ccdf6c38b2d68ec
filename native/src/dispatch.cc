#include "dispatch.h"

#include <cerrno>

namespace covault {

namespace {

constexpr size_t kTargetBytesMax = 4095;
constexpr size_t kXattrNameBytesMax = 255;

// One decoder per group of operations; kMalformed when the arguments do not fit.
class Decoder {
 public:
  Decoder(Handler& handler, const Connection& connection, const Request& request, Arguments& arguments, Reply& reply)
      : handler_(handler), connection_(connection), request_(request), arguments_(arguments), reply_(reply) {}

  Outcome names() {
    switch (request_.opcode) {
      case wire::kLookup: {
        const auto name = arguments_.name();
        return good() ? handler_.lookup(request_, name, reply_) : kMalformed;
      }
      case wire::kReadlink:
        return handler_.readlink(request_, reply_);
      case wire::kSymlink: {
        const auto name = arguments_.name();
        const auto target = arguments_.text(kTargetBytesMax);
        return good() ? handler_.symlink(request_, name, target, reply_) : kMalformed;
      }
      case wire::kMknod: {
        const auto in = arguments_.fixed<wire::MknodIn>();
        const auto name = arguments_.name();
        return good() ? handler_.mknod(request_, in, name, reply_) : kMalformed;
      }
      case wire::kMkdir: {
        const auto in = arguments_.fixed<wire::MkdirIn>();
        const auto name = arguments_.name();
        return good() ? handler_.mkdir(request_, in, name, reply_) : kMalformed;
      }
      case wire::kUnlink: {
        const auto name = arguments_.name();
        return good() ? handler_.unlink(request_, name, reply_) : kMalformed;
      }
      case wire::kRmdir: {
        const auto name = arguments_.name();
        return good() ? handler_.rmdir(request_, name, reply_) : kMalformed;
      }
      case wire::kRename: {
        const auto in = arguments_.fixed<wire::RenameIn>();
        return rename(in.new_parent, 0);
      }
      case wire::kRename2: {
        const auto in = arguments_.fixed<wire::Rename2In>();
        return rename(in.new_parent, in.flags);
      }
      case wire::kLink: {
        const auto in = arguments_.fixed<wire::LinkIn>();
        const auto name = arguments_.name();
        return good() ? handler_.link(request_, in.node, name, reply_) : kMalformed;
      }
      case wire::kCreate: {
        const auto in = arguments_.fixed<wire::CreateIn>();
        const auto name = arguments_.name();
        return good() ? handler_.create(request_, in, name, reply_) : kMalformed;
      }
      case wire::kTmpfile: {
        const auto in = arguments_.fixed<wire::CreateIn>();
        return good() ? handler_.tmpfile(request_, in, reply_) : kMalformed;
      }
      default:
        return ENOSYS;
    }
  }

  Outcome attributes() {
    switch (request_.opcode) {
      case wire::kGetattr: {
        const auto in = arguments_.fixed<wire::GetattrIn>();
        return good() ? handler_.getattr(request_, in, reply_) : kMalformed;
      }
      case wire::kStatx: {
        const auto in = arguments_.fixed<wire::StatxIn>();
        return good() ? handler_.statx(request_, in, reply_) : kMalformed;
      }
      case wire::kSetattr: {
        const auto in = arguments_.fixed<wire::SetattrIn>();
        return good() ? handler_.setattr(request_, in, reply_) : kMalformed;
      }
      case wire::kStatfs:
        return handler_.statfs(request_, reply_);
      case wire::kSetxattr: {
        const bool extended = (connection_.flags & wire::kInitSetxattrExtended) != 0;
        const auto in =
            arguments_.fixed<wire::SetxattrIn>(extended ? sizeof(wire::SetxattrIn) : wire::kSetxattrInShortBytes);
        const auto name = arguments_.text(kXattrNameBytesMax);
        const auto value = arguments_.bytes(in.size);
        return good() ? handler_.setxattr(request_, in, name.data(), value, reply_) : kMalformed;
      }
      case wire::kGetxattr: {
        const auto in = arguments_.fixed<wire::GetxattrIn>();
        const auto name = arguments_.text(kXattrNameBytesMax);
        return good() ? handler_.getxattr(request_, in, name.data(), reply_) : kMalformed;
      }
      case wire::kListxattr: {
        const auto in = arguments_.fixed<wire::GetxattrIn>();
        return good() ? handler_.listxattr(request_, in, reply_) : kMalformed;
      }
      case wire::kRemovexattr: {
        const auto name = arguments_.text(kXattrNameBytesMax);
        return good() ? handler_.removexattr(request_, name.data(), reply_) : kMalformed;
      }
      case wire::kIoctl: {
        const auto in = arguments_.fixed<wire::IoctlIn>();
        const auto input = arguments_.bytes(in.in_size);
        return good() ? handler_.ioctl(request_, in, input, reply_) : kMalformed;
      }
      default:
        return ENOSYS;
    }
  }

  Outcome directories() {
    switch (request_.opcode) {
      case wire::kOpendir: {
        const auto in = arguments_.fixed<wire::OpenIn>();
        return good() ? handler_.opendir(request_, in, reply_) : kMalformed;
      }
      case wire::kReaddir:
      case wire::kReaddirplus: {
        const auto in = arguments_.fixed<wire::ReadIn>();
        if (!good() || in.size > reply_.space().size()) return kMalformed;
        return request_.opcode == wire::kReaddir ? handler_.readdir(request_, in, reply_)
                                                 : handler_.readdirplus(request_, in, reply_);
      }
      case wire::kReleasedir: {
        const auto in = arguments_.fixed<wire::ReleaseIn>();
        return good() ? handler_.releasedir(request_, in, reply_) : kMalformed;
      }
      case wire::kFsyncdir: {
        const auto in = arguments_.fixed<wire::FsyncIn>();
        return good() ? handler_.fsyncdir(request_, in, reply_) : kMalformed;
      }
      default:
        return ENOSYS;
    }
  }

  Outcome data() {
    switch (request_.opcode) {
      case wire::kOpen: {
        const auto in = arguments_.fixed<wire::OpenIn>();
        return good() ? handler_.open(request_, in, reply_) : kMalformed;
      }
      case wire::kRead: {
        const auto in = arguments_.fixed<wire::ReadIn>();
        if (!good() || in.size > reply_.space().size()) return kMalformed;
        return handler_.read(request_, in, reply_);
      }
      case wire::kWrite: {
        const auto in = arguments_.fixed<wire::WriteIn>();
        const auto content = arguments_.bytes(in.size);
        return good() ? handler_.write(request_, in, content, reply_) : kMalformed;
      }
      case wire::kFlush: {
        const auto in = arguments_.fixed<wire::FlushIn>();
        return good() ? handler_.flush(request_, in, reply_) : kMalformed;
      }
      case wire::kRelease: {
        const auto in = arguments_.fixed<wire::ReleaseIn>();
        return good() ? handler_.release(request_, in, reply_) : kMalformed;
      }
      case wire::kFsync: {
        const auto in = arguments_.fixed<wire::FsyncIn>();
        return good() ? handler_.fsync(request_, in, reply_) : kMalformed;
      }
      case wire::kSyncfs:
        return handler_.syncfs(request_, reply_);
      case wire::kFallocate: {
        const auto in = arguments_.fixed<wire::FallocateIn>();
        return good() ? handler_.fallocate(request_, in, reply_) : kMalformed;
      }
      case wire::kLseek: {
        const auto in = arguments_.fixed<wire::LseekIn>();
        return good() ? handler_.lseek(request_, in, reply_) : kMalformed;
      }
      case wire::kCopyFileRange:
      case wire::kCopyFileRange64: {
        const auto in = arguments_.fixed<wire::CopyFileRangeIn>();
        const bool wide = request_.opcode == wire::kCopyFileRange64;
        return good() ? handler_.copy_file_range(request_, in, wide, reply_) : kMalformed;
      }
      default:
        return ENOSYS;
    }
  }

  Outcome forget() {
    if (request_.opcode == wire::kForget) {
      const auto in = arguments_.fixed<wire::ForgetIn>();
      if (good()) handler_.forget(request_.node, in.lookups);
      return kNoReply;
    }
    const auto in = arguments_.fixed<wire::BatchForgetIn>();
    for (uint32_t i = 0; i < in.count && good(); i++) {
      wire::ForgetOne one;
      const Bytes bytes = arguments_.bytes(sizeof(one));
      if (!good()) break;
      std::memcpy(&one, bytes.data(), sizeof(one));
      handler_.forget(one.node, one.lookups);
    }
    return kNoReply;
  }

 private:
  Outcome rename(uint64_t new_parent, uint32_t flags) {
    const auto name = arguments_.name();
    const auto new_name = arguments_.name();
    return good() ? handler_.rename(request_, name, new_parent, new_name, flags, reply_) : kMalformed;
  }
  bool good() const { return arguments_.valid(); }

  Handler& handler_;
  const Connection& connection_;
  const Request& request_;
  Arguments& arguments_;
  Reply& reply_;
};

}  // namespace

bool decode_header(Bytes message, wire::InHeader* header, Bytes* body) {
  if (message.size() < sizeof(*header)) return false;
  std::memcpy(header, message.data(), sizeof(*header));
  if (header->len != message.size()) return false;
  *body = message.subspan(sizeof(*header));
  return true;
}

bool hands_over(uint32_t opcode) {
  switch (opcode) {
    case wire::kWrite:
    case wire::kSetattr:  // times of what was written
    case wire::kRead:     // the rest of a page that was written in part
    case wire::kFlush:
    case wire::kFsync:
    case wire::kFsyncdir:
    case wire::kSyncfs:
    case wire::kRelease:
    case wire::kReleasedir:
    case wire::kForget:
    case wire::kBatchForget:
    case wire::kDestroy:
      return true;
    default:
      return false;
  }
}

Outcome dispatch(Handler& handler, const Connection& connection, const wire::InHeader& header, Arguments arguments,
                 Reply& reply) {
  const Request request{.opcode = header.opcode,
                        .unique = header.unique,
                        .node = header.node,
                        .uid = header.uid,
                        .gid = header.gid,
                        .pid = header.pid};
  // Extensions (further groups of the caller, security labels) are not asked for; should there be any, they end the
  // request and are no part of its arguments.
  arguments.take_tail(size_t{header.extension_words} * 8);
  Decoder decoder(handler, connection, request, arguments, reply);
  switch (header.opcode) {
    case wire::kForget:
    case wire::kBatchForget:
      return decoder.forget();
    case wire::kNotifyReply:
      return kNoReply;
    case wire::kGetattr:
    case wire::kStatx:
    case wire::kSetattr:
    case wire::kStatfs:
    case wire::kSetxattr:
    case wire::kGetxattr:
    case wire::kListxattr:
    case wire::kRemovexattr:
    case wire::kIoctl:
      return decoder.attributes();
    case wire::kOpendir:
    case wire::kReaddir:
    case wire::kReaddirplus:
    case wire::kReleasedir:
    case wire::kFsyncdir:
      return decoder.directories();
    case wire::kOpen:
    case wire::kRead:
    case wire::kWrite:
    case wire::kFlush:
    case wire::kRelease:
    case wire::kFsync:
    case wire::kSyncfs:
    case wire::kFallocate:
    case wire::kLseek:
    case wire::kCopyFileRange:
    case wire::kCopyFileRange64:
      return decoder.data();
    case wire::kDestroy:
      return 0;
    default:
      // INTERRUPT too: answered with ENOSYS the kernel sends no more of them. Requests are handled inline, so there is
      // nothing to interrupt.
      return decoder.names();
  }
}

}  // namespace covault

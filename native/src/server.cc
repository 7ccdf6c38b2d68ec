#include "server.h"

#include "session.h"

namespace covault {

namespace {

template <typename T>
Bytes bytes_of(const T& value) {
  return Bytes(reinterpret_cast<const std::byte*>(&value), sizeof(value));
}

}  // namespace

Server::Server(ServerOptions options, std::shared_ptr<Handler> handler)
    : session_(std::make_shared<Session>(std::move(options), std::move(handler))) {}

Server::~Server() { stop(); }

std::string Server::start() { return session_->start(); }
void Server::stop() { session_->stop(); }
void Server::finish_writes() { session_->finish_writes(); }
Transport Server::transport() const { return session_->transport(); }
Connection Server::connection() const { return session_->connection(); }
ServerStatistics Server::statistics() const { return session_->statistics(); }
std::string Server::failure() const { return session_->failure(); }

int Server::invalidate_inode(uint64_t node, int64_t offset, int64_t length) {
  return session_->invalidate(node, offset, length);
}

int Server::invalidate_entry(uint64_t parent, std::string_view name) {
  const wire::NotifyInvalidateEntryOut out{
      .parent = parent, .name_bytes = static_cast<uint32_t>(name.size()), .flags = 0};
  const std::string terminated(name);
  return session_->notify(wire::kNotifyInvalidateEntry, bytes_of(out),
                          Bytes(reinterpret_cast<const std::byte*>(terminated.c_str()), terminated.size() + 1));
}

}  // namespace covault

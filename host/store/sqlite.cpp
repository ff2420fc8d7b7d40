#include "host/store/sqlite.hpp"

#include <sqlite3.h>

#include <algorithm>

namespace caisson::host::store {
namespace {

constexpr int busy_wait_ms = 5000;

struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

} // namespace

std::uint64_t Row::number(int column) const
{
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string Row::text(int column) const
{
    const auto content = bytes(column);
    return {content.begin(), content.end()};
}

std::vector<std::uint8_t> Row::bytes(int column) const
{
    const auto* start = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return start == nullptr ? std::vector<std::uint8_t>() : std::vector<std::uint8_t>(start, start + size);
}

void Row::read_to(int column, MutableBytes target) const
{
    const auto content = bytes(column);
    std::fill(target.begin(), target.end(), std::uint8_t{0});
    copy_bytes(target, Bytes(content).first(std::min(content.size(), target.size())));
}

void Database::Close::operator()(sqlite3* database) const noexcept
{
    sqlite3_close(database);
}

std::unexpected<Fault> Database::failure() const
{
    const int code = sqlite3_errcode(database_.get());
    const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    return fault(damaged ? Kind::malformed : Kind::unavailable,
                 name_ + ": " + sqlite3_errmsg(database_.get()) +
                     (damaged ? "; it was left as it is, restore it from a backup" : ""));
}

Outcome<Database> Database::open(const std::filesystem::path& path, bool create)
{
    std::error_code error;
    const bool exists = std::filesystem::exists(path, error);
    if (!create && !exists) {
        return fault(Kind::missing, path.string() + ": there is no such database; run \"caisson server init\" first");
    }
    if (create && exists) {
        return fault(Kind::conflict, path.string() + " is there already");
    }
    sqlite3* raw = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    const int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
    Database database(raw, path.string());
    if (opened != SQLITE_OK) {
        return database.failure();
    }
    sqlite3_busy_timeout(raw, busy_wait_ms);
    TRY(database.run("PRAGMA journal_mode=WAL"));
    TRY(database.run("PRAGMA synchronous=FULL"));
    TRY(database.run("PRAGMA foreign_keys=ON"));
    return database;
}

Done Database::run(const char* sql, std::initializer_list<Value> values, const std::function<void(const Row&)>& row)
{
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database_.get(), sql, -1, &raw, nullptr) != SQLITE_OK) {
        return failure();
    }
    const Statement statement(raw);
    int index = 0;
    for (const auto& value : values) {
        ++index;
        const auto size = static_cast<int>(value.bytes_.size());
        switch (value.kind_) {
        case Value::Kind::number: sqlite3_bind_int64(raw, index, static_cast<sqlite3_int64>(value.number_)); break;
        case Value::Kind::text:
            sqlite3_bind_text(raw, index, text_of(value.bytes_).data(), size, SQLITE_TRANSIENT);
            break;
        case Value::Kind::bytes: sqlite3_bind_blob(raw, index, value.bytes_.data(), size, SQLITE_TRANSIENT); break;
        }
    }
    while (true) {
        const int step = sqlite3_step(raw);
        if (step == SQLITE_DONE) {
            return {};
        }
        if (step != SQLITE_ROW) {
            return failure();
        }
        if (row) {
            row(Row(raw));
        }
    }
}

Done Database::transaction(const std::function<Done()>& work)
{
    TRY(run("BEGIN IMMEDIATE"));
    auto done = work();
    if (done) {
        done = run("COMMIT");
    }
    if (!done) {
        static_cast<void>(run("ROLLBACK"));
    }
    return done;
}

} // namespace caisson::host::store

// A SQLite connection and its statements, as our stores use them: bound values, rows read by column, errors as Faults.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace caisson::host::store {

class Row {
  public:
    explicit Row(sqlite3_stmt* statement) noexcept
        : statement_(statement)
    {
    }
    [[nodiscard]] std::uint64_t number(int column) const;
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::vector<std::uint8_t> bytes(int column) const;
    // Requires nothing of the database: what does not fit is cut or padded with zeros.
    void read_to(int column, MutableBytes target) const;

  private:
    sqlite3_stmt* statement_;
};

class Value {
  public:
    Value(std::uint64_t number) // NOLINT(google-explicit-constructor)
        : kind_(Kind::number)
        , number_(number)
    {
    }
    Value(std::string_view text) // NOLINT(google-explicit-constructor)
        : kind_(Kind::text)
        , bytes_(bytes_of(text))
    {
    }
    Value(const std::string& text) // NOLINT(google-explicit-constructor)
        : Value(std::string_view(text))
    {
    }
    Value(Bytes bytes) // NOLINT(google-explicit-constructor)
        : kind_(Kind::bytes)
        , bytes_(bytes)
    {
    }
    template <std::size_t N>
    Value(const ByteArray<N>& bytes) // NOLINT(google-explicit-constructor)
        : Value(Bytes(bytes))
    {
    }

  private:
    friend class Database;
    enum class Kind : std::uint8_t { number, text, bytes };
    Kind kind_;
    std::uint64_t number_ = 0;
    Bytes bytes_;
};

class Database {
  public:
    // Fails: missing, unavailable.
    static Outcome<Database> open(const std::filesystem::path& path, bool create);

    // One statement; `row` is called for each row. Fails: malformed (the file is damaged), unavailable.
    Done run(const char* sql, std::initializer_list<Value> values = {},
             const std::function<void(const Row&)>& row = nullptr);
    // Everything in `work` or nothing.
    Done transaction(const std::function<Done()>& work);

  private:
    struct Close {
        void operator()(sqlite3* database) const noexcept;
    };
    explicit Database(sqlite3* database, std::string name) noexcept
        : database_(database)
        , name_(std::move(name))
    {
    }
    [[nodiscard]] std::unexpected<Fault> failure() const;

    std::unique_ptr<sqlite3, Close> database_;
    std::string name_;
};

} // namespace caisson::host::store

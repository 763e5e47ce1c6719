// The last seconds of a run, kept in memory that was set aside before it, and the file that is made of them.
//
// The file is what haltere.deploy.runtime.read_black_box and numpy.load read: a ZIP archive, nothing compressed, of
// NumPy arrays (format 1.0) and reason.json.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#if defined(__unix__)
#include <unistd.h>
#endif

#include "contract.hpp"
#include "governor.hpp"

namespace haltere {

namespace detail {

inline std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else out += c;
  }
  return out + '"';
}

inline uint32_t crc32(std::string_view data) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : data) crc = kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

inline void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

// A ZIP archive of files that are stored as they are; PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
class Archive {
 public:
  void add(std::string_view name, std::string_view data) {
    std::string about;
    put(about, 20, 2);      // version that is needed
    put(about, 1 << 11, 2); // names are UTF-8
    put(about, 0, 2);       // stored
    put(about, 0x21 << 16, 4);  // 1 January 1980: the real time is in reason.json
    put(about, crc32(data), 4);
    put(about, data.size(), 4);
    put(about, data.size(), 4);
    put(about, name.size(), 2);
    put(about, 0, 2);
    put(directory_, 0x02014b50, 4);
    put(directory_, 20, 2);
    directory_ += about;
    put(directory_, 0, 10);
    put(directory_, out_.size(), 4);
    directory_ += name;
    put(out_, 0x04034b50, 4);
    out_ += about;
    out_ += name;
    out_ += data;
    ++count_;
  }

  // The whole archive.
  std::string finish() {
    const size_t at = out_.size(), length = directory_.size();
    out_ += directory_;
    put(out_, 0x06054b50, 4);
    put(out_, 0, 4);
    put(out_, count_, 2);
    put(out_, count_, 2);
    put(out_, length, 4);
    put(out_, at, 4);
    put(out_, 0, 2);
    return std::move(out_);
  }

 private:
  std::string out_, directory_;
  uint64_t count_ = 0;
};

template <class T>
constexpr const char* numpy_type() {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (std::is_same_v<T, float>) return "<f4";
  else if constexpr (std::is_same_v<T, int64_t>) return "<i8";
  else return "|u1";
}

// One array in NumPy's format 1.0; `width` 0 is one number a row.
template <class T>
std::string numpy_file(const std::vector<T>& values, size_t rows, size_t width) {
  std::string header = std::string("{'descr': '") + numpy_type<T>() + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(rows) + "," + (width ? " " + std::to_string(width) : "") + "), }";
  header.append((64 - (header.size() + 11) % 64) % 64, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  put(out, header.size(), 2);
  out += header;
  return out.append(reinterpret_cast<const char*>(values.data()), rows * std::max<size_t>(width, 1) * sizeof(T));
}

// Writes a file that appears whole or not at all. Returns what went wrong; empty where nothing did.
inline std::string write_file(const std::filesystem::path& path, std::string_view data) {
  const std::filesystem::path partial = path.parent_path() / (".tmp-" + path.filename().string());
  std::FILE* file = std::fopen(partial.string().c_str(), "wb");
  if (!file) return partial.string() + ": can't be written";
  bool whole = std::fwrite(data.data(), 1, data.size(), file) == data.size();
  whole &= std::fflush(file) == 0;
#if defined(__unix__)
  whole &= fsync(fileno(file)) == 0;
#endif
  whole &= std::fclose(file) == 0;
  std::error_code error;
  if (whole) std::filesystem::rename(partial, path, error);
  if (whole && !error) return "";
  std::filesystem::remove(partial, error);
  return path.string() + ": can't be written";
}

}  // namespace detail

// The columns of the ring, and of a copy of it.
struct Rows {
  std::vector<int64_t> slot, slots, begun_ns, sent_ns;
  std::vector<uint8_t> outcome, mode, by;
  std::vector<float> obs, action, command;

  void resize(size_t rows, size_t obs_size, size_t action_size) {
    for (auto* column : {&slot, &slots, &begun_ns, &sent_ns}) column->resize(rows);
    for (auto* column : {&outcome, &mode, &by}) column->resize(rows);
    obs.resize(rows * obs_size);
    action.resize(rows * action_size);
    command.resize(rows * action_size);
  }
};

// A ring of the last decisions with what led to them. Recording allocates nothing.
class BlackBox {
 public:
  static constexpr uint8_t kLoop = 0, kWatchdog = 1;

  // Most that the ring takes: it is copied within a tick when something fails.
  static constexpr size_t kMemory_bytes = 16 << 20;

  // Sets memory aside for `seconds` of decisions, or as many as fit where those are fewer.
  BlackBox(const Contract& contract, double seconds)
      : contract_(contract),
        obs_size_(static_cast<size_t>(contract.obs_size())),
        action_size_(contract.action_low.size()) {
    const double wanted = std::round(seconds * 1e9 / static_cast<double>(contract.period_ns));
    const double most = static_cast<double>(kMemory_bytes / (sizeof(float) * (obs_size_ + 2 * action_size_)));
    rows_ = static_cast<size_t>(std::max(1.0, std::min(wanted, most)));
    ring_.resize(rows_, obs_size_, action_size_);
  }

  // Keeps one decision in place of the oldest. `obs` and `action` may be null: rows of NaN. `begun_ns` is -1 where no
  // tick had begun; times count from the start of the run.
  void record(const Decision& decision, uint8_t by, int64_t begun_ns, int64_t sent_ns, const float* obs,
              const float* action) {
    const size_t row = count_++ % rows_;
    ring_.slot[row] = decision.slot;
    ring_.slots[row] = decision.slots;
    ring_.begun_ns[row] = begun_ns;
    ring_.sent_ns[row] = sent_ns;
    ring_.outcome[row] = static_cast<uint8_t>(decision.outcome);
    ring_.mode[row] = static_cast<uint8_t>(decision.mode);
    ring_.by[row] = by;
    fill(ring_.obs, row, obs, obs_size_);
    fill(ring_.action, row, action, action_size_);
    fill(ring_.command, row, decision.command, action_size_);
  }

  // Memory for a snapshot.
  Rows room() const { return ring_; }

  // Copies every row, oldest first, into memory that room() gave; returns how many there are.
  size_t snapshot(Rows& copy) const {
    const size_t first = count_ > rows_ ? count_ % rows_ : 0;
    const auto turned = [&](const auto& from, auto& to, size_t width) {
      std::rotate_copy(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(first * width), from.end(), to.begin());
    };
    turned(ring_.slot, copy.slot, 1);
    turned(ring_.slots, copy.slots, 1);
    turned(ring_.begun_ns, copy.begun_ns, 1);
    turned(ring_.sent_ns, copy.sent_ns, 1);
    turned(ring_.outcome, copy.outcome, 1);
    turned(ring_.mode, copy.mode, 1);
    turned(ring_.by, copy.by, 1);
    turned(ring_.obs, copy.obs, obs_size_);
    turned(ring_.action, copy.action, action_size_);
    turned(ring_.command, copy.command, action_size_);
    return std::min(count_, rows_);
  }

  // Writes the first `used` rows of a snapshot. `reason` is JSON: members of an object, without its braces. Returns
  // what went wrong; empty where nothing did.
  std::string write(const std::filesystem::path& path, const Rows& rows, size_t used, const std::string& reason) const {
    std::string about = "{\"format\": 1, \"language\": \"c++\", \"task\": " + detail::json_text(contract_.task) +
                        ", \"policy\": " + detail::json_text(contract_.policy) +
                        ", \"weights\": " + detail::json_text(contract_.weights) + ", \"inputs\": [";
    for (const TensorSpec& input : contract_.inputs) {
      about += std::string(&input == contract_.inputs.data() ? "" : ", ") +
               "{\"name\": " + detail::json_text(input.name) + ", \"shape\": [";
      for (int axis = 0; axis < input.rank; ++axis) about += (axis ? ", " : "") + std::to_string(input.shape[axis]);
      about += "], \"unit\": " + detail::json_text(input.unit) + "}";
    }
    detail::Archive archive;
    archive.add("reason.json", about + "], " + reason + "}\n");
    archive.add("slot.npy", detail::numpy_file(rows.slot, used, 0));
    archive.add("slots.npy", detail::numpy_file(rows.slots, used, 0));
    archive.add("outcome.npy", detail::numpy_file(rows.outcome, used, 0));
    archive.add("mode.npy", detail::numpy_file(rows.mode, used, 0));
    archive.add("by.npy", detail::numpy_file(rows.by, used, 0));
    archive.add("begun_ns.npy", detail::numpy_file(rows.begun_ns, used, 0));
    archive.add("sent_ns.npy", detail::numpy_file(rows.sent_ns, used, 0));
    archive.add("obs.npy", detail::numpy_file(rows.obs, used, obs_size_));
    archive.add("action.npy", detail::numpy_file(rows.action, used, action_size_));
    archive.add("command.npy", detail::numpy_file(rows.command, used, action_size_));
    return detail::write_file(path, archive.finish());
  }

 private:
  static void fill(std::vector<float>& column, size_t row, const float* values, size_t width) {
    const auto at = column.begin() + static_cast<std::ptrdiff_t>(row * width);
    if (values) std::copy_n(values, width, at);
    else std::fill_n(at, width, std::numeric_limits<float>::quiet_NaN());
  }

  Contract contract_;
  size_t obs_size_, action_size_, rows_ = 1, count_ = 0;
  Rows ring_;
};

}  // namespace haltere

#include "packs.hpp"

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace haltere::ort {

namespace {

// Everything that a packed operator was made of. Of a weight that is its place in memory, which nodes share, and a
// digest of what lies there, since the place may have had another owner.
using Key = std::vector<std::uint64_t>;

struct Packs {
  std::mutex mutex;
  std::map<Key, std::weak_ptr<const haltere_op>> known;
};

Packs &packs() {
  static auto *const all = new Packs;  // never destroyed: sessions may outlive static objects
  return *all;
}

std::int64_t size_of(const haltere_tensor &tensor) {
  std::int64_t size = 1;
  for (int i = 0; i < tensor.rank; ++i) size *= tensor.dim[i];
  return size;
}

// Words of eight bytes, each stirred in by the finaliser of splitmix64, so that every bit tells in all of the sum.
std::uint64_t digest(const haltere_tensor &tensor) {
  const auto bytes = static_cast<std::size_t>(size_of(tensor)) * sizeof(float);
  const auto *from = reinterpret_cast<const unsigned char *>(tensor.data);
  std::uint64_t sum = 0xcbf29ce484222325u;
  for (std::size_t at = 0; at < bytes; at += sizeof sum) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + at, std::min(sizeof word, bytes - at));
    sum ^= word;
    sum = (sum ^ sum >> 30) * 0xbf58476d1ce4e5b9u;
    sum = (sum ^ sum >> 27) * 0x94d049bb133111ebu;
    sum ^= sum >> 31;
  }
  return sum;
}

Key key_of(const Operator &type, std::span<const haltere_tensor> weights, std::span<const haltere_attribute> numbers) {
  Key key{static_cast<std::uint64_t>(type.index), static_cast<std::uint64_t>(type.settings.precision),
          reinterpret_cast<std::uintptr_t>(haltere_isa()), numbers.size()};
  for (const haltere_attribute &number : numbers) {
    key.push_back(reinterpret_cast<std::uintptr_t>(number.name));  // the operator's own
    key.push_back(static_cast<std::uint64_t>(number.value));
  }
  for (const haltere_tensor &weight : weights) {
    key.push_back(reinterpret_cast<std::uintptr_t>(weight.data));
    key.push_back(static_cast<std::uint64_t>(weight.rank));
    key.insert(key.end(), weight.dim, weight.dim + weight.rank);
    key.push_back(digest(weight));
  }
  return key;
}

Packed held(const Key &key) {
  auto &[mutex, known] = packs();
  const std::lock_guard lock(mutex);
  const auto found = known.find(key);
  return found == known.end() ? nullptr : found->second.lock();
}

}  // namespace

Packed packed(const Operator &type, std::span<const haltere_tensor> weights,
              std::span<const haltere_attribute> numbers) {
  const Key key = key_of(type, weights, numbers);
  if (Packed shared = held(key)) return shared;
  // Without the lock, which takes long enough for somebody to fork meanwhile. Who packs the same at once has their own.
  const Packed made(haltere_op_create(type.name, weights.data(), static_cast<int>(weights.size()), numbers.data(),
                                      static_cast<int>(numbers.size()), type.settings.precision),
                    [](const haltere_op *op) { haltere_op_destroy(const_cast<haltere_op *>(op)); });
  if (!made) throw Refusal(std::string(type.name) + ": " + haltere_error());
  auto &[mutex, known] = packs();
  const std::lock_guard lock(mutex);
  std::erase_if(known, [](const auto &each) { return each.second.expired(); });
  known[key] = made;
  return made;
}

std::int64_t packed_bytes() {
  auto &[mutex, known] = packs();
  const std::lock_guard lock(mutex);
  std::int64_t sum = 0;
  for (const auto &[key, pack] : known)
    if (const Packed held = pack.lock()) sum += haltere_op_bytes(held.get());
  return sum;
}

}  // namespace haltere::ort

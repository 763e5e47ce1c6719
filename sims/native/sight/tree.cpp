#include "tree.hpp"

namespace haltere::sight {

namespace {

constexpr int kBins = 16, kLeaf = 4, kDeepest = 60;  // walk() keeps no more than one node a level

double area(const Box& box) {
  const double x = box.high[0] - box.low[0], y = box.high[1] - box.low[1], z = box.high[2] - box.low[2];
  return x < 0 ? 0 : x * y + y * z + z * x;
}

class Planter {
 public:
  Planter(const std::vector<Box>& boxes, Tree& tree) : boxes_(boxes), tree_(tree) {}

  void node(int32_t first, int32_t count, int depth) {
    const size_t own = tree_.nodes.size();
    Box all, middles;
    for (int32_t i = first; i < first + count; ++i) {
      double middle[3];
      for (int k = 0; k < 3; ++k) middle[k] = at(i, k);
      all.add(boxes_[static_cast<size_t>(tree_.order[static_cast<size_t>(i)])]), middles.add(middle);
    }
    Node made{};
    for (int k = 0; k < 3; ++k) {
      made.low[k] = static_cast<float>(all.low[k] - 1e-4 - 1e-6 * std::abs(all.low[k]));
      made.high[k] = static_cast<float>(all.high[k] + 1e-4 + 1e-6 * std::abs(all.high[k]));
    }
    made.first = first, made.count = count, made.right = 0;
    tree_.nodes.push_back(made);
    if (count <= kLeaf || depth == kDeepest) return;
    const int32_t left = split(first, count, middles);
    if (left == 0) return;
    node(first, left, depth + 1);
    tree_.nodes[own].right = static_cast<int32_t>(tree_.nodes.size());
    node(first + left, count - left, depth + 1);
  }

 private:
  double at(int32_t i, int axis) const {
    const Box& box = boxes_[static_cast<size_t>(tree_.order[static_cast<size_t>(i)])];
    return 0.5 * (box.low[axis] + box.high[axis]);
  }

  static int bin(double value, double low, double high) {
    return std::min(kBins - 1, static_cast<int>(kBins * (value - low) / (high - low)));
  }

  // Puts the range's left half first and returns its size; 0 where all middles coincide.
  int32_t split(int32_t first, int32_t count, const Box& middles) {
    double best = 1e300;
    int best_axis = -1, best_bin = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const double low = middles.low[axis], high = middles.high[axis];
      if (!(high - low > 1e-9)) continue;
      Box boxes[kBins];
      int32_t counts[kBins] = {};
      for (int32_t i = first; i < first + count; ++i) {
        const int to = bin(at(i, axis), low, high);
        boxes[to].add(boxes_[static_cast<size_t>(tree_.order[static_cast<size_t>(i)])]), ++counts[to];
      }
      double right_cost[kBins];
      Box gathered;
      int32_t held = 0;
      for (int b = kBins - 1; b > 0; --b) {
        if (counts[b]) gathered.add(boxes[b]), held += counts[b];
        right_cost[b] = area(gathered) * held;
      }
      gathered = Box(), held = 0;
      for (int b = 0; b + 1 < kBins; ++b) {
        if (counts[b]) gathered.add(boxes[b]), held += counts[b];
        const double cost = area(gathered) * held + right_cost[b + 1];
        if (held > 0 && held < count && cost < best) best = cost, best_axis = axis, best_bin = b;
      }
    }
    if (best_axis < 0) return 0;
    const double low = middles.low[best_axis], high = middles.high[best_axis];
    const auto begin = tree_.order.begin() + first;
    const auto middle = std::stable_partition(begin, begin + count, [&](int32_t which) {
      const Box& box = boxes_[static_cast<size_t>(which)];
      return bin(0.5 * (box.low[best_axis] + box.high[best_axis]), low, high) <= best_bin;
    });
    return static_cast<int32_t>(middle - begin);
  }

  const std::vector<Box>& boxes_;
  Tree& tree_;
};

}  // namespace

Tree plant(const std::vector<Box>& boxes) {
  Tree tree;
  tree.order.resize(boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) tree.order[i] = static_cast<int32_t>(i);
  if (!boxes.empty()) Planter(boxes, tree).node(0, static_cast<int32_t>(boxes.size()), 0);
  return tree;
}

}  // namespace haltere::sight

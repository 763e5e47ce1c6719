// A tree of boxes over triangles or movers, for pictures and rays.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace haltere::sight {

struct Box {
  double low[3] = {1e30, 1e30, 1e30}, high[3] = {-1e30, -1e30, -1e30};

  void add(const double* point) {
    for (int k = 0; k < 3; ++k) low[k] = std::min(low[k], point[k]), high[k] = std::max(high[k], point[k]);
  }
  void add(const Box& other) { add(other.low), add(other.high); }
};

// Every node has the range of what lies in it; the left one follows it, the right one is 0 in a leaf.
struct Node {
  float low[3], high[3];
  int32_t first, count, right;
};

struct Tree {
  std::vector<Node> nodes;
  std::vector<int32_t> order;  // of the boxes that it was made from
};

// Splits by the surface area heuristic in 16 bins (Wald 2007, On fast construction of SAH-based bounding volume
// hierarchies); leaves hold at most four unless all middles coincide.
Tree plant(const std::vector<Box>& boxes);

struct Ray {
  Ray(const double* from, const double* towards) {
    for (int k = 0; k < 3; ++k) {
      origin[k] = from[k], direction[k] = towards[k];
      const double enough = std::abs(towards[k]) < 1e-12 ? std::copysign(1e-12, towards[k]) : towards[k];
      at[k] = static_cast<float>(from[k]), inverse[k] = static_cast<float>(1 / enough);
    }
  }
  double origin[3], direction[3];
  float at[3], inverse[3];
};

// Where the ray enters a node's box, or a negative number where it doesn't before `best`. Boxes are a little too large,
// so that single precision will do.
inline float enter(const Node& node, const Ray& ray, float best) {
  float in = 0, out = best;
  for (int k = 0; k < 3; ++k) {
    const float one = (node.low[k] - ray.at[k]) * ray.inverse[k], other = (node.high[k] - ray.at[k]) * ray.inverse[k];
    in = std::max(in, std::min(one, other)), out = std::min(out, std::max(one, other));
  }
  return in <= out ? in : -1;
}

// Calls visit(first, count) for the leaves that the ray meets before `best`, which visit may lower; near ones first.
template <class Visit>
void walk(const Tree& tree, const Ray& ray, const double& best, const Visit& visit) {
  if (tree.nodes.empty() || enter(tree.nodes[0], ray, static_cast<float>(best)) < 0) return;
  int32_t waiting[128];
  float entered[128];
  int count = 0;
  int32_t here = 0;
  while (true) {
    const Node& node = tree.nodes[static_cast<size_t>(here)];
    if (node.right == 0) {
      visit(node.first, node.count);
    } else {
      int32_t near = here + 1, far = node.right;
      float to_near = enter(tree.nodes[static_cast<size_t>(near)], ray, static_cast<float>(best));
      float to_far = enter(tree.nodes[static_cast<size_t>(far)], ray, static_cast<float>(best));
      if (to_far >= 0 && (to_near < 0 || to_far < to_near)) std::swap(near, far), std::swap(to_near, to_far);
      if (to_near >= 0) {
        if (to_far >= 0) waiting[count] = far, entered[count++] = to_far;
        here = near;
        continue;
      }
    }
    do {
      if (count == 0) return;
      here = waiting[--count];
    } while (static_cast<double>(entered[count]) > best);
  }
}

}  // namespace haltere::sight

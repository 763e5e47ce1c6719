// Bodies and the frame that is drawn or cast.
#include <cstring>

#include "sight.hpp"

namespace haltere::sight {

void Soup::add(const double* a, const double* b, const double* c) {
  for (size_t k = 0; k < 3; ++k) p[k].push_back(a[k]), p[3 + k].push_back(b[k]), p[6 + k].push_back(c[k]);
}

std::array<double, 3> Soup::normal(size_t i) const {
  double a[3], b[3];
  for (size_t k = 0; k < 3; ++k) a[k] = p[3 + k][i] - p[k][i], b[k] = p[6 + k][i] - p[k][i];
  std::array<double, 3> n{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
  const double length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
  if (length > 0)
    for (double& value : n) value /= length;
  return n;
}

Body body_of(const float* vertices, const int32_t* triangles, int64_t count, const uint8_t* colors,
             const uint8_t* labels, const int32_t* things, const uint8_t* painted) {
  const auto corner = [&](int64_t triangle, int c) { return vertices + 3 * triangles[3 * triangle + c]; };
  std::vector<Box> boxes(static_cast<size_t>(count));
  Body body;
  for (int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float* at = corner(i, c);
      const double point[3] = {static_cast<double>(at[0]), static_cast<double>(at[1]), static_cast<double>(at[2])};
      boxes[static_cast<size_t>(i)].add(point);
    }
    body.box.add(boxes[static_cast<size_t>(i)]);
  }
  body.tree = plant(boxes);
  for (const int32_t i : body.tree.order) {
    double point[3][3];
    for (int c = 0; c < 3; ++c)
      for (int k = 0; k < 3; ++k) point[c][k] = static_cast<double>(corner(i, c)[k]);
    body.soup.add(point[0], point[1], point[2]);
    body.colors.push_back({colors[3 * i], colors[3 * i + 1], colors[3 * i + 2]});
    body.labels.push_back(labels[i]), body.things.push_back(things[i]);
    body.painted.push_back(painted ? painted[i] : 0), body.hidden.push_back(0);
  }
  return body;
}

void Pose::out(const double* local, double* world) const {
  for (int k = 0; k < 3; ++k)
    world[k] = at[k] + turn[3 * k] * local[0] + turn[3 * k + 1] * local[1] + turn[3 * k + 2] * local[2];
}

void Pose::turn_back(const double* world, double* local) const {
  for (int k = 0; k < 3; ++k) local[k] = turn[k] * world[0] + turn[3 + k] * world[1] + turn[6 + k] * world[2];
}

void Pose::back(const double* world, double* local) const {
  const double from[3] = {world[0] - at[0], world[1] - at[1], world[2] - at[2]};
  turn_back(from, local);
}

void place(const Movers& movers, const std::vector<Body>& shapes, bool with_triangles, Frame& frame) {
  frame.placed.clear();
  for (auto& column : frame.soup.p) column.clear();
  for (int64_t m = 0; m < movers.count; ++m) {
    Frame::Placed made{&shapes[static_cast<size_t>(movers.shape[m])], {}, {}, frame.soup.size(), movers.number[m]};
    std::copy(movers.rotation + 9 * m, movers.rotation + 9 * m + 9, made.pose.turn);
    std::copy(movers.location + 3 * m, movers.location + 3 * m + 3, made.pose.at);
    const Box& box = made.body->box;
    for (int corner = 0; corner < 8 && made.body->soup.size(); ++corner) {
      double local[3], world[3];
      for (int k = 0; k < 3; ++k) local[k] = corner >> k & 1 ? box.high[k] : box.low[k];
      made.pose.out(local, world), made.box.add(world);
    }
    frame.placed.push_back(made);
    if (!with_triangles) continue;
    const Soup& soup = made.body->soup;
    for (size_t i = 0; i < soup.size(); ++i) {
      double world[3][3];
      for (size_t c = 0; c < 3; ++c) {
        const double local[3] = {soup.p[3 * c][i], soup.p[3 * c + 1][i], soup.p[3 * c + 2][i]};
        made.pose.out(local, world[c]);
      }
      frame.soup.add(world[0], world[1], world[2]);
    }
  }
}

std::vector<size_t> shown(const Frame& frame, const uint32_t* hidden, int64_t count) {
  std::vector<size_t> left;
  for (size_t i = 0; i < frame.placed.size(); ++i)
    if (std::find(hidden, hidden + count, frame.placed[i].number) == hidden + count) left.push_back(i);
  return left;
}

int Sight::add(Body shape) {
  shapes_.push_back(std::move(shape));
  return static_cast<int>(shapes_.size()) - 1;
}

void Sight::hide(const int32_t* things, int64_t count) {
  std::vector<int32_t> sorted(things, things + count);
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < scene_.things.size(); ++i)
    scene_.hidden[i] = std::binary_search(sorted.begin(), sorted.end(), scene_.things[i]);
}

bool Sight::knows(const Movers& movers) const {
  for (int64_t i = 0; i < movers.count; ++i)
    if (movers.shape[i] < 0 || static_cast<size_t>(movers.shape[i]) >= shapes_.size()) return false;
  return true;
}

}  // namespace haltere::sight

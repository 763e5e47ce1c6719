// Separating axes for turned boxes (Ericson, Real-Time Collision Detection, 4.4), then one impulse with Coulomb friction
// at the middle of what overlaps (Mirtich and Canny 1995), and a push that undoes the overlap.
#include "contact.hpp"

#include <algorithm>

namespace haltere::drive {
namespace {

constexpr double kCell = 8.0;
constexpr double kRestitution = 0.1, kFriction = 0.4;
constexpr double kRunsDown = 0.5;  // m/s at which whoever walks is knocked over, a round figure
constexpr double kLies = 2.0;      // s, likewise
constexpr double kSlop = 0.002;  // m that may stay overlapped, so that what rests stays in contact

struct Point {
  double x, y;
};

struct Touch {
  double nx, ny, depth, x, y;  // from the first to the second
};

double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }

void corners(const Box& box, Point out[4]) {
  const double c = std::cos(box.yaw), s = std::sin(box.yaw);
  const double sx[4] = {1, 1, -1, -1}, sy[4] = {1, -1, -1, 1};
  for (int i = 0; i < 4; ++i) {
    const double u = sx[i] * box.half_x, v = sy[i] * box.half_y;
    out[i] = {box.x + u * c - v * s, box.y + u * s + v * c};
  }
}

bool inside(const Box& box, Point p) {
  const double c = std::cos(box.yaw), s = std::sin(box.yaw), dx = p.x - box.x, dy = p.y - box.y;
  return std::abs(dx * c + dy * s) <= box.half_x + 1e-9 && std::abs(-dx * s + dy * c) <= box.half_y + 1e-9;
}

bool touch(const Box& a, const Box& b, Touch& out) {
  if (a.low >= b.high || b.low >= a.high) return false;
  const double reach = std::hypot(a.half_x, a.half_y) + std::hypot(b.half_x, b.half_y);
  if ((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y) > reach * reach) return false;
  Point pa[4], pb[4];
  corners(a, pa);
  corners(b, pb);
  out.depth = 1e300;
  for (const Box* box : {&a, &b}) {
    for (int k = 0; k < 2; ++k) {
      const double angle = box->yaw + k * M_PI / 2;
      const Point axis{std::cos(angle), std::sin(angle)};
      double amin = 1e300, amax = -1e300, bmin = 1e300, bmax = -1e300;
      for (int i = 0; i < 4; ++i) {
        const double u = dot(pa[i], axis), v = dot(pb[i], axis);
        amin = std::min(amin, u), amax = std::max(amax, u), bmin = std::min(bmin, v), bmax = std::max(bmax, v);
      }
      const double forward = amax - bmin, backward = bmax - amin;
      if (forward <= 0 || backward <= 0) return false;
      const double depth = std::min(forward, backward), sign = forward < backward ? 1 : -1;
      if (depth < out.depth) out = {axis.x * sign, axis.y * sign, depth, 0, 0};
    }
  }
  int count = 0;
  for (int i = 0; i < 4; ++i) {
    if (inside(b, pa[i])) out.x += pa[i].x, out.y += pa[i].y, ++count;
    if (inside(a, pb[i])) out.x += pb[i].x, out.y += pb[i].y, ++count;
  }
  if (count) out.x /= count, out.y /= count;
  else out.x = (a.x + b.x) / 2, out.y = (a.y + b.y) / 2;
  return true;
}

// What an impulse does: nothing to what can't be moved.
struct Mover {
  Body* body;
  double by_mass, by_inertia;

  Point at(Point arm) const {
    return body ? Point{body->velocity[0] - body->spin[2] * arm.y, body->velocity[1] + body->spin[2] * arm.x} : Point{0, 0};
  }
  double gives(Point arm, Point way) const {
    const double lever = arm.x * way.y - arm.y * way.x;
    return by_mass + lever * lever * by_inertia;
  }
  void push(Point arm, Point impulse) const {
    if (!body || by_mass == 0) return;
    body->velocity[0] += impulse.x * by_mass, body->velocity[1] += impulse.y * by_mass;
    body->spin[2] += (arm.x * impulse.y - arm.y * impulse.x) * by_inertia;
  }
};

Mover mover(Body* body) {
  if (!body || !body->physics || body->holds) return {body, 0, 0};
  // Who walks goes on by himself, whatever he meets.
  return {body, 1 / body->mass, body->kind == kWalker ? 0 : 1 / body->inertia};
}

void note(std::vector<Contact>& contacts, int64_t first, int64_t second, int64_t thing, Point impulse, const Touch& t, double z) {
  for (Contact& known : contacts) {
    if (known.first == first && known.second == second && known.thing == thing) {
      known.impulse[0] += impulse.x, known.impulse[1] += impulse.y;
      return;
    }
  }
  contacts.push_back({first, second, thing, {impulse.x, impulse.y, 0}, {t.x, t.y, z}});
}

// Somebody walks with as much force as it takes, which must not shove what is heavier than he; and what runs into him
// takes him along. Whether the other can be moved by him.
bool gives_way(Body& walker, const Body& other, const Mover& moved, Point arm, Point toward) {
  if (walker.kind != kWalker || walker.falls > 0 || other.kind == kWalker) return true;
  if (dot(moved.at(arm), toward) > kRunsDown) {
    walker.falls = kLies;
    return true;
  }
  return other.mass <= walker.mass;
}

// The impulse on the first of two that touch, which is carried out.
Point meet(Body* first, Body* second, const Touch& t, const Box& b) {
  Mover one = mover(first), other = mover(second);
  if (one.by_mass + other.by_mass == 0) return {0, 0};
  const Point normal{t.nx, t.ny}, tangent{-t.ny, t.nx};
  const Point arm{t.x - first->location[0], t.y - first->location[1]};
  const Point its{t.x - (second ? second->location[0] : b.x), t.y - (second ? second->location[1] : b.y)};
  if (second && !gives_way(*first, *second, other, its, {-normal.x, -normal.y})) other.by_mass = other.by_inertia = 0;
  if (second && !gives_way(*second, *first, one, arm, normal)) one.by_mass = one.by_inertia = 0;
  if (one.by_mass + other.by_mass == 0) return {0, 0};
  const Point v1 = one.at(arm), v2 = other.at(its), apart{v2.x - v1.x, v2.y - v1.y};
  const double closing = -dot(apart, normal);
  Point impulse{0, 0};
  if (closing > 0) {
    const double bounce = closing > 0.5 ? kRestitution : 0;
    const double along = (1 + bounce) * closing / (one.gives(arm, normal) + other.gives(its, normal));
    const double slide = dot(apart, tangent) / (one.gives(arm, tangent) + other.gives(its, tangent));
    const double rub = std::clamp(slide, -kFriction * along, kFriction * along);
    impulse = {-along * normal.x + rub * tangent.x, -along * normal.y + rub * tangent.y};
    one.push(arm, impulse);
    other.push(its, {-impulse.x, -impulse.y});
  }
  const double undone = std::max(t.depth - kSlop, 0.0) / (one.by_mass + other.by_mass);
  for (int i = 0; i < 2; ++i) {
    const double way = i ? normal.y : normal.x;
    if (one.by_mass > 0) first->location[i] -= undone * one.by_mass * way;
    if (second && other.by_mass > 0) second->location[i] += undone * other.by_mass * way;
  }
  return impulse;
}

int64_t cell(double x, double y) {
  const int64_t i = static_cast<int64_t>(std::floor(x / kCell)), j = static_cast<int64_t>(std::floor(y / kCell));
  return (i << 32) ^ (j & 0xffffffff);
}

template <typename Visit>
void cells_of(const Box& box, Visit visit) {
  const double c = std::abs(std::cos(box.yaw)), s = std::abs(std::sin(box.yaw));
  const double rx = c * box.half_x + s * box.half_y, ry = s * box.half_x + c * box.half_y;
  for (double x = std::floor((box.x - rx) / kCell); x <= std::floor((box.x + rx) / kCell); ++x)
    for (double y = std::floor((box.y - ry) / kCell); y <= std::floor((box.y + ry) / kCell); ++y)
      visit(cell((x + 0.5) * kCell, (y + 0.5) * kCell));
}

}  // namespace

Standing::Standing(std::vector<Box> boxes) : boxes_(std::move(boxes)), hidden_(boxes_.size(), 0) {
  for (size_t i = 0; i < boxes_.size(); ++i)
    cells_of(boxes_[i], [&](int64_t key) { cells_[key].push_back(static_cast<int32_t>(i)); });
}

void Standing::hide(const int64_t* numbers, int64_t count) {
  std::fill(hidden_.begin(), hidden_.end(), uint8_t{0});
  for (int64_t i = 0; i < count; ++i) hidden_[static_cast<size_t>(numbers[i])] = 1;
}

void Standing::near(const Box& box, std::vector<int32_t>& found) const {
  found.clear();
  cells_of(box, [&](int64_t key) {
    const auto at = cells_.find(key);
    if (at != cells_.end()) found.insert(found.end(), at->second.begin(), at->second.end());
  });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::erase_if(found, [&](int32_t thing) { return hidden_[static_cast<size_t>(thing)] != 0; });
}

Box box_of(const Body& body) {
  const double z = body.location[2];
  return {body.location[0], body.location[1], z, z + 2 * body.extent[2], body.turn[0], body.extent[0], body.extent[1]};
}

bool overlap(const Box& first, const Box& second) {
  Touch ignored;
  return touch(first, second, ignored);
}

void resolve(std::vector<Body*>& bodies, const std::vector<int64_t>& numbers, const Standing& standing,
             std::vector<Contact>& contacts) {
  Touch t;
  std::vector<int32_t> close;
  for (size_t i = 0; i < bodies.size(); ++i) {
    for (size_t j = i + 1; j < bodies.size(); ++j) {
      if (mover(bodies[i]).by_mass + mover(bodies[j]).by_mass == 0) continue;
      const Box b = box_of(*bodies[j]);
      if (touch(box_of(*bodies[i]), b, t))
        note(contacts, numbers[i], numbers[j], -1, meet(bodies[i], bodies[j], t, b), t, bodies[i]->location[2]);
    }
    if (mover(bodies[i]).by_mass == 0) continue;
    standing.near(box_of(*bodies[i]), close);
    for (const int32_t thing : close) {
      const Box& b = standing.boxes()[static_cast<size_t>(thing)];
      if (touch(box_of(*bodies[i]), b, t))
        note(contacts, numbers[i], -1, thing, meet(bodies[i], nullptr, t, b), t, bodies[i]->location[2]);
    }
  }
}

}  // namespace haltere::drive

// Rays against the scene's tree, and against a tree of the movers' boxes with each shape's own tree below.
#include "share.hpp"
#include "sight.hpp"

namespace haltere::sight {

namespace {

constexpr int64_t kChunk = 1024;

// Moeller and Trumbore 1997, Fast, minimum storage ray/triangle intersection; both sides, and edges a hair too wide so
// that no ray slips between two triangles. Below `best` or negative.
double meet(const Soup& soup, size_t i, const Ray& ray, double best) {
  double a[3], b[3], from[3];
  for (size_t k = 0; k < 3; ++k) {
    const double corner = soup.p[k][i];
    a[k] = soup.p[3 + k][i] - corner, b[k] = soup.p[6 + k][i] - corner, from[k] = ray.origin[k] - corner;
  }
  const double* d = ray.direction;
  const double p[3] = {d[1] * b[2] - d[2] * b[1], d[2] * b[0] - d[0] * b[2], d[0] * b[1] - d[1] * b[0]};
  const double size = a[0] * p[0] + a[1] * p[1] + a[2] * p[2];
  if (size == 0) return -1;
  const double scale = 1 / size, u = scale * (from[0] * p[0] + from[1] * p[1] + from[2] * p[2]);
  constexpr double hair = 1e-10;
  if (!(u >= -hair && u <= 1 + hair)) return -1;
  const double q[3] = {from[1] * a[2] - from[2] * a[1], from[2] * a[0] - from[0] * a[2], from[0] * a[1] - from[1] * a[0]};
  const double v = scale * (d[0] * q[0] + d[1] * q[1] + d[2] * q[2]);
  if (!(v >= -hair && u + v <= 1 + hair)) return -1;
  const double t = scale * (b[0] * q[0] + b[1] * q[1] + b[2] * q[2]);
  return t >= 0 && t < best ? t : -1;
}

// The nearest triangle of a body before `best`, which is lowered; -1 where there is none.
int64_t nearest(const Body& body, const Ray& ray, double& best) {
  int64_t found = -1;
  walk(body.tree, ray, best, [&](int32_t first, int32_t count) {
    for (int32_t i = first; i < first + count; ++i) {
      const size_t which = static_cast<size_t>(i);
      if (body.hidden[which]) continue;
      const double t = meet(body.soup, which, ray, best);
      if (t >= 0) best = t, found = i;
    }
  });
  return found;
}

struct Caster {
  const Body& scene;
  const Frame& frame;
  const std::vector<size_t>& movers;  // rows of frame.placed
  const Tree& tree;                   // over them
  const uint8_t* labels;              // of all movers

  void one(const Rays& rays, int64_t ray_number) const {
    double unit[3];
    const double *origin = rays.origins + 3 * ray_number, *given = rays.directions + 3 * ray_number;
    const double length = std::sqrt(given[0] * given[0] + given[1] * given[1] + given[2] * given[2]);
    for (int k = 0; k < 3; ++k) unit[k] = given[k] / length;
    const Ray ray(origin, unit);
    double best = rays.reach;
    int64_t found = -1, mover = -1;
    if (length > 0) {
      found = nearest(scene, ray, best);
      walk(tree, ray, best, [&](int32_t first, int32_t count) {
        for (int32_t i = first; i < first + count; ++i) {
          const size_t row = movers[static_cast<size_t>(tree.order[static_cast<size_t>(i)])];
          const Frame::Placed& placed = frame.placed[row];
          double from[3], towards[3];
          placed.pose.back(origin, from), placed.pose.turn_back(unit, towards);
          const int64_t met = nearest(*placed.body, Ray(from, towards), best);
          if (met >= 0) found = met, mover = static_cast<int64_t>(row);
        }
      });
    }
    write(rays, ray_number, found, mover, best, unit);
  }

 private:
  void write(const Rays& rays, int64_t n, int64_t found, int64_t mover, double distance, const double* unit) const {
    rays.distances[n] = found < 0 ? HUGE_VAL : distance;
    rays.labels[n] = 0, rays.numbers[n] = 0, rays.things[n] = -1;
    std::fill(rays.normals + 3 * n, rays.normals + 3 * n + 3, 0.0f);
    if (found < 0) return;
    const size_t which = static_cast<size_t>(found);
    const Frame::Placed* placed = mover < 0 ? nullptr : &frame.placed[static_cast<size_t>(mover)];
    const Body& body = placed ? *placed->body : scene;
    std::array<double, 3> normal = body.soup.normal(which);
    if (placed) {
      std::array<double, 3> local = normal;
      for (size_t k = 0; k < 3; ++k)
        normal[k] = placed->pose.turn[3 * k] * local[0] + placed->pose.turn[3 * k + 1] * local[1] + placed->pose.turn[3 * k + 2] * local[2];
    }
    const double along = normal[0] * unit[0] + normal[1] * unit[1] + normal[2] * unit[2];
    for (size_t k = 0; k < 3; ++k) rays.normals[3 * static_cast<size_t>(n) + k] = static_cast<float>(along > 0 ? -normal[k] : normal[k]);
    const uint8_t other = placed ? labels[mover] : 0;
    rays.labels[n] = other ? other : body.labels[which];
    if (placed) rays.numbers[n] = placed->number;
    else rays.things[n] = body.things[which];
  }
};

}  // namespace

void Sight::cast(const Movers& movers, const Rays& rays) const {
  Frame frame;
  place(movers, shapes_, false, frame);
  std::vector<size_t> left;
  std::vector<Box> boxes;
  for (const size_t i : shown(frame, rays.hidden, rays.hidden_count)) {
    if (frame.placed[i].body->soup.size() == 0) continue;
    left.push_back(i), boxes.push_back(frame.placed[i].box);
  }
  const Tree tree = plant(boxes);
  const Caster caster{scene_, frame, left, tree, movers.label};
  const int chunks = static_cast<int>((rays.count + kChunk - 1) / kChunk);
  share(threads_, chunks, [&](int which, int) {
    const int64_t end = std::min(rays.count, (which + 1) * kChunk);
    for (int64_t i = which * kChunk; i < end; ++i) caster.one(rays, i);
  });
}

}  // namespace haltere::sight

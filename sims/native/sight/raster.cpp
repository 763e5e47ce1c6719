#include "raster.hpp"

#include <cstring>

namespace haltere::sight {

namespace {

using Four = float __attribute__((vector_size(16)));
using Flags = int32_t __attribute__((vector_size(16)));

constexpr size_t kBlock = 64;

Four load(const float* from) {
  Four value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The first pixel whose centre isn't left of (or above) x, within [low, high].
int pixel(double x, int low, int high) {
  const double at = x - 0.5;
  if (!(at > low)) return low;
  if (at >= high) return high;
  const int whole = static_cast<int>(at);
  return whole + (at > whole);
}

}  // namespace

Raster::Raster(const Camera& camera, int top, int bottom, float* nearness, uint32_t* seen)
    : width_(camera.width),
      top_(top),
      bottom_(bottom),
      focal_(camera.focal),
      middle_x_(0.5 * camera.width),
      middle_y_(0.5 * camera.height),
      nearness_(nearness),
      seen_(seen) {
  std::copy(camera.rotation, camera.rotation + 9, pose_.turn);
  std::copy(camera.location, camera.location + 3, pose_.at);
  // In the camera's frame, e.g. right of the picture is y f > (width / 2) x.
  const double local[5][3] = {{-middle_x_, -focal_, 0},
                              {-middle_x_, focal_, 0},
                              {top - middle_y_, 0, focal_},
                              {middle_y_ - bottom, 0, -focal_},
                              {-1, 0, 0}};
  for (int s = 0; s < 5; ++s)
    for (int k = 0; k < 3; ++k)
      sides_[s][k] = pose_.turn[3 * k] * local[s][0] + pose_.turn[3 * k + 1] * local[s][1] +
                     pose_.turn[3 * k + 2] * local[s][2];
}

void Raster::clear() {
  const size_t count = static_cast<size_t>(bottom_ - top_) * static_cast<size_t>(width_);
  std::fill(nearness_, nearness_ + count, 0.0f);
  std::fill(seen_, seen_ + count, 0u);
}

bool Raster::outside(const Box& box) const {
  for (const auto& side : sides_) {
    double innermost = 0, size = 0;
    for (int k = 0; k < 3; ++k) {
      const double low = side[k] * (box.low[k] - pose_.at[k]), high = side[k] * (box.high[k] - pose_.at[k]);
      innermost += std::min(low, high), size += std::max(std::abs(low), std::abs(high));
    }
    if (innermost > 1e-9 * size) return true;
  }
  return false;
}

void Raster::draw(const Body& scene) {
  if (scene.tree.nodes.empty()) return;
  std::vector<int32_t> waiting{0};
  while (!waiting.empty()) {
    const int32_t own = waiting.back();
    const Node& node = scene.tree.nodes[static_cast<size_t>(own)];
    waiting.pop_back();
    Box box;
    for (int k = 0; k < 3; ++k) box.low[k] = static_cast<double>(node.low[k]), box.high[k] = static_cast<double>(node.high[k]);
    if (outside(box)) continue;
    if (node.right != 0 && node.count > static_cast<int32_t>(kBlock)) {
      waiting.push_back(node.right), waiting.push_back(own + 1);
      continue;
    }
    const size_t first = static_cast<size_t>(node.first), end = first + static_cast<size_t>(node.count);
    for (size_t i = first; i < end; i += kBlock)
      block(scene.soup, i, std::min(kBlock, end - i), &scene.labels[i], &scene.hidden[i], 1 + static_cast<uint32_t>(i));
  }
}

void Raster::draw(const Frame& frame, const Frame::Placed& mover, uint32_t first) {
  if (outside(mover.box)) return;
  const Body& body = *mover.body;
  const size_t count = body.soup.size();
  for (size_t i = 0; i < count; i += kBlock)
    block(frame.soup, mover.first + i, std::min(kBlock, count - i), &body.labels[i], &body.hidden[i],
          first + static_cast<uint32_t>(mover.first + i));
}

// The arrays are filled by plain loops, which the compiler turns into vectors.
void Raster::block(const Soup& soup, size_t first, size_t count, const uint8_t* labels, const uint8_t* hidden,
                   uint32_t number) {
  double at[3][3][kBlock], u[3][kBlock], v[3][kBlock], low_u[kBlock], high_u[kBlock], low_v[kBlock], high_v[kBlock];
  const Pose& pose = pose_;
  for (size_t c = 0; c < 3; ++c) {
    const double *x = &soup.p[3 * c][first], *y = &soup.p[3 * c + 1][first], *z = &soup.p[3 * c + 2][first];
    for (size_t i = 0; i < count; ++i) {
      const double dx = x[i] - pose.at[0], dy = y[i] - pose.at[1], dz = z[i] - pose.at[2];
      const double ahead = pose.turn[0] * dx + pose.turn[3] * dy + pose.turn[6] * dz;
      const double right = pose.turn[1] * dx + pose.turn[4] * dy + pose.turn[7] * dz;
      const double up = pose.turn[2] * dx + pose.turn[5] * dy + pose.turn[8] * dz;
      const double scale = focal_ / ahead;
      at[c][0][i] = ahead, at[c][1][i] = right, at[c][2][i] = up;
      u[c][i] = middle_x_ + right * scale, v[c][i] = middle_y_ - up * scale;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    low_u[i] = std::min(u[0][i], std::min(u[1][i], u[2][i])), high_u[i] = std::max(u[0][i], std::max(u[1][i], u[2][i]));
    low_v[i] = std::min(v[0][i], std::min(v[1][i], v[2][i])), high_v[i] = std::max(v[0][i], std::max(v[1][i], v[2][i]));
  }
  for (size_t i = 0; i < count; ++i) {
    if (hidden[i]) continue;
    const double nearest = std::min(at[0][0][i], std::min(at[1][0][i], at[2][0][i]));
    if (nearest >= kNear) {
      if (pixel(low_u[i], 0, width_) >= pixel(high_u[i], 0, width_)) continue;
      if (pixel(low_v[i], top_, bottom_) >= pixel(high_v[i], top_, bottom_)) continue;
    } else if (std::max(at[0][0][i], std::max(at[1][0][i], at[2][0][i])) < kNear) {
      continue;
    }
    double corners[3][3];
    for (size_t c = 0; c < 3; ++c)
      for (size_t k = 0; k < 3; ++k) corners[c][k] = at[c][k][i];
    Plane over;
    bool front;
    if (!plane(corners, over, front)) continue;
    if (labels[i] == kRoadLines) {
      over.at *= kLineBias, over.right *= kLineBias, over.down *= kLineBias;
      over.low *= static_cast<float>(kLineBias), over.high *= static_cast<float>(kLineBias);
    }
    const uint32_t seen = 2 * (number + static_cast<uint32_t>(i)) + (front ? 0 : 1);
    if (nearest < kNear) {
      clipped(corners, over, seen);
    } else {
      const double us[3] = {u[0][i], u[1][i], u[2][i]}, vs[3] = {v[0][i], v[1][i], v[2][i]};
      triangle(us, vs, over, seen);
    }
  }
}

void Raster::clipped(const double (*corners)[3], const Plane& over, uint32_t seen) {
  double kept[17][3], u[3], v[3];
  const int count = ahead(corners, 3, kept);
  for (int i = 2; i < count; ++i) {
    const int fan[3] = {0, i - 1, i};
    for (int c = 0; c < 3; ++c) project(kept[fan[c]], u[c], v[c]);
    triangle(u, v, over, seen);
  }
}

int Raster::ahead(const double (*corners)[3], int count, double (*kept)[3]) {
  int made = 0;
  for (int i = 0; i < count; ++i) {
    const double *here = corners[i], *next = corners[(i + 1) % count];
    if (here[0] >= kNear) std::copy(here, here + 3, kept[made++]);
    if ((here[0] >= kNear) == (next[0] >= kNear)) continue;
    // From the inner end always, so that both triangles of an edge are cut at the same place.
    const double *inner = here[0] >= kNear ? here : next, *outer = here[0] >= kNear ? next : here;
    const double share = (kNear - inner[0]) / (outer[0] - inner[0]);
    for (int k = 0; k < 3; ++k) kept[made][k] = inner[k] + share * (outer[k] - inner[k]);
    kept[made++][0] = kNear;
  }
  return made;
}

// On the plane n p = d the nearness 1 / x is (n_x + n_y y / x + n_z z / x) / d, which is linear in the picture.
bool Raster::plane(const double (*c)[3], Plane& made, bool& front) const {
  double a[3], b[3];
  for (int k = 0; k < 3; ++k) a[k] = c[1][k] - c[0][k], b[k] = c[2][k] - c[0][k];
  const double nx = a[1] * b[2] - a[2] * b[1], ny = a[2] * b[0] - a[0] * b[2], nz = a[0] * b[1] - a[1] * b[0];
  const double d = nx * c[0][0] + ny * c[0][1] + nz * c[0][2];
  if (d == 0) return false;
  made.at = nx / d, made.right = ny / (focal_ * d), made.down = -nz / (focal_ * d);
  const double nearest = std::min(c[0][0], std::min(c[1][0], c[2][0]));
  const double farthest = std::max(c[0][0], std::max(c[1][0], c[2][0]));
  made.low = static_cast<float>(1 / farthest), made.high = static_cast<float>(1 / std::max(nearest, kNear));
  front = d < 0;
  return true;
}

// Calls span(row, from, to) for the pixels whose centres lie within. An edge is always followed from its upper end, so
// that the two triangles beside it have no gap and nothing twice.
template <class Span>
void Raster::fill(const double* us, const double* vs, const Span& span) const {
  int a = 0, b = 1, c = 2;
  const auto above = [&](int i, int j) { return vs[i] < vs[j] || (vs[i] == vs[j] && us[i] < us[j]); };
  if (above(b, a)) std::swap(a, b);
  if (above(c, b)) std::swap(b, c);
  if (above(b, a)) std::swap(a, b);
  const int first = pixel(vs[a], top_, bottom_), end = pixel(vs[c], top_, bottom_);
  if (first >= end) return;
  const double along = (us[c] - us[a]) / (vs[c] - vs[a]);
  const double upper = vs[b] > vs[a] ? (us[b] - us[a]) / (vs[b] - vs[a]) : 0;
  const double lower = vs[c] > vs[b] ? (us[c] - us[b]) / (vs[c] - vs[b]) : 0;
  for (int row = first; row < end; ++row) {
    const double at = row + 0.5, one = us[a] + (at - vs[a]) * along;
    const double other = at < vs[b] ? us[a] + (at - vs[a]) * upper : us[b] + (at - vs[b]) * lower;
    const int from = pixel(std::min(one, other), 0, width_), to = pixel(std::max(one, other), 0, width_);
    if (from < to) span(row, from, to);
  }
}

void Raster::triangle(const double* u, const double* v, const Plane& over, uint32_t seen) {
  const float slope = static_cast<float>(over.right);
  const Four lane = {0, 1, 2, 3}, low = Four{} + over.low, high = Four{} + over.high;
  const Flags own = Flags{} + static_cast<int32_t>(seen);
  fill(u, v, [&](int row, int from, int to) {
    const double start = over.at + over.right * (from + 0.5 - middle_x_) + over.down * (row + 0.5 - middle_y_);
    const size_t offset = static_cast<size_t>(row - top_) * static_cast<size_t>(width_) + static_cast<size_t>(from);
    float* nearness = nearness_ + offset;
    uint32_t* shown = seen_ + offset;
    const Four base = Four{} + static_cast<float>(start);
    const float length = static_cast<float>(to - from);
    for (int i = 0; i < to - from; i += 4) {
      const Four step = lane + static_cast<float>(i);
      Four here = base + slope * step;
      here = here < low ? low : here;
      here = here > high ? high : here;
      const Four old = load(nearness + i);
      Flags known;
      std::memcpy(&known, shown + i, sizeof known);
      const Flags closer = (here > old) & (step < length);
      const Four nearest = closer ? here : old;
      known = closer ? own : known;
      std::memcpy(nearness + i, &nearest, sizeof nearest), std::memcpy(shown + i, &known, sizeof known);
    }
  });
}

void Raster::shade(const std::vector<std::array<double, 3>>& corners, const Frame& frame, uint32_t standing) {
  double local[16][3], kept[18][3];
  const int count = std::min(16, static_cast<int>(corners.size()));
  for (int i = 0; i < count; ++i) into(corners[static_cast<size_t>(i)].data(), local[i]);
  Plane over;
  bool front;
  if (count < 3 || !plane(local, over, front)) return;
  const int left = ahead(local, count, kept);
  for (int i = 2; i < left; ++i) {
    const int fan[3] = {0, i - 1, i};
    double u[3], v[3];
    for (int c = 0; c < 3; ++c) project(kept[fan[c]], u[c], v[c]);
    fill(u, v, [&](int row, int from, int to) {
      const size_t offset = static_cast<size_t>(row - top_) * static_cast<size_t>(width_);
      for (int x = from; x < to; ++x) {
        const double here = over.at + over.right * (x + 0.5 - middle_x_) + over.down * (row + 0.5 - middle_y_);
        uint32_t& seen = seen_[offset + static_cast<size_t>(x)];
        const uint32_t number = (seen & ~kShaded) >> 1;
        if (number == 0 || number > standing) continue;
        const uint8_t label = frame.labels[number];
        const bool lies = label == kRoads || label == kSidewalks || label == kTerrain || label == kRoadLines ||
                          label == kGround;
        // The ground isn't quite the plane that a mover stands on.
        const double there = static_cast<double>(nearness_[offset + static_cast<size_t>(x)]);
        if (lies && std::abs(there - here) < 0.1 * here) seen |= kShaded;
      }
    });
  }
}

void Raster::into(const double* world, double* camera) const { pose_.back(world, camera); }

void Raster::project(const double* camera, double& u, double& v) const {
  const double scale = focal_ / camera[0];
  u = middle_x_ + camera[1] * scale, v = middle_y_ - camera[2] * scale;
}

}  // namespace haltere::sight

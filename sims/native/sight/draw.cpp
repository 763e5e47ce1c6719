// Pictures: who shares a view is rastered once; then each pixel is looked up.
#include <cstring>

#include "raster.hpp"
#include "resolve.hpp"
#include "share.hpp"

namespace haltere::sight {

namespace {

struct View {
  std::vector<const Camera*> cameras;
  std::vector<size_t> movers;
  bool lit = false;
};

bool same_view(const Camera& a, const Camera& b) {
  return a.width == b.width && a.height == b.height && a.focal == b.focal && a.hidden_count == b.hidden_count &&
         !std::memcmp(a.location, b.location, sizeof a.location) &&
         !std::memcmp(a.rotation, b.rotation, sizeof a.rotation) && std::equal(a.hidden, a.hidden + a.hidden_count, b.hidden);
}

std::vector<View> views_of(const Camera* cameras, int64_t count, const Frame& frame) {
  std::vector<View> views;
  for (const Camera* camera = cameras; camera < cameras + count; ++camera) {
    auto found = std::find_if(views.begin(), views.end(), [&](const View& v) { return same_view(*v.cameras[0], *camera); });
    if (found == views.end()) {
      views.push_back({{}, shown(frame, camera->hidden, camera->hidden_count), false});
      found = views.end() - 1;
    }
    found->cameras.push_back(camera);
    found->lit = found->lit || camera->kind == kRgb;
  }
  return views;
}

// The surface's side that the corners go around counter-clockwise, seen in a right-handed frame, and the other one.
// Light from the sky is a little stronger on what looks up, so that the faces of a box differ in the shade too.
void lit_colors(const std::array<uint8_t, 3>& color, const std::array<double, 3>& normal, double factor,
                const Light& light, uint32_t* made) {
  const double cosine = normal[0] * static_cast<double>(light.sun[0]) + normal[1] * static_cast<double>(light.sun[1]) +
                        normal[2] * static_cast<double>(light.sun[2]);
  for (int side = 0; side < 2; ++side) {
    const double sign = side == 0 ? 1 : -1, sun = std::max(0.0, sign * cosine);
    const double sky = 0.8 + 0.15 * sign * normal[2] + 0.05 * sign * normal[0];
    uint32_t packed = 0xff000000u;
    for (size_t k = 0; k < 3; ++k) {
      const double shines = static_cast<double>(light.ambient[k]) * sky + static_cast<double>(light.direct[k]) * sun;
      const double value = std::min(255.0, color[k] * factor * shines + 0.5);
      packed |= static_cast<uint32_t>(value) << (16 - 8 * k);
    }
    made[side] = packed;
  }
}

double wetness(uint8_t label, const Light& light) {
  const bool flat = label == kRoads || label == kSidewalks || label == kGround || label == kTerrain;
  return flat ? static_cast<double>(light.wet) : 1;
}

// The hull, in the mover's own plane, of the shadow of its box: the box's foot, and its top pushed away from the sun.
std::vector<std::array<double, 3>> shadow(const Frame::Placed& mover, const Light& light) {
  const Box& box = mover.body->box;
  const double sun[3] = {static_cast<double>(light.sun[0]), static_cast<double>(light.sun[1]), static_cast<double>(light.sun[2])};
  double local[3];
  mover.pose.turn_back(sun, local);
  const double height = box.high[2] - box.low[2];
  // A low sun's shadows end at three heights, and beneath clouds there is only what is dark beneath a mover.
  double reach = local[2] > 0.05 && light.direct[1] > 0.2f ? height / local[2] : 0;
  const double length = reach * std::hypot(local[0], local[1]);
  if (length > 3 * height) reach *= 3 * height / length;
  std::vector<std::array<double, 2>> points;
  for (int corner = 0; corner < 8; ++corner) {
    const double push = corner & 4 ? reach : 0;
    points.push_back({(corner & 1 ? box.high[0] : box.low[0]) - push * local[0],
                      (corner & 2 ? box.high[1] : box.low[1]) - push * local[1]});
  }
  std::sort(points.begin(), points.end());
  const auto turns = [](const auto& a, const auto& b, const auto& c) {
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0;
  };
  std::vector<std::array<double, 2>> hull;
  for (int half = 0; half < 2; ++half) {
    const size_t fixed = hull.size();
    for (const auto& point : points) {
      while (hull.size() >= fixed + 2 && !turns(hull[hull.size() - 2], hull.back(), point)) hull.pop_back();
      hull.push_back(point);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  std::vector<std::array<double, 3>> corners;
  for (const auto& point : hull) {
    const double here[3] = {point[0], point[1], box.low[2]};
    std::array<double, 3> world;
    mover.pose.out(here, world.data()), corners.push_back(world);
  }
  return corners;
}

}  // namespace

// The scene's rows of the tables stay from one frame to the next, and its colours while the light does.
void Sight::prepare(const Movers& movers, const Light& light, bool lit) {
  place(movers, shapes_, true, frame_);
  const size_t standing = 1 + scene_.soup.size(), all = standing + frame_.soup.size();
  const bool fresh = frame_.labels.empty();
  frame_.colors.resize(2 * all), frame_.numbers.resize(all), frame_.labels.resize(all);
  if (fresh) {
    frame_.labels[0] = kSky;
    for (size_t i = 1; i < standing; ++i) {
      frame_.labels[i] = scene_.labels[i - 1];
      // Things have the upper half of the 16 bits that a picture has room for, actors the lower one.
      const int32_t thing = scene_.things[i - 1];
      frame_.numbers[i] = thing < 0 ? 0 : 0x8000u | (static_cast<uint32_t>(thing) & 0x7fffu);
    }
  }
  if (lit && !(lit_ && !std::memcmp(&light_, &light, sizeof light))) {
    for (size_t i = 1; i < standing; ++i)
      lit_colors(scene_.colors[i - 1], scene_.soup.normal(i - 1), wetness(scene_.labels[i - 1], light), light,
                 &frame_.colors[2 * i]);
    light_ = light, lit_ = true;
  }
  for (size_t m = 0; m < frame_.placed.size(); ++m) {
    const Frame::Placed& mover = frame_.placed[m];
    const std::array<uint8_t, 3> own{movers.color[3 * m], movers.color[3 * m + 1], movers.color[3 * m + 2]};
    for (size_t i = 0; i < mover.body->soup.size(); ++i) {
      const size_t row = standing + mover.first + i;
      frame_.labels[row] = movers.label[m] ? movers.label[m] : mover.body->labels[i];
      frame_.numbers[row] = mover.number;
      if (!lit) continue;
      const auto& color = mover.body->painted[i] ? own : mover.body->colors[i];
      lit_colors(color, frame_.soup.normal(mover.first + i), 1, light, &frame_.colors[2 * row]);
    }
  }
}

void Sight::draw(const Movers& movers, const Camera* cameras, int64_t count, const Light& light) {
  const bool lit = std::any_of(cameras, cameras + count, [](const Camera& c) { return c.kind == kRgb; });
  prepare(movers, light, lit);
  const std::vector<View> views = views_of(cameras, count, frame_);
  const uint32_t standing = static_cast<uint32_t>(scene_.soup.size());
  const int jobs = static_cast<int>(views.size());
  // Views alone may be too few for all threads.
  const int bands = threads_ == 1 || jobs == 0 || jobs >= 2 * threads_ ? 1 : (2 * threads_ + jobs - 1) / jobs;
  size_t room = 0;
  for (const View& view : views) {
    const Camera& camera = *view.cameras[0];
    room = std::max(room, static_cast<size_t>(camera.width) * static_cast<size_t>(camera.height / bands + 1) + 4);
  }
  nearness_.resize(static_cast<size_t>(threads_)), seen_.resize(static_cast<size_t>(threads_));
  for (size_t worker = 0; worker < nearness_.size(); ++worker) {
    if (nearness_[worker].size() < room) nearness_[worker].resize(room);
    if (seen_[worker].size() < room) seen_[worker].resize(room);
  }
  share(threads_, jobs * bands, [&](int which, int worker) {
    const View& view = views[static_cast<size_t>(which / bands)];
    const Camera& camera = *view.cameras[0];
    const int top = camera.height * (which % bands) / bands, bottom = camera.height * (which % bands + 1) / bands;
    if (top == bottom) return;
    float* nearness = nearness_[static_cast<size_t>(worker)].data();
    uint32_t* seen = seen_[static_cast<size_t>(worker)].data();
    Raster raster(camera, top, bottom, nearness, seen);
    raster.clear();
    raster.draw(scene_);
    for (const size_t m : view.movers) raster.draw(frame_, frame_.placed[m], 1 + standing);
    if (view.lit && light.shade < 1)
      for (const size_t m : view.movers)
        if (frame_.placed[m].body->soup.size()) raster.shade(shadow(frame_.placed[m], light), frame_, standing);
    for (const Camera* each : view.cameras) resolve(*each, top, bottom, nearness, seen, {frame_, scene_.soup, light});
  });
}

}  // namespace haltere::sight

#include "resolve.hpp"

#include <cstring>

#include "raster.hpp"

namespace haltere::sight {

namespace {

constexpr double kFarthest = 1000;  // m, of depth pictures: CARLA's documentation of sensor.camera.depth
constexpr float kDisc = 0.9994f;    // cosine of 2 degrees: the sun's disc, four times its size

uint32_t packed(float red, float green, float blue) {
  return 0xff000000u | static_cast<uint32_t>(red) << 16 | static_cast<uint32_t>(green) << 8 | static_cast<uint32_t>(blue);
}

uint32_t darker(uint32_t color, float factor) {
  return packed(factor * static_cast<float>(color >> 16 & 255), factor * static_cast<float>(color >> 8 & 255),
                factor * static_cast<float>(color & 255));
}

class Sky {
 public:
  Sky(const Camera& camera, const Light& light) : camera_(camera), light_(light) {
    for (int k = 0; k < 3; ++k) {
      horizon_[k] = 255 * light.horizon[k], rise_[k] = 255 * (light.zenith[k] - light.horizon[k]);
      double along = 0;
      for (int axis = 0; axis < 3; ++axis) along += static_cast<double>(light.sun[axis]) * camera.rotation[3 * axis + k];
      sun_[k] = static_cast<float>(along), up_[k] = static_cast<float>(camera.rotation[6 + k]);
    }
  }

  uint32_t at(int x, int row) const {
    const float focal = static_cast<float>(camera_.focal);
    const float right = (static_cast<float>(x) + 0.5f - 0.5f * static_cast<float>(camera_.width)) / focal;
    const float above = (0.5f * static_cast<float>(camera_.height) - static_cast<float>(row) - 0.5f) / focal;
    const float length = std::sqrt(1 + right * right + above * above);
    const float height = (up_[0] + right * up_[1] + above * up_[2]) / length;
    const float share = height > 0 ? std::sqrt(height) : 0;
    float color[3];
    for (int k = 0; k < 3; ++k) color[k] = horizon_[k] + share * rise_[k];
    if (light_.disc > 0 && height > 0 && sun_[0] + right * sun_[1] + above * sun_[2] > kDisc * length) {
      for (float& value : color) value += light_.disc * (255 - value);
    }
    return packed(color[0] + 0.5f, color[1] + 0.5f, color[2] + 0.5f);
  }

 private:
  const Camera& camera_;
  const Light& light_;
  float horizon_[3], rise_[3], sun_[3], up_[3];
};

// Haze: the horizon's share is d^2 / (d^2 + haze^2) at a distance d, which needs no exponential.
void rgb_row(const Camera& camera, int row, const float* nearness, const uint32_t* seen, const Look& look, const Sky& sky,
             uint32_t* out) {
  const int width = camera.width;
  const uint32_t* colors = look.frame.colors.data();
  const float haze = look.light.haze, blue = 255 * look.light.horizon[2], green = 255 * look.light.horizon[1],
              red = 255 * look.light.horizon[0];
  for (int x = 0; x < width; ++x) {
    uint32_t color = colors[seen[x] & ~kShaded];
    if (seen[x] & kShaded) color = darker(color, look.light.shade);
    out[x] = color;
  }
  for (int x = 0; x < width; ++x) {
    const float far = haze * nearness[x], share = 1 / (1 + far * far);
    const int color = static_cast<int>(out[x] & 0xffffffu);
    const float r = static_cast<float>(color >> 16), g = static_cast<float>(color >> 8 & 255), b = static_cast<float>(color & 255);
    const int red_now = static_cast<int>(r + share * (red - r) + 0.5f);
    const int green_now = static_cast<int>(g + share * (green - g) + 0.5f);
    const int blue_now = static_cast<int>(b + share * (blue - b) + 0.5f);
    out[x] = 0xff000000u | static_cast<uint32_t>(red_now << 16 | green_now << 8 | blue_now);
  }
  for (int x = 0; x < width; ++x)
    if (seen[x] == 0) out[x] = sky.at(x, row);
}

void depth_row(int width, const float* nearness, const uint32_t* seen, const Frame& frame, uint32_t* out) {
  for (int x = 0; x < width; ++x) {
    const uint32_t number = (seen[x] & ~kShaded) >> 1;
    const double bias = frame.labels[number] == kRoadLines ? kLineBias : 1;
    const double share = number == 0 ? 1 : std::min(1.0, bias / (kFarthest * static_cast<double>(nearness[x])));
    const uint32_t value = static_cast<uint32_t>(share * 16777215 + 0.5);
    // Red is the lowest byte of depth and the third of a pixel.
    out[x] = 0xff000000u | (value & 255) << 16 | (value & 0xff00) | value >> 16;
  }
}

void normal_row(int width, const uint32_t* seen, const Look& look, uint32_t* out) {
  for (int x = 0; x < width; ++x) {
    const uint32_t side = seen[x] & 1, number = (seen[x] & ~kShaded) >> 1;
    const size_t standing = look.standing.size();
    std::array<double, 3> normal{};
    if (number > standing) normal = look.frame.soup.normal(number - 1 - standing);
    else if (number > 0) normal = look.standing.normal(number - 1);
    float byte[3];
    for (size_t k = 0; k < 3; ++k) byte[k] = static_cast<float>(127.5 * (1 + (side ? -normal[k] : normal[k])));
    out[x] = packed(byte[0], byte[1], byte[2]);
  }
}

}  // namespace

void resolve(const Camera& camera, int top, int bottom, const float* nearness, const uint32_t* seen, const Look& look) {
  const Sky sky(camera, look.light);
  const size_t width = static_cast<size_t>(camera.width);
  std::vector<uint32_t> line(width);
  for (int row = top; row < bottom; ++row, nearness += width, seen += width) {
    if (camera.kind == kRgb) rgb_row(camera, row, nearness, seen, look, sky, line.data());
    if (camera.kind == kDepth) depth_row(camera.width, nearness, seen, look.frame, line.data());
    if (camera.kind == kNormals) normal_row(camera.width, seen, look, line.data());
    for (size_t x = 0; (camera.kind == kSemantic || camera.kind == kInstance) && x < width; ++x) {
      const uint32_t number = (seen[x] & ~kShaded) >> 1, own = look.frame.numbers[number];
      line[x] = 0xff000000u | static_cast<uint32_t>(look.frame.labels[number]) << 16;
      // Green has the lower byte of the number: `decode_instance_segmentation` of CARLA's bounding_boxes.py.
      if (camera.kind == kInstance) line[x] |= (own & 255) << 8 | (own >> 8 & 255);
    }
    std::memcpy(camera.pixels + 4 * width * static_cast<size_t>(row), line.data(), 4 * width);
  }
}

}  // namespace haltere::sight

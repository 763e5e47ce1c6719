// Ballet's pictures: the room from above, always with the agent in the middle.
//
// Plain C interface for Python, which owns every array and has checked every index (sims/ballet/picture.py). Reads
// nothing but its arguments, keeps nothing, allocates nothing; a picture of 33 x 33 is written once, 13 kB.
#include <algorithm>
#include <cstdint>

#define HALTERE_EXPORT extern "C" __attribute__((visibility("default")))

namespace haltere::ballet {

constexpr int kRoom = 11, kMiddle = 5, kDancers = 8, kChannels = 3, kLargestCell = 9;

// How things look. tile: (15, cell, cell) coverage of each shape; palette: (19, 3) RGB.
struct Look {
  int cell;
  const float* tile;
  const float* palette;
  float wall;
  float agent;
  int side() const { return kRoom * cell; }
};

// Every place is row * 11 + column in the room; a dancer that isn't there is at -1.
struct Scene {
  int64_t agent;
  const int64_t* place;
  const int64_t* shape;
  const int64_t* colour;
};

// One row of pixels: the wall where `wall(column of cells in the room)` says so, the floor elsewhere.
template <class Wall>
void fill_row(const Look& look, int first_column, const Wall& wall, float* row) {
  for (int column = 0; column < kRoom; ++column) {
    const int there = first_column + column;
    const bool solid = there >= 0 && there < kRoom && wall(there);
    std::fill_n(row + column * look.cell, look.cell, solid ? look.wall : 0.0f);
  }
}

// The empty room in all three channels: it has but three kinds of rows.
void paint_room(const Look& look, int first_row, int first_column, float* image) {
  const int side = look.side(), plane = side * side;
  float wall[kRoom * kLargestCell], inside[kRoom * kLargestCell];
  fill_row(look, first_column, [](int) { return true; }, wall);
  fill_row(look, first_column, [](int column) { return column == 0 || column == kRoom - 1; }, inside);
  for (int y = 0; y < side; ++y) {
    const int there = first_row + y / look.cell;
    float* row = image + y * side;
    if (there < 0 || there >= kRoom) std::fill_n(row, side, 0.0f);
    else std::copy_n(there == 0 || there == kRoom - 1 ? wall : inside, side, row);
  }
  for (int channel = 1; channel < kChannels; ++channel) std::copy_n(image, plane, image + channel * plane);
}

// What `level(channel, y, x)` says, into one cell of the picture.
template <class Level>
void paint_cell(const Look& look, int row, int column, const Level& level, float* image) {
  const int side = look.side();
  for (int channel = 0; channel < kChannels; ++channel) {
    float* corner = image + (channel * side + row * look.cell) * side + column * look.cell;
    for (int y = 0; y < look.cell; ++y)
      for (int x = 0; x < look.cell; ++x) corner[y * side + x] = level(channel, y, x);
  }
}

void paint(const Look& look, const Scene& scene, float* image) {
  const int first_row = static_cast<int>(scene.agent) / kRoom - kMiddle;
  const int first_column = static_cast<int>(scene.agent) % kRoom - kMiddle;
  paint_room(look, first_row, first_column, image);
  // First the agent: a dancer that it has walked into hides it, as published.
  paint_cell(look, kMiddle, kMiddle, [&](int, int, int) { return look.agent; }, image);
  for (int dancer = 0; dancer < kDancers; ++dancer) {
    if (scene.place[dancer] < 0) continue;
    const int row = static_cast<int>(scene.place[dancer]) / kRoom - first_row;
    const int column = static_cast<int>(scene.place[dancer]) % kRoom - first_column;
    if (row < 0 || row >= kRoom || column < 0 || column >= kRoom) continue;
    const float* tile = look.tile + scene.shape[dancer] * look.cell * look.cell;
    const float* colour = look.palette + scene.colour[dancer] * kChannels;
    const auto level = [&](int channel, int y, int x) { return colour[channel] * tile[y * look.cell + x]; };
    paint_cell(look, row, column, level, image);
  }
}

}  // namespace haltere::ballet

using namespace haltere::ballet;

// Changes with the arguments below.
HALTERE_EXPORT int haltere_ballet_abi() { return 1; }

// Paints `count` pictures, (count, 3, 11 cell, 11 cell) at `image`: of the worlds `world[0]` to `world[count - 1]`, or of
// the first `count` where `world` is null. `agent` is (W,), `place`, `shape` and `colour` are (W, 8). Returns 0, or 1
// where `cell` isn't 1 to 9.
HALTERE_EXPORT int haltere_ballet_paint(const int64_t* world, int64_t count, const int64_t* agent, const int64_t* place,
                                        const int64_t* shape, const int64_t* colour, int cell, const float* tile,
                                        const float* palette, float wall_level, float agent_level, float* image) {
  if (cell < 1 || cell > kLargestCell) return 1;
  const Look look{cell, tile, palette, wall_level, agent_level};
  const int64_t size = static_cast<int64_t>(kChannels) * look.side() * look.side();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t w = world ? world[i] : i;
    const Scene scene{agent[w], place + w * kDancers, shape + w * kDancers, colour + w * kDancers};
    paint(look, scene, image + i * size);
  }
  return 0;
}

// What is seen: a scene that stands, shapes, and a frame of what moves. The structures with fixed layouts are Python's.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tree.hpp"

namespace haltere::sight {

enum Kind : int32_t { kRgb = 0, kSemantic, kInstance, kDepth, kNormals };
enum Label : uint8_t { kRoads = 1, kSidewalks = 2, kTerrain = 10, kSky = 11, kRoadLines = 24, kGround = 25 };

// n rows each; label 0 keeps the shape's own ones.
struct Movers {
  int64_t count;
  const int32_t* shape;
  const double *rotation, *location;  // 9 and 3 each
  const uint8_t* color;               // 3 each
  const uint32_t* number;
  const uint8_t* label;
};

struct Camera {
  int32_t kind, width, height, hidden_count;
  double focal;  // pixels
  double location[3], rotation[9];
  const uint32_t* hidden;
  uint8_t* pixels;  // height * width * 4
};

// Colours from 0 to 1; a surface of white shows ambient, and direct times the cosine of the angle to the sun.
struct Light {
  float sun[3], direct[3], ambient[3], zenith[3], horizon[3];
  float haze;   // metres at which half of a colour is the horizon's
  float wet;    // factor of what lies flat
  float shade;  // factor of the ground under a mover
  float disc;   // how much of the sun's disc is seen
};

struct Rays {
  int64_t count, hidden_count;
  const double *origins, *directions;  // 3 each; directions of any length
  double reach;                        // m
  const uint32_t* hidden;
  double* distances;
  float* normals;  // 3 each
  uint8_t* labels;
  uint32_t* numbers;
  int32_t* things;
};

// Corners of triangles, an array for each coordinate: p[3 * corner + axis].
struct Soup {
  std::array<std::vector<double>, 9> p;
  size_t size() const { return p[0].size(); }
  void add(const double* a, const double* b, const double* c);
  // Across the triangle, of length 1; zero where it has no area.
  std::array<double, 3> normal(size_t i) const;
};

// Triangles in the order of their tree.
struct Body {
  Soup soup;
  Tree tree;
  std::vector<std::array<uint8_t, 3>> colors;
  std::vector<uint8_t> labels, painted, hidden;
  std::vector<int32_t> things;
  Box box;
};

Body body_of(const float* vertices, const int32_t* triangles, int64_t count, const uint8_t* colors,
             const uint8_t* labels, const int32_t* things, const uint8_t* painted);

// Where something stands in the world.
struct Pose {
  double turn[9], at[3];
  void out(const double* local, double* world) const;
  void back(const double* world, double* local) const;
  void turn_back(const double* world, double* local) const;
};

// One frame. What can be seen has a number: 0 is the sky, then the scene's triangles, then the movers'. The tables have
// a row for each number; colours two, for the side that the corners go around and for the other one.
struct Frame {
  struct Placed {
    const Body* body;
    Pose pose;
    Box box;
    size_t first;  // of the triangles in `soup`
    uint32_t number;
  };
  std::vector<Placed> placed;
  Soup soup;
  std::vector<uint32_t> colors, numbers;
  std::vector<uint8_t> labels;
};

class Sight {
 public:
  Sight(Body scene, int threads) : scene_(std::move(scene)), threads_(threads) {}
  int add(Body shape);
  void hide(const int32_t* things, int64_t count);
  void draw(const Movers& movers, const Camera* cameras, int64_t count, const Light& light);
  void cast(const Movers& movers, const Rays& rays) const;
  bool knows(const Movers& movers) const;

 private:
  void prepare(const Movers& movers, const Light& light, bool lit);

  Body scene_;
  std::vector<Body> shapes_;
  int threads_;
  Frame frame_;
  Light light_{};
  bool lit_ = false;
  std::vector<std::vector<float>> nearness_;
  std::vector<std::vector<uint32_t>> seen_;
};

// The movers of a frame whose numbers aren't among the hidden ones.
std::vector<size_t> shown(const Frame& frame, const uint32_t* hidden, int64_t count);
void place(const Movers& movers, const std::vector<Body>& shapes, bool with_triangles, Frame& frame);


}  // namespace haltere::sight

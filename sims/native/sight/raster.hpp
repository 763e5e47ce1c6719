// Which triangle each pixel of some rows of a picture shows, and how near it is.
#pragma once

#include "sight.hpp"

namespace haltere::sight {

constexpr double kNear = 0.05;              // m, along the axis
constexpr uint32_t kShaded = 0x80000000u;   // in Raster::seen: a mover's shadow lies there
constexpr double kLineBias = 1.001;         // nearness of lines on roads, which may be triangles of another cut

class Raster {
 public:
  // Rows from top to bottom; nearness (1/m) and seen (2 * number + side) hold (bottom - top) * width, and 4 more.
  Raster(const Camera& camera, int top, int bottom, float* nearness, uint32_t* seen);
  void clear();
  void draw(const Body& scene);
  // Triangles of a frame's mover.
  void draw(const Frame& frame, const Frame::Placed& mover, uint32_t first);
  // Darken the ground within a polygon of at most 16 corners in the world.
  void shade(const std::vector<std::array<double, 3>>& corners, const Frame& frame, uint32_t standing);
  bool outside(const Box& box) const;

 private:
  struct Plane {
    double at, right, down;  // nearness at the middle of the picture and its change by a pixel
    float low, high;
  };
  void block(const Soup& soup, size_t first, size_t count, const uint8_t* labels, const uint8_t* hidden, uint32_t number);
  void clipped(const double (*corners)[3], const Plane& plane, uint32_t seen);
  template <class Span>
  void fill(const double* u, const double* v, const Span& span) const;
  void triangle(const double* u, const double* v, const Plane& plane, uint32_t seen);
  bool plane(const double (*corners)[3], Plane& made, bool& front) const;
  void into(const double* world, double* camera) const;
  void project(const double* camera, double& u, double& v) const;
  // What is at least kNear ahead of a polygon in the camera's frame; returns how many corners.
  static int ahead(const double (*corners)[3], int count, double (*kept)[3]);

  int width_, top_, bottom_;
  double focal_, middle_x_, middle_y_;
  Pose pose_;
  double sides_[5][3];  // normals that point outside: left, right, above, below, behind
  float* nearness_;
  uint32_t* seen_;
};

}  // namespace haltere::sight

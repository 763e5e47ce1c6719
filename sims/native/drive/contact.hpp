// What meets: boxes turned about the vertical, pushed apart and given impulses.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "body.hpp"

namespace haltere::drive {

struct Box {
  double x, y, low, high, yaw, half_x, half_y;
};

struct Contact {
  int64_t first, second, thing;  // second or thing is -1
  double impulse[3], point[3];   // on the first, N s; m
};

// Things that stand, by cells of the plane.
class Standing {
 public:
  explicit Standing(std::vector<Box> boxes);
  const std::vector<Box>& boxes() const { return boxes_; }
  // Nothing meets these from now on; everything else is met again.
  void hide(const int64_t* numbers, int64_t count);
  // Numbers of things that are met and whose cells a box of this reach touches, each once, in rising order.
  void near(const Box& box, std::vector<int32_t>& found) const;

 private:
  std::vector<Box> boxes_;
  std::vector<uint8_t> hidden_;
  std::unordered_map<int64_t, std::vector<int32_t>> cells_;
};

Box box_of(const Body& body);
bool overlap(const Box& first, const Box& second);

// Push apart whatever overlaps, and add to contacts (one a pair) what that took.
void resolve(std::vector<Body*>& bodies, const std::vector<int64_t>& numbers, const Standing& standing,
             std::vector<Contact>& contacts);

}  // namespace haltere::drive

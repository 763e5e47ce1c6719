/* What other code on board tells the controller. */
#ifndef HALTERE_CONTROLLER_H
#define HALTERE_CONTROLLER_H

#include <stdint.h>

#define HALTERE_PEERS 16

/* Where another drone is and how it moves, in the world frame; peers are numbered from 0. From any task, not from an
 * interrupt. One that isn't told of for half a second is taken for absent. */
void haltereTellPeer(uint8_t peer, const float position_m[3], const float velocity_mps[3]);

/* Distance from a point of the world to the nearest obstacle's surface [m], negative inside. The one here says 10 m
 * everywhere; define your own from a map of the room, or from ranging. Called nine times a control period. */
float haltereSurfaceDistance(float x_m, float y_m);

#endif

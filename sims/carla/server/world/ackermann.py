"""Two controllers that hold a speed and a steering angle, for those who don't want to press pedals.

The first turns the error of speed into a wanted acceleration, the second moves the pedals until the vehicle has it.
The structure is that of CARLA's Ackermann controller; the default gains are our own, for our own vehicles.
"""

from dataclasses import dataclass, field

from haltere.sims.carla.server.wire.structs import AckermannControl, AckermannSettings, VehicleControl

DEFAULT_GAINS = AckermannSettings(speed_kp=0.5, accel_kp=0.03)
MOST_ACCELERATION, MOST_BRAKING = 3.0, 8.0
"""[m/s2], where the caller asks for none in particular."""
_STANDS_MPS = 0.1


@dataclass
class _Pid:
    """One controller's memory."""

    total: float = 0.0
    last: float | None = None

    def output(self, error: float, gains: tuple[float, float, float], delta_s: float) -> float:
        """For an error now."""
        self.total += error * delta_s
        change = 0.0 if self.last is None or delta_s <= 0.0 else (error - self.last) / delta_s
        self.last = error
        proportional, integral, derivative = gains
        return proportional * error + integral * self.total + derivative * change


@dataclass
class Driver:
    """Who presses the pedals of one vehicle."""

    pedal: float = 0.0
    steer_rad: float = 0.0
    speed: _Pid = field(default_factory=_Pid)
    acceleration: _Pid = field(default_factory=_Pid)

    def drive(
        self,
        target: AckermannControl,
        gains: AckermannSettings,
        *,
        speed_mps: float,
        acceleration: float,
        most_steer_rad: float,
        delta_s: float,
    ) -> VehicleControl:
        """Pedals and wheel for the next tick.

        Args:
            target: what is to be held; its signs are those of driving forwards.
            gains: of both controllers.
            speed_mps: as it is, negative backwards.
            acceleration: along the vehicle, as it was in the last tick [m/s2].
            most_steer_rad: of the front wheels.
            delta_s: since the last tick.
        """
        backwards = target.speed < 0.0
        sign = -1.0 if backwards else 1.0
        if abs(target.speed) < _STANDS_MPS and abs(speed_mps) < _STANDS_MPS:
            self.pedal = 0.0
            return VehicleControl(brake=1.0, steer=self._steer(target, most_steer_rad, delta_s))
        error = sign * (target.speed - speed_mps)
        wanted = self.speed.output(error, (gains.speed_kp, gains.speed_ki, gains.speed_kd), delta_s)
        most = abs(target.acceleration) or MOST_ACCELERATION
        wanted = max(-(abs(target.acceleration) or MOST_BRAKING), min(most, wanted))
        lacking = wanted - sign * acceleration
        moved = self.acceleration.output(lacking, (gains.accel_kp, gains.accel_ki, gains.accel_kd), delta_s)
        self.pedal = max(-1.0, min(1.0, self.pedal + moved))
        return VehicleControl(
            throttle=max(self.pedal, 0.0),
            brake=max(-self.pedal, 0.0),
            steer=self._steer(target, most_steer_rad, delta_s),
            reverse=backwards,
        )

    def _steer(self, target: AckermannControl, most_rad: float, delta_s: float) -> float:
        """As a share of the most, no faster than asked for."""
        turn = target.steer - self.steer_rad
        if target.steer_speed > 0.0:
            turn = max(-target.steer_speed * delta_s, min(target.steer_speed * delta_s, turn))
        self.steer_rad = max(-most_rad, min(most_rad, self.steer_rad + turn))
        return self.steer_rad / most_rad

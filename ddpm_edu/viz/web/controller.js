// robosuite's controllers of the Panda, in the browser: OSC_POSE for the hand (Khatib 1987), GRIP for the fingers.
// The formulas and gains of robosuite 1.5.2 (controllers/parts/arm/osc.py, grippers/panda_gripper.py), held to it by
// tests/browser/test_robot.py. Matrices are row after row.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const KP = 150;
    const KD = 2 * Math.sqrt(KP);
    const JOINT_KP = 10;
    const JOINT_KD = 2 * Math.sqrt(JOINT_KP);
    const LARGEST = [0.05, 0.05, 0.05, 0.5, 0.5, 0.5]; // what an action of 1 means: metres, radians
    const FINGERS_SPEED = 0.2;
    const limited = (value, low, high) => Math.min(Math.max(value, low), high);

    // (n, k) times (k, m)
    const times = (a, b, n, k, m) => {
        const product = new Float64Array(n * m);
        for (let i = 0; i < n; i++)
            for (let l = 0; l < k; l++) {
                const factor = a[i * k + l];
                for (let j = 0; j < m; j++) product[i * m + j] += factor * b[l * m + j];
            }
        return product;
    };
    const turned = (a, n, m) => Float64Array.from({ length: n * m }, (_, i) => a[(i % n) * m + Math.floor(i / n)]);
    const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    const column = (matrix, j) => [matrix[j], matrix[3 + j], matrix[6 + j]];

    // The rotation matrix of an axis whose length is the angle (Rodrigues).
    const rotation = (vector) => {
        const angle = Math.hypot(...vector);
        const [x, y, z] = angle ? vector.map((value) => value / angle) : [0, 0, 0];
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        return [
            c + x * x * (1 - c), x * y * (1 - c) - z * s, x * z * (1 - c) + y * s,
            y * x * (1 - c) + z * s, c + y * y * (1 - c), y * z * (1 - c) - x * s,
            z * x * (1 - c) - y * s, z * y * (1 - c) + x * s, c + z * z * (1 - c),
        ];
    };

    // How far `now` is from `wanted`, both rotation matrices, as an axis: its length is the angle's sine.
    const orientationError = (wanted, now) => {
        const error = [0, 0, 0];
        for (let j = 0; j < 3; j++) cross(column(now, j), column(wanted, j)).forEach((value, i) => (error[i] += value / 2));
        return error;
    };

    // The arm in its base's frame. What it is given each time, a state of the arm:
    //   position (3,), orientation (3, 3): of the point between the finger tips; base: {position, orientation}
    //   jacobian (6, n): of that point; mass (n, n); angles, speeds, bias (n,): of the arm's joints
    edu.PoseController = class {
        constructor(posture) {
            this.posture = posture; // (n,): where what the hand leaves free is drawn to
        }

        // An action's first six numbers: where to go from here.
        aim({ position, orientation, base }, action) {
            const delta = LARGEST.map((size, i) => size * limited(action[i], -1, 1));
            const back = turned(base.orientation, 3, 3);
            const offset = position.map((value, i) => value - base.position[i]);
            this.position = times(back, offset, 3, 3, 1).map((value, i) => value + delta[i]);
            this.orientation = times(rotation(delta.slice(3)), times(back, orientation, 3, 3, 3), 3, 3, 3);
        }

        // Torques (n,) for one step of physics, before the motors' limits.
        torques({ position, orientation, base, jacobian, mass, angles, speeds, bias }) {
            const n = angles.length;
            const moving = times(jacobian, speeds, 6, n, 1);
            const wanted = times(base.orientation, this.position, 3, 3, 1);
            const turn = orientationError(times(base.orientation, this.orientation, 3, 3, 3), orientation);
            const pull = Float64Array.from(moving, (speed, i) =>
                KP * (i < 3 ? base.position[i] + wanted[i] - position[i] : turn[i - 3]) - KD * speed,
            );
            // How heavy the hand is along its six ways; place and turn are decoupled, the null space is not.
            const light = edu.inverse(mass, n);
            const back = turned(jacobian, 6, n);
            const lightHand = times(times(jacobian, light, 6, n, n), back, 6, n, 6);
            const block = (first) =>
                Float64Array.from({ length: 9 }, (_, i) => lightHand[(first + Math.floor(i / 3)) * 6 + first + (i % 3)]);
            const force = times(edu.inverse(block(0), 3), pull.slice(0, 3), 3, 3, 1);
            const torque = times(edu.inverse(block(3), 3), pull.slice(3), 3, 3, 1);
            const moved = times(back, [...force, ...torque], n, 6, 1);
            // What no hand feels: towards the posture, the part that would move the hand taken away.
            const wish = angles.map((angle, i) => JOINT_KP * (this.posture[i] - angle) - JOINT_KD * speeds[i]);
            const rest = times(mass, wish, n, n, 1);
            const heavy = edu.inverse(lightHand, 6);
            const felt = times(back, times(heavy, times(jacobian, times(light, rest, n, n, 1), 6, n, 1), 6, 6, 1), n, 6, 1);
            return moved.map((value, i) => value + bias[i] + rest[i] - felt[i]);
        }
    };

    // The two fingers: an action's sign opens (-) or closes (+) them by a step. ranges: [[low, high], [low, high]]
    edu.GripController = class {
        constructor(ranges) {
            this.ranges = ranges;
            this.openings = [0, 0];
        }

        aim(action) {
            const step = FINGERS_SPEED * Math.sign(action);
            this.openings = this.openings.map((now, i) => limited(now + (i ? step : -step), -1, 1));
        }

        // Where the fingers' motors are sent.
        places() {
            return this.ranges.map(([low, high], i) => (low + high) / 2 + ((high - low) / 2) * this.openings[i]);
        }
    };
})();

// The Can scene in MuJoCo's WebAssembly build: steps with robosuite's controllers, and what the policy sees of it.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const STEP_MS = 2; // of the robot's time
    const SUBSTEPS = 25; // a control step lasts 50 ms
    const POSTURE = [0, Math.PI / 16, 0, -Math.PI / 2 - Math.PI / 3, 0, Math.PI - 0.2, Math.PI / 4]; // the Panda's nominal one
    const ARM = Array.from({ length: 7 }, (_, i) => `robot0_joint${i + 1}`);
    const FINGERS = ["gripper0_right_finger_joint1", "gripper0_right_finger_joint2"];
    const GOAL = { x: [0.1, 0.295], y: [0.28, 0.525], z: [0.8, 0.9] }; // the can's quarter of the second bin
    const NEAR = Math.atanh(0.4) / 10; // let go: the hand is at least as far from the can, metres

    const CAN_AT_REST = 0.86; // height of its centre
    const [PULL, STRONGEST] = [600, 80]; // of a person's hand: newton a metre, newton
    const PUSH_MS = 250;

    // Quaternions (x, y, z, w): a turned by the inverse of b, with w >= 0.
    const relative = (b, a) => {
        const [x, y, z, w] = [-b[0], -b[1], -b[2], b[3]];
        const product = [
            w * a[0] + x * a[3] + y * a[2] - z * a[1],
            w * a[1] - x * a[2] + y * a[3] + z * a[0],
            w * a[2] + x * a[1] - y * a[0] + z * a[3],
            w * a[3] - x * a[0] - y * a[1] - z * a[2],
        ];
        return product[3] < 0 ? product.map((value) => -value) : product;
    };

    // mujoco: the module that its loader gives; scene: {xml, files {name: base64}}
    edu.Simulation = class {
        constructor(mujoco, { xml, files }) {
            this.mujoco = mujoco;
            for (const [name, content] of Object.entries(files)) mujoco.FS.writeFile(`/${name}`, edu.bytesOf(content));
            mujoco.FS.writeFile("/scene.xml", xml);
            this.model = mujoco.MjModel.loadFromXML("/scene.xml");
            this.data = new mujoco.MjData(this.model);
            const id = (kind, name) => {
                const found = mujoco.mj_name2id(this.model, mujoco.mjtObj[kind].value, name);
                if (found < 0) throw new Error(`the scene has no ${name}`);
                return found;
            };
            const joints = (names) => names.map((name) => id("mjOBJ_JOINT", name));
            const { model } = this;
            this.arm = {
                angles: joints(ARM).map((joint) => model.jnt_qposadr[joint]),
                speeds: joints(ARM).map((joint) => model.jnt_dofadr[joint]),
            };
            this.fingers = joints(FINGERS).map((joint) => model.jnt_qposadr[joint]);
            this.can = { body: id("mjOBJ_BODY", "Can_main") };
            this.can.angles = model.jnt_qposadr[model.body_jntadr[this.can.body]];
            this.can.speeds = model.jnt_dofadr[model.body_jntadr[this.can.body]];
            this.hand = id("mjOBJ_BODY", "robot0_right_hand");
            this.grip = id("mjOBJ_SITE", "gripper0_right_grip_site");
            this.base = id("mjOBJ_SITE", "robot0_right_center");
            this.bodyOf = (name) => id("mjOBJ_BODY", name);
            const { nv } = model;
            this.matrices = { mass: new mujoco.DoubleBuffer(nv * nv), place: new mujoco.DoubleBuffer(3 * nv), turn: new mujoco.DoubleBuffer(3 * nv) };
            this.ranges = Array.from({ length: model.nu }, (_, i) => [...model.actuator_ctrlrange.slice(2 * i, 2 * i + 2)]);
        }

        // Begins an episode: time, positions and velocities of all joints, as robosuite's flattened state.
        begin(state) {
            const { mujoco, model, data } = this;
            mujoco.mj_resetData(model, data);
            // robosuite's controllers look at the arm as it is loaded, in its posture, and act the first 2 ms on that.
            data.qpos.set(state.slice(1, 1 + model.nq));
            this.arm.angles.forEach((at, i) => (data.qpos[at] = POSTURE[i]));
            mujoco.mj_forward(model, data);
            this.loaded = this._armState();
            mujoco.mj_resetData(model, data);
            data.time = state[0];
            data.qpos.set(state.slice(1, 1 + model.nq));
            data.qvel.set(state.slice(1 + model.nq));
            mujoco.mj_forward(model, data);
            this.pose = new edu.PoseController(POSTURE);
            this.grips = new edu.GripController(this.ranges.slice(ARM.length));
            this.steps = this.substep = 0;
            this.pulled = this.pushed = null;
        }

        _site(which) {
            const { data } = this;
            return {
                position: [...data.site_xpos.slice(3 * which, 3 * which + 3)],
                orientation: [...data.site_xmat.slice(9 * which, 9 * which + 9)],
            };
        }

        _body(which) {
            const { data } = this;
            const [w, x, y, z] = data.xquat.slice(4 * which, 4 * which + 4);
            return { position: [...data.xpos.slice(3 * which, 3 * which + 3)], quaternion: [x, y, z, w] };
        }

        // Of all bodies at once: places (nbody, 3) and rotations (nbody, 3, 3).
        bodies() {
            return { places: this.data.xpos, rotations: this.data.xmat };
        }

        _armState() {
            const { mujoco, model, data, arm, matrices } = this;
            const { nv } = model;
            mujoco.mj_fullM(model, matrices.mass, data.qM);
            mujoco.mj_jacSite(model, data, matrices.place, matrices.turn, this.grip);
            const [whole, place, turn] = [matrices.mass, matrices.place, matrices.turn].map((one) => one.GetView());
            const of = (values, places) => places.map((at) => values[at]);
            const { qpos, qvel, qfrc_bias: bias } = data;
            return {
                ...this._site(this.grip),
                base: this._site(this.base),
                mass: arm.speeds.flatMap((row) => arm.speeds.map((column) => whole[row * nv + column])),
                jacobian: [0, 1, 2, 3, 4, 5].flatMap((row) =>
                    arm.speeds.map((column) => (row < 3 ? place[row * nv + column] : turn[(row - 3) * nv + column])),
                ),
                angles: of(qpos, arm.angles),
                speeds: of(qvel, arm.speeds),
                bias: of(bias, arm.speeds),
            };
        }

        // Carries one action (7,) out, for 50 ms, or a part of it: at most so many steps of physics. Returns how many.
        advance(action, most = SUBSTEPS) {
            const { mujoco, model, data, ranges } = this;
            const count = Math.min(most, SUBSTEPS - this.substep);
            for (let i = 0; i < count; i++) {
                mujoco.mj_step1(model, data);
                const state = this._armState();
                if (this.loaded) Object.assign(state, this.loaded, { bias: state.bias });
                this.loaded = null;
                if (this.substep === 0) {
                    this.pose.aim(state, action);
                    this.grips.aim(action[6]);
                }
                [...this.pose.torques(state), ...this.grips.places()].forEach((value, j) => {
                    data.ctrl[j] = Math.min(Math.max(value, ranges[j][0]), ranges[j][1]);
                });
                this._feel(state.position);
                mujoco.mj_step2(model, data);
                this.substep = (this.substep + 1) % SUBSTEPS;
            }
            this._place();
            if (this.substep === 0) this.steps += 1;
            return count;
        }

        // Bodies where the last step has brought them; mj_forward would change the solver's warm start.
        _place() {
            this.mujoco.mj_kinematics(this.model, this.data);
            this.mujoco.mj_comPos(this.model, this.data);
        }

        // Pulls the hand towards a place (3,), as a person would who takes it; null lets it go.
        pull(place) {
            this.pulled = place;
        }

        // Pushes the hand for a quarter of a second: upwards and away from the can, or aside where it is above it.
        push(angle = 0) {
            const { position: hand } = this._site(this.grip);
            const { position: can } = this._body(this.can.body);
            const away = [hand[0] - can[0], hand[1] - can[1]];
            const far = Math.hypot(...away);
            const [x, y] = far > 0.02 ? away.map((value) => value / far) : [Math.cos(angle), Math.sin(angle)];
            this.pushed = { force: [x, y, 0.6].map((value) => value * STRONGEST), left: PUSH_MS / STEP_MS };
        }

        _feel(hand) {
            let force = [0, 0, 0];
            if (this.pushed && this.pushed.left-- > 0) force = this.pushed.force;
            if (this.pulled) {
                const way = this.pulled.map((value, i) => value - hand[i]);
                const length = Math.hypot(...way);
                force = way.map((value) => value * Math.min(PULL, STRONGEST / (length || 1)));
            }
            this.data.xfrc_applied.set(force, 6 * this.hand);
        }

        // Puts the can upright, at rest, on the floor of the bins.
        moveCan(x, y) {
            const { data, can } = this;
            data.qpos.set([x, y, CAN_AT_REST], can.angles);
            data.qvel.fill(0, can.speeds, can.speeds + 6);
            const [w, , , z] = data.qpos.slice(can.angles + 3, can.angles + 7);
            const length = Math.hypot(w, z);
            data.qpos.set(length > 0.5 ? [w / length, 0, 0, z / length] : [1, 0, 0, 0], can.angles + 3);
            this._place();
        }

        // What the policy sees now: {key: (n,)}, as ddpm_edu/simulation/sensors.py.
        observe() {
            const { position: hand } = this._site(this.grip);
            const { quaternion: turned } = this._body(this.hand);
            const can = this._body(this.can.body);
            const offset = can.position.map((value, i) => value - hand[i]);
            const seen = edu.columns(turned).map((axis) => axis.reduce((sum, value, i) => sum + value * offset[i], 0));
            return {
                object: [...can.position, ...can.quaternion, ...seen, ...relative(turned, can.quaternion)],
                robot0_eef_pos: hand,
                robot0_eef_quat: turned,
                robot0_gripper_qpos: this.fingers.map((at) => this.data.qpos[at]),
            };
        }

        // robosuite's PickPlaceCan: the can lies in its quarter of the bin, and the hand has left it.
        succeeded() {
            const { position: can } = this._body(this.can.body);
            const { position: hand } = this._site(this.grip);
            const inside = ["x", "y", "z"].every((axis, i) => can[i] > GOAL[axis][0] && can[i] < GOAL[axis][1]);
            return inside && Math.hypot(...can.map((value, i) => value - hand[i])) > NEAR;
        }
    };
})();

import { buildShim } from "../../shim/shim.build.ts";
import { VfsSnapshotter } from "../../src/store/snapshot-vfs.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { snapshotterSuite } from "./snapshotter.ts";

await buildWasm();
await buildShim();
snapshotterSuite("VfsSnapshotter", (options) => new VfsSnapshotter(options), { whole: true });

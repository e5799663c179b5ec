import { buildShim } from "../../shim/shim.build.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { snapshotterSuite } from "./snapshotter.ts";

await buildWasm();
await buildShim();
snapshotterSuite("ErofsSnapshotter", (options) => new ErofsSnapshotter(options));

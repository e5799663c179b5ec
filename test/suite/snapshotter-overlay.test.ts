import { buildShim } from "../../shim/shim.build.ts";
import { OverlaySnapshotter } from "../../src/store/snapshot-overlay.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { snapshotterSuite } from "./snapshotter.ts";

await buildWasm();
await buildShim();
snapshotterSuite("OverlaySnapshotter", (options) => new OverlaySnapshotter(options));

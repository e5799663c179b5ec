import { builtFile } from "../../src/base/built.ts";
import { ShimRuntime } from "../../src/runtime/runtime-shim.ts";
import { runtimeSuite } from "./runtime.ts";

runtimeSuite("ShimRuntime", ({ runRoot }) => new ShimRuntime({ runRoot, program: builtFile("bosun-shim") }));

/**
 * layer.wit in the component model's canonical ABI. An export `INTERFACE__FUNCTION` here is renamed to the component's name for it by
 * layer.build.ts. List arguments are lowered straight into the engine's input buffer, so that no byte is copied twice; results lie in RESULT.
 * Source: component-model, design/mvp/CanonicalABI.md.
 */

import { crc32cRegister } from "./crc32c";
import * as engine from "./engine";
import * as fault from "./fault";
import { INPUT, INPUT_BYTES, RESULT } from "./memory";
import { xxh3Finish, xxh3Reset, xxh3Update } from "./xxh3";
import { DIGEST, sha256Finish, sha256Reset, sha256Update } from "./sha256";

/** Most bytes of one answer to `read`. */
const READ_BYTES: u32 = 1 << 20;

/** The only lists that come in are chunks, one at a time. */
export function cabi_realloc(_old: usize, _oldBytes: usize, _align: usize, bytes: usize): usize {
  if (bytes > INPUT_BYTES) unreachable();
  return INPUT;
}

/** result<_, problem>, problem = { fault: u8 @8, offset: u64 @16, path: list @24 } */
function result(code: i32): usize {
  store<u8>(RESULT, code == fault.NONE ? 0 : 1);
  if (code == fault.NONE) return RESULT;
  store<u8>(RESULT, <u8>(code - 1), 8);
  store<u64>(RESULT, engine.faultOffset(), 16);
  store<usize>(RESULT, engine.faultPath(), 24);
  store<u32>(RESULT, engine.faultPathBytes(), 28);
  return RESULT;
}

function list(at: usize, bytes: u32): usize {
  store<usize>(RESULT, at);
  store<u32>(RESULT, bytes, 4);
  return RESULT;
}

export function index__begin(maxEntries: u32, maxPath: u32, maxMeta: u32, salt: u64): usize {
  return result(engine.begin(maxEntries, maxPath, maxMeta, salt));
}

export function index__write(_chunk: usize, length: u32): usize {
  return result(engine.write(length));
}

let given: u32 = 0;

/** ok: { entries: u32 @8, inodes: u32 @12, tar-bytes: u64 @16, bytes: u64 @24 } */
export function index__finish(format: u32): usize {
  let code = engine.finish();
  if (code == fault.NONE) code = format == 0 ? engine.makeErofs() : engine.makeSteps();
  if (code != fault.NONE) return result(code);
  given = 0;
  store<u8>(RESULT, 0);
  store<u32>(RESULT, engine.entries(), 8);
  store<u32>(RESULT, engine.inodes(), 12);
  store<u64>(RESULT, engine.tarBytes(), 16);
  store<u64>(RESULT, engine.outputBytes(), 24);
  return RESULT;
}

export function index__read(): usize {
  const bytes = min(READ_BYTES, engine.outputBytes() - given);
  const at = engine.output() + given;
  given += bytes;
  return list(at, bytes);
}

/** options are flattened: mode, whole, except-bytes */
export function pack__begin(mode: u32, whole: u32, exceptBytes: u32, _names: usize, length: u32): usize {
  if (exceptBytes > length) return result(fault.BAD_RECORD);
  return result(engine.packBegin(mode, whole, exceptBytes, length - exceptBytes));
}

/** ok: list @8 */
function packed(code: i32): usize {
  if (code != fault.NONE) return result(code);
  store<u8>(RESULT, 0);
  store<usize>(RESULT, engine.packOutput(), 8);
  store<u32>(RESULT, engine.packOutputBytes(), 12);
  return RESULT;
}

export function pack__write(_records: usize, length: u32): usize {
  return packed(engine.packWrite(length));
}

export function pack__finish(): usize {
  return packed(engine.packFinish());
}

export function digest__sha256_reset(): void {
  sha256Reset();
}

export function digest__sha256_update(chunk: usize, length: u32): void {
  sha256Update(chunk, length);
}

export function digest__sha256_finish(): usize {
  sha256Finish();
  return list(DIGEST, 32);
}

export function digest__crc32c(before: u32, chunk: usize, length: u32): u32 {
  return ~crc32cRegister(~before, chunk, length);
}

export function digest__xxh3_reset(): void {
  xxh3Reset();
}

export function digest__xxh3_update(chunk: usize, length: u32): void {
  xxh3Update(chunk, length);
}

export function digest__xxh3_finish(): u64 {
  return xxh3Finish();
}

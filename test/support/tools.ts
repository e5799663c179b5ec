/** Compressors that we did not write. */

/** @param tool  `xz`, `bzip2`: reads stdin, writes stdout */
export function packedBy(tool: string, bytes: Uint8Array): Buffer {
  const { exitCode, stdout, stderr } = Bun.spawnSync([tool, "-c", "-1"], { stdin: bytes });
  if (exitCode !== 0) throw new Error(`Cannot run ${tool}: ${stderr.toString()}`);
  return stdout;
}

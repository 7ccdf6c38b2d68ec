/**
 * Paths of directories, remembered until one of them moves. Those who only read may ask for a path between a transaction's
 * work and its commit, when the tables still say what they said before; so nothing is remembered while one is under way.
 */

/** Bytes of paths kept; beyond, all are forgotten. */
const bytesMax = 8 * 1024 * 1024;

export class PathCache {
  readonly #paths = new Map<bigint, Buffer>();
  #bytes = 0;
  #writes = 0;

  beginWrite(): void {
    this.#writes++;
  }

  endWrite(): void {
    this.#writes--;
  }

  get(directory: bigint): Buffer | undefined {
    return this.#paths.get(directory);
  }

  /** The paths of all directories above it must be here or be the root's. */
  set(directory: bigint, path: Buffer): void {
    if (this.#writes > 0) return;
    if (this.#bytes + path.byteLength > bytesMax) this.clear();
    if (path.byteLength > bytesMax) return;
    this.#paths.set(directory, path);
    this.#bytes += path.byteLength;
  }

  /** Call when a name of `inode` comes or goes: paths that lead through it are void. */
  forget(inode: bigint): void {
    if (this.#paths.has(inode)) this.clear();
  }

  clear(): void {
    this.#paths.clear();
    this.#bytes = 0;
  }
}

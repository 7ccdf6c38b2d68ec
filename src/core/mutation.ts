/**
 * Mutations: what the engine reports of each change, in one total order.
 *
 * A mutation says *that* and *where* something changed; whoever consumes it reads the present state from the data
 * directory. Consuming a mutation late, twice or as a coarser one is therefore always correct; losing one never is.
 * Inode numbers are those of the data directory's file system.
 */

export type Mutation =
  /** Bytes `offset` to `offset + length` were written, punched, zeroed or copied over. */
  | { kind: 'content'; inode: bigint; offset: number; length: number }
  /** The size was set to `size`. */
  | { kind: 'truncate'; inode: bigint; size: number }
  /** A new inode (file, directory, symlink, node) got its first name. */
  | { kind: 'create'; inode: bigint; parent: bigint; name: Uint8Array }
  /** An existing inode got a further name. */
  | { kind: 'link'; inode: bigint; parent: bigint; name: Uint8Array }
  /** A name went away (unlink, rmdir). */
  | { kind: 'unlink'; inode: bigint; parent: bigint; name: Uint8Array }
  /** A name moved; what stood at the new place is gone, or has the old name if `exchange`. */
  | {
      kind: 'rename';
      inode: bigint;
      parent: bigint;
      name: Uint8Array;
      newParent: bigint;
      newName: Uint8Array;
      exchange: boolean;
    }
  /** Mode, owner or times. */
  | { kind: 'attributes'; inode: bigint }
  /** Extended attributes or access control lists. */
  | { kind: 'xattrs'; inode: bigint }
  /** Coarse: anything about this inode itself. */
  | { kind: 'inode'; inode: bigint }
  /** Coarse: anything below this directory. */
  | { kind: 'subtree'; inode: bigint };

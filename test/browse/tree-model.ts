/** Directory trees as plain values for tests: what to expect of a browsed or restored tree, and how to make them up. */
import fc from 'fast-check';
import type { Xattr } from '../../src/core/tree.ts';

interface ModelAttributes {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  xattrs: Xattr[];
}

/** Content as a list of blocks and lengths of holes. One object under several names is a hard-linked file. */
export type ModelFile = ModelAttributes & { kind: 'file'; parts: (Uint8Array | number)[] };

/** Children by name, a latin1 string with one character for each byte. */
export type ModelDirectory = ModelAttributes & { kind: 'directory'; children: Map<string, ModelNode> };

export type ModelNode =
  | ModelFile
  | ModelDirectory
  | (ModelAttributes & { kind: 'symlink'; target: Uint8Array })
  | (ModelAttributes & { kind: 'char' | 'block'; rdev: bigint })
  | (ModelAttributes & { kind: 'fifo' | 'socket' });

/** Whether tests may make what only root may: foreign owners, device nodes. */
export const isRoot = process.getuid?.() === 0;

const ownUid = process.getuid?.() ?? 0;
const ownGid = process.getgid?.() ?? 0;

/** Attributes that anybody can restore, overridden by `changes`. */
export function attributes(changes: Partial<ModelAttributes> = {}): ModelAttributes {
  return { mode: 0o644, uid: ownUid, gid: ownGid, mtimeNs: 1_700_000_000_123_456_789n, xattrs: [], ...changes };
}

export function file(parts: ModelFile['parts'] | string, changes: Partial<ModelAttributes> = {}): ModelFile {
  const asParts = typeof parts === 'string' ? (parts === '' ? [] : [Buffer.from(parts)]) : parts;
  return { ...attributes(changes), kind: 'file', parts: asParts };
}

export function directory(
  children: Record<string, ModelNode> = {},
  changes: Partial<ModelAttributes> = {},
): ModelDirectory {
  return { ...attributes({ mode: 0o755, ...changes }), kind: 'directory', children: new Map(Object.entries(children)) };
}

export function symlink(target: string, changes: Partial<ModelAttributes> = {}): ModelNode {
  return { ...attributes({ mode: 0o777, ...changes }), kind: 'symlink', target: Buffer.from(target) };
}

/** The bytes of a file, holes as zeros. */
export function contentOf({ parts }: ModelFile): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.alloc(part) : part)));
}

/** Every node below `root` with its path (latin1, "/" between names), parents first; `root` itself is not in it. */
export function* nodesOf(root: ModelDirectory, prefix = ''): Generator<[string, ModelNode]> {
  for (const [name, node] of root.children) {
    yield [prefix + name, node];
    if (node.kind === 'directory') yield* nodesOf(node, `${prefix + name}/`);
  }
}

/** How many names each node has below `root`. */
export function nameCounts(root: ModelDirectory): Map<ModelNode, number> {
  const counts = new Map<ModelNode, number>();
  for (const [, node] of nodesOf(root)) counts.set(node, (counts.get(node) ?? 0) + 1);
  return counts;
}

const nameArbitrary = fc
  .oneof(
    { weight: 8, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 255, maxLength: 255 }) },
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', '...', ' ', '-rf', 'ü', '\n').map((name) => Buffer.from(name)) },
  )
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte))).toString('latin1'))
  .filter((name) => name !== '.' && name !== '..');

const idArbitrary = (own: number) => (isRoot ? fc.integer({ min: 0, max: 70_000 }) : fc.constant(own));

/** Linux file systems agree on the years 1902 to 2242 or more. */
const timeArbitrary = fc.bigInt({ min: -2_000_000_000_000_000_000n, max: 8_000_000_000_000_000_000n });

const xattrsArbitrary = fc
  .uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[a-z.]{1,20}$/).map((name): Uint8Array => Buffer.from(`user.${name}`)),
      value: fc.uint8Array({ maxLength: 60 }),
    }),
    { maxLength: 3, selector: ({ name }) => name.toString() },
  )
  .map((xattrs) => xattrs.sort((a, b) => Buffer.compare(a.name, b.name)));

/** The bits keep the tree usable for an ordinary user who runs the tests. */
const attributesArbitrary = (leastMode: number, xattrs: fc.Arbitrary<Xattr[]>): fc.Arbitrary<ModelAttributes> =>
  fc.record({
    mode: fc.integer({ min: 0, max: isRoot ? 0o7777 : 0o1777 }).map((mode) => (isRoot ? mode : mode | leastMode)),
    uid: idArbitrary(ownUid),
    gid: idArbitrary(ownGid),
    mtimeNs: timeArbitrary,
    xattrs,
  });

/** A block, or a hole's length; holes do not follow each other. */
const partsArbitrary = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 3000 }) },
      // Few different blocks, so that files share them.
      {
        weight: 3,
        arbitrary: fc.integer({ min: 0, max: 5 }).map((kind) => new Uint8Array(1000 + kind).fill(kind + 1)),
      },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 200_000 }) },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.filter((part, at) => typeof part !== 'number' || typeof parts[at - 1] !== 'number'));

export const fileArbitrary: fc.Arbitrary<ModelFile> = fc
  .tuple(attributesArbitrary(0o600, xattrsArbitrary), partsArbitrary)
  .map(([all, parts]) => ({ ...all, kind: 'file', parts }));

const otherArbitrary: fc.Arbitrary<ModelNode> = fc
  .tuple(
    attributesArbitrary(0o600, fc.constant([])),
    fc.oneof(
      fc
        .uint8Array({ minLength: 1, maxLength: 40 })
        .map((target) => ({ kind: 'symlink' as const, target: target.map((byte) => byte || 0x2e) })),
      fc.constantFrom({ kind: 'fifo' as const }, { kind: 'socket' as const }),
      isRoot
        ? fc.constantFrom({ kind: 'char' as const, rdev: 0x103n }, { kind: 'block' as const, rdev: 0x70_0007n })
        : fc.constant({ kind: 'fifo' as const }),
    ),
  )
  // Linux gives every symlink the mode 0777.
  .map(([all, rest]): ModelNode => ({ ...all, ...rest, ...(rest.kind === 'symlink' ? { mode: 0o777 } : {}) }));

const { directory: directoryArbitrary } = fc.letrec<{ directory: ModelDirectory; node: ModelNode }>((tie) => ({
  directory: fc
    .tuple(
      attributesArbitrary(0o700, xattrsArbitrary),
      fc.uniqueArray(fc.tuple(nameArbitrary, tie('node')), { maxLength: 7, selector: ([name]) => name }),
    )
    .map(([all, children]) => ({ ...all, kind: 'directory', children: new Map(children) })),
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 4, arbitrary: fileArbitrary },
    { weight: 2, arbitrary: otherArbitrary },
    { weight: 2, arbitrary: tie('directory') },
  ),
}));

/** Trees with odd names, extended attributes, sparse files, all kinds of entries and hard links. */
export const treeArbitrary: fc.Arbitrary<ModelDirectory> = fc
  .tuple(directoryArbitrary, fc.array(fc.tuple(fc.nat(), fc.nat(), nameArbitrary), { maxLength: 4 }))
  .map(([root, links]) => {
    for (const [which, where, name] of links) {
      const nodes = [...nodesOf(root)].map(([, node]) => node);
      const linkable = nodes.filter(({ kind }) => kind !== 'directory');
      const directories = [root, ...nodes.filter((node) => node.kind === 'directory')];
      const target = linkable[which % Math.max(1, linkable.length)];
      const parent = directories[where % directories.length];
      if (target !== undefined && parent !== undefined && !parent.children.has(name)) parent.children.set(name, target);
    }
    return root;
  });

/** Mutations that wait for long, in a few bytes each. */
import { decode, encode } from '../core/codec.ts';
import type { Mutation } from '../core/mutation.ts';
import { asBytes, asCount, asList, asOneOf, asUint64 } from '../core/shape.ts';

export interface PackedMutations {
  bytes: Uint8Array;
  /** Of each mutation in order its `inode`, so that one can be looked for without unpacking. */
  inodes: BigUint64Array;
}

const kinds = [
  'content',
  'truncate',
  'create',
  'link',
  'unlink',
  'rename',
  'attributes',
  'xattrs',
  'inode',
  'subtree',
] as const;

export function packMutations(mutations: readonly Mutation[]): PackedMutations {
  return {
    bytes: encode(mutations.map(fieldsOf)),
    inodes: BigUint64Array.from(mutations, ({ inode }) => inode),
  };
}

export function unpackMutations({ bytes, inodes }: PackedMutations): Mutation[] {
  return asList(decode(bytes, 'mutations'), 'mutations').map((fields, number) =>
    mutationOf(inodes[number] as bigint, asList(fields, 'mutation')),
  );
}

/** The kind and what there is besides the inode. */
function fieldsOf(mutation: Mutation): unknown[] {
  const { kind } = mutation;
  switch (kind) {
    case 'content':
      return [kinds.indexOf(kind), mutation.offset, mutation.length];
    case 'truncate':
      return [kinds.indexOf(kind), mutation.size];
    case 'create':
    case 'link':
    case 'unlink':
      return [kinds.indexOf(kind), mutation.parent, mutation.name];
    case 'rename': {
      const { parent, name, newParent, newName, exchange } = mutation;
      return [kinds.indexOf(kind), parent, name, newParent, newName, exchange];
    }
    default:
      return [kinds.indexOf(kind)];
  }
}

function mutationOf(inode: bigint, fields: unknown[]): Mutation {
  const kind = asOneOf(kinds[asCount(fields[0], 'kind')], 'kind', kinds);
  switch (kind) {
    case 'content':
      return { kind, inode, offset: asCount(fields[1], 'offset'), length: asCount(fields[2], 'length') };
    case 'truncate':
      return { kind, inode, size: asCount(fields[1], 'size') };
    case 'create':
    case 'link':
    case 'unlink':
      return { kind, inode, parent: asUint64(fields[1], 'parent'), name: asBytes(fields[2], 'name') };
    case 'rename': {
      const from = { parent: asUint64(fields[1], 'parent'), name: asBytes(fields[2], 'name') };
      const to = { newParent: asUint64(fields[3], 'parent'), newName: asBytes(fields[4], 'name') };
      return { kind, inode, ...from, ...to, exchange: fields[5] === true };
    }
    default:
      return { kind, inode };
  }
}

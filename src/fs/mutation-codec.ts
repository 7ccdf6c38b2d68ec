/**
 * Decodes batches of the mutation log. The places within a batch come from the addon (`MutationLayout`), so that the
 * two sides cannot disagree; `docs/design/mount.md` shows them as a table.
 */
import { CovaultError } from '../core/errors.ts';
import type { Mutation } from '../core/mutation.ts';
import type { MutationKindName, MutationLayout } from './addon.ts';

export interface MutationBatch {
  /** Every mutation with a sequence number up to this one is in this batch or an earlier one. */
  sequence: number;
  mutations: (Mutation | CutMark)[];
}

/** A cut was made here: what is before it in the order is in, what follows is not. */
export interface CutMark {
  kind: 'cut';
  /** As given to the engine. */
  number: bigint;
}

/**
 * A decoder for one layout. It throws `E_CORRUPT` for a batch that is not what the layout says; that is a defect of the
 * addon. Names in the result are copies. A range beyond 2^53 bytes becomes an `inode` mutation.
 */
export function createMutationDecoder(layout: MutationLayout): (batch: Uint8Array) => MutationBatch {
  const names = new Map<number, MutationKindName>();
  for (const [name, kind] of Object.entries(layout.kinds)) names.set(kind, name as MutationKindName);
  return (batch) => decodeBatch(batch, layout, names);
}

interface Reader {
  batch: Uint8Array;
  view: DataView;
  layout: MutationLayout;
  /** Where the present record starts. */
  position: number;
}

function decodeBatch(batch: Uint8Array, layout: MutationLayout, names: Map<number, MutationKindName>): MutationBatch {
  if (batch.byteLength < layout.batchHeaderBytes) throw corrupt('has no header');
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const reader: Reader = { batch, view, layout, position: layout.batchHeaderBytes };
  const count = view.getUint32(layout.batchCount, true);
  const mutations: (Mutation | CutMark)[] = [];
  for (let i = 0; i < count; i++) {
    if (reader.position + layout.recordHeaderBytes > batch.byteLength) throw corrupt('ends within a record');
    const kind = names.get(view.getUint8(reader.position + layout.kind));
    if (kind === undefined) throw corrupt('has a record of an unknown kind');
    const end = reader.position + recordBytes(reader, kind);
    if (end > batch.byteLength) throw corrupt('ends within a record');
    mutations.push(decodeRecord(reader, kind));
    reader.position = Math.ceil(end / layout.alignment) * layout.alignment;
  }
  if (reader.position < batch.byteLength) throw corrupt('goes on after its last record');
  return { sequence: Number(view.getBigUint64(layout.batchSequence, true)), mutations };
}

function corrupt(what: string): CovaultError {
  return new CovaultError('E_CORRUPT', `a batch of mutations ${what}`);
}

/** Length of the present record without its padding. */
function recordBytes({ view, layout, position }: Reader, kind: MutationKindName): number {
  const nameBytes = view.getUint16(position + layout.nameBytes, true);
  const newNameBytes = view.getUint16(position + layout.newNameBytes, true);
  switch (kind) {
    case 'content':
      return layout.nameAfterSecond;
    case 'truncate':
      return layout.nameAfterFirst;
    case 'create':
    case 'link':
    case 'unlink':
      return layout.nameAfterFirst + nameBytes;
    case 'rename':
      return layout.nameAfterSecond + nameBytes + newNameBytes;
    default:
      return layout.recordHeaderBytes;
  }
}

function decodeRecord(reader: Reader, kind: MutationKindName): Mutation | CutMark {
  const { view, layout, position } = reader;
  const inode = view.getBigUint64(position + layout.inode, true);
  const first = () => view.getBigUint64(position + layout.first, true);
  const second = () => view.getBigUint64(position + layout.second, true);
  const nameBytes = view.getUint16(position + layout.nameBytes, true);
  switch (kind) {
    case 'content': {
      const offset = Number(first());
      const length = Number(second());
      return Number.isSafeInteger(offset + length) ? { kind, inode, offset, length } : { kind: 'inode', inode };
    }
    case 'truncate': {
      const size = Number(first());
      return Number.isSafeInteger(size) ? { kind, inode, size } : { kind: 'inode', inode };
    }
    case 'create':
    case 'link':
    case 'unlink':
      return { kind, inode, parent: first(), name: copyAt(reader, layout.nameAfterFirst, nameBytes) };
    case 'rename':
      return {
        kind,
        inode,
        parent: first(),
        name: copyAt(reader, layout.nameAfterSecond, nameBytes),
        newParent: second(),
        newName: copyAt(
          reader,
          layout.nameAfterSecond + nameBytes,
          view.getUint16(position + layout.newNameBytes, true),
        ),
        exchange: (view.getUint8(position + layout.flags) & layout.exchange) !== 0,
      };
    case 'cut':
      return { kind, number: inode };
    default:
      return { kind, inode };
  }
}

function copyAt({ batch, position }: Reader, place: number, length: number): Uint8Array {
  return batch.slice(position + place, position + place + length);
}

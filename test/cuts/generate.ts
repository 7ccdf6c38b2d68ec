/** A writer's operations, chosen by a seed alone: each is possible in the state that those before it leave. */
import type { DataMode } from '../../src/fs/session.ts';
import type { Node } from './node.ts';
import { homeOf, type Operation, randomFrom, recordsPerWriter, shared } from './operation.ts';
import { WriterModel } from './writer-model.ts';

export interface GenerateOptions {
  seed: number;
  writer: number;
  count: number;
  /** Bytes of the largest file. */
  fileBytesMax?: number;
}

const nodesMax = 45;
const slotsMax = 8;

/** Each as often as it stands here, as far as it is possible. */
const acts = [
  ...new Array(10).fill('write'),
  ...new Array(3).fill('append'),
  ...new Array(3).fill('truncate'),
  ...new Array(2).fill('allocate'),
  ...new Array(2).fill('punch'),
  ...new Array(2).fill('copy'),
  ...new Array(5).fill('store'),
  ...new Array(2).fill('msync'),
  ...new Array(3).fill('fsync'),
  ...new Array(6).fill('create'),
  ...new Array(4).fill('open'),
  ...new Array(4).fill('close'),
  ...new Array(2).fill('mkdir'),
  ...new Array(2).fill('rmdir'),
  ...new Array(4).fill('unlink'),
  ...new Array(5).fill('rename'),
  ...new Array(3).fill('replace'),
  ...new Array(3).fill('exchange'),
  ...new Array(3).fill('link'),
  ...new Array(2).fill('symlink'),
  ...new Array(1).fill('fifo'),
  ...new Array(3).fill('chmod'),
  ...new Array(3).fill('utimes'),
  ...new Array(3).fill('setxattr'),
  ...new Array(1).fill('removexattr'),
  ...new Array(2).fill('unnamed'),
  ...new Array(2).fill('name'),
  ...new Array(6).fill('record'),
  ...new Array(3).fill('log'),
  ...new Array(2).fill('publish'),
] as (Operation['act'] | 'replace')[];

export function generateOperations(options: GenerateOptions): Operation[] {
  const generator = new Generator(options);
  return Array.from({ length: options.count }, () => generator.next());
}

interface Found {
  path: string;
  node: Node;
}

class Generator {
  readonly #random: (below: number) => number;
  readonly #model: WriterModel;
  readonly #fileBytesMax: number;
  #order = 0;
  #serial = 0;
  /** Slots whose file is mapped, with the bytes that were. */
  readonly #mapped = new Map<number, number>();
  /** Files that have never had a name. */
  readonly #unnamed = new Set<Node>();
  #all: Found[] = [];

  constructor({ seed, writer, fileBytesMax = 48_000 }: GenerateOptions) {
    this.#random = randomFrom(seed * 1009 + writer * 31 + 7);
    // What is possible does not depend on when data arrives.
    const dataMode: DataMode = 'write-through';
    this.#model = new WriterModel(writer, dataMode);
    this.#fileBytesMax = fileBytesMax;
  }

  next(): Operation {
    this.#all = [...this.#model.list()];
    for (;;) {
      const operation = this.#propose(this.#pick(acts));
      if (!operation) continue;
      this.#model.apply(this.#order++, operation);
      this.#note(operation);
      return operation;
    }
  }

  #note(operation: Operation): void {
    switch (operation.act) {
      case 'close':
        this.#mapped.delete(operation.slot);
        return;
      case 'store': {
        const { slot } = operation;
        if (!this.#mapped.has(slot)) this.#mapped.set(slot, this.#sizeOf(this.#model.inSlot(slot)));
        return;
      }
      case 'unnamed':
        this.#unnamed.add(this.#model.inSlot(operation.slot));
        return;
      case 'name':
        this.#unnamed.delete(this.#model.inSlot(operation.slot));
    }
  }

  #propose(act: (typeof acts)[number]): Operation | undefined {
    return this.#proposeContent(act) ?? this.#proposeAttributes(act) ?? this.#proposeNames(act);
  }

  #proposeContent(act: (typeof acts)[number]): Operation | undefined {
    const slot = this.#pickMaybe([...this.#model.slots.keys()]);
    if (act === 'append') {
      const path = this.#pickMaybe(
        this.#ofKind('file').filter(({ node }) => this.#sizeOf(node) < this.#fileBytesMax),
      )?.path;
      return path === undefined ? undefined : { act, path, length: this.#length() };
    }
    if (act === 'record') return { act, place: this.#random(recordsPerWriter), synced: this.#random(4) === 0 };
    if (act === 'log' || act === 'publish') return { act };
    if (slot === undefined) return undefined;
    const node = this.#model.inSlot(slot);
    const size = this.#sizeOf(node);
    switch (act) {
      case 'write': {
        const offset = this.#random(Math.min(this.#fileBytesMax, size + 9000));
        return { act, slot, offset, length: this.#length(), zero: this.#random(8) === 0 };
      }
      case 'truncate': {
        const to = this.#random(3) === 0 ? this.#random(this.#fileBytesMax) : this.#random(size + 1);
        return to === size ? undefined : { act, slot, size: to };
      }
      case 'allocate':
        return { act, slot, offset: this.#random(this.#fileBytesMax), length: 1 + this.#random(9000) };
      case 'punch':
        return { act, slot, offset: this.#random(size + 1), length: 1 + this.#random(12_000) };
      case 'copy':
        return this.#proposeCopy(slot, node);
      case 'store': {
        const mapped = Math.min(this.#mapped.get(slot) ?? size, size);
        if (mapped === 0) return undefined;
        const offset = this.#random(mapped);
        return { act, slot, offset, length: 1 + this.#random(Math.min(mapped - offset, 9000)) };
      }
      case 'msync':
        return this.#mapped.has(slot) ? { act, slot, length: this.#mapped.get(slot) ?? 0 } : undefined;
      case 'fsync':
        return { act, slot };
      default:
        return undefined;
    }
  }

  #proposeCopy(to: number, target: Node): Operation | undefined {
    const from = this.#pick([...this.#model.slots.keys()]);
    const size = this.#sizeOf(this.#model.inSlot(from));
    if (this.#model.inSlot(from) === target || size === 0) return undefined;
    const fromOffset = this.#random(size);
    const length = 1 + this.#random(Math.min(size - fromOffset, 16_000));
    return { act: 'copy', from, to, fromOffset, offset: this.#random(this.#sizeOf(target) + 1), length };
  }

  #proposeAttributes(act: (typeof acts)[number]): Operation | undefined {
    const one = this.#pickMaybe(this.#all.filter(({ node }) => node.kind === 'file' || node.kind === 'directory'));
    if (!one) return undefined;
    const { path, node } = one;
    switch (act) {
      case 'chmod':
        return { act, path, mode: (node.kind === 'directory' ? 0o700 : 0o600) + this.#random(64) };
      case 'utimes': {
        const mtimeNs = `${1_000_000_000 + this.#random(600_000_000)}${String(this.#random(1_000_000_000)).padStart(9, '0')}`;
        return { act, path, mtimeNs };
      }
      case 'setxattr':
        return { act, path, name: `user.${this.#random(3)}`, value: `${this.#order}`.repeat(1 + this.#random(20)) };
      case 'removexattr': {
        const name = this.#pickMaybe([...node.xattrs.keys()]);
        return name === undefined ? undefined : { act, path, name };
      }
      case 'open': {
        const file = this.#pickMaybe(this.#ofKind('file'));
        const slot = this.#freeSlot();
        return file && slot !== undefined ? { act, path: file.path, slot } : undefined;
      }
      case 'close': {
        const slot = this.#pickMaybe([...this.#model.slots.keys()]);
        return slot === undefined ? undefined : { act, slot };
      }
      default:
        return undefined;
    }
  }

  #proposeNames(act: (typeof acts)[number]): Operation | undefined {
    if (['create', 'mkdir', 'symlink', 'fifo', 'link', 'unnamed', 'name'].includes(act)) return this.#proposeNew(act);
    const one = this.#pickMaybe(this.#all);
    if (!one) return undefined;
    const { path, node } = one;
    switch (act) {
      case 'rmdir':
        return node.kind === 'directory' && node.children.size === 0 ? { act, path } : undefined;
      case 'unlink':
        return node.kind !== 'directory' ? { act, path } : undefined;
      case 'rename': {
        const to = this.#freshName();
        return isWithin(to, path) ? undefined : { act, path, to };
      }
      case 'replace': {
        const { path: to, node: other } = this.#pick(this.#all);
        const isFitting =
          node.kind === 'directory'
            ? other.kind === 'directory' && other.children.size === 0
            : other.kind !== 'directory';
        return node === other || !isFitting || isWithin(to, path) ? undefined : { act: 'rename', path, to };
      }
      case 'exchange': {
        const { path: to, node: other } = this.#pick(this.#all);
        return node === other || isWithin(to, path) || isWithin(path, to) ? undefined : { act, path, to };
      }
      default:
        return undefined;
    }
  }

  #proposeNew(act: (typeof acts)[number]): Operation | undefined {
    if (act === 'name') {
      const slot = [...this.#model.slots].find(([, node]) => this.#unnamed.has(node))?.[0];
      return slot === undefined ? undefined : { act, slot, path: this.#freshName() };
    }
    if (this.#all.length >= nodesMax) return undefined;
    const path = this.#freshName();
    const slot = this.#freeSlot();
    switch (act) {
      case 'create':
        return slot === undefined ? undefined : { act, path, slot };
      case 'mkdir':
        return { act, path };
      case 'symlink':
        return { act, path, target: `to/${this.#order}` };
      case 'fifo':
        return { act, path };
      case 'link': {
        const from = this.#pickMaybe(this.#all.filter(({ node }) => node.kind !== 'directory'));
        return from && { act, path: from.path, to: path };
      }
      default: {
        const directory = this.#pick([
          homeOf(this.#model.writer),
          ...this.#ofKind('directory').map((found) => found.path),
        ]);
        return slot === undefined ? undefined : { act: 'unnamed', path: directory, slot };
      }
    }
  }

  #ofKind(kind: Node['kind']): Found[] {
    return this.#all.filter(({ node }) => node.kind === kind);
  }

  #sizeOf(node: Node): number {
    return node.content.data.byteLength;
  }

  #length(): number {
    return 1 + (this.#random(3) === 0 ? this.#random(14_000) : this.#random(1200));
  }

  #freeSlot(): number | undefined {
    return Array.from({ length: slotsMax }, (_, slot) => slot).find((slot) => !this.#model.slots.has(slot));
  }

  /** In any directory of the writer's, the shared one too; there names of all writers are. */
  #freshName(): string {
    const home = homeOf(this.#model.writer);
    const directory = this.#pick([home, shared.names, ...this.#ofKind('directory').map(({ path }) => path)]);
    return `${directory}/${home}-${(this.#serial++).toString(36)}`;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random(items.length)] as T;
  }

  #pickMaybe<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : this.#pick(items);
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

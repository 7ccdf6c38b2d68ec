/**
 * Everything in the mount that belongs to one writer: its home, its names in the shared directory, its records in the
 * shared file, what it appended and published. Only the writer changes it, so its states are a sequence.
 */
import type { DataMode } from '../../src/fs/session.ts';
import { type Content, grown, punched, resized, settledContent, written, writtenLater } from './content.ts';
import { type Kind, Node, type Span } from './node.ts';
import { contentOf, homeOf, type Operation, recordBytes, recordsPerWriter, shared } from './operation.ts';

const never: Span = { from: 0n, to: 0n };

export class WriterModel {
  readonly writer: number;
  readonly #dataMode: DataMode;
  /** The mount, with nothing in it but the home and the shared directory. */
  #root = new Node('directory', 0o755);
  #slots = new Map<number, Node>();
  #records: Content[] = [];
  /** Orders of what was appended to the shared log and published. */
  logged: number[] = [];
  published: number[] = [];

  constructor(writer: number, dataMode: DataMode) {
    this.writer = writer;
    this.#dataMode = dataMode;
    for (let place = 0; place < recordsPerWriter; place++)
      this.#records.push(settledContent(Buffer.alloc(recordBytes)));
    this.#put(homeOf(writer), new Node('directory', 0o755), never);
    this.#put(shared.directory, new Node('directory', 0o755), never);
    this.#put(shared.names, new Node('directory', 0o755), never);
    this.home.modifiedIn({ from: 0n, to: 2n ** 62n });
  }

  get home(): Node {
    return this.at(homeOf(this.writer));
  }

  get sharedNames(): Node {
    return this.at(shared.names);
  }

  get slots(): ReadonlyMap<number, Node> {
    return this.#slots;
  }

  get records(): readonly Content[] {
    return this.#records;
  }

  at(path: string): Node {
    let node = this.#root;
    for (const name of path.split('/')) {
      const child = node.children.get(name);
      if (!child) throw new Error(`the model has no ${path}`);
      node = child;
    }
    return node;
  }

  inSlot(slot: number): Node {
    const node = this.#slots.get(slot);
    if (!node) throw new Error(`nothing is open in slot ${slot}`);
    return node;
  }

  /** Every node with its path, directories before what is in them. */
  *list(): Generator<{ path: string; node: Node }> {
    yield* listBelow(this.home, homeOf(this.writer));
    yield* listBelow(this.sharedNames, shared.names);
  }

  /** Whether what the operation writes may come in later than it returns. */
  isLate(operation: Operation): boolean {
    const { act } = operation;
    if (act === 'store') return true;
    if (act === 'record' && operation.synced) return false;
    return this.#dataMode === 'writeback' && ['write', 'append', 'record', 'log'].includes(act);
  }

  /** A copy that shares nothing that changes. */
  clone(): WriterModel {
    const copy = new WriterModel(this.writer, this.#dataMode);
    const copies = new Map<Node, Node>();
    const cloned = (node: Node): Node => {
      const known = copies.get(node);
      if (known) return known;
      const shell = node.shell();
      copies.set(node, shell);
      for (const [name, child] of node.children) shell.children.set(name, cloned(child));
      return shell;
    };
    copy.#root = cloned(this.#root);
    copy.#slots = new Map([...this.#slots].map(([slot, node]) => [slot, cloned(node)]));
    copy.#records = [...this.#records];
    copy.logged = [...this.logged];
    copy.published = [...this.published];
    return copy;
  }

  /**
   * Does what an operation does.
   *
   * @param when in which it was done, by the wall clock.
   * @param arrives `later`: what is late may be missing until something asks for it. `at once`: it is all there.
   */
  apply(order: number, operation: Operation, when: Span = never, arrives: 'later' | 'at once' = 'at once'): void {
    const isLate = this.isLate(operation);
    const put = isLate && arrives === 'later' ? writtenLater : written;
    if (this.#applyContent(order, operation, { when, isLate, put })) return;
    if (this.#applyAttributes(operation, when)) return;
    this.#applyNames(operation, when);
  }

  #applyContent(
    order: number,
    operation: Operation,
    { when, isLate, put }: { when: Span; isLate: boolean; put: typeof written },
  ): boolean {
    const bytes = (length: number) => contentOf(this.writer, order, length);
    // In writeback mode the kernel copies at once, and tells the time of it later.
    const isTimeLate = isLate || (operation.act === 'copy' && this.#dataMode === 'writeback');
    const write = (node: Node, offset: number, content: Buffer) => {
      node.content = put(node.content, offset, content);
      if (isTimeLate) node.modifiedLater(when);
      else node.modifiedIn(when);
    };
    switch (operation.act) {
      case 'write': {
        const content = operation.zero ? Buffer.alloc(operation.length) : bytes(operation.length);
        write(this.inSlot(operation.slot), operation.offset, content);
        return true;
      }
      case 'append': {
        const node = this.at(operation.path);
        write(node, node.content.data.byteLength, bytes(operation.length));
        return true;
      }
      case 'store':
        write(this.inSlot(operation.slot), operation.offset, bytes(operation.length));
        return true;
      case 'copy': {
        const { data } = this.inSlot(operation.from).content;
        const range = data.subarray(operation.fromOffset, operation.fromOffset + operation.length);
        write(this.inSlot(operation.to), operation.offset, Buffer.from(range));
        return true;
      }
      case 'truncate':
        this.#shape(operation.slot, (content) => resized(content, operation.size)).modifiedIn(when);
        return true;
      case 'allocate':
        this.#shape(operation.slot, (content) => grown(content, operation.offset + operation.length)).perhapsModifiedIn(
          when,
        );
        return true;
      case 'punch':
        this.#shape(operation.slot, (content) =>
          punched(content, operation.offset, operation.length),
        ).perhapsModifiedIn(when);
        return true;
      case 'msync':
        this.inSlot(operation.slot).syncedUpTo(operation.length);
        return true;
      case 'fsync':
        this.inSlot(operation.slot).synced();
        return true;
      case 'record': {
        const before = this.#records[operation.place] as Content;
        this.#records[operation.place] = put(before, 0, bytes(recordBytes));
        if (operation.synced) this.#records = this.#records.map(({ data }) => settledContent(data));
        return true;
      }
      case 'log':
        this.logged.push(order);
        return true;
      case 'publish':
        this.published.push(order);
        return true;
      default:
        return false;
    }
  }

  #shape(slot: number, change: (content: Content) => Content): Node {
    const node = this.inSlot(slot);
    node.content = change(node.content);
    return node;
  }

  #applyAttributes(operation: Operation, when: Span): boolean {
    switch (operation.act) {
      case 'chmod': {
        const node = this.at(operation.path);
        node.mode = operation.mode;
        node.changed();
        return true;
      }
      case 'utimes':
        // In writeback mode the kernel sends what it has before it sets times.
        this.at(operation.path).timeSet(BigInt(operation.mtimeNs), when, this.#dataMode === 'write-through');
        return true;
      case 'setxattr':
      case 'removexattr': {
        const node = this.at(operation.path);
        if (operation.act === 'setxattr') node.xattrs.set(operation.name, operation.value);
        else node.xattrs.delete(operation.name);
        node.changed();
        return true;
      }
      case 'open':
        this.#slots.set(operation.slot, this.at(operation.path));
        return true;
      case 'unnamed':
        this.#slots.set(operation.slot, newNode('file', when));
        return true;
      case 'close':
        this.#slots.delete(operation.slot);
        return true;
      default:
        return false;
    }
  }

  #applyNames(operation: Operation, when: Span): void {
    switch (operation.act) {
      case 'create':
        this.#slots.set(operation.slot, this.#put(operation.path, newNode('file', when), when));
        return;
      case 'mkdir':
        this.#put(operation.path, newNode('directory', when), when);
        return;
      case 'symlink':
        this.#put(operation.path, Object.assign(newNode('symlink', when), { target: operation.target }), when);
        return;
      case 'fifo':
        this.#put(operation.path, newNode('fifo', when), when);
        return;
      case 'name':
        this.#put(operation.path, this.inSlot(operation.slot), when);
        return;
      case 'link':
        this.#put(operation.to, this.at(operation.path), when);
        return;
      case 'unlink':
      case 'rmdir':
        this.#take(operation.path, when);
        return;
      case 'rename':
        this.#put(operation.to, this.#take(operation.path, when), when);
        return;
      case 'exchange': {
        const [one, other] = [this.#take(operation.path, when), this.#take(operation.to, when)];
        this.#put(operation.to, one, when);
        this.#put(operation.path, other, when);
        return;
      }
      default:
        throw new Error(`no such operation: ${operation.act}`);
    }
  }

  #place(path: string): { above: Node; name: string } {
    const slash = path.lastIndexOf('/');
    return { above: slash < 0 ? this.#root : this.at(path.slice(0, slash)), name: path.slice(slash + 1) };
  }

  /** Gives a node a name, whatever had it. */
  #put(path: string, node: Node, when: Span): Node {
    const { above, name } = this.#place(path);
    if (above.children.has(name)) this.#take(path, when);
    above.children.set(name, node);
    above.modifiedIn(when);
    node.names += 1;
    node.changed();
    return node;
  }

  #take(path: string, when: Span): Node {
    const { above, name } = this.#place(path);
    const node = above.children.get(name);
    if (!node) throw new Error(`the model has no ${path}`);
    above.children.delete(name);
    above.modifiedIn(when);
    node.names -= 1;
    node.changed();
    return node;
  }
}

function newNode(kind: Kind, when: Span): Node {
  const modes = { file: 0o644, directory: 0o755, symlink: 0o777, fifo: 0o644 };
  const node = new Node(kind, modes[kind]);
  node.modifiedIn(when);
  return node;
}

function* listBelow(directory: Node, path: string): Generator<{ path: string; node: Node }> {
  for (const [name, node] of directory.children) {
    yield { path: `${path}/${name}`, node };
    if (node.kind === 'directory') yield* listBelow(node, `${path}/${name}`);
  }
}

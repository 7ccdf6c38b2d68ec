/** The nodes of a writer's model: what can be seen of them, and when they may last have been modified. */
import { type Content, emptyContent } from './content.ts';
import { pageBytes } from './operation.ts';

/** Nanoseconds since 1970, both included. */
export interface Span {
  from: bigint;
  to: bigint;
}

export const endOfTime = 2n ** 62n;

interface ModificationTime extends Span {
  /** Of before what is still on its way was written. */
  isOlder: boolean;
}

export type Kind = 'file' | 'directory' | 'symlink' | 'fifo';

let lastVersion = 0;

export class Node {
  readonly kind: Kind;
  mode: number;
  xattrs = new Map<string, string>();
  target = '';
  /** Names that it has. */
  names = 0;
  /** Of a file. */
  content: Content = emptyContent;
  /** Of a directory. */
  children = new Map<string, Node>();
  /** Some of its content may be on its way, which sets the time when it arrives, or its time may be. */
  isPending = false;
  /** Another number whenever something of it has changed (but its children's own changes). */
  version = ++lastVersion;
  /** It may have been modified in any of these. */
  times: ModificationTime[] = [];

  constructor(kind: Kind, mode: number) {
    this.kind = kind;
    this.mode = mode;
  }

  changed(): void {
    this.version = ++lastVersion;
  }

  /** Modified by something that is in at once. */
  modifiedIn(when: Span): void {
    // What arrives later sets the time once more.
    const to = this.isPending ? endOfTime : when.to;
    this.times = [{ from: when.from, to, isOlder: false }];
    this.changed();
  }

  /** As `modifiedIn`, or not modified at all: file systems differ. */
  perhapsModifiedIn(when: Span): void {
    const before = this.times;
    this.modifiedIn(when);
    this.times.push(...before);
  }

  modifiedLater(when: Span): void {
    if (!this.isPending) {
      for (const time of this.times) time.isOlder = true;
      this.times.push({ from: when.from, to: endOfTime, isOlder: false });
    }
    this.isPending = true;
    this.changed();
  }

  /** The time was set. @param arrivesLater what is on its way is not sent first. */
  timeSet(mtimeNs: bigint, when: Span, arrivesLater: boolean): void {
    this.times = [{ from: mtimeNs, to: mtimeNs, isOlder: false }];
    if (this.isPending && arrivesLater) this.times.push({ from: when.from, to: endOfTime, isOlder: false });
    else this.isPending = false;
    this.changed();
  }

  /** What was written into the first `length` bytes has arrived. */
  syncedUpTo(length: number): void {
    const { data, older, sizes } = this.content;
    if (length >= data.byteLength) {
      this.synced();
      return;
    }
    const later = [...older].filter(([page]) => page * pageBytes >= length);
    this.content = { data, older: new Map(later), sizes };
    this.changed();
  }

  /** Everything of it has arrived. */
  synced(): void {
    if (this.isPending) this.times = this.times.filter(({ isOlder }) => !isOlder);
    this.isPending = false;
    this.content = { data: this.content.data, older: new Map(), sizes: [] };
    this.changed();
  }

  /** A copy without its children. */
  shell(): Node {
    const copy = new Node(this.kind, this.mode);
    copy.xattrs = new Map(this.xattrs);
    copy.target = this.target;
    copy.names = this.names;
    copy.content = this.content;
    copy.isPending = this.isPending;
    copy.times = this.times.map((time) => ({ ...time }));
    copy.version = this.version;
    return copy;
  }
}

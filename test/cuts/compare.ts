/** How an image differs from what a writer's model allows. */
import { contentMismatch } from './content.ts';
import type { Image, ImageNode } from './image.ts';
import type { Node } from './node.ts';
import { homeOf, recordBytes, recordsPerWriter, shared } from './operation.ts';
import type { WriterModel } from './writer-model.ts';

/** Names of one writer in an image: of its home, and of what it has in the shared directory. */
export type OwnPart = ReadonlyMap<string, ImageNode>;

export function ownPart(image: Image, writer: number): OwnPart {
  const home = homeOf(writer);
  const isOwn = (path: string) =>
    path === home || path.startsWith(`${home}/`) || path.startsWith(`${shared.names}/${home}-`);
  return new Map([...image].filter(([path]) => isOwn(path)));
}

/** Compares states of one writer with one image; remembers what it has found of nodes that did not change. */
export class Comparison {
  readonly #own: OwnPart;
  readonly #records: Buffer;
  readonly #writer: number;
  /** By path: the version of the node that stood there when it was compared, and what was found. */
  readonly #known = new Map<string, { version: number; found: string | undefined }>();

  constructor(image: Image, writer: number) {
    this.#own = ownPart(image, writer);
    this.#records = image.get(shared.records)?.content ?? Buffer.alloc(0);
    this.#writer = writer;
  }

  /** Each difference in a sentence; none if the image is what the model allows. */
  differences(model: WriterModel): string[] {
    const found: string[] = [];
    const seen = new Set<string>();
    const numbers = new Map<Node, bigint>();
    const nodes = new Map<bigint, Node>();
    const compare = (path: string, node: Node) => {
      seen.add(path);
      const shown = this.#own.get(path);
      if (!shown) {
        found.push(`${path} is not there`);
        return;
      }
      const differs = this.#compareNode(path, node, shown);
      if (differs) found.push(`${path}: ${differs}`);
      if (shown.number !== (numbers.get(node) ?? shown.number))
        found.push(`${path}: not the same file as its other name`);
      if ((nodes.get(shown.number) ?? node) !== node) found.push(`${path}: the same file as another`);
      numbers.set(node, shown.number);
      nodes.set(shown.number, node);
    };
    compare(homeOf(this.#writer), model.home);
    for (const { path, node } of model.list()) compare(path, node);
    for (const path of this.#own.keys()) if (!seen.has(path)) found.push(`${path} is there`);
    found.push(...this.#recordDifferences(model));
    return found;
  }

  #compareNode(path: string, node: Node, shown: ImageNode): string | undefined {
    const known = this.#known.get(path);
    if (known?.version === node.version) return known.found;
    const found = nodeDifference(node, shown);
    this.#known.set(path, { version: node.version, found });
    return found;
  }

  #recordDifferences(model: WriterModel): string[] {
    return model.records.flatMap((record, place) => {
      const start = (this.#writer * recordsPerWriter + place) * recordBytes;
      const differs = contentMismatch(record, this.#records.subarray(start, start + recordBytes));
      return differs ? [`record ${place} of writer ${this.#writer}: ${differs}`] : [];
    });
  }
}

function nodeDifference(node: Node, shown: ImageNode): string | undefined {
  if (node.kind !== shown.kind) return `a ${shown.kind} instead of a ${node.kind}`;
  if (node.mode !== shown.mode) return `mode ${shown.mode.toString(8)} instead of ${node.mode.toString(8)}`;
  if (node.kind !== 'directory' && node.names !== shown.nlink) return `${shown.nlink} names instead of ${node.names}`;
  if (node.target !== shown.target) return `points to ${shown.target} instead of ${node.target}`;
  const xattrs = JSON.stringify([...node.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)));
  if (xattrs !== JSON.stringify(shown.xattrs)) return `xattrs ${JSON.stringify(shown.xattrs)} instead of ${xattrs}`;
  if (!node.times.some(({ from, to }) => from <= shown.mtimeNs && shown.mtimeNs <= to)) {
    return `mtime ${shown.mtimeNs}, not in ${node.times.map(({ from, to }) => `${from} to ${to}`).join(' or ')}`;
  }
  return node.kind === 'file' ? contentMismatch(node.content, shown.content) : undefined;
}
